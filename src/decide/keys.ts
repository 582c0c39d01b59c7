import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from "node:crypto";

/** What a subkey is for; a proof made for one purpose is worth nothing for another (R37). */
export type Purpose = "mark" | "fingerprint" | "plan" | "identity";

const purposes: readonly Purpose[] = ["mark", "fingerprint", "plan", "identity"];
const MIN_KEY_BYTES = 32;
/** Bytes of the length before each part. */
const LENGTH = 8;

/** Parts of what is signed. Each is counted with its length, so that no two lists run together to the same bytes. */
export type Part = string | Uint8Array;

/** The operator's keys: the first signs, all verify. Key bytes cannot be got out of it or printed. */
export interface KeyRing {
  /** 43 characters of base64url: HMAC-SHA-256 with the first key's subkey for the purpose. */
  sign(purpose: Purpose, parts: readonly Part[]): string;
  /** True when any key's subkey made this tag. */
  verify(purpose: Purpose, parts: readonly Part[], tag: string): boolean;
}

/**
 * @param keys at least one, each of at least 32 random bytes; not kept
 * @throws RangeError when there is none, or one is too short
 */
export function createKeyRing(keys: readonly Uint8Array[]): KeyRing {
  if (keys.length === 0) throw new RangeError("at least one mark key is needed");
  if (keys.some((key) => key.length < MIN_KEY_BYTES)) throw new RangeError(`mark keys have ${MIN_KEY_BYTES} bytes`);
  return new HkdfKeyRing(keys);
}

class HkdfKeyRing implements KeyRing {
  readonly #subkeys = new Map<Purpose, readonly KeyObject[]>();

  constructor(keys: readonly Uint8Array[]) {
    for (const purpose of purposes) {
      const info = `scaivault-operator/${purpose}`;
      this.#subkeys.set(
        purpose,
        keys.map((key) => createSecretKey(Buffer.from(hkdfSync("sha256", key, Buffer.alloc(0), info, 32)))),
      );
    }
  }

  sign(purpose: Purpose, parts: readonly Part[]): string {
    const [first] = this.#subkeys.get(purpose) ?? [];
    if (first === undefined) throw new RangeError("no key");
    return mac(first, parts).toString("base64url");
  }

  verify(purpose: Purpose, parts: readonly Part[], tag: string): boolean {
    const given = Buffer.from(tag, "base64url");
    // Only the one spelling of a tag counts.
    if (given.length !== 32 || given.toString("base64url") !== tag) return false;
    let fits = false;
    for (const key of this.#subkeys.get(purpose) ?? []) if (timingSafeEqual(mac(key, parts), given)) fits = true;
    return fits;
  }
}

/** One update over all parts: a call of the cipher library costs more than what it computes here. */
function mac(key: KeyObject, parts: readonly Part[]): Buffer {
  const sizes = parts.map((part) => (typeof part === "string" ? Buffer.byteLength(part) : part.length));
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + LENGTH + size, 0));
  let at = 0;
  for (const [index, part] of parts.entries()) {
    const size = sizes[index] ?? 0;
    bytes.writeBigUInt64BE(BigInt(size), at);
    if (typeof part === "string") bytes.write(part, at + LENGTH, "utf8");
    else bytes.set(part, at + LENGTH);
    at += LENGTH + size;
  }
  try {
    return createHmac("sha256", key).update(bytes).digest();
  } finally {
    // Fingerprints are made of values.
    bytes.fill(0);
  }
}

/** How an object of another namespace is called in a status: the same every time, and nothing can be learned from it (R40). */
export function opaqueID(ring: KeyRing, text: string): string {
  return `other-${digestOf(ring, ["opaque", text]).slice(0, 12)}`;
}

/** Key of a store identity (R20); equal parts give equal keys, and no part can be read from it. */
export function identityKey(ring: KeyRing, parts: readonly Part[]): string {
  return digestOf(ring, ["identity", ...parts]).slice(0, 32);
}

/** Lower-case hexadecimal of a tag, for names. */
function digestOf(ring: KeyRing, parts: readonly Part[]): string {
  return Buffer.from(ring.sign("identity", parts), "base64url").toString("hex");
}
