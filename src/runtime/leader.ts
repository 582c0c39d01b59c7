import type { Clock } from "../time/clock.ts";
import type { CallOptions } from "./call-options.ts";
import type { KubeClient } from "./client.ts";
import { isConflict } from "./errors.ts";
import { microTime } from "./micro-time.ts";
import { resources, type KubeObject } from "./types.ts";

/** A Lease as plain JSON; times stay strings. */
interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** The caller does not hold the lease (any more). Nothing was written. */
export class NotLeaderError extends Error {
  override readonly name = "NotLeaderError";
  constructor() {
    super("this process does not hold the lease");
  }
}

/** Proof of holding the lease, for as long as it lasts. */
export interface Leadership {
  /**
   * Aborts before the lease can end (at the renew deadline, or at once when another holder is seen), and also when the process
   * is asked to stop: then the lease is kept and renewed until the work returned, so that it can finish what it holds.
   */
  readonly signal: AbortSignal;
  /**
   * Call directly before each write. Measures by itself and so also notices that the process was stopped for a while, when no
   * timer had a chance to fire.
   * @throws NotLeaderError
   */
  assertHeld(): void;
  readonly held: boolean;
  /** How long writes may go on without another renewal, ms; 0 when lost. Requests must end within it. */
  remainingMs(): number;
  /** True when another holder's lease ran out before (it may have left half of its work). */
  readonly takeover: boolean;
}

export type LeaderTransition = "acquired" | "started" | "lost" | "released" | "observed";

export interface LeaderElectorOptions {
  readonly client: KubeClient;
  /** Guards real time: the system clock. */
  readonly clock: Clock;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Unique to this process, e.g. pod name and a random part. */
  readonly identity: string;
  /** How long others leave a lease alone that is not renewed. Default 30 s. */
  readonly leaseDurationMs?: number;
  /** Without a renewal for this long we stop by ourselves. Less than `leaseDurationMs`. Default 20 s. */
  readonly renewDeadlineMs?: number;
  /** Between two renewals, and between two looks of a process that waits. Default 5 s. */
  readonly retryPeriodMs?: number;
  /** No call of the process runs longer than this; a new holder waits it out. Default 10 s. */
  readonly requestTimeoutMs?: number;
  readonly onTransition?: (transition: LeaderTransition, holder: string) => void;
  readonly random?: () => number;
}

/** What was seen of the lease, and when by our own clock. Its own times are never compared with ours. */
interface Observed {
  readonly holder: string;
  readonly renewTime: string;
  readonly durationMs: number;
  readonly atMs: number;
}

