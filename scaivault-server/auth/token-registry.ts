import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { ApiError } from "../errors.ts";
import { decodeJwt, newSigningKey, signJwt, verifyJwt } from "./jwt.ts";
import type { JwtAlgorithm, SigningKey } from "./jwt.ts";
import type { Principal } from "./principal.ts";

/** A token that was issued. Its text is not kept, only its hash. */
export interface IssuedToken {
  readonly id: string;
  readonly principal: Principal;
  readonly issuedAt: number;
  /** ms since the epoch, null for never. */
  readonly expiresAt: number | null;
}

/** A registered client of the token endpoint. */
export interface OauthClient {
  readonly clientId: string;
  readonly secretHash: string;
  readonly principal: Principal;
}

/** Tokens and clients of this run; nothing of it is stored. */
export class TokenRegistry {
  readonly #clock: Clock;
  readonly #issuer: string;
  readonly #algorithm: JwtAlgorithm;
  /** By hash of the token text (opaque ones) or by `jti` (JWTs). */
  readonly #issued = new Map<string, IssuedToken>();
  readonly #revoked = new Set<string>();
  readonly #clients = new Map<string, OauthClient>();
  #signingKey: Promise<SigningKey> | undefined;

  constructor(clock: Clock, issuer: string, algorithm: JwtAlgorithm) {
    this.#clock = clock;
    this.#issuer = issuer;
    this.#algorithm = algorithm;
  }

  /** The key that signs JWTs; made at first use. */
  signingKey(): Promise<SigningKey> {
    this.#signingKey ??= newSigningKey(this.#algorithm, `key-${randomBytes(4).toString("hex")}`);
    return this.#signingKey;
  }

  /** A personal access token. @param lifetimeMs null for one that does not expire. */
  issueOpaque(principal: Principal, lifetimeMs: number | null): string {
    const token = `skt_${randomBytes(32).toString("base64url")}`;
    this.#remember(hash(token), principal, lifetimeMs);
    return token;
  }

  /** A JWT as ScaiKey makes them. */
  async issueJwt(principal: Principal, clientId: string, lifetimeMs: number): Promise<string> {
    const key = await this.signingKey();
    const id = randomBytes(16).toString("hex");
    const issued = this.#remember(id, principal, lifetimeMs);
    return signJwt(key, {
      iss: this.#issuer,
      aud: "scaivault",
      sub: clientId,
      client_id: clientId,
      scope: principal.scopes.join(" "),
      tenant_id: principal.tenantId,
      partner_id: principal.partnerId,
      iat: Math.floor(issued.issuedAt / 1000),
      exp: Math.floor((issued.expiresAt ?? 0) / 1000),
      jti: id,
    });
  }

  /** Who holds the token. @throws ApiError `token_invalid`, `token_expired`, `token_revoked`. */
  async authenticate(token: string): Promise<IssuedToken> {
    const key = await this.#keyOf(token);
    const issued = this.#issued.get(key);
    if (issued === undefined) throw new ApiError("token_invalid", "the token is not valid");
    if (this.#revoked.has(key)) throw new ApiError("token_revoked", "the token is revoked");
    if (issued.expiresAt !== null && this.#clock.now() >= issued.expiresAt)
      throw new ApiError("token_expired", "the token has expired");
    return issued;
  }

  /** Revokes a token. @returns false when it was never issued. */
  async revoke(token: string): Promise<boolean> {
    const key = await this.#keyOf(token).catch(() => "");
    if (!this.#issued.has(key)) return false;
    this.#revoked.add(key);
    return true;
  }

  /** Revokes everything that was issued so far; clients can ask for new tokens. */
  revokeAll(): void {
    for (const key of this.#issued.keys()) this.#revoked.add(key);
  }

  registerClient(clientId: string, principal: Principal): string {
    const secret = randomBytes(32).toString("base64url");
    this.#clients.set(clientId, { clientId, secretHash: hash(secret), principal });
    return secret;
  }

  removeClient(clientId: string): boolean {
    return this.#clients.delete(clientId);
  }

  /** The client, when id and secret are right. */
  findClient(clientId: string, secret: string): OauthClient | undefined {
    const client = this.#clients.get(clientId);
    return client !== undefined && client.secretHash === hash(secret) ? client : undefined;
  }

  #remember(key: string, principal: Principal, lifetimeMs: number | null): IssuedToken {
    const now = this.#clock.now();
    const issued = { id: key, principal, issuedAt: now, expiresAt: lifetimeMs === null ? null : now + lifetimeMs };
    this.#issued.set(key, issued);
    return issued;
  }

  async #keyOf(token: string): Promise<string> {
    const jwt = decodeJwt(token);
    if (jwt === undefined) return hash(token);
    const key = await this.signingKey();
    if (!verifyJwt(jwt, [{ keyId: key.keyId, key: key.publicKey }]))
      throw new ApiError("token_invalid", "the token's signature is not valid");
    return String(jwt.claims["jti"]);
  }
}

/** Tokens and secrets are looked up by hash, so that comparing takes no time that tells anything. */
function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
