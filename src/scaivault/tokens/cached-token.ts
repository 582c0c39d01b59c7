import { type SyncError, toSyncError } from "../../errors/index.ts";
import type { SecretValue } from "../../model/index.ts";
import type { Clock } from "../../time/clock.ts";
import type { TokenProvider } from "./provider.ts";

/** A token as a login answered it. */
export interface IssuedToken {
  readonly value: SecretValue;
  /** Lifetime from now, in milliseconds; undefined when the answer does not say. */
  readonly lifetimeMs: number | undefined;
}

export interface CachedTokenOptions {
  readonly clock: Clock;
  /** Logs in. It has its own deadline and is not ended by any caller's signal: all callers share it. */
  readonly login: () => Promise<IssuedToken>;
  /** Whether the login would now be made with another credential than the last one that succeeded; must be cheap. */
  readonly changed?: () => Promise<boolean>;
  /** Told of each login that failed, also while an older token still serves. */
  readonly onFailure?: ((error: SyncError) => void) | undefined;
  /** Number in [0, 1) that spreads the moment of renewal over 80 to 90 % of the lifetime. */
  readonly random?: () => number;
}

const MIN_LIFETIME_MS = 10_000;
const MAX_LIFETIME_MS = 24 * 3_600_000;
/** Assumed when a login does not say how long its token lives. */
const DEFAULT_LIFETIME_MS = 5 * 60_000;
const MIN_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;

interface Held {
  readonly value: SecretValue;
  readonly renewAtMs: number;
  readonly endsAtMs: number;
}

/**
 * Keeps one token for all callers: one login at a time, renewed at 80 to 90 % of the lifetime; a renewal that fails
 * leaves the old token in use until it ends; a changed credential is logged in with at once, in the same way; failed logins back off from 1 to 60 s, in which callers get the last error
 * at once instead of another login.
 */
export class CachedToken implements TokenProvider {
  readonly #options: CachedTokenOptions;
  readonly #random: () => number;
  #held: Held | undefined;
  #login: Promise<SecretValue> | undefined;
  #failure: { readonly error: SyncError; readonly untilMs: number; readonly backoffMs: number } | undefined;

  constructor(options: CachedTokenOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  async token(signal: AbortSignal): Promise<SecretValue> {
    const now = this.#options.clock.monotonic();
    if (this.#held !== undefined && now < this.#held.renewAtMs && !(await this.#changed())) return this.#held.value;
    try {
      return await this.#share(signal);
    } catch (error) {
      const held = this.#usable();
      if (!signal.aborted && held !== undefined) return held;
      throw error;
    }
  }

  async renew(refused: SecretValue, signal: AbortSignal): Promise<SecretValue | undefined> {
    // Somebody else may have renewed it while this caller's request was under way.
    const held = this.#usable();
    if (held !== undefined && !held.equals(refused)) return held;
    this.#held = undefined;
    const fresh = await this.#share(signal);
    return fresh.equals(refused) ? undefined : fresh;
  }

  /** The token, unless it has ended by now. */
  #usable(): SecretValue | undefined {
    const held = this.#held;
    return held !== undefined && this.#options.clock.monotonic() < held.endsAtMs ? held.value : undefined;
  }

  async #changed(): Promise<boolean> {
    return (await this.#options.changed?.().catch(() => false)) ?? false;
  }

  async #share(signal: AbortSignal): Promise<SecretValue> {
    if (this.#login === undefined) {
      if (this.#failure !== undefined && this.#options.clock.monotonic() < this.#failure.untilMs) {
        throw this.#failure.error;
      }
      this.#login = this.#logIn().finally(() => {
        this.#login = undefined;
      });
      // The login may outlive every caller that waits for it.
      this.#login.catch(() => undefined);
    }
    return untilAborted(this.#login, signal);
  }

  async #logIn(): Promise<SecretValue> {
    const { clock } = this.#options;
    try {
      const issued = await this.#options.login();
      const lifetime = clamp(issued.lifetimeMs ?? DEFAULT_LIFETIME_MS, MIN_LIFETIME_MS, MAX_LIFETIME_MS);
      const now = clock.monotonic();
      this.#held = {
        value: issued.value,
        renewAtMs: now + lifetime * (0.8 + 0.1 * this.#random()),
        endsAtMs: now + lifetime,
      };
      this.#failure = undefined;
      return issued.value;
    } catch (error) {
      const failed = toSyncError(error, "log in to ScaiVault");
      const last = this.#failure?.backoffMs;
      const backoffMs = last === undefined ? MIN_BACKOFF_MS : Math.min(last * 2, MAX_BACKOFF_MS);
      this.#failure = {
        error: failed,
        backoffMs,
        untilMs: clock.monotonic() + Math.max(backoffMs, failed.retryAfterMs ?? 0),
      };
      this.#options.onFailure?.(failed);
      throw failed;
    }
  }
}

function clamp(value: number, low: number, high: number): number {
  return Number.isNaN(value) ? DEFAULT_LIFETIME_MS : Math.min(Math.max(value, low), high);
}

/** The promise, or the signal's reason when it aborts first; the promise itself goes on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
