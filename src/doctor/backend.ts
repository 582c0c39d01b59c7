import { type FederationBackend, type SecretSync } from "../api/index.ts";
import { sourcePath } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import type { Destination, Network } from "../net/index.ts";
import type { SecretSource, SourceFact } from "../ports/index.ts";
import type { Clock } from "../time/clock.ts";
import { type Check, Checklist, type Found } from "./checklist.ts";
import { awsStatement, vaultRule } from "./policies.ts";
import { checkClock, checkWay } from "./way.ts";

/** A backend and what reads it. */
export interface BackendCase {
  readonly namespace: string;
  readonly name: string;
  /** Parsed, or why it is none; undefined: there is no such object. */
  readonly backend: FederationBackend | SyncError | undefined;
  /** SecretSyncs that read it. */
  readonly syncs: readonly SecretSync[];
}

/** What the checks are made with. */
export interface BackendParts {
  readonly network: Network;
  readonly clock: Clock;
  /** Rights of the namespace and the credential, then the source. @throws SyncError the first thing that is missing */
  resolve(backend: FederationBackend, signal: AbortSignal): Promise<{ identity: string; create(): SecretSource }>;
  /** Where it is. @throws SyncError when the address or the CA cannot be had */
  destination(backend: FederationBackend, signal: AbortSignal): Promise<Destination>;
  tell(about: string, step: string): void;
}

/** The backend, from its object to one value that is read and dropped. @param path to read; default one that a SecretSync names */
export async function checkBackend(
  which: BackendCase,
  parts: BackendParts,
  path: string | undefined,
  signal: AbortSignal,
): Promise<Check[]> {
  const list = new Checklist(`FederationBackend ${which.namespace}/${which.name}`, (about, step) =>
    parts.tell(about, step),
  );
  const backend = await list.step("object", [], () => objectFound(which));
  // A step that needs `object` does not run without it.
  const own = backend as FederationBackend;
  const resolved = await list.step("credential", ["object"], async () => {
    const found = await parts.resolve(own, signal);
    return { message: `the namespace may use it, its credential is there: ${found.identity}`, value: found };
  });
  const to = await list.step("address", ["object"], async () => {
    const destination = await parts.destination(own, signal);
    return { message: destination.url.host, value: destination };
  });
  await checkWay(list, ["address"], () => parts.network.examine(to as Destination), parts.clock);
  const http = () => parts.network.open(to as Destination, 1);
  const vault = backend?.spec.hashicorpVault !== undefined;
  const whose = { http, path: vault ? "/v1/sys/health?standbyok=true" : "/", whose: "the store", clock: parts.clock };
  await checkClock(list, ["tls"], whose, signal);
  if (resolved === undefined) {
    for (const step of ["login", "list", "metadata", "read"])
      await list.step(step, ["credential"], () => ({ message: "" }));
    return list.checks;
  }
  const source = resolved.create();
  try {
    await checkSource(list, source, { backend: own, syncs: which.syncs, path }, signal);
  } finally {
    await source.close();
  }
  return list.checks;
}

function objectFound({ backend, namespace, name, syncs }: BackendCase): Found<FederationBackend> {
  if (backend === undefined)
    throw new SyncError("BackendNotFound", `there is no FederationBackend ${name} in namespace ${namespace}`);
  if (backend instanceof SyncError) throw backend;
  if (backend.spec.suspend === true) throw new SyncError("BackendSuspended", "spec.suspend is true");
  const readers = `${syncs.length} SecretSync${syncs.length === 1 ? "" : "s"}`;
  return { message: `${backend.spec.type}, read by ${readers}`, value: backend };
}

interface Wanted {
  readonly backend: FederationBackend;
  readonly syncs: readonly SecretSync[];
  readonly path: string | undefined;
}

