/** What the server's own tests share: requests with the answer taken apart. */
import type { ScaiVaultServer } from "./server.ts";

/** One request's options. */
export interface CallOptions {
  /** Instead of the server's first token; null sends none. */
  readonly token?: string | null;
  /** A text goes as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One answer. */
export interface CallAnswer {
  readonly status: number;
  /** Code of the error envelope. */
  readonly code: string | undefined;
  /** Empty when the answer is no JSON. */
  readonly json: Record<string, unknown>;
  readonly text: string;
  readonly headers: Headers;
}

/** Sends a request to a server. */
export async function callServer(
  server: ScaiVaultServer,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<CallAnswer> {
  const token = options.token === undefined ? server.token : options.token;
  const { body } = options;
  const response = await fetch(server.url + path, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // No JSON.
  }
  const error = json["error"] as { code?: string } | undefined;
  return { status: response.status, code: error?.code, json, text, headers: response.headers };
}
