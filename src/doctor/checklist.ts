import { cleanText, type SyncError, toSyncError } from "../errors/index.ts";

/** How a step came out. A warning works today, and costs or will cost something. */
export type Outcome = "Ok" | "Warning" | "Failed" | "Skipped";

/** One step of `doctor`. No text of it holds a value, a token or foreign words. */
export interface Check {
  /** `cluster`, `ScaiVault`, or `FederationBackend team/aws`. */
  readonly about: string;
  /** Stable name, such as `tls`. */
  readonly step: string;
  readonly outcome: Outcome;
  readonly message: string;
  /** What to do; empty when there is nothing. */
  readonly hint: string;
  /** Text to add to a policy of the store, when a right is missing. */
  readonly policy?: string;
}

/** What the work of a step answers; it throws a SyncError when the step failed. */
export interface Found<T = undefined> {
  readonly message: string;
  readonly value?: T;
  /** The step came out as a warning, or was not for this case. */
  readonly as?: "Warning" | "Skipped";
  readonly hint?: string;
  readonly policy?: string | undefined;
}

/** A failure of a step with more to say than a SyncError has. */
export class StepError extends Error {
  override readonly name = "StepError";
  readonly found: Found;

  constructor(found: Found) {
    super(found.message);
    this.found = found;
  }
}

/** Runs steps in order, and skips those that rest on one that failed. */
export class Checklist {
  readonly checks: Check[] = [];
  readonly #about: string;
  readonly #tell: (about: string, step: string) => void;

  /** @param tell told of each step before it runs */
  constructor(about: string, tell: (about: string, step: string) => void) {
    this.#about = about;
    this.#tell = tell;
  }

  /**
   * @param needs steps that must have come out Ok or as a warning
   * @param policyOf text to add to a policy for a right that an error names
   * @returns the value that the work found; undefined when it failed or was skipped
   */
  async step<T>(
    step: string,
    needs: readonly string[],
    work: () => Promise<Found<T>> | Found<T>,
    policyOf?: (error: SyncError) => string | undefined,
  ): Promise<T | undefined> {
    const missing = needs.find((name) => !this.#holds(name));
    if (missing !== undefined) {
      this.#add(step, "Skipped", { message: `needs ${missing}` });
      return undefined;
    }
    this.#tell(this.#about, step);
    try {
      const found = await work();
      this.#add(step, found.as ?? "Ok", found);
      return found.as === "Skipped" ? undefined : found.value;
    } catch (error) {
      if (error instanceof StepError) this.#add(step, "Failed", error.found);
      else this.#add(step, "Failed", failedAs(toSyncError(error, step), policyOf));
      return undefined;
    }
  }

  #holds(name: string): boolean {
    const found = this.checks.find(({ step }) => step === name);
    return found?.outcome === "Ok" || found?.outcome === "Warning";
  }

  #add(step: string, outcome: Outcome, { message, hint = "", policy }: Found<unknown>): void {
    this.checks.push({
      about: this.#about,
      step,
      outcome,
      message: cleanText(message, 512),
      hint: cleanText(hint, 512),
      ...(policy === undefined ? {} : { policy }),
    });
  }
}

function failedAs(error: SyncError, policyOf: ((error: SyncError) => string | undefined) | undefined): Found {
  const { right = "" } = error;
  const missing = right === "" || error.message.includes(right) ? "" : ` (missing right: ${right})`;
  // What the operator's own log would have; who runs this may read it.
  const detail = error.detail === undefined ? "" : ` [${error.detail}]`;
  return {
    message: `${error.reason}: ${error.message}${missing}${detail}`,
    hint: error.hint,
    policy: policyOf?.(error),
  };
}

/** What the clocks of two machines differ by. */
export function skewFound(otherMs: number, nowMs: number, whose: string): Found {
  const seconds = Math.round(Math.abs(otherMs - nowMs) / 1000);
  if (seconds <= MAX_SKEW_SECONDS) return { message: `clocks differ by ${seconds} s` };
  return {
    message: `the clock of ${whose} differs by ${seconds} s from this one`,
    as: "Warning",
    hint: "Set both by NTP: signatures, tokens and certificates depend on the time.",
  };
}

/** An answer is dated in whole seconds and takes a while. */
const MAX_SKEW_SECONDS = 30;
