import { createHash } from "node:crypto";
import { parseDuration } from "../api/index.ts";
import type { Reason } from "../errors/index.ts";
import type { FederatedBackend, RegistrationPatch, WantedRegistration } from "../model/index.ts";

/** Longest name of a backend in ScaiVault (API facts 5.2). */
export const MAX_REGISTRATION_NAME = 128;
const HASH_LENGTH = 16;

/** What a FederationBackend with `runsIn: ScaiVault` says, its defaults filled in. */
export interface DeclaredRegistration {
  readonly mode: "proxy" | "sync";
  /** Logical paths: mount and key, without `data/`. */
  readonly pathMapping: readonly { readonly scaivaultPath: string; readonly sourcePath: string }[];
  readonly syncInterval: string;
  readonly conflictResolution: string;
  readonly store:
    | { readonly type: "aws-secrets-manager"; readonly region: string }
    | {
        readonly type: "hashicorp-vault";
        readonly address: string;
        readonly namespace?: string | undefined;
        /** PEM certificates; no secret. */
        readonly ca?: string | undefined;
        readonly authMethod: "approle" | "token";
      };
  /** ScaiVault path of the credentials; absent: the role of ScaiVault's own host. */
  readonly credentialsPath?: string | undefined;
}

/**
 * Name of an object's registration: `k8s_<cluster>_<namespace>_<name>`. None of the three has a `_`, so no two objects
 * share one; what is longer than ScaiVault takes is cut and ends in a hash of the whole.
 */
export function registrationName(cluster: string, namespace: string, name: string): string {
  const whole = `k8s_${cluster}_${namespace}_${name}`;
  if (whole.length <= MAX_REGISTRATION_NAME) return whole;
  const hash = createHash("sha256").update(whole, "utf8").digest("hex").slice(0, HASH_LENGTH);
  return `${whole.slice(0, MAX_REGISTRATION_NAME - HASH_LENGTH - 1)}_${hash}`;
}

/** The registration that an object asks for, in ScaiVault's words. TLS is always verified. */
export function wantedRegistration(name: string, declared: DeclaredRegistration): WantedRegistration {
  const { mode, store, credentialsPath } = declared;
  const config = new Map<string, string | boolean>();
  if (store.type === "aws-secrets-manager") {
    config.set("region", store.region);
    if (credentialsPath !== undefined) config.set("credentials_path", credentialsPath);
  } else {
    config.set("endpoint", store.address.replace(/\/$/, ""));
    config.set("auth_method", store.authMethod);
    if (credentialsPath !== undefined) config.set("auth_config_path", credentialsPath);
    config.set("tls_verify", true);
    if (store.namespace !== undefined) config.set("namespace", store.namespace.replace(/\/$/, ""));
    if (store.ca !== undefined) config.set("ca_cert_pem", store.ca);
  }
  const inVault = store.type === "hashicorp-vault";
  return {
    name,
    type: store.type,
    config,
    pathMapping: new Map(
      declared.pathMapping.map(({ scaivaultPath, sourcePath }) => [
        scaivaultPath,
        inVault ? kvDataPath(sourcePath) : sourcePath,
      ]),
    ),
    mode,
    syncInterval: mode === "sync" ? declared.syncInterval : undefined,
    conflictResolution: mode === "sync" ? declared.conflictResolution : undefined,
  };
}

/**
 * `kv/apps/**` as Vault's HTTP API has it: `kv/data/apps/**`. ScaiVault does not tell which mounts there are, so a mount
 * has one segment here, and KV version 2.
 */
function kvDataPath(sourcePath: string): string {
  const slash = sourcePath.indexOf("/");
  return slash < 0 ? sourcePath : `${sourcePath.slice(0, slash)}/data${sourcePath.slice(slash)}`;
}

/** Keys of `config` that are ours to set and to take off; others are ScaiVault's own, and left alone. */
const ownConfig: ReadonlySet<string> = new Set([
  "region",
  "credentials_path",
  "role_arn",
  "endpoint",
  "auth_method",
  "auth_config_path",
  "auth_mount",
  "tls_verify",
  "namespace",
  "ca_cert_pem",
  "ca_cert_path",
]);

/** How a registration differs from what is wanted. */
export interface RegistrationDiff {
  /** Names for people, such as `config.endpoint`; empty when nothing differs. */
  readonly fields: readonly string[];
  readonly patch: RegistrationPatch;
}

