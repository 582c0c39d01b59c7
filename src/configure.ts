/** `config init|show|clear`: the ScaiVault connection in its secret of AWS. */
import type { CommandIO } from "./cli/command.ts";
import type { ConnectionPlace, ConnectionWork, GivenConnection, ShownSecret, WrittenSecret } from "./cli/config.ts";
import { type OpenSecret, openSecret } from "./connect.ts";
import {
  type ConnectionContent,
  type ConnectionSettings,
  connectionText,
  parseConnection,
  sameConnection,
  type SecretRead,
  shownConnection,
} from "./connection/index.ts";
import { SyncError } from "./errors/index.ts";
import { loginOf, place as placeOf } from "./make-login.ts";
import { SecretValue } from "./model/index.ts";
import type { Network } from "./net/index.ts";
import { RateBudget, ScaiVaultClient } from "./scaivault/index.ts";
import { systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

const NO_FILE = { allowLoopback: false, endpointOverrides: {}, localEnvironment: false } as const;

export const connectionWork: ConnectionWork = {
  show: (place, io) =>
    withSecret(place, io, async ({ store, content, read }): Promise<ShownSecret> => {
      const { name: secret, region } = store;
      const about = { secret, region, version: read.version ?? "", state: content.state };
      if (content.state === "Connection") return { ...about, connection: shownConnection(content.settings) };
      return content.state === "Invalid" ? { ...about, problems: content.problems } : about;
    }),

  init: (place, given, { force, check }, io) =>
    withSecret(place, io, async ({ store, network, content, read, insecure }): Promise<WrittenSecret> => {
      const settings = checkGiven(given, insecure);
      const same = content.state === "Connection" && sameConnection(content.settings, settings);
      if (!same && !force && content.state !== "Empty") throw taken(store.name, content);
      const identity = check ? { identity: await whoami(settings, network, place, io.signal) } : {};
      const about = { secret: store.name, region: store.region, ...identity };
      if (same) return { ...about, version: read.version ?? "", changed: false };
      const version = await store.replace(read.version, connectionText(settings), io.signal);
      return { ...about, version, changed: true };
    }),

  clear: (place, io) =>
    withSecret(place, io, async ({ store, content, read }): Promise<WrittenSecret> => {
      const about = { secret: store.name, region: store.region };
      if (content.state === "Empty" && read.version !== undefined)
        return { ...about, version: read.version, changed: false };
      const version = await store.replace(read.version, SecretValue.fromText("{}"), io.signal);
      return { ...about, version, changed: true };
    }),
};

interface Opened extends OpenSecret {
  readonly read: SecretRead;
  readonly content: ConnectionContent;
  readonly insecure: boolean;
}

async function withSecret<T>(
  { secret, config = undefined }: ConnectionPlace,
  { environment, signal }: CommandIO,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const insecure = config?.localEnvironment === true;
  const open = await openSecret(config ?? NO_FILE, secret, { environment, signal, regionHint: "write --region" });
  // Timers and idle connections of the parts do not keep a process alive.
  const alive = systemClock.setTimeout(() => undefined, 2 ** 31 - 1);
  try {
    const read = await open.store.read(signal);
    const content = read.version === undefined ? ({ state: "Empty" } as const) : parseConnection(read.text, insecure);
    return await work({ ...open, read, content, insecure });
  } finally {
    alive();
    await open.store.close();
    await open.close();
  }
}

/** What was typed goes through the same checks as what is read. @throws SyncError InvalidSpec */
function checkGiven(given: GivenConnection, insecure: boolean): ConnectionSettings {
  const { token, clientSecret, ...plain } = given;
  const text = JSON.stringify({ ...plain, token: token?.text(), clientSecret: clientSecret?.text() });
  const content = parseConnection(text, insecure);
  if (content.state === "Connection") return content.settings;
  throw new SyncError("InvalidSpec", content.state === "Invalid" ? content.problems.join("; ") : "nothing was given");
}

function taken(name: string, content: ConnectionContent): SyncError {
  const what =
    content.state === "Connection"
      ? "holds another connection already; see config show"
      : "holds something that is no connection";
  return new SyncError("Conflict", `the AWS secret ${name} ${what}; --force writes over it`, { code: "Taken" });
}

/** @throws SyncError ScaiVaultDenied, ScaiVaultUnavailable */
async function whoami(
  settings: ConnectionSettings,
  network: Network,
  { config }: ConnectionPlace,
  signal: AbortSignal,
): Promise<string> {
  const { url, path: basePath } = placeOf(network, settings.url);
  const http = network.open({ url, ...(settings.ca === undefined ? {} : { ca: settings.ca }) }, 2);
  const client = new ScaiVaultClient({
    http,
    basePath,
    clock: systemClock,
    userAgent: `scaivault-operator/${VERSION}`,
    cluster: config?.cluster.name ?? "config-init",
    readOnly: true,
    budget: new RateBudget({ clock: systemClock, share: 1 }),
    tokens: loginOf(settings, { network, clock: systemClock }),
    ...(settings.tenantID === undefined ? {} : { tenant: settings.tenantID }),
    ...(config?.scaivault?.tenantIn === undefined ? {} : { tenantIn: config.scaivault.tenantIn }),
  });
  const { identityID, tenantID } = await client.whoami({ signal, lane: "user" });
  return `${identityID} in tenant ${tenantID}`;
}
