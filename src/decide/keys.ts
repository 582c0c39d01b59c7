import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** What a subkey is for; a proof made for one purpose is worth nothing for another (R37). */
export type Purpose = "mark" | "fingerprint" | "plan" | "identity";

const purposes: readonly Purpose[] = ["mark", "fingerprint", "plan", "identity"];
const MIN_KEY_BYTES = 32;

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
  readonly #subkeys = new Map<Purpose, readonly Buffer[]>();

  constructor(keys: readonly Uint8Array[]) {
    for (const purpose of purposes) {
      const info = `scaivault-operator/${purpose}`;
      this.#subkeys.set(
        purpose,
        keys.map((key) => Buffer.from(hkdfSync("sha256", key, Buffer.alloc(0), info, 32))),
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

function mac(key: Buffer, parts: readonly Part[]): Buffer {
  const hmac = createHmac("sha256", key);
  for (const part of parts) {
    const bytes = typeof part === "string" ? Buffer.from(part, "utf8") : part;
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(bytes.length));
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
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
