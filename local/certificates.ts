/**
 * An own certificate authority for the local environment. Node has no call that makes X.509 certificates and the machine may
 * have no openssl, so the few structures of RFC 5280 that are needed are encoded here (DER, ECDSA P-256 with SHA-256).
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";

/** A certificate with its private key, both PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Issues certificates. Its own `cert` (what clients trust) and `key` are PEM. */
export interface CertificateAuthority extends KeyPair {
  /**
   * A certificate for servers and clients at once.
   * @param commonName subject; for clients of the API server the user name
   * @param organizations subject; for clients of the API server the groups
   * @param names host names and addresses it is valid for
   * @param validMs lifetime from now on; default two days. A negative one gives an expired certificate.
   */
  issue(options: {
    commonName: string;
    organizations?: readonly string[];
    names?: readonly string[];
    validMs?: number;
  }): KeyPair;
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const bytes: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), body]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const boolTrue = der(0x01, Buffer.from([0xff]));
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text, "utf8"));
const octets = (content: Buffer): Buffer => der(0x04, content);
const bits = (content: Buffer, unused = 0): Buffer => der(0x03, Buffer.from([unused]), content);

function integer(value: Buffer): Buffer {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const trimmed = value.subarray(start);
  return der(0x02, ((trimmed[0] ?? 0) & 0x80) !== 0 ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes: number[] = [first * 40 + second];
  for (const part of rest) {
    const group: number[] = [part % 128];
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128)) group.unshift(0x80 | (left % 128));
    bytes.push(...group);
  }
  return der(0x06, Buffer.from(bytes));
}

/** GeneralizedTime or, before 2050, UTCTime, as RFC 5280 asks for. */
function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  return Number(text.slice(0, 4)) < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

function distinguishedName(commonName: string, organizations: readonly string[]): Buffer {
  const attribute = (type: string, value: string): Buffer => der(0x31, sequence(oid(type), utf8(value)));
  return sequence(...organizations.map((name) => attribute("2.5.4.10", name)), attribute("2.5.4.3", commonName));
}

function ipBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail] = address.split("::");
  const groups = (text: string): string[] => text.split(":").filter((group) => group !== "");
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const middle = Array<string>(8 - left.length - right.length).fill("0");
  return Buffer.from([...left, ...middle, ...right].map((group) => group.padStart(4, "0")).join(""), "hex");
}

function subjectAltNames(names: readonly string[]): Buffer {
  return sequence(
    ...names.map((name) => (isIP(name) > 0 ? der(0x87, ipBytes(name)) : der(0x82, Buffer.from(name, "ascii")))),
  );
}

function extension(type: string, critical: boolean, content: Buffer): Buffer {
  return sequence(oid(type), ...(critical ? [boolTrue] : []), octets(content));
}

const ecdsaWithSha256 = sequence(oid("1.2.840.10045.4.3.2"));

function pem(label: string, content: Buffer): string {
  const lines = content.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

interface Subject {
  readonly name: Buffer;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly notBefore: number;
  readonly notAfter: number;
}

function certificate(subject: Subject, issuerName: Buffer, issuerKey: KeyObject): string {
  const serial = randomBytes(16);
  serial[0] = (serial[0] ?? 0) & 0x7f;
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ecdsaWithSha256,
    issuerName,
    sequence(time(subject.notBefore), time(subject.notAfter)),
    subject.name,
    subject.publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...subject.extensions)),
  );
  return pem("CERTIFICATE", sequence(body, ecdsaWithSha256, bits(sign("sha256", body, issuerKey))));
}

/** Key identifier: SHA-1 over the key, method 1 of RFC 5280 section 4.2.1.2 (an identifier, not a protection). */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
}

const dayMs = 86_400_000;

/** A new authority. Its name is its own, so that two of them are never mistaken for each other. */
export function createAuthority(label = "ScaiVault local environment"): CertificateAuthority {
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const commonName = `${label} ${randomBytes(4).toString("hex")}`;
  const name = distinguishedName(commonName, []);
  const now = Date.now();
  const cert = certificate(
    {
      name,
      publicKey: own.publicKey,
      notBefore: now - dayMs,
      notAfter: now + 30 * dayMs,
      extensions: [
        extension("2.5.29.19", true, sequence(boolTrue)),
        extension("2.5.29.15", true, bits(Buffer.from([0x06]), 1)), // keyCertSign, cRLSign
        extension("2.5.29.14", false, octets(keyIdentifier(own.publicKey))),
      ],
    },
    name,
    own.privateKey,
  );
  return authority(cert, own.privateKey, commonName);
}

/** An authority that another process made, e.g. the one of the shared environment in a test process. */
export function loadAuthority(pair: KeyPair): CertificateAuthority {
  const commonName = /^CN=(.+)$/m.exec(new X509Certificate(pair.cert).subject)?.[1] ?? "";
  return authority(pair.cert, createPrivateKey(pair.key), commonName);
}

function authority(cert: string, key: KeyObject, commonName: string): CertificateAuthority {
  const issuer = distinguishedName(commonName, []);
  const identifier = keyIdentifier(createPublicKey(key));
  return {
    cert,
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    issue({ commonName: subjectName, organizations = [], names = [], validMs = 2 * dayMs }) {
      const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const at = Date.now();
      const issued = certificate(
        {
          name: distinguishedName(subjectName, organizations),
          publicKey: pair.publicKey,
          notBefore: Math.min(at, at + validMs) - dayMs,
          notAfter: at + validMs,
          extensions: [
            extension("2.5.29.19", true, sequence()),
            extension("2.5.29.15", true, bits(Buffer.from([0xa0]), 5)), // digitalSignature, keyEncipherment
            extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2"))),
            extension("2.5.29.35", false, sequence(der(0x80, identifier))),
            ...(names.length > 0 ? [extension("2.5.29.17", false, subjectAltNames(names))] : []),
          ],
        },
        issuer,
        key,
      );
      return { cert: issued, key: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
    },
  };
}

/** A key for signing ServiceAccount tokens, PEM. */
export function signingKey(): { readonly privateKey: string; readonly publicKey: string } {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const privateKey = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return {
    privateKey,
    publicKey: createPublicKey(createPrivateKey(privateKey)).export({ type: "spki", format: "pem" }).toString(),
  };
}

/** Writes a pair below a folder, readable by its owner alone. @returns the two paths */
export function writePair(
  folder: string,
  name: string,
  pair: KeyPair,
): { readonly certFile: string; readonly keyFile: string } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const certFile = join(folder, `${name}.crt`);
  const keyFile = join(folder, `${name}.key`);
  writeFileSync(certFile, pair.cert, { mode: 0o600 });
  writeFileSync(keyFile, pair.key, { mode: 0o600 });
  return { certFile, keyFile };
}
