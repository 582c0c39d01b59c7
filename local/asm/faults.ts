/** Faults by rule. Each rule counts its own matches, so the same calls give the same faults. */
import { matchGlob } from "./wire.ts";

/** What goes wrong. */
export type FaultKind =
  /** ThrottlingException */
  | "throttle"
  /** AccessDeniedException; in a batch only for the secrets that `names` names */
  | "deny"
  /** an error of choice, default InternalServiceError with 500 */
  | "error"
  /** no answer until it is released or the caller gives up */
  | "hang"
  /** the connection is reset without an answer */
  | "reset"
  /** the answer comes later */
  | "latency";

/** A rule. Fields that are absent match everything. */
export interface FaultRule {
  readonly kind: FaultKind;
  /** Operations, e.g. `GetSecretValue`; those of STS as `sts:AssumeRole`. */
  readonly actions?: readonly string[];
  readonly accessKeys?: readonly string[];
  /** Names of secrets with `*`; a call matches when one of its secrets does. */
  readonly names?: readonly string[];
  /** How often it strikes in all; default without end. */
  readonly times?: number;
  /** Strikes each n-th matching call (the n-th, the 2n-th, …); default each. */
  readonly every?: number;
  /** Strikes this share of matching calls, evenly spread, such as 0.3; in place of `every`. */
  readonly share?: number;
  /** For `latency`. */
  readonly ms?: number;
  /** For `error`: HTTP status, code and text. */
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
}

/** A call as rules see it. */
export interface FaultSubject {
  readonly action: string;
  readonly accessKeyId: string;
  readonly names: readonly string[];
}

interface Active {
  readonly rule: FaultRule;
  seen: number;
  struck: number;
}

function matches(rule: FaultRule, subject: FaultSubject): boolean {
  return (
    (rule.actions === undefined || rule.actions.includes(subject.action)) &&
    (rule.accessKeys === undefined || rule.accessKeys.includes(subject.accessKeyId)) &&
    (rule.names === undefined || rule.names.some((pattern) => subject.names.some((name) => matchGlob(pattern, name))))
  );
}

/** Whether a rule strikes the n-th call that it matches. */
function isTurn({ every = 1, share }: FaultRule, n: number): boolean {
  return share === undefined ? n % every === 0 : Math.floor(n * share) > Math.floor((n - 1) * share);
}

/** The active rules. */
export class Faults {
  readonly #rules = new Map<number, Active>();
  #sequence = 0;

  /** @returns a number that removes it */
  add(rule: FaultRule): number {
    this.#rules.set(++this.#sequence, { rule, seen: 0, struck: 0 });
    return this.#sequence;
  }

  remove(id: number): void {
    this.#rules.delete(id);
  }

  clear(): void {
    this.#rules.clear();
  }

  /** How often a rule has struck. */
  struck(id: number): number {
    return this.#rules.get(id)?.struck ?? 0;
  }

  /** The rules that strike this call, in the order in which they were added. */
  strike(subject: FaultSubject): FaultRule[] {
    const striking: FaultRule[] = [];
    for (const active of this.#rules.values()) {
      const { rule } = active;
      if (!matches(rule, subject)) continue;
      active.seen++;
      if (!isTurn(rule, active.seen) || active.struck >= (rule.times ?? Infinity)) continue;
      active.struck++;
      striking.push(rule);
    }
    return striking;
  }
}
