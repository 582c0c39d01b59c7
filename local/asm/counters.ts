/** Counts what the emulator was asked. Never holds a value. */

/** One call. */
export interface AsmCall {
  /** Milliseconds on the proxy's clock. */
  readonly at: number;
  readonly action: string;
  readonly accessKeyId: string;
  readonly region: string;
  /** Ids as they were asked for. */
  readonly secretIds: readonly string[];
  /** HTTP status; 0 when no answer was given (hang, reset). */
  readonly status: number;
  /** Error code, empty on success. */
  readonly code: string;
  /** Secret values in the answer. */
  readonly valueReads: number;
  readonly userAgent: string;
}

/** Sums since the last reset. */
export interface AsmCounts {
  /** Calls by operation, refused and failed ones included; STS as `sts:AssumeRole`. */
  readonly calls: Readonly<Record<string, number>>;
  /** Errors by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** All calls. */
  readonly total: number;
  /** Secret values that left (GetSecretValue and each secret of BatchGetSecretValue). */
  readonly valueReads: number;
  /** Most calls that were being answered at once. */
  readonly maxInFlight: number;
}

const keepCalls = 20_000;

/** The counters of one proxy. */
export class Counters {
  #calls: AsmCall[] = [];
  #byAction: Record<string, number> = {};
  #errors: Record<string, number> = {};
  #total = 0;
  #valueReads = 0;
  #inFlight = 0;
  #maxInFlight = 0;

  /** A call came in. */
  begin(action: string): void {
    this.#total++;
    this.#byAction[action] = (this.#byAction[action] ?? 0) + 1;
    this.#inFlight++;
    this.#maxInFlight = Math.max(this.#maxInFlight, this.#inFlight);
  }

  /** It was answered, or its connection ended. */
  end(call: AsmCall): void {
    this.#inFlight--;
    this.#valueReads += call.valueReads;
    if (call.code !== "") this.#errors[call.code] = (this.#errors[call.code] ?? 0) + 1;
    if (this.#calls.length >= keepCalls) this.#calls.shift();
    this.#calls.push(call);
  }

  counts(): AsmCounts {
    return {
      calls: { ...this.#byAction },
      errors: { ...this.#errors },
      total: this.#total,
      valueReads: this.#valueReads,
      maxInFlight: this.#maxInFlight,
    };
  }

  /** The finished calls since the last reset, the newest 20,000. */
  calls(): AsmCall[] {
    return [...this.#calls];
  }

  reset(): void {
    this.#calls = [];
    this.#byAction = {};
    this.#errors = {};
    this.#total = 0;
    this.#valueReads = 0;
    this.#maxInFlight = this.#inFlight;
  }
}