/** Compares only what ScaiVault told: a field that an answer left out cannot differ. Durations are compared by their length. */
export function registrationDiff(wanted: WantedRegistration, actual: FederatedBackend): RegistrationDiff {
  const fields: string[] = [];
  let patch: RegistrationPatch = {};
  const config = configDiff(wanted, actual, fields);
  if (config !== undefined) patch = { ...patch, config };
  if (actual.pathMapping !== undefined && !sameMapping(wanted.pathMapping, actual.pathMapping)) {
    fields.push("path_mapping");
    patch = { ...patch, pathMapping: wanted.pathMapping };
  }
  return { fields, patch: { ...patch, ...modeDiff(wanted, actual, fields) } };
}

/** Another mode brings its interval and its rule for conflicts with it. */
function modeDiff(wanted: WantedRegistration, actual: FederatedBackend, fields: string[]): RegistrationPatch {
  let patch: RegistrationPatch = {};
  const modeDiffers = actual.mode !== undefined && actual.mode !== wanted.mode;
  if (modeDiffers) {
    fields.push("mode");
    patch = { ...patch, mode: wanted.mode };
  }
  if (wanted.syncInterval !== undefined && (modeDiffers || differs(wanted.syncInterval, actual.syncInterval))) {
    if (!modeDiffers) fields.push("sync_interval");
    patch = { ...patch, syncInterval: wanted.syncInterval };
  }
  const resolution = wanted.conflictResolution;
  const told = actual.conflictResolution;
  if (resolution !== undefined && (modeDiffers || (told !== undefined && told !== resolution))) {
    if (told !== resolution && !modeDiffers) fields.push("conflict_resolution");
    patch = { ...patch, conflictResolution: resolution };
  }
  return patch;
}

function configDiff(
  wanted: WantedRegistration,
  actual: FederatedBackend,
  fields: string[],
): ReadonlyMap<string, string | boolean | null> | undefined {
  const { config } = actual;
  if (config === undefined) return undefined;
  const changed = [...wanted.config].filter(([key, value]) => !sameSetting(value, config.get(key)));
  const surplus = [...config.keys()].filter(
    (key) => ownConfig.has(key) && !wanted.config.has(key) && config.get(key) !== null,
  );
  if (changed.length === 0 && surplus.length === 0) return undefined;
  fields.push(...[...changed.map(([key]) => key), ...surplus].map((key) => `config.${key}`));
  // All that is to stand, and null for what goes: the same to a server that merges and to one that replaces.
  return new Map<string, string | boolean | null>([
    ...wanted.config,
    ...surplus.map((key): [string, null] => [key, null]),
  ]);
}

function sameSetting(wanted: string | boolean, actual: unknown): boolean {
  if (typeof wanted !== "string" || typeof actual !== "string") return wanted === actual;
  // A server may show an address with its last slash, and a certificate with or without its last line end.
  return wanted.trim().replace(/\/$/, "") === actual.trim().replace(/\/$/, "");
}

function sameMapping(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([path, source]) => b.get(path) === source);
}

function differs(wanted: string, actual: string | undefined): boolean {
  if (actual === undefined) return false;
  const [a, b] = [durationMs(wanted), durationMs(actual)];
  return a === undefined || b === undefined ? wanted !== actual : a !== b;
}

/** ScaiVault's durations also have days. */
function durationMs(text: string): number | undefined {
  const days = /^([1-9]\d{0,3})d$/.exec(text)?.[1];
  return days === undefined ? parseDuration(text) : Number(days) * 86_400_000;
}

/** Everything that the decision about a registration rests on. */
export interface RegistrationSituation {
  readonly wanted: WantedRegistration;
  /** `status.federation.id`. */
  readonly recordedID: string | undefined;
  /** When it was written to status that a creation is about to be sent; undefined when none is. */
  readonly announcedMs: number | undefined;
  /** The backend with the recorded id; undefined when there is none. */
  readonly byID: FederatedBackend | undefined;
  /** The backend with our name; undefined when there is none. */
  readonly byName: FederatedBackend | undefined;
  readonly adopt: "Never" | "IfEqual";
  /** True when ScaiVault's last status said that the store can be reached. */
  readonly healthy: boolean;
}

/** What is to be done next about a registration. One step at a time: the next one follows from what ScaiVault says then. */
export type RegistrationStep =
  /** Nothing of it is in ScaiVault: status has to say first that a creation is about to be sent. */
  | { readonly kind: "Announce" }
  | { readonly kind: "Create" }
  /** It is ours from now on. */
  | { readonly kind: "Adopt"; readonly backend: FederatedBackend }
  | {
      readonly kind: "Patch";
      readonly backend: FederatedBackend;
      readonly patch: RegistrationPatch;
      readonly fields: readonly string[];
    }
  | { readonly kind: "Keep"; readonly backend: FederatedBackend }
  /** The move to proxy waits until the store can be reached: reads would fail. */
  | { readonly kind: "Wait"; readonly backend: FederatedBackend; readonly fields: readonly string[] }
  | { readonly kind: "Refuse"; readonly reason: Reason; readonly message: string };

