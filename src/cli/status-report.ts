import {
  annotations,
  type Condition,
  federationBackendKind,
  type FederationBackendStatus,
  type KindInfo,
  parseDuration,
  type SecretSyncStatus,
  secretSyncKind,
} from "../api/index.ts";
import { cleanText, reasons } from "../errors/index.ts";
import { exitCodes } from "./exit-codes.ts";

/** An object of our kinds as the API server has it; nothing of it is believed to be as it should. */
export interface SeenObject {
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly generation?: number };
  readonly spec?: unknown;
  readonly status?: unknown;
}

/** How one object stands. */
export interface ObjectStanding {
  readonly namespace: string;
  readonly name: string;
  /** `Suspended` is people's will: neither fine nor wrong. */
  readonly standing: "Fine" | "NotFine" | "Suspended";
  /** Reason of Ready; `NotSeen` when no operator has said anything of this generation. */
  readonly reason: string;
  readonly message: string;
  readonly hint: string;
  /** Seconds since Ready changed its status. */
  readonly sinceSeconds?: number;
}

export interface BackendStanding extends ObjectStanding {
  readonly type: string;
  readonly dependants: number;
  readonly inSync: number;
  /** Secrets of its federation, where it has one. */
  readonly federation?: { readonly found: number; readonly inSync: number };
  readonly problems: SyncStanding["problems"];
  /** What its tree holds back. */
  readonly held?: NonNullable<SyncStanding["held"]>;
  /** Seconds since the last good poll. */
  readonly lastPollSeconds?: number;
}

export interface SyncStanding extends ObjectStanding {
  /** `namespace/name` of its backend. */
  readonly backend: string;
  readonly problems: readonly { readonly path: string; readonly reason: string; readonly message: string }[];
  /** What waits for an approval, and the command that gives it. */
  readonly held?: {
    readonly hash: string;
    readonly add: number;
    readonly change: number;
    readonly delete: number;
    readonly approve: string;
  };
}

/** What `status -o json` prints. Members are only ever added. */
export interface StatusReport {
  readonly backends: readonly BackendStanding[];
  readonly syncs: readonly SyncStanding[];
  readonly summary: {
    readonly backends: Counts;
    readonly syncs: Counts & { readonly held: number };
    /** The backend whose last good poll is oldest. */
    readonly oldestPollSeconds?: number;
  };
}

interface Counts {
  readonly total: number;
  readonly fine: number;
  readonly notFine: number;
  readonly suspended: number;
}

const NOT_SEEN = "NotSeen";
const POLL_OLD = "PollOld";
const hints: Readonly<Record<string, string>> = {
  [NOT_SEEN]: "No operator has looked at it yet: is one running that watches this namespace?",
  [POLL_OLD]: "The last good poll is older than three intervals: is the operator running?",
};
/** A backend is not late before so much, whatever its interval. */
const POLL_GRACE_SECONDS = 60;

export function statusReport(
  backends: readonly SeenObject[],
  syncs: readonly SeenObject[],
  nowMs: number,
): StatusReport {
  const shownBackends = backends.map((object) => backendStanding(object, nowMs)).sort(byName);
  const shownSyncs = syncs.map((object) => syncStanding(object, nowMs)).sort(byName);
  const ages = shownBackends.flatMap(({ standing, lastPollSeconds }) =>
    standing === "Suspended" || lastPollSeconds === undefined ? [] : [lastPollSeconds],
  );
  return {
    backends: shownBackends,
    syncs: shownSyncs,
    summary: {
      backends: countsOf(shownBackends),
      syncs: { ...countsOf(shownSyncs), held: heldIn(shownSyncs) },
      ...(ages.length === 0 ? {} : { oldestPollSeconds: ages.reduce((a, b) => Math.max(a, b)) }),
    },
  };
}

/** 2 when anything is not fine or waits for people. */
export function statusExitCode({ backends: all, summary: { backends, syncs } }: StatusReport): number {
  return backends.notFine + syncs.notFine + syncs.held + heldIn(all) > 0 ? exitCodes.changes : exitCodes.ok;
}

const heldIn = (all: readonly Pick<SyncStanding, "held">[]): number =>
  all.filter(({ held }) => held !== undefined).length;

function countsOf(all: readonly ObjectStanding[]): Counts {
  const count = (standing: ObjectStanding["standing"]) => all.filter((one) => one.standing === standing).length;
  return { total: all.length, fine: count("Fine"), notFine: count("NotFine"), suspended: count("Suspended") };
}

function byName(a: ObjectStanding, b: ObjectStanding): number {
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}

interface WithConditions {
  readonly observedGeneration?: number | undefined;
  readonly conditions?: Condition[] | undefined;
}

