import type { FederatedBackend } from "../model/index.ts";
import type { FederationCall, FederationPort } from "../ports/index.ts";
import type { Clock } from "../time/clock.ts";

/** ScaiVault's backends, listed once for all objects that ask at about the same time. */
export class RegistrationListing {
  readonly #port: FederationPort;
  readonly #clock: Clock;
  #known: { readonly atMs: number; readonly backends: readonly FederatedBackend[] } | undefined;
  #running: { readonly sinceMs: number; readonly answer: Promise<readonly FederatedBackend[]> } | undefined;

  constructor(port: FederationPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
  }

  /**
   * A listing that began at `notBeforeMs` (monotonic) or later.
   * @throws SyncError
   */
  async since(notBeforeMs: number, call: FederationCall): Promise<readonly FederatedBackend[]> {
    if (this.#known !== undefined && this.#known.atMs >= notBeforeMs) return this.#known.backends;
    if (this.#running !== undefined && this.#running.sinceMs >= notBeforeMs) return this.#running.answer;
    const sinceMs = this.#clock.monotonic();
    const answer = this.#port.list(call).then((backends) => {
      this.#known = { atMs: sinceMs, backends };
      return backends;
    });
    const running = { sinceMs, answer };
    this.#running = running;
    try {
      return await answer;
    } finally {
      if (this.#running === running) this.#running = undefined;
    }
  }

  /** A backend that was just made: no need to ask for all of them again. */
  learn(backend: FederatedBackend): void {
    if (this.#known !== undefined)
      this.#known = {
        ...this.#known,
        backends: [...this.#known.backends.filter(({ id }) => id !== backend.id), backend],
      };
  }

  /** Something was changed: what was listed before does not hold any more. */
  forget(): void {
    this.#known = undefined;
    this.#running = undefined;
  }
}
