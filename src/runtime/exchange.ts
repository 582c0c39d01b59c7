import type { Dispatcher } from "undici";
import { ApiConnectionError } from "./errors.ts";

/** An answer with its whole body. */
export interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Largest body of a refusal in bytes; of a larger one the code is enough. */
export const refusalBytes = 256 * 1024;

/**
 * Sends a request and gathers its answer, without the stream that undici's own `request` makes for each: most answers come in
 * one piece. With a free connection the bytes go to the socket within this call.
 * @param signal ends it at once, also while it waits for a connection
 * @throws what undici throws; the signal's reason; ApiConnectionError `tooLarge`
 */
export function exchange(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  { signal, maxBytes }: { readonly signal: AbortSignal; readonly maxBytes: number },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const gathering = new Gathering(signal, maxBytes, resolve, reject);
    try {
      dispatcher.dispatch(options, gathering);
    } catch (error) {
      gathering.fail(error);
    }
  });
}

class Gathering implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal;
  readonly #maxBytes: number;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #statusCode = 0;
  #headers: Answer["headers"] = {};
  #parts: Buffer[] = [];
  #size = 0;
  #ended = false;

  constructor(
    signal: AbortSignal,
    maxBytes: number,
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#signal = signal;
    this.#maxBytes = maxBytes;
    this.#resolve = resolve;
    this.#reject = reject;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It was given up while it waited for a connection.
    if (this.#ended) controller.abort(new ApiConnectionError("aborted", false));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, statusCode: number, headers: Answer["headers"]): void {
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    this.#size += chunk.length;
    if (this.#size <= (this.#refused ? refusalBytes : this.#maxBytes)) {
      this.#parts.push(chunk);
      return;
    }
    const error = new ApiConnectionError("tooLarge", true);
    this.fail(error);
    // The rest is not waited for: the connection goes with it.
    controller.abort(error);
  }

  onResponseEnd(): void {
    const [first] = this.#parts;
    const body = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    this.#end(() => this.#resolve({ statusCode: this.#statusCode, headers: this.#headers, body }));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: unknown): void {
    this.fail(error);
  }

  /** A refusal is one also when its body does not come through. */
  fail(error: unknown): void {
    this.#end(() => {
      if (this.#refused && !this.#signal.aborted)
        this.#resolve({ statusCode: this.#statusCode, headers: this.#headers, body: Buffer.alloc(0) });
      else this.#reject(error);
    });
  }

  get #refused(): boolean {
    return this.#statusCode >= 300;
  }

  #end(how: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    how();
    this.#parts = [];
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#signal.reason;
    const error = reason instanceof Error ? reason : new ApiConnectionError("aborted", true);
    this.fail(error);
    this.#controller?.abort(error);
  };
}