/**
 * Leader election on a Lease.
 *
 * Fenced in time: this process stops writing `leaseDuration - renewDeadline` before another may begin, and one that takes over
 * waits until the former holder's lease and its last requests are over, by its own clock.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #durationMs: number;
  readonly #deadlineMs: number;
  readonly #retryMs: number;
  readonly #requestMs: number;
  #lease: Lease | undefined;
  #observed: Observed | undefined;
  #reign: Reign | undefined;
  /** Monotonic time of the last attempt to renew or to acquire. */
  lastAttemptMs = 0;

  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#random = options.random ?? Math.random;
    this.#durationMs = options.leaseDurationMs ?? 30_000;
    this.#deadlineMs = options.renewDeadlineMs ?? 20_000;
    this.#retryMs = options.retryPeriodMs ?? 5_000;
    this.#requestMs = options.requestTimeoutMs ?? 10_000;
    if (this.#deadlineMs >= this.#durationMs || this.#retryMs >= this.#deadlineMs) {
      throw new RangeError("lease times must be: retry period < renew deadline < lease duration");
    }
  }

  /** True from the start of the work to the loss of the lease. */
  get isLeader(): boolean {
    return this.#reign?.held === true;
  }

  /** Who holds the lease as far as we saw; empty when nobody does. */
  get holder(): string {
    return this.#observed?.holder ?? "";
  }

  /**
   * Campaigns, and runs `work` each time the lease is ours. When the lease is lost its signal aborts, `work` is waited for, and
   * the campaign begins anew. When `signal` aborts, `work` is asked to end by its signal. Once `work` has returned while the
   * lease was held, the lease is given back and this ends; what `work` throws is passed on.
   */
  async run(work: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const reign = await this.#acquire(signal);
      if (reign === undefined) return;
      const lost = await this.#govern(reign, work, signal);
      if (!lost) return;
    }
  }

  /** @returns true when the lease was lost while the work should have gone on */
  async #govern(reign: Reign, work: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<boolean> {
    this.#reign = reign;
    const windDown = (): void => reign.windDown();
    if (signal.aborted) windDown();
    else signal.addEventListener("abort", windDown, { once: true });
    const renewing = this.#renewUntilOver(reign);
    try {
      await this.#waitOutPredecessor(reign);
      if (!reign.signal.aborted) {
        this.#tell("started", this.#options.identity);
        await work(reign);
      }
    } catch (error) {
      // Work that fails because its lease is gone is no failure of its own.
      if (!reign.lost) throw error;
    } finally {
      signal.removeEventListener("abort", windDown);
      reign.end();
      await renewing;
      this.#reign = undefined;
      if (reign.lost) this.#tell("lost", this.holder);
      else await this.#release();
    }
    return reign.lost;
  }

  async #acquire(signal: AbortSignal): Promise<Reign | undefined> {
    while (!signal.aborted) {
      this.lastAttemptMs = this.#clock.monotonic();
      const reign = await this.#tryAcquire(signal).catch(() => undefined);
      if (reign !== undefined) {
        this.#tell("acquired", this.#options.identity);
        return reign;
      }
      await this.#clock.sleep(this.#retryMs * (0.8 + 0.4 * this.#random()), signal).catch(() => undefined);
    }
    return undefined;
  }

  async #tryAcquire(signal: AbortSignal): Promise<Reign | undefined> {
    const { client, identity } = this.#options;
    const before = this.#observed;
    const found = await client.find<Lease>(resources.leases, this.#name, this.#call(signal));
    if (found !== undefined) this.#observe(found);
    const seen = found === undefined ? before : this.#observed;
    const other = seen !== undefined && seen.holder !== "" && seen.holder !== identity ? seen : undefined;
    const startedMs = this.#clock.monotonic();
    if (found !== undefined && other !== undefined && startedMs < other.atMs + other.durationMs) return undefined;
    await this.#write(found, true, signal);
    // A lease that vanished leaves its holder in the belief that it holds it, so it is waited out like an expired one.
    const safeAtMs = other === undefined ? 0 : other.atMs + other.durationMs + this.#requestMs;
    return new Reign(this.#clock, startedMs, this.#deadlineMs, safeAtMs);
  }

  async #waitOutPredecessor(reign: Reign): Promise<void> {
    const waitMs = reign.safeAtMs - this.#clock.monotonic();
    if (waitMs > 0) await this.#clock.sleep(waitMs, reign.signal).catch(() => undefined);
  }

  async #renewUntilOver(reign: Reign): Promise<void> {
    while (reign.held) {
      await this.#clock.sleep(this.#retryMs, reign.over).catch(() => undefined);
      if (!reign.held) return;
      this.lastAttemptMs = this.#clock.monotonic();
      const startedMs = this.#clock.monotonic();
      try {
        if (await this.#renew(reign.over)) reign.renewed(startedMs);
        else reign.lose();
      } catch {
        // Tried again until the renew deadline ends the reign.
      }
    }
  }

  /** @returns false when another process has the lease */
  async #renew(signal: AbortSignal): Promise<boolean> {
    const { client, identity } = this.#options;
    try {
      await this.#write(this.#lease, false, signal);
      return true;
    } catch (error) {
      // Whatever happened, our copy may be old: look before the next try.
      const found = await client.find<Lease>(resources.leases, this.#name, this.#call(signal));
      if (found === undefined) return false;
      this.#observe(found);
      if (this.holder !== identity) return false;
      if (!isConflict(error)) throw error;
      await this.#write(found, false, signal);
      return true;
    }
  }

  async #write(current: Lease | undefined, acquiring: boolean, signal: AbortSignal): Promise<void> {
    const { client, identity, namespace, name } = this.#options;
    const now = microTime(this.#clock.now());
    const old = current?.spec;
    const changed = old?.holderIdentity !== identity;
    const spec = {
      ...old,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#durationMs / 1000),
      acquireTime: acquiring && changed ? now : (old?.acquireTime ?? now),
      renewTime: now,
      leaseTransitions: (old?.leaseTransitions ?? 0) + (acquiring && changed && current !== undefined ? 1 : 0),
    };
    if (current === undefined) {
      const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { namespace, name }, spec };
      this.#observe(await client.create<Lease>(resources.leases, lease, this.#call(signal)));
    } else {
      this.#observe(await client.update<Lease>(resources.leases, { ...current, spec }, this.#call(signal)));
    }
  }

  /** Gives the lease back, so that another need not wait. Everything of ours has ended by now. */
  async #release(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined || this.holder !== this.#options.identity) return;
    const spec = {
      ...lease.spec,
      holderIdentity: "",
      leaseDurationSeconds: 1,
      renewTime: microTime(this.#clock.now()),
    };
    try {
      this.#observe(await this.#options.client.update<Lease>(resources.leases, { ...lease, spec }, this.#call()));
      this.#tell("released", "");
    } catch {
      // It runs out by itself.
    }
  }

  #observe(lease: Lease): void {
    this.#lease = lease;
    const holder = lease.spec?.holderIdentity ?? "";
    const renewTime = lease.spec?.renewTime ?? "";
    const old = this.#observed;
    if (old !== undefined && old.holder === holder && old.renewTime === renewTime) return;
    const declaredMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1000;
    // A holder with longer times than ours is given them; nonsense is not believed.
    const durationMs = Math.max(this.#durationMs, Math.min(declaredMs > 0 ? declaredMs : 0, 600_000));
    this.#observed = { holder, renewTime, durationMs, atMs: this.#clock.monotonic() };
    if (old?.holder !== holder) this.#tell("observed", holder);
  }

  #tell(transition: LeaderTransition, holder: string): void {
    try {
      this.#options.onTransition?.(transition, holder);
    } catch {
      // A broken observer must not cost the lease.
    }
  }

  get #name() {
    return { namespace: this.#options.namespace, name: this.#options.name };
  }

  #call(signal?: AbortSignal): CallOptions {
    return { timeoutMs: Math.min(this.#requestMs, this.#retryMs), urgent: true, signal };
  }
}