/** `login`, `list`, `metadata`, `read`. */
async function checkSource(list: Checklist, source: SecretSource, wanted: Wanted, signal: AbortSignal): Promise<void> {
  const { backend } = wanted;
  const region = backend.spec.awsSecretsManager?.region;
  const path = wanted.path ?? pathOf(wanted);
  const policy =
    (name: string | undefined) =>
    ({ right }: SyncError): string | undefined => {
      if (right === undefined) return undefined;
      return region === undefined ? vaultRule(right) : awsStatement(right, region, name);
    };
  await list.step("login", ["tls"], async () => {
    await source.probe(signal);
    return { message: `logged in as ${source.identity}` };
  });
  await list.step("list", ["login"], () => listFound(source, wanted, path, signal), policy(undefined));
  const without = "no SecretSync names a single secret of it; name one with --path";
  await list.step(
    "metadata",
    ["login"],
    async (): Promise<Found> => {
      if (path === undefined) return { message: without, as: "Skipped" };
      const { facts, failures } = await source.poll({ paths: [path], subtrees: [], fresh: true }, signal);
      const failure = failures.get(path);
      if (failure !== undefined) throw failure;
      return { message: `${path}: ${stateOf(facts.get(path))}` };
    },
    policy(path),
  );
  await list.step(
    "read",
    ["login"],
    async (): Promise<Found> => {
      if (path === undefined) return { message: without, as: "Skipped" };
      const { version, payload } = await source.read({ path }, signal);
      payload.raw.release();
      for (const value of payload.keys.values()) value.release();
      return { message: `${path}: the value of version ${version} can be read` };
    },
    policy(path),
  );
}

async function listFound(
  source: SecretSource,
  wanted: Wanted,
  path: string | undefined,
  signal: AbortSignal,
): Promise<Found> {
  const subtrees = [...new Set(wanted.syncs.flatMap(({ spec }) => spec.source.subtree ?? []))].map((subtree) =>
    normal(wanted.backend, subtree.slice(0, -"/**".length)),
  );
  const region = wanted.backend.spec.awsSecretsManager?.region;
  if (subtrees.length > 0) {
    const { subtrees: walked } = await source.poll({ paths: [], subtrees, fresh: false }, signal);
    let count = 0;
    for (const [, paths] of walked) {
      if (paths instanceof SyncError) throw paths;
      count += paths.length;
    }
    return { message: `${count} secrets below ${subtrees.length} subtrees` };
  }
  if (region === undefined) return { message: "no SecretSync reads a subtree: Vault is not listed", as: "Skipped" };
  if (path === undefined) return { message: "nothing reads it yet", as: "Skipped" };
  // Single secrets are looked at one by one or by listing, whichever costs less; only asking shows whether the latter is allowed.
  const folder = path.split("/")[0] ?? path;
  const below = (await source.poll({ paths: [], subtrees: [folder], fresh: false }, signal)).subtrees.get(folder);
  if (!(below instanceof SyncError)) return { message: `may list; ${below?.length ?? 0} secrets below ${folder}` };
  if (below.reason !== "AccessDenied") throw below;
  return {
    message: "may not list: each secret is asked for by name",
    as: "Warning",
    hint: "It works without; with the right to list a thousand secrets cost ten calls an interval.",
    policy: awsStatement("secretsmanager:ListSecrets", region, undefined),
  };
}

function stateOf(fact: SourceFact | undefined): string {
  if (fact === undefined) return "the store said nothing";
  if (fact.state === "Gone") return `the store may be asked and says that it is gone (${fact.how})`;
  return `${fact.stages.size} stages or versions are seen`;
}

/** A single secret that somebody reads. */
function pathOf({ backend, syncs }: Wanted): string | undefined {
  const named = syncs.flatMap(({ spec }) => spec.source.path ?? []);
  for (const path of named) {
    try {
      return normal(backend, path);
    } catch {
      // Its own status says what is wrong with it.
    }
  }
  return undefined;
}

function normal(backend: FederationBackend, path: string): string {
  const region = backend.spec.awsSecretsManager?.region;
  return sourcePath(backend.spec.type, path, region === undefined ? {} : { region });
}
