import { SyncError, toSyncError, withoutAction } from "../errors/index.ts";
import type { SecretTarget, TargetObservation } from "../ports/index.ts";
import type { Clock } from "../time/clock.ts";

interface Known {
  readonly observation: TargetObservation;
  readonly asOfMs: number;
  /** Number of the look or write that said so: of two looks under way, the one that began later is right. */
  readonly look: number;
}

/** Whether a shared target store answers; since when by the monotonic clock. */
export type Reachability =
  | { readonly state: "Unknown" }
  | { readonly state: "Reachable" }
  | { readonly state: "Failing"; readonly sinceMs: number; readonly error: SyncError };

const RETRY_MS = 10_000;
/** Longer than anybody waits between two looks (a day and a half): what is older is of nobody's any more. */
const FORGET_MS = 48 * 3_600_000;
const SWEEP_MS = 3_600_000;
const MANY_TURNS = 10_000;
const unknown = (error: SyncError): TargetObservation => ({
  presence: "Unknown",
  version: "",
  mark: { state: "None" },
  content: "Unknown",
  metadataAsDeclared: true,
  fence: "",
  failure: error,
});

/** Whether an answer says whose the target is. */
function tells({ presence, mark }: TargetObservation): boolean {
  return presence !== "Unknown" && (presence !== "Present" || mark.state !== "Unverified");
}

/** Whether two answers say the same. */
function sameObservation(a: TargetObservation, b: TargetObservation): boolean {
  const facts = ({ presence, version, lineage, mark, content, metadataAsDeclared, fence }: TargetObservation) =>
    JSON.stringify([presence, version, lineage, mark, content, metadataAsDeclared, fence]);
  return facts(a) === facts(b);
}

/**
 * What a shared target store (ScaiVault) last said of each target, so that a poll asks for all of them in a few batch
 * calls and reconciles ask for none. After a failure that concerns the whole store it is asked at most every ten
 * seconds; until then everything is `Unknown` with that failure. Times are those of the monotonic clock.
 */
export class Observations<Ref> {
  readonly #target: SecretTarget<Ref>;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #absentSince = new Map<string, number>();
  /** The last answers that told anything, whatever failed since. */
  readonly #seen = new Map<string, Known>();
  #sweptMs = 0;
  /** When, in turns, a write of ours last said what is true; answers that were asked for earlier are older than that. */
  readonly #touched = new Map<string, number>();
  #turn = 0;
  #looks = 0;
  readonly #onReachability: (now: Reachability) => void;
  #reachability: Reachability = { state: "Unknown" };
  #nextAttemptMs = 0;

  constructor(options: {
    target: SecretTarget<Ref>;
    clock: Clock;
    /** Told when the store begins or ceases to answer. */
    onReachability: (now: Reachability) => void;
  }) {
    this.#target = options.target;
    this.#clock = options.clock;
    this.#onReachability = options.onReachability;
  }

  get reachability(): Reachability {
    return this.#reachability;
  }