/** One time of holding the lease. */
class Reign implements Leadership {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #abort = new AbortController();
  readonly #over = new AbortController();
  readonly safeAtMs: number;
  #endMs: number;
  #endWallMs: number;
  #cancel: () => void;
  lost = false;

  constructor(clock: Clock, startedMs: number, deadlineMs: number, safeAtMs: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.safeAtMs = safeAtMs;
    this.#endMs = 0;
    this.#endWallMs = 0;
    this.#cancel = () => undefined;
    this.renewed(startedMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Aborts when the lease is lost or the work has ended. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  get takeover(): boolean {
    return this.safeAtMs > 0;
  }

  get held(): boolean {
    return this.remainingMs() > 0;
  }

  assertHeld(): void {
    if (!this.held) throw new NotLeaderError();
  }

  remainingMs(): number {
    if (this.#over.signal.aborted) return 0;
    // The monotonic clock may stand still while a machine sleeps, the wall clock may be set back: the earlier end counts.
    const left = Math.min(this.#endMs - this.#clock.monotonic(), this.#endWallMs - this.#clock.now());
    if (left > 0) return left;
    this.lose();
    return 0;
  }

  /** @param startedMs when the renewal was sent: the server counts from later, so this is the safe side */
  renewed(startedMs: number): void {
    if (this.#over.signal.aborted) return;
    const ageMs = this.#clock.monotonic() - startedMs;
    this.#endMs = startedMs + this.#deadlineMs;
    this.#endWallMs = this.#clock.now() - ageMs + this.#deadlineMs;
    this.#cancel();
    this.#arm(this.#deadlineMs - ageMs);
  }

  /** Timers may fire a little early by the clock that counts, so the time left is looked at and waited for again. */
  #arm(ms: number): void {
    this.#cancel = this.#clock.setTimeout(
      () => {
        const left = this.remainingMs();
        if (left > 0) this.#arm(Math.max(1, left));
      },
      ms,
      { unref: true },
    );
  }

  /** Asks the work to end; the lease stays held. */
  windDown(): void {
    this.#abort.abort(new Error("shutting down"));
  }

  lose(): void {
    if (this.#over.signal.aborted) return;
    this.lost = true;
    this.end();
  }

  end(): void {
    this.#cancel();
    this.#abort.abort(new NotLeaderError());
    this.#over.abort(new NotLeaderError());
  }
}
