import type { BackendCounts, FederationBackendStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
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
  /** Undefined when no dependant has a ScaiVault target, or it was not asked yet. */
  readonly scaivault:
    | { readonly reachable: true }
    | { readonly reachable: false; readonly reason: Reason; readonly message: string }
    | undefined;
  readonly handledSyncRequest?: string | undefined;
}

/** The one place that makes the status of a FederationBackend. Returns `previous` itself when nothing would differ. */
export function backendStatus(input: BackendStatusInput): FederationBackendStatus {
  const { previous, generation, nowMs } = input;
  if (input.store.kind === "Unpolled" && previous !== undefined && isStillTold(previous, generation)) return previous;
  const problems = listProblems(problemsOf(input), previous?.problems, MAX_PROBLEMS, nowMs);
  const lastPollTime = input.lastPollMs === undefined ? previous?.lastPollTime : timeText(input.lastPollMs);
  const handled = input.handledSyncRequest ?? previous?.lastHandledSyncRequest;
  const next: FederationBackendStatus = {
    observedGeneration: generation,
    conditions: stamp(verdictsOf(input), previous?.conditions, generation, nowMs),
    ...(input.identity === undefined ? {} : { identity: input.identity }),
    effective: {
      syncInterval: input.syncInterval,
      ...(input.poll === undefined ? {} : { poll: input.poll }),
      ...(input.notes.length === 0 ? {} : { notes: input.notes.slice(0, 8).map((note) => note.slice(0, 512)) }),
    },
    counts: input.counts,
    ...(lastPollTime === undefined ? {} : { lastPollTime }),
    ...(handled === undefined ? {} : { lastHandledSyncRequest: handled }),
    ...(problems.length === 0 ? {} : { problems }),
  };
  return previous !== undefined && sameStatus(previous, next) ? previous : next;
}

/**
 * After a restart, until the first poll has ended, what the last poll found still stands (`lastPollTime` says when that was):
 * a backend that is fine must not look otherwise because its operator was restarted.
 */
function isStillTold({ observedGeneration, conditions = [] }: FederationBackendStatus, generation: number): boolean {
  return observedGeneration === generation && conditions.some(({ type }) => type === "SourceReachable");
}

function verdictsOf(input: BackendStatusInput): Verdict[] {
  const { store } = input;
  const verdicts = [...readyOf(input)];
  if (store.kind === "Good") verdicts.push({ type: "SourceReachable", status: "True", reason: "Ok", message: "" });
  if (store.kind === "Failing")
    verdicts.push({ type: "SourceReachable", status: "False", reason: store.reason, message: store.message });
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

/** Ready is about the store: a dependant that fails shows in the counts and in its own status. */
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
  if (scaivault?.reachable === false)
    found.push({ path: "ScaiVault", reason: scaivault.reason, message: scaivault.message });
  return found;
}