  /** The observation, asked for only when what is known is older than `notBeforeMs`. */
  async get(ref: Ref, notBeforeMs: number, signal: AbortSignal): Promise<TargetObservation> {
    const known = this.#known.get(this.#target.key(ref));
    if (known !== undefined && known.asOfMs >= this.#notBefore(known, notBeforeMs)) return known.observation;
    const found = await this.refresh([ref], signal);
    return found.get(this.#target.key(ref)) ?? unknown(new SyncError("Unexpected", "the target gave no answer"));
  }

  /** A failure counts for a moment only, but it does: a thousand objects must not all ask again what just failed. */
  #notBefore({ observation }: Known, notBeforeMs: number): number {
    return observation.presence === "Unknown" ? Math.max(notBeforeMs, this.#clock.monotonic() - RETRY_MS) : notBeforeMs;
  }

  /** Asks for many at once. */
  async refresh(refs: readonly Ref[], signal: AbortSignal): Promise<ReadonlyMap<string, TargetObservation>> {
    const now = this.#clock.monotonic();
    if (this.#reachability.state === "Failing" && now < this.#nextAttemptMs) {
      const { error } = this.#reachability;
      return new Map(refs.map((ref) => [this.#target.key(ref), unknown(error)]));
    }
    if (this.#reachability.state === "Failing") this.#nextAttemptMs = now + RETRY_MS;
    const asked = this.#turn;
    const look = ++this.#looks;
    let found: ReadonlyMap<string, TargetObservation>;
    try {
      found = await this.#target.observe(refs, signal);
    } catch (error) {
      const failed = toSyncError(error, "observe");
      found = new Map(refs.map((ref) => [this.#target.key(ref), unknown(failed)]));
    }
    this.#judge([...found.values()]);
    const newest = new Map(found);
    for (const [key, seen] of found) {
      const observation = this.#asTold(seen);
      newest.set(key, observation);
      if ((this.#touched.get(key) ?? 0) > asked || this.#isOvertaken(key, look)) {
        newest.set(key, this.#known.get(key)?.observation ?? observation);
        continue;
      }
      this.#take(key, observation, now, look);
    }
    this.#sweep(now);
    return newest;
  }

  /**
   * Asks anew for what something hinted at. A hint proves nothing, so it costs a look at most: what cannot be seen now stays as it
   * was known. The refs should ask for fresh answers.
   * @returns keys of targets that are not as they were known, and of those that could not be seen; nothing is asked while the store is away
   */
  async lookAgain(
    refs: readonly Ref[],
    signal: AbortSignal,
  ): Promise<{ readonly changed: ReadonlySet<string>; readonly unseen: ReadonlySet<string> }> {
    const keys = refs.map((ref) => this.#target.key(ref));
    if (this.#reachability.state === "Failing") return { changed: new Set(), unseen: new Set(keys) };
    const now = this.#clock.monotonic();
    const asked = this.#turn;
    const look = ++this.#looks;
    let found: ReadonlyMap<string, TargetObservation>;
    try {
      found = await this.#target.observe(refs, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.noteFailure(toSyncError(error, "observe"));
      return { changed: new Set(), unseen: new Set(keys) };
    }
    this.#judge([...found.values()]);
    const [changed, unseen] = [new Set<string>(), new Set<string>()];
    for (const key of keys) {
      const seen = found.get(key);
      if (seen === undefined || seen.presence === "Unknown") {
        unseen.add(key);
        continue;
      }
      // A write of ours, or a later look, went past the answer.
      if ((this.#touched.get(key) ?? 0) > asked || this.#isOvertaken(key, look)) continue;
      const before = this.#known.get(key)?.observation;
      if (before === undefined || !sameObservation(before, seen)) changed.add(key);
      this.#take(key, seen, now, look);
    }
    return { changed, unseen };
  }

  /** While the store is away everybody is told the same, in the same words, whoever asked. */
  #asTold(observation: TargetObservation): TargetObservation {
    const now = this.#reachability;
    if (now.state !== "Failing" || observation.failure?.reason !== now.error.reason) return observation;
    return unknown(now.error);
  }

  /** A look that began later has answered already: what this one says is older. */
  #isOvertaken(key: string, look: number): boolean {
    const known = this.#known.get(key);
    return known !== undefined && known.look > look && known.observation.presence !== "Unknown";
  }

  #take(key: string, observation: TargetObservation, asOfMs: number, look: number): void {
    this.#known.set(key, { observation, asOfMs, look });
    if (tells(observation)) this.#seen.set(key, { observation, asOfMs, look });
    if (observation.presence !== "Absent") this.#absentSince.delete(key);
    else if (!this.#absentSince.has(key)) this.#absentSince.set(key, asOfMs);
  }

  #sweep(now: number): void {
    if (now - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = now;
    // While the store is away nothing is learned anew, so nothing is too old.
    if (this.#reachability.state === "Failing") return;
    for (const [key, { asOfMs }] of this.#known) if (now - asOfMs > FORGET_MS) this.#known.delete(key);
    for (const [key, { asOfMs }] of this.#seen)
      if (!this.#known.has(key) && now - asOfMs > FORGET_MS) this.#seen.delete(key);
    for (const key of this.#absentSince.keys()) if (!this.#known.has(key)) this.#absentSince.delete(key);
    // No look is under way for so long.
    for (const [key, turn] of this.#touched) if (this.#turn - turn > MANY_TURNS) this.#touched.delete(key);
  }

  /** What a target looks like right after our own write; undefined after a removal. */
  set(ref: Ref, observation: TargetObservation | undefined): void {
    const key = this.#target.key(ref);
    this.#touched.set(key, ++this.#turn);
    if (observation === undefined) this.#known.delete(key);
    else this.#take(key, observation, this.#clock.monotonic(), ++this.#looks);
  }

  /** What was seen last, however long ago; nothing is asked. */
  last(ref: Ref): TargetObservation | undefined {
    return this.#known.get(this.#target.key(ref))?.observation;
  }

  /** When it was last asked for, or written, by the monotonic clock. */
  asOfMs(ref: Ref): number | undefined {
    return this.#known.get(this.#target.key(ref))?.asOfMs;
  }

  /** The last answer that said what stands there, with a mark that could be checked; failures since then do not count. */
  lastSeen(ref: Ref): TargetObservation | undefined {
    return this.#seen.get(this.#target.key(ref))?.observation;
  }

  /** A term of leadership begins: while others held the lease anything may have happened. */
  restart(): void {
    this.#known.clear();
    this.#seen.clear();
    this.#absentSince.clear();
  }

  /** From the first to the last of the answers in a row that said "absent"; undefined when the last one did not. */
  absentForMs(ref: Ref): number | undefined {
    const key = this.#target.key(ref);
    const [known, sinceMs] = [this.#known.get(key), this.#absentSince.get(key)];
    if (known?.observation.presence !== "Absent" || sinceMs === undefined) return undefined;
    return known.asOfMs - sinceMs;
  }

  /** Forgets one target, so that it is asked for anew. */
  forget(ref: Ref): void {
    this.#touched.set(this.#target.key(ref), ++this.#turn);
    this.#known.delete(this.#target.key(ref));
  }

  /** A call of somebody else failed for a reason that concerns the whole store. */
  noteFailure(error: SyncError): void {
    if (!["ScaiVaultUnavailable"].includes(error.reason)) return;
    const now = this.#clock.monotonic();
    const before = this.#reachability.state;
    const sinceMs = this.#reachability.state === "Failing" ? this.#reachability.sinceMs : now;
    this.#reachability = { state: "Failing", sinceMs, error: withoutAction(error) };
    this.#nextAttemptMs = now + Math.max(RETRY_MS, error.retryAfterMs ?? 0);
    if (before !== "Failing") this.#onReachability(this.#reachability);
  }

  #judge(observations: readonly TargetObservation[]): void {
    const answered = observations.some((observation) => observation.presence !== "Unknown");
    const failure = observations.find((observation) => observation.failure !== undefined)?.failure;
    if (!answered && failure !== undefined) {
      this.noteFailure(failure);
      return;
    }
    if (!answered || this.#reachability.state === "Reachable") return;
    this.#reachability = { state: "Reachable" };
    this.#onReachability(this.#reachability);
  }
}
