import { SyncError } from "../errors/index.ts";
import { type HttpClient, type HttpRequest, type HttpResponse, NetError, unavailable } from "../net/index.ts";

/** An exchange that broke while the connection was up: a read may be tried again, a write may have happened. */
export const BROKEN = "connection_broken";

/**
 * One exchange with network failures as SyncErrors: `ScaiVaultUnavailable` (code {@link BROKEN} when a connection that
 * was up broke, `no_answer` when none came), `ValueTooLarge` above 8 MiB. When `signal` aborts, its own reason is thrown.
 */
export async function exchange(
  http: HttpClient,
  request: HttpRequest,
  action: string,
  signal: AbortSignal,
): Promise<HttpResponse> {
  try {
    return await http.send(request, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof NetError)) throw error;
    const known = unavailable(error, "ScaiVaultUnavailable", action);
    throw new SyncError(known.reason, `${known.message} (${action})`, {
      action,
      code: error.kind === "Reset" ? BROKEN : "no_answer",
      ...(known.detail === undefined ? {} : { detail: known.detail }),
    });
  }
}
