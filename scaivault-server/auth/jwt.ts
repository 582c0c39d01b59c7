/** JSON Web Tokens with RS256 and ES256, on node:crypto. Nothing else is accepted; the key decides the algorithm. */
import { createPublicKey, generateKeyPair, sign, verify } from "node:crypto";
import type { JsonWebKey, KeyObject } from "node:crypto";
import { promisify } from "node:util";

/** Algorithms that ScaiKey documents. */
export type JwtAlgorithm = "RS256" | "ES256";

/** A public key of an issuer, with its id when it has one. */
export interface VerificationKey {
  readonly keyId: string | undefined;
  readonly key: KeyObject;
}

/** A private key that signs, and its public half. */
export interface SigningKey {
  readonly algorithm: JwtAlgorithm;
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** A token taken apart, not yet believed. */
export interface DecodedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signed: string;
  readonly signature: Buffer;
}

const generate = promisify(generateKeyPair);

/** A fresh key pair. */
export async function newSigningKey(algorithm: JwtAlgorithm, keyId: string): Promise<SigningKey> {
  const pair =
    algorithm === "RS256"
      ? await generate("rsa", { modulusLength: 2048 })
      : await generate("ec", { namedCurve: "P-256" });
  return { algorithm, keyId, privateKey: pair.privateKey, publicKey: pair.publicKey };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Signs `claims`. */
export function signJwt(key: SigningKey, claims: Readonly<Record<string, unknown>>): string {
  const signed = `${encode({ alg: key.algorithm, typ: "JWT", kid: key.keyId })}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

/** The parts of a token, undefined when it is none. */
export function decodeJwt(token: string): DecodedJwt | undefined {
  const parts = token.split(".");
  const [header, claims, signature] = parts;
  if (parts.length !== 3 || header === undefined || claims === undefined || signature === undefined) return undefined;
  const headerObject = decodeObject(header);
  const claimsObject = decodeObject(claims);
  if (headerObject === undefined || claimsObject === undefined) return undefined;
  return {
    header: headerObject,
    claims: claimsObject,
    signed: `${header}.${claims}`,
    signature: Buffer.from(signature, "base64url"),
  };
}

function decodeObject(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whether one of `keys` made the signature, by the algorithm that belongs to the key. */
export function verifyJwt(jwt: DecodedJwt, keys: readonly VerificationKey[]): boolean {
  const keyId = jwt.header["kid"];
  return keys.some((candidate) => {
    if (typeof keyId === "string" && candidate.keyId !== undefined && candidate.keyId !== keyId) return false;
    if (jwt.header["alg"] !== algorithmOf(candidate.key)) return false;
    return verify("sha256", Buffer.from(jwt.signed), { key: candidate.key, dsaEncoding: "ieee-p1363" }, jwt.signature);
  });
}

function algorithmOf(key: KeyObject): JwtAlgorithm | undefined {
  if (key.asymmetricKeyType === "rsa") return "RS256";
  if (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1") return "ES256";
  return undefined;
}

/** Keys of a JWKS document. @throws when an entry is no public key. */
export function keysOfJwks(jwks: { readonly keys: readonly JsonWebKey[] }): VerificationKey[] {
  return jwks.keys.map((jwk) => ({
    keyId: typeof jwk["kid"] === "string" ? jwk["kid"] : undefined,
    key: createPublicKey({ key: jwk, format: "jwk" }),
  }));
}

/** A key from PEM text (public key, or certificate). */
export function keyOfPem(pem: string, keyId?: string): VerificationKey {
  return { keyId, key: createPublicKey(pem) };
}

/** The JWKS document of a signing key. */
export function jwksOf(key: SigningKey): { readonly keys: readonly JsonWebKey[] } {
  return { keys: [{ ...key.publicKey.export({ format: "jwk" }), kid: key.keyId, alg: key.algorithm, use: "sig" }] };
}
