import type { JsonWebKey } from "node:crypto";
import type { Clock } from "../src/time/clock.ts";
import type { JwtAlgorithm } from "./auth/jwt.ts";
import type { PolicyRule } from "./auth/policies.ts";
import type { OutgoingOptions } from "./federation/outgoing.ts";
import type { Category } from "./limits/rate-limiter.ts";

/** One issuer whose tokens can be exchanged for ScaiVault tokens, and what its subjects become. */
export interface ExchangeTrust {
  /** Must equal the token's `iss`. */
  readonly issuer: string;
  /** One of these must be in the token's `aud`. Default `["scaivault"]`. */
  readonly audiences?: readonly string[];
  /** Public keys of the issuer as a JWKS document. */
  readonly jwks?: { readonly keys: readonly JsonWebKey[] };
  /** Public keys of the issuer as PEM text, for example the API server's service account key. */
  readonly pem?: readonly string[];
  /** Believe tokens without looking at the signature. Only on a loopback address; anything else refuses to start. */
  readonly acceptUnsigned?: boolean;
  readonly mappings: readonly ExchangeMapping[];
}

/** What one subject of a foreign issuer becomes. */
export interface ExchangeMapping {
  /** The token's `sub`, for example `system:serviceaccount:team:name`. */
  readonly subject: string;
  /** The identity it becomes; a `role` in the request must equal it. */
  readonly identity: string;
  readonly scopes: readonly string[];
  /** Default: the server's own tenant. */
  readonly tenantId?: string;
}

/** What an identity of this server is made of. */
export interface IdentitySpec {
  /** For example `sa:billing`. */
  readonly identity: string;
  readonly scopes: readonly string[];
  /** Default: the server's own tenant. */
  readonly tenantId?: string;
  readonly displayName?: string;
  readonly groups?: readonly string[];
  /** For example `partner_admin`. */
  readonly roles?: readonly string[];
  /** ms since the epoch. */
  readonly mfaVerifiedAt?: number;
  /** Policy rules to bind to the identity at once. Without any rule it may do nothing with secrets. */
  readonly rules?: readonly PolicyRule[];
}

/** One line for each answered request; no values, no query, no tokens. */
export interface AccessLine {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly identity: string | undefined;
  readonly requestId: string;
  readonly durationMs: number;
}

/** Settings of `startServer`. All have defaults that suit one person's laptop. */
export interface ServerOptions {
  /** Default 127.0.0.1. Anything but loopback needs `allowNonLoopback`. */
  readonly host?: string;
  /** Default 0: a free port. */
  readonly port?: number;
  readonly allowNonLoopback?: boolean;
  /** PEM texts. Without them the server speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Host names besides loopback's own that a request may name, for example `scaivault.scailabs.ai`. */
  readonly allowedHosts?: readonly string[];
  /** SQLite file that keeps secrets and audit rows; without it they live in memory. */
  readonly dataFile?: string;
  /** Time of versions, tokens, rate limits and delays. Default: the machine's. */
  readonly clock?: Clock;
  /** Requests per minute by category; `Infinity` lifts a limit. Default: the managed service's. */
  readonly limits?: Partial<Record<Category, number>>;
  /** Default `tnt_local`. */
  readonly tenantId?: string;
  /** Default `ptn_local`. */
  readonly partnerId?: string;
  /** Lifetime of JWTs from the token endpoint and the exchange, in ms. Default one hour. */
  readonly tokenLifetimeMs?: number;
  /** Signs the JWTs. Default RS256. */
  readonly jwtAlgorithm?: JwtAlgorithm;
  readonly exchange?: readonly ExchangeTrust[];
  /** How long a soft-deleted secret is kept, in ms. Default 30 days. */
  readonly retentionMs?: number;
  /** Honour `options.cas` in writes. Default false. */
  readonly cas?: boolean;
  /** How federation backends are reached. Default: as their endpoints say, with the built-in certificate authorities. */
  readonly federation?: OutgoingOptions;
  /** Also open the admin port on loopback: a port number, 0 for a free one. */
  readonly adminPort?: number;
  readonly onAccess?: (line: AccessLine) => void;
}