/** Clocks of the two sides may differ by so much, in milliseconds. */
const SKEW_MS = 60_000;

/**
 * A registration is ours when name and recorded id both fit. One that only has the name is adopted when it was asked for, or
 * when it answers a creation that was announced and whose answer was lost.
 */
export function decideRegistration(situation: RegistrationSituation): RegistrationStep {
  const { wanted, byID, byName } = situation;
  if (byID?.name === wanted.name) return stepFor(situation, byID);
  if (byName === undefined) {
    // With a recorded id that fits nothing, somebody took it away.
    return situation.announcedMs === undefined ? { kind: "Announce" } : { kind: "Create" };
  }
  return adoption(situation, byName);
}

function adoption(situation: RegistrationSituation, found: FederatedBackend): RegistrationStep {
  const { wanted, adopt, announcedMs } = situation;
  const { fields } = registrationDiff(wanted, found);
  const equal = fields.length === 0 && (found.type === undefined || found.type === wanted.type);
  const answersUs =
    announcedMs !== undefined && (found.createdMs === undefined ? equal : found.createdMs >= announcedMs - SKEW_MS);
  if (answersUs || (adopt === "IfEqual" && equal)) return { kind: "Adopt", backend: found };
  if (adopt === "Never") {
    const message = `ScaiVault has a backend ${wanted.name} that is not recorded as ours (${found.id})`;
    return { kind: "Refuse", reason: "NotOwned", message };
  }
  const what = fields.length === 0 ? "type" : fields.join(", ");
  return {
    kind: "Refuse",
    reason: "AdoptDiffers",
    message: `the backend ${wanted.name} in ScaiVault differs from this object: ${what}`,
  };
}

function stepFor({ wanted, healthy }: RegistrationSituation, backend: FederatedBackend): RegistrationStep {
  if (backend.type !== undefined && backend.type !== wanted.type) {
    const message = `the backend ${wanted.name} in ScaiVault is of type ${backend.type}, which cannot be changed`;
    return { kind: "Refuse", reason: "AdoptDiffers", message };
  }
  const { fields, patch } = registrationDiff(wanted, backend);
  if (fields.length === 0) return { kind: "Keep", backend };
  if (patch.mode === undefined) return { kind: "Patch", backend, patch, fields };
  // Where to read goes before how: the mode moves only when all else stands.
  const { mode, ...others } = patch;
  const first = {
    ...(others.config && { config: others.config }),
    ...(others.pathMapping && { pathMapping: others.pathMapping }),
  };
  if (Object.keys(first).length > 0)
    return { kind: "Patch", backend, patch: first, fields: fields.filter((field) => field !== "mode") };
  if (mode === "proxy" && !healthy) return { kind: "Wait", backend, fields };
  return { kind: "Patch", backend, patch, fields };
}

/** What becomes of a registration that the object does not ask for any more. */
export type RetirementStep =
  | { readonly kind: "Delete"; readonly id: string }
  /** A proxy keeps nothing: it becomes a sync first, so that the copies are there when it goes. */
  | { readonly kind: "Patch"; readonly id: string; readonly patch: RegistrationPatch }
  | { readonly kind: "Wait"; readonly id: string; readonly why: string }
  /** Not ours, or gone: nothing to do. */
  | { readonly kind: "None" };

/**
 * The operator takes over what ScaiVault ran (`runsIn: Operator`). The registration goes only when every secret has a copy
 * in ScaiVault, so that no read fails in between.
 */
export function decideRetirement(situation: {
  readonly name: string;
  readonly backend: FederatedBackend | undefined;
  readonly syncInterval: string;
  readonly health: { readonly status: string; readonly lastSyncMs: number | undefined } | undefined;
  /** When the mode was last changed by us; a sync before that does not count. */
  readonly sinceMs: number | undefined;
}): RetirementStep {
  const { name, backend, syncInterval, health, sinceMs } = situation;
  if (backend?.name !== name) return { kind: "None" };
  const { id } = backend;
  if (backend.mode === "proxy") return { kind: "Patch", id, patch: { mode: "sync", syncInterval } };
  const synced = health?.lastSyncMs !== undefined && (sinceMs === undefined || health.lastSyncMs >= sinceMs);
  if (health?.status !== "healthy" || !synced) {
    const why = "ScaiVault's last sync has to end before the operator takes over";
    return { kind: "Wait", id, why };
  }
  return { kind: "Delete", id };
}
