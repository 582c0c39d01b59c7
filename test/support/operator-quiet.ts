/** Knows when the clients of this process wait for no answer, so that a virtual clock moves on only then. */
import { subscribe } from "node:diagnostics_channel";
import { settle, systemClock } from "../../src/time/clock.ts";

const open = new Map<object, number>();
let ended = 0;
let listening = false;

interface Message {
  readonly request: { readonly path?: string };
}
/** A poll for news waits on purpose, up to half a minute of the virtual clock. */
const LONG_POLL = /\/subscriptions\/[^/]+\/poll\?/;

/** Counts what every HTTP client of the operator (all are undici's) has in flight. Safe to call more than once. */
export function watchRequests(): void {
  if (listening) return;
  listening = true;
  subscribe("undici:request:create", (message) => {
    const { request } = message as Message;
    if (!LONG_POLL.test(request.path ?? "")) open.set(request, systemClock.monotonic());
  });
  const end = (message: unknown): void => {
    if (open.delete((message as Message).request)) ended += 1;
  };
  subscribe("undici:request:trailers", end);
  subscribe("undici:request:error", end);
}

/** Options of {@link quiet}. */
export interface QuietOptions {
  /** Other calls in flight, such as those of the Kubernetes transport. */
  readonly others: () => number;
  /** A call without an answer for this long (machine time) is hung and no longer waited for. */
  readonly hungMs: number;
}

/** Resolves when nothing is in flight but what hangs. */
export async function quiet({ others, hungMs }: QuietOptions): Promise<void> {
  let progress = systemClock.monotonic();
  let seen = ended;
  for (let calm = 0; calm < 2;) {
    await settle(2);
    const now = systemClock.monotonic();
    if (ended !== seen) {
      seen = ended;
      progress = now;
    }
    const fresh = [...open.values()].some((since) => now - since < hungMs);
    if (!fresh && others() === 0) {
      calm += 1;
      continue;
    }
    if (now - progress > 4 * hungMs) return;
    calm = 0;
    await systemClock.sleep(1);
  }
}
