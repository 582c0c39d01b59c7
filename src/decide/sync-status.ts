import { type Conflict, MAX_PROBLEMS, type SecretSyncStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
import { companions, listProblems, sameStatus, stamp, timeText, type Verdict } from "./conditions.ts";
import type { TargetKind, TargetOutcome } from "./types.ts";

/** How one target of one secret stands, with the versions that status shows. */
export interface TargetReport extends TargetOutcome {
  readonly sourceVersion?: string;
  readonly targetVersion?: string;
  /** What both sides hold, where people may settle it. */
  readonly conflict?: Conflict;
  /** With apply: Never; names only. */
  readonly keys?: {
    readonly equal: number;
    readonly differs?: string[];
    readonly missing?: string[];
    readonly extra?: string[];
  };
}

/** One secret of the object. */
export interface PairReport {
  readonly path: string;
  readonly sourceVersion?: string;
  readonly targets: readonly TargetReport[];
  /** Actions that wait for an approval or a brake. */
  readonly held: number;
}

/** What became of the object in this reconcile. */
export type SyncSituation =
  | { readonly kind: "Refused"; readonly reason: Reason; readonly message: string }
  | { readonly kind: "Suspended" }
  | {
      readonly kind: "Evaluated";
      readonly pairs: readonly PairReport[];
      readonly problems: readonly { readonly path: string; readonly reason: Reason; readonly message: string }[];
      readonly plan: { readonly hash: string; readonly add: number; readonly change: number; readonly delete: number };
      /** A subtree shows counts, a single path its targets. */
      readonly subtree: boolean;
      readonly applyNever: boolean;
    };

/** Everything that status is computed from. */
export interface SyncStatusInput {
  readonly previous: SecretSyncStatus | undefined;
  readonly generation: number;
  readonly nowMs: number;
  readonly effective: {
    readonly syncInterval: string;
    readonly syncIntervalMs: number;
    readonly authority: "Source" | "ScaiVault";
    readonly conflictResolution: "remote_wins" | "local_wins" | "manual";
  };
  readonly situation: SyncSituation;
  /** Last moment at which source and ScaiVault were seen; undefined: never by this process. */
  readonly lastGoodMs: number | undefined;
  /** When this process began to look: copies grow stale from then on when it has seen nothing yet. */
  readonly startedMs?: number | undefined;
  readonly wrote: boolean;
  readonly handledSyncRequest?: string | undefined;
  readonly handledApproval?: string | undefined;
}

const STALE_INTERVALS = 3;

/** Failures of a whole store: copies are taken to be right until they are stale. */
const outages: ReadonlySet<Reason> = new Set<Reason>([
  "SourceUnavailable",
  "SourceSealed",
  "RateLimited",
  "LoginFailed",
  "ScaiVaultUnavailable",
]);

const fine: ReadonlySet<TargetOutcome["state"]> = new Set<TargetOutcome["state"]>(["InSync", "Retained"]);

/** The one place that makes the status of a SecretSync. Returns `previous` itself when nothing but times would differ. */
export function syncStatus(given: SyncStatusInput): SecretSyncStatus {
  const input = { ...given, situation: stillLimited(given) };
  const { previous, situation, nowMs, generation } = input;
  const verdicts = verdictsOf(input);
  const evaluated = situation.kind === "Evaluated" ? situation : undefined;
  const keep = evaluated === undefined || keepsPrevious(input);
  const next: SecretSyncStatus = {
    observedGeneration: generation,
    conditions: stamp(verdicts, previous?.conditions, generation, nowMs),
    effective: {
      syncInterval: input.effective.syncInterval,
      authority: input.effective.authority,
      conflictResolution: input.effective.conflictResolution,
    },
    ...(keep ? kept(previous) : shown(evaluated, input)),
    ...(input.wrote ? { lastWriteTime: timeText(nowMs) } : pick(previous, "lastWriteTime")),
    ...(input.handledSyncRequest === undefined
      ? pick(previous, "lastHandledSyncRequest")
      : { lastHandledSyncRequest: input.handledSyncRequest }),
    ...(input.handledApproval === undefined
      ? pick(previous, "lastHandledApproval")
      : { lastHandledApproval: input.handledApproval }),
  };
  return previous !== undefined && sameStatus(previous, next) ? previous : next;
}

/**
 * A write that was refused for its rate and waits for its turn again is still refused: status does not go to and fro
 * between the two with each attempt.
 */
function stillLimited({ situation, previous, generation }: SyncStatusInput): SyncSituation {
  if (situation.kind !== "Evaluated" || previous?.observedGeneration !== generation) return situation;
  const limited = new Map(
    (previous.problems ?? []).filter(({ reason }) => reason === "RateLimited").map((one) => [one.path, one.message]),
  );
  if (limited.size === 0) return situation;
  const said = (target: TargetReport): TargetReport => {
    const message = limited.get(target.ref);
    const waits = target.state === "Pending" && target.reason === "Progressing";
    return waits && message !== undefined ? { ...target, state: "Failed", reason: "RateLimited", message } : target;
  };
  return { ...situation, pairs: situation.pairs.map((pair) => ({ ...pair, targets: pair.targets.map(said) })) };
}

/** Ready first, then whatever else is True. */
function verdictsOf(input: SyncStatusInput): Verdict[] {
  const { situation, previous } = input;
  if (situation.kind === "Suspended")
    return [{ type: "Ready", status: "Unknown", reason: "Suspended", message: "spec.suspend is true" }];
  if (situation.kind === "Refused") return notReady(situation.reason, situation.message);
  if (keepsPrevious(input)) return (previous?.conditions ?? []).map((condition) => ({ ...condition }) as Verdict);
  const bad = badOf(situation);
  const stale = bad.length > 0 && bad.every(({ reason }) => outages.has(reason)) && wasReady(input) && isOld(input);
  const main = stale
    ? notReady("Stale", `${bad[0]?.reason ?? "SourceUnavailable"}: ${bad[0]?.message ?? ""}`)
    : bad.length === 0
      ? [ready(situation)]
      : notReady(...mainReason(situation, bad));
  return [...main, ...specials(situation)];
}

type Evaluated = Extract<SyncSituation, { kind: "Evaluated" }>;
interface Bad {
  readonly path: string;
  readonly reason: Reason;
  readonly message: string;
  readonly state: TargetOutcome["state"];
  readonly conflict?: Conflict;
}

/** Everything that keeps the object from being Ready. */
function badOf(situation: Evaluated): Bad[] {
  const outcomes = situation.pairs.flatMap((pair) =>
    pair.targets
      .filter((target) => !fine.has(target.state))
      .map((target) => ({ ...target, path: problemPath(pair, target) })),
  );
  return [...situation.problems.map((problem) => ({ ...problem, state: "Failed" as const })), ...outcomes];
}

function problemPath(pair: PairReport, target: TargetReport): string {
  return target.kind === "ScaiVault" || target.ref === "" ? target.ref || pair.path : target.ref;
}

/** During an outage nothing is said anew until the copies are stale. */
function keepsPrevious(input: SyncStatusInput): boolean {
  const { situation, previous, generation } = input;
  if (situation.kind !== "Evaluated" || !wasReady(input) || previous?.observedGeneration !== generation) return false;
  const bad = badOf(situation);
  if (bad.length === 0 || !bad.every(({ reason, state }) => outages.has(reason) && state !== "Failed")) return false;
  return !isOld(input);
}

/** Nothing was seen for three intervals, counted from the start of a process that has seen nothing yet. */
function isOld({ effective, lastGoodMs, startedMs, nowMs }: SyncStatusInput): boolean {
  return nowMs - (lastGoodMs ?? startedMs ?? nowMs) >= STALE_INTERVALS * effective.syncIntervalMs;
}

function wasReady({ previous }: SyncStatusInput): boolean {
  const before = previous?.conditions?.find((condition) => condition.type === "Ready");
  return before?.status === "True" || before?.reason === "Stale";
}

function ready(situation: Evaluated): Verdict {
  const targets = situation.pairs.flatMap((pair) => pair.targets);
  // What is special of a secret is said of the object when it holds for all of its secrets.
  const [special, ...others] = new Set(
    situation.pairs.map((pair) => pair.targets.find((target) => target.reason !== "InSync")?.reason ?? "InSync"),
  );
  const reason: Reason = situation.applyNever ? "Observed" : others.length === 0 ? (special ?? "InSync") : "InSync";
  const total = situation.pairs.length;
  const message = situation.subtree
    ? `${total} of ${total} in sync`
    : (targets.find(({ message: text }) => text !== "")?.message ?? "");
  return { type: "Ready", status: "True", reason, message };
}

function notReady(reason: Reason, message: string): Verdict[] {
  return [
    { type: "Ready", status: "False", reason, message: withHint(reason, message) },
    ...companions(reason, message),
  ];
}

function withHint(reason: Reason, message: string): string {
  const { hint } = reasons[reason];
  return message === "" ? hint : `${message}. ${hint}`;
}

/** Order in which reasons take the place in Ready when there are several. */
const urgency: readonly TargetOutcome["state"][] = ["Conflict", "Held", "Failed", "Unknown", "Pending"];

/** A Secret that waits because ScaiVault was not seen is told by why it was not seen, unless that is an outage. */
function causesOf(bad: readonly Bad[]): readonly Bad[] {
  if (bad.every(({ reason }) => reason !== "AuthorityUnknown")) return bad;
  const causes = bad.filter(({ reason }) => reason !== "AuthorityUnknown" && !outages.has(reason));
  return causes.length > 0 ? causes : bad;
}

function mainReason(situation: Evaluated, bad: readonly Bad[]): [Reason, string] {
  const [first] = [...causesOf(bad)].sort((a, b) => urgency.indexOf(a.state) - urgency.indexOf(b.state));
  const reason = first?.reason ?? "Unexpected";
  if (!situation.subtree) return [reason, first?.message ?? ""];
  const good = situation.pairs.filter((pair) => pair.targets.every((target) => fine.has(target.state))).length;
  const total = situation.pairs.length + situation.problems.length;
  const same = bad.every((one) => one.reason === reason);
  const example = `${first?.path ?? ""}: ${first?.message ?? ""}`;
  const message = `${good} of ${total} in sync${example === ": " ? "" : `; ${example}`}`;
  return [same || good === 0 ? reason : "Partial", message];
}

const heldBy: readonly { readonly type: Verdict["type"]; readonly when: ReadonlySet<Reason> }[] = [
  { type: "DeletionHeld", when: new Set<Reason>(["DeletionBraked"]) },
  { type: "ChangeHeld", when: new Set<Reason>(["VersionWentBack", "ManyChanges", "AuthorityUnknown"]) },
  { type: "ApprovalNeeded", when: new Set<Reason>(["ApprovalNeeded", "FlipHeld", "AuthorityFenced"]) },
];

function specials(situation: Evaluated): Verdict[] {
  const bad = badOf(situation);
  const verdicts: Verdict[] = [];
  const conflict = bad.find(({ state }) => state === "Conflict");
  if (conflict !== undefined)
    verdicts.push({ type: "Conflict", status: "True", reason: conflict.reason, message: conflict.message });
  for (const { type, when } of heldBy) {
    const found = bad.find(({ reason }) => when.has(reason));
    if (found !== undefined) verdicts.push({ type, status: "True", reason: found.reason, message: found.message });
  }
  const diverged = situation.pairs.find(
    ({ targets }) =>
      targets.some(({ state }) => fine.has(state)) &&
      targets.some(({ state }) => !fine.has(state) && state !== "Unknown"),
  );
  const behind = diverged?.targets.find(({ state }) => !fine.has(state));
  if (behind !== undefined)
    verdicts.push({
      type: "TargetsDiverged",
      status: "True",
      reason: behind.reason,
      message: `${behind.ref} is behind the other target`,
    });
  return verdicts;
}

const keptMembers = ["sourceVersion", "targets", "counts", "plan", "problems"] as const;

function kept(previous: SecretSyncStatus | undefined): SecretSyncStatus {
  return Object.assign({}, ...keptMembers.map((member) => pick(previous, member))) as SecretSyncStatus;
}

function pick<K extends keyof SecretSyncStatus>(from: SecretSyncStatus | undefined, key: K): SecretSyncStatus {
  const value = from?.[key];
  return value === undefined ? {} : ({ [key]: value } as SecretSyncStatus);
}

function shown(situation: Evaluated, { previous, nowMs }: SyncStatusInput): SecretSyncStatus {
  const bad = badOf(situation);
  const [only] = situation.pairs;
  const states = (wanted: readonly TargetOutcome["state"][]) =>
    situation.pairs.filter(({ targets }) => targets.some(({ state }) => wanted.includes(state))).length;
  const counts = {
    found: situation.pairs.length + situation.problems.length,
    inSync: situation.pairs.filter(({ targets }) => targets.every(({ state }) => fine.has(state))).length,
    failed: failedPairs(situation) + situation.problems.length,
    conflicts: states(["Conflict"]),
    held: states(["Held"]),
  };
  // What is only under way in a large tree has no name here.
  const named = bad.filter(({ path, reason }) => path !== "" || reason !== "Progressing");
  const problems = listProblems(named, previous?.problems, MAX_PROBLEMS, nowMs);
  return {
    ...(situation.subtree || only?.sourceVersion === undefined ? {} : { sourceVersion: only.sourceVersion }),
    ...(situation.subtree || only === undefined ? {} : { targets: only.targets.map(targetStatus) }),
    counts,
    ...(situation.plan.hash === "" ? {} : { plan: situation.plan }),
    ...(problems.length === 0 ? {} : { problems }),
  };
}

/** Secrets that failed or wait for something outside; not those that are only under way. */
function failedPairs({ pairs }: Evaluated): number {
  const waits = ({ state, reason }: TargetReport): boolean =>
    state === "Failed" || state === "Unknown" || (state === "Pending" && reason !== "Progressing");
  return pairs.filter(({ targets }) => targets.some(waits)).length;
}

function targetStatus(target: TargetReport): NonNullable<SecretSyncStatus["targets"]>[number] {
  const kind: TargetKind = target.kind;
  return {
    kind,
    ref: target.ref,
    state: target.state,
    ...(target.sourceVersion === undefined ? {} : { sourceVersion: target.sourceVersion }),
    ...(target.targetVersion === undefined || target.targetVersion === ""
      ? {}
      : { targetVersion: target.targetVersion }),
    ...(target.keys === undefined ? {} : { keys: target.keys }),
  };
}
