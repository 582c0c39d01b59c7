import type { BackendCounts, EffectiveFederation, FederationBackendStatus, SecretSyncStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
import { type SyncSituation, syncStatus, type SyncStatusInput } from "./sync-status.ts";
import { companions, listProblems, sameStatus, stamp, timeText, type Verdict } from "./conditions.ts";

/** Most entries of `status.problems` of a backend. */
const MAX_PROBLEMS = 20;

/** How the store of a backend stands. */
export type StoreVerdict =
  | { readonly kind: "Refused"; readonly reason: Reason; readonly message: string }
  | { readonly kind: "Suspended" }
  /** No poll has ended yet. */
  | { readonly kind: "Unpolled" }
  | { readonly kind: "Good" }
  | { readonly kind: "Failing"; readonly reason: Reason; readonly message: string };

/** Everything that status is computed from. */
export interface BackendStatusInput {
  readonly previous: FederationBackendStatus | undefined;
  readonly generation: number;
  readonly nowMs: number;
  readonly store: StoreVerdict;
  readonly identity: string | undefined;
  readonly syncInterval: string;
  readonly poll: "List" | "Batch" | "Describe" | "Metadata" | "Read" | undefined;
  readonly notes: readonly string[];
  readonly counts: BackendCounts;
  /** End of the last full poll that succeeded. */
  readonly lastPollMs: number | undefined;
  /** Undefined when neither a dependant nor a tree has a ScaiVault target. */
  readonly scaivault:
    | { readonly reachable: true }
    | { readonly reachable: false; readonly reason: Reason; readonly message: string }
    /** It was not asked yet since the start. */
    | "AsBefore"
    | undefined;
  readonly handledSyncRequest?: string | undefined;
  /** The tree that the operator copies, where there is one. */
  readonly tree?: TreeReport | undefined;
  /** Where copies may stand of a tree that was taken out of the spec. */
  readonly formerCopies?: string[] | undefined;
}

/** How the tree of a backend stands. */
export interface TreeReport {
  readonly situation: SyncSituation;
  /** Every secret was looked at; until then, after a start, what status said before still stands. */
  readonly complete: boolean;
  readonly effective: SyncStatusInput["effective"];
  readonly federation: Pick<EffectiveFederation, "mode" | "runsIn" | "authority" | "conflictResolution">;
  readonly lastGoodMs: number | undefined;
  readonly wrote: boolean;
  readonly handledApproval: string | undefined;
  /** ScaiVault paths, as mappings name them, below which copies may stand. */
  readonly copies: string[];
  /** What people should know of copies that no mapping names any more. */
  readonly notes: readonly string[];
}

/** The one place that makes the status of a FederationBackend. Returns `previous` itself when nothing would differ. */
export function backendStatus(input: BackendStatusInput): FederationBackendStatus {
  const { previous, generation, nowMs } = input;
  if (input.store.kind === "Unpolled" && previous !== undefined && isStillTold(previous, generation)) return previous;
  const tree = treeStatus(input);
  const own = listProblems(problemsOf(input), previous?.problems, MAX_PROBLEMS, nowMs);
  const problems = [...own, ...(tree?.problems ?? [])].slice(0, MAX_PROBLEMS);
  const federation = input.tree === undefined ? undefined : inForce(input.tree.federation);
  const notes = [...input.notes, ...(input.tree?.notes ?? []), ...formerNotes(input)];
  const next: FederationBackendStatus = {
    observedGeneration: generation,
    conditions: stamp(verdictsOf(input, tree), previous?.conditions, generation, nowMs),
    ...(input.identity === undefined ? {} : { identity: input.identity }),
    effective: effectiveOf(input, federation, notes),
    counts: input.counts,
    ...shownTree(input, tree),
    ...lastDone(input, input.handledSyncRequest),
    ...(problems.length === 0 ? {} : { problems }),
  };
  return previous !== undefined && sameStatus(previous, next) ? previous : next;
}

/** The settings in force, whoever copies; `federation` and `notes` are left out when there are none. */
export function effectiveOf(
  { syncInterval, poll }: BackendStatusInput,
  federation: EffectiveShown["federation"],
  notes: readonly string[],
): EffectiveShown {
  return {
    syncInterval,
    ...(poll === undefined ? {} : { poll }),
    ...(federation === undefined ? {} : { federation }),
    ...(notes.length === 0 ? {} : { notes: notes.slice(0, 8).map((note) => note.slice(0, 512)) }),
  };
}

type EffectiveShown = NonNullable<FederationBackendStatus["effective"]>;

/** The last good poll and the last request that was answered; what status said before stands until there is a newer one. */
export function lastDone(
  { lastPollMs, previous }: BackendStatusInput,
  handledSyncRequest: string | undefined,
): Pick<FederationBackendStatus, "lastPollTime" | "lastHandledSyncRequest"> {
  const lastPollTime = lastPollMs === undefined ? previous?.lastPollTime : timeText(lastPollMs);
  const lastHandledSyncRequest = handledSyncRequest ?? previous?.lastHandledSyncRequest;
  return {
    ...(lastPollTime === undefined ? {} : { lastPollTime }),
    ...(lastHandledSyncRequest === undefined ? {} : { lastHandledSyncRequest }),
  };
}

/**
 * After a restart, until the first poll has ended, what the last poll found still stands (`lastPollTime` says when that was):
 * a backend that is fine must not look otherwise because its operator was restarted.
 */
function isStillTold({ observedGeneration, conditions = [] }: FederationBackendStatus, generation: number): boolean {
  return observedGeneration === generation && conditions.some(({ type }) => type === "SourceReachable");
}

/** The part of a backend's status that is about its tree, made like that of a SecretSync over a subtree. */
function treeStatus({ tree, previous, generation, nowMs }: BackendStatusInput): SecretSyncStatus | undefined {
  if (tree === undefined) return undefined;
  const before = treePart(previous);
  const told = previous?.observedGeneration === generation && before.counts !== undefined;
  if (!tree.complete && told && tree.situation.kind !== "Suspended" && !isRefused(tree)) return before;
  return syncStatus({
    previous: before.counts === undefined ? undefined : before,
    generation,
    nowMs,
    effective: tree.effective,
    situation: tree.situation,
    lastGoodMs: tree.lastGoodMs,
    wrote: tree.wrote,
    handledApproval: tree.handledApproval,
  });
}

const isRefused = ({ situation }: TreeReport): boolean =>
  situation.kind === "Refused" && situation.reason !== "Progressing";

function treePart(status: FederationBackendStatus | undefined): SecretSyncStatus {
  const { observedGeneration, conditions, federation, plan, problems, lastWriteTime, lastHandledApproval } =
    status ?? {};
  const counts = federation?.counts;
  return {
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    ...(conditions === undefined ? {} : { conditions: conditions.filter(({ type }) => !ofStores.has(type)) }),
    ...(counts === undefined ? {} : { counts }),
    ...(plan === undefined ? {} : { plan }),
    ...(problems === undefined ? {} : { problems: problems.filter(({ path }) => !ownProblems.has(path)) }),
    ...(lastWriteTime === undefined ? {} : { lastWriteTime }),
    ...(lastHandledApproval === undefined ? {} : { lastHandledApproval }),
  };
}

const ofStores = new Set(["SourceReachable", "ScaiVaultReachable"]);
/** Paths of problems that are the store's or ScaiVault's as a whole. */
const ownProblems = new Set(["", "ScaiVault"]);
/** Conditions that are those of the store while it fails; the tree's others stay. */
const ofReady = new Set(["Ready", "Reconciling", "Stalled", "Stale"]);

function inForce({ mode, runsIn, authority, conflictResolution }: TreeReport["federation"]) {
  return { mode, runsIn, authority, conflictResolution };
}

/** A tree that was taken out of the spec leaves its copies, whatever `cleanupPolicy` said; status keeps saying where. */
function formerNotes({ tree, formerCopies = [] }: BackendStatusInput): string[] {
  if (tree !== undefined || formerCopies.length === 0) return [];
  return [`federation was taken out of the spec; its copies stay, with their marks, below ${formerCopies.join(", ")}`];
}

function shownTree(
  { tree: report, formerCopies = [] }: BackendStatusInput,
  tree: SecretSyncStatus | undefined,
): FederationBackendStatus {
  if (report === undefined && formerCopies.length > 0) return { federation: { copies: formerCopies } };
  if (report === undefined || tree === undefined) return {};
  const { counts, plan, lastWriteTime, lastHandledApproval } = tree;
  return {
    federation: { ...(counts === undefined ? {} : { counts }), copies: report.copies },
    ...(plan === undefined ? {} : { plan }),
    ...(lastWriteTime === undefined ? {} : { lastWriteTime }),
    ...(lastHandledApproval === undefined ? {} : { lastHandledApproval }),
  };
}

function verdictsOf(input: BackendStatusInput, tree: SecretSyncStatus | undefined): Verdict[] {
  const { store } = input;
  const ofTree = (tree?.conditions ?? []).map((condition) => ({ ...condition }) as Verdict);
  const verdicts =
    store.kind === "Good" && tree !== undefined
      ? ofTree
      : [...readyOf(input), ...ofTree.filter(({ type }) => !ofReady.has(type))];
  if (store.kind === "Good") verdicts.push({ type: "SourceReachable", status: "True", reason: "Ok", message: "" });
  if (store.kind === "Failing")
    verdicts.push({ type: "SourceReachable", status: "False", reason: store.reason, message: store.message });
  const before = input.previous?.conditions?.find(({ type }) => type === "ScaiVaultReachable");
  if (input.scaivault === "AsBefore") return before === undefined ? verdicts : [...verdicts, { ...before } as Verdict];
  if (input.scaivault?.reachable === true)
    verdicts.push({ type: "ScaiVaultReachable", status: "True", reason: "Ok", message: "" });
  if (input.scaivault?.reachable === false)
    verdicts.push({
      type: "ScaiVaultReachable",
      status: "False",
      reason: input.scaivault.reason,
      message: input.scaivault.message,
    });
  return verdicts;
}

/** Without a tree Ready is about the store: a dependant that fails shows in the counts and in its own status. */
function readyOf({ store, counts }: BackendStatusInput): Verdict[] {
  switch (store.kind) {
    case "Suspended":
      return [{ type: "Ready", status: "Unknown", reason: "Suspended", message: "spec.suspend is true" }];
    case "Unpolled":
      return notReady("Progressing", "the first poll is under way");
    case "Good": {
      const message =
        counts.dependants === 0 ? "nothing depends on it" : `${counts.inSync} of ${counts.dependants} in sync`;
      return [{ type: "Ready", status: "True", reason: "InSync", message }];
    }
    case "Refused":
    case "Failing":
      return notReady(store.reason, store.message);
    default:
      return store satisfies never;
  }
}

function notReady(reason: Reason, message: string): Verdict[] {
  const text = reason === "Progressing" ? message : `${message}. ${reasons[reason].hint}`;
  return [{ type: "Ready", status: "False", reason, message: text }, ...companions(reason, message)];
}

function problemsOf({ store, scaivault }: BackendStatusInput) {
  const found: { path: string; reason: Reason; message: string }[] = [];
  if (store.kind === "Failing" || store.kind === "Refused")
    found.push({ path: "", reason: store.reason, message: store.message });
  if (scaivault !== "AsBefore" && scaivault?.reachable === false)
    found.push({ path: "ScaiVault", reason: scaivault.reason, message: scaivault.message });
  return found;
}