function standingOf(object: SeenObject, nowMs: number): ObjectStanding {
  const { namespace = "", name, generation } = object.metadata;
  const status = record(object.status) as WithConditions;
  const ready = Array.isArray(status.conditions)
    ? status.conditions.find((condition) => condition.type === "Ready")
    : undefined;
  const named = { namespace, name };
  if (ready === undefined || (generation !== undefined && ready.observedGeneration !== generation))
    return { ...named, standing: "NotFine", reason: NOT_SEEN, message: "", hint: hints[NOT_SEEN] ?? "" };
  const { status: verdict, reason, message, lastTransitionTime } = ready;
  const hint = (reasons as Readonly<Record<string, { readonly hint: string }>>)[reason]?.hint ?? "";
  const since = secondsSince(lastTransitionTime, nowMs);
  return {
    ...named,
    standing: verdict === "True" ? "Fine" : reason === "Suspended" ? "Suspended" : "NotFine",
    reason: cleanText(reason),
    // The hint has a place of its own.
    message: cleanText(message.endsWith(hint) ? message.slice(0, -hint.length).trim() : message, 512),
    hint: verdict === "True" ? "" : hint,
    ...(since === undefined ? {} : { sinceSeconds: since }),
  };
}

function backendStanding(object: SeenObject, nowMs: number): BackendStanding {
  const status = record(object.status) as FederationBackendStatus;
  const standing = standingOf(object, nowMs);
  const lastPollSeconds = secondsSince(status.lastPollTime, nowMs);
  const { dependants = 0, inSync = 0 } = status.counts ?? {};
  const counts = status.federation?.counts;
  // Without a dependant nothing is polled for.
  const polledFor = dependants > 0 || counts !== undefined;
  const stopped = standing.standing === "Fine" && polledFor && isPollOld(status, lastPollSeconds);
  const { type } = record(object.spec) as { type?: unknown };
  return {
    ...standing,
    ...(stopped ? { standing: "NotFine" as const, reason: POLL_OLD, hint: hints[POLL_OLD] ?? "" } : {}),
    type: cleanText(typeof type === "string" ? type : ""),
    dependants,
    inSync,
    ...(counts === undefined ? {} : { federation: { found: counts.found, inSync: counts.inSync } }),
    problems: problemsOf(status),
    ...heldOf(standing, status.plan, federationBackendKind),
    ...(lastPollSeconds === undefined ? {} : { lastPollSeconds }),
  };
}

/** The last good poll is older than three intervals and some grace. Before the first one there is none to be old. */
function isPollOld({ effective }: FederationBackendStatus, lastPollSeconds: number | undefined): boolean {
  const intervalSeconds = (parseDuration(effective?.syncInterval ?? "") ?? 900_000) / 1000;
  return lastPollSeconds !== undefined && lastPollSeconds > 3 * intervalSeconds + POLL_GRACE_SECONDS;
}

function syncStanding(object: SeenObject, nowMs: number): SyncStanding {
  const status = record(object.status) as SecretSyncStatus;
  const spec = record(object.spec) as { source?: { backendRef?: { name?: unknown; namespace?: unknown } } };
  const standing = standingOf(object, nowMs);
  const { name, namespace } = spec.source?.backendRef ?? {};
  const { plan } = status;
  return {
    ...standing,
    backend: cleanText(
      `${typeof namespace === "string" ? namespace : standing.namespace}/${typeof name === "string" ? name : ""}`,
    ),
    problems: problemsOf(status),
    ...heldOf(standing, plan, secretSyncKind),
  };
}

function problemsOf({ problems = [] }: Pick<SecretSyncStatus, "problems">): SyncStanding["problems"] {
  return problems.map(({ path, reason, message }) => ({
    path: cleanText(path, 600),
    reason: cleanText(reason),
    message: cleanText(message, 512),
  }));
}

function heldOf(standing: ObjectStanding, plan: SecretSyncStatus["plan"], kind: KindInfo): Pick<SyncStanding, "held"> {
  if (plan === undefined || plan.hash === "") return {};
  const hash = cleanText(plan.hash);
  const { add, change, delete: deleted } = plan;
  return { held: { hash, add, change, delete: deleted, approve: approveCommand(standing, kind, hash) } };
}

function approveCommand({ namespace, name }: ObjectStanding, kind: KindInfo, hash: string): string {
  return `kubectl annotate ${kind.shortNames[0] ?? ""} -n ${namespace} ${name} --overwrite ${annotations.approve}=${hash}`;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function secondsSince(time: string | undefined, nowMs: number): number | undefined {
  const ms = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(ms) ? undefined : Math.max(0, Math.round((nowMs - ms) / 1000));
}
