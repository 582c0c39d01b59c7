import type { Config } from "../config/index.ts";
import type { SyncError } from "../errors/index.ts";
import type { Destination, HttpClient, Network } from "../net/index.ts";
import type { ScaiVaultClient, TokenProvider } from "../scaivault/index.ts";
import type { Clock } from "../time/clock.ts";
import { type Check, Checklist, type Found, StepError } from "./checklist.ts";
import { scaivaultRule } from "./policies.ts";
import { checkClock, checkWay } from "./way.ts";

/** The parts of the ScaiVault connection. */
export interface ScaiVaultParts {
  readonly client: ScaiVaultClient;
  readonly tokens: TokenProvider;
  readonly destination: Destination;
  readonly http: HttpClient;
  readonly basePath: string;
  readonly network: Network;
  readonly clock: Clock;
  /** Where the connection came from, other than from the configuration file. */
  readonly source?: string;
  tell(about: string, step: string): void;
}

/** Scopes that an operator needs, by what for. Deleting is asked for by few objects. */
const needed: Readonly<Record<"writer" | "reader", readonly string[]>> = {
  writer: ["secrets:list", "secrets:read", "secrets:write"],
  reader: ["secrets:list", "secrets:read"],
};
/** For news (`scaivault.news: Subscription`); without them changes in ScaiVault are seen by polls only. */
const forNews = ["subscriptions:read", "subscriptions:write"];
const ALL = new Set(["*", "admin"]);

/** @param paths ScaiVault paths that SecretSyncs name; one of them is asked for */
export async function checkScaiVault(
  config: Config,
  parts: ScaiVaultParts | undefined,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Check[]> {
  const list = new Checklist("ScaiVault", (about, step) => parts?.tell(about, step));
  const role = config.scaivault?.role === "Reader" ? "reader" : "writer";
  if (parts === undefined) {
    await list.step("configuration", [], (): Found => ({
      message: "no connection is configured: no object can have a ScaiVault target",
      as: "Skipped",
    }));
    return list.checks;
  }
  const { client, network, clock, source } = parts;
  const login = source === undefined ? `login by ${config.scaivault?.auth.method ?? ""}` : `connection from ${source}`;
  await list.step("configuration", [], (): Found => ({
    message: `${parts.destination.url.host}${parts.basePath}, ${login}`,
  }));
  await checkWay(list, ["configuration"], () => network.examine(parts.destination), clock);
  const health = `${parts.basePath}/v1/health`;
  await checkClock(list, ["tls"], { http: () => parts.http, path: health, whose: "ScaiVault", clock }, signal);
  await list.step("health", ["tls"], async (): Promise<Found> => {
    if (await client.healthy(signal)) return { message: "the service says that it is well" };
    throw new StepError({ message: "the service answers, and not that it is well", hint: "Ask who runs ScaiVault." });
  });
  await list.step("credential", ["configuration"], async (): Promise<Found> => {
    await parts.tokens.token(signal);
    return { message: "there is a token" };
  });
  const who = await list.step("whoami", ["tls", "credential"], async () => {
    const found = await client.whoami({ signal, lane: "user" });
    return { message: `${found.identityID} in tenant ${found.tenantID}`, value: found };
  });
  await list.step("scopes", ["whoami"], () =>
    scopesFound(who?.scopes ?? [], role, config.scaivault?.news === "Subscription"),
  );
  const [path] = paths;
  const policy = ({ reason }: SyncError): string | undefined =>
    reason === "ScaiVaultDenied" && path !== undefined ? scaivaultRule(path, role) : undefined;
  await list.step(
    "path",
    ["whoami"],
    async (): Promise<Found> => {
      if (path === undefined) return { message: "no SecretSync names a ScaiVault path", as: "Skipped" };
      const answer = (await client.metadataBatch([path], { signal, lane: "user" })).get(path);
      if (answer?.state === "Failed") throw answer.error;
      const state = answer?.state === "Found" ? `version ${answer.secret.version}` : "not there";
      return { message: `${path}: ${state}; a write is not tried` };
    },
    policy,
  );
  return list.checks;
}

/** The checks of a connection that could not be read from where the configuration says it is. */
export async function connectionFailed(
  error: SyncError,
  policyOf: (right: string) => string | undefined,
): Promise<Check[]> {
  const list = new Checklist("ScaiVault", () => undefined);
  const policy = ({ right }: SyncError): string | undefined => (right === undefined ? undefined : policyOf(right));
  await list.step("configuration", [], () => Promise.reject(error), policy);
  return list.checks;
}

function scopesFound(scopes: readonly string[], role: "writer" | "reader", news: boolean): Found {
  const has = (scope: string): boolean => scopes.some((own) => own === scope || ALL.has(own));
  const missing = needed[role].filter((scope) => !has(scope));
  if (missing.length > 0)
    throw new StepError({
      message: `the identity lacks ${missing.join(", ")}`,
      hint: "Give the operator's identity these scopes in ScaiVault, and log in anew.",
      policy: JSON.stringify({ scopes: missing }),
    });
  const silent = news ? forNews.filter((scope) => !has(scope)) : [];
  if (silent.length > 0)
    return {
      message: `a ${role} has what it needs, without ${silent.join(", ")}`,
      as: "Warning",
      hint: "Changes in ScaiVault are then seen by polls only; give these scopes, or set scaivault.news to Polling.",
    };
  if (role === "reader" || has("secrets:delete")) return { message: `a ${role} needs no more than it has` };
  return {
    message: "a writer has what it needs, without secrets:delete",
    as: "Warning",
    hint: "Only objects with deletionPolicy or cleanupPolicy Delete need it.",
  };
}
