import { errorCode, type Reason, SyncError } from "../errors/index.ts";

/** What went wrong below HTTP. */
export type NetErrorKind =
  | "Refused"
  | "Timeout"
  | "Reset"
  | "DNS"
  | "TLS"
  /** The address is one that is never connected to. */
  | "Address"
  | "Proxy"
  /** The caller's signal. */
  | "Aborted"
  /** More bytes than the cap. */
  | "TooLarge"
  /** An answer that cannot be used: compressed although identity was asked, broken HTTP. */
  | "BadResponse"
  | "Other";

/** A failed exchange. `code` is an identifier for the log; foreign text is dropped, since it may quote requests. */
export class NetError extends Error {
  override readonly name = "NetError";
  readonly kind: NetErrorKind;
  readonly code: string;

  constructor(kind: NetErrorKind, code: string) {
    super(`network error ${code}`);
    this.kind = kind;
    this.code = code;
  }
}

const kinds: Readonly<Record<string, NetErrorKind>> = {
  ECONNREFUSED: "Refused",
  EHOSTUNREACH: "Refused",
  ENETUNREACH: "Refused",
  EADDRNOTAVAIL: "Refused",
  ECONNRESET: "Reset",
  EPIPE: "Reset",
  UND_ERR_SOCKET: "Reset",
  UND_ERR_CLOSED: "Reset",
  UND_ERR_DESTROYED: "Reset",
  ETIMEDOUT: "Timeout",
  UND_ERR_CONNECT_TIMEOUT: "Timeout",
  UND_ERR_HEADERS_TIMEOUT: "Timeout",
  UND_ERR_BODY_TIMEOUT: "Timeout",
  ENOTFOUND: "DNS",
  EAI_AGAIN: "DNS",
  EAI_FAIL: "DNS",
  UND_ERR_RES_EXCEEDED_MAX_SIZE: "TooLarge",
  UND_ERR_HEADERS_OVERFLOW: "TooLarge",
  UND_ERR_ABORTED: "Proxy",
  UND_ERR_PRX_CONN: "Proxy",
  UND_ERR_PRX_TLS: "Proxy",
};

/** Any error of the transport as a {@link NetError}, by its code. */
export function toNetError(error: unknown): NetError {
  if (error instanceof NetError) return error;
  const code = errorCode(error) ?? "UNKNOWN";
  const kind = kinds[code];
  if (kind !== undefined) return new NetError(kind, code);
  if (code.startsWith("HPE_")) return new NetError("BadResponse", code);
  if (/^ERR_(?:TLS|SSL|OSSL)|UNABLE_TO_|CERT|CRL|SIGNED|ISSUER|EPROTO/.test(code)) return new NetError("TLS", code);
  return new NetError("Other", code);
}

/**
 * The error that the rest of the operator sees. Everything between us and the store has one and the same text, so that
 * nobody can use a backend as a port scanner; the code goes to the operator's log only.
 */
export function unavailable(
  error: NetError,
  reason: Extract<Reason, "SourceUnavailable" | "ScaiVaultUnavailable">,
  action: string,
): SyncError {
  if (error.kind === "TooLarge")
    return new SyncError("ValueTooLarge", "the answer is larger than 8 MiB", { action, detail: error.code });
  const message = reason === "SourceUnavailable" ? "the store cannot be reached" : "ScaiVault cannot be reached";
  return new SyncError(reason, message, { action, detail: `${error.kind} ${error.code}` });
}
