import { timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";

const REDACTED = "[redacted]";

/**
 * Bytes that must not be shown. It prints `[redacted]` in every way that JavaScript has of printing an object; the
 * bytes are reached only by {@link bytes}, which is easy to search for.
 */
export class SecretValue {
  #bytes: Buffer;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Takes the buffer over: the caller must not use it afterwards. */
  static fromBytes(bytes: Uint8Array): SecretValue {
    return new SecretValue(
      Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    );
  }

  /** The UTF-8 bytes of a text. */
  static fromText(text: string): SecretValue {
    return new SecretValue(Buffer.from(text, "utf8"));
  }

  /** The bytes themselves; not a copy. Never log, never keep. */
  bytes(): Buffer {
    return this.#bytes;
  }

  /** The bytes as text, or undefined when they are not valid UTF-8. */
  text(): string | undefined {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.#bytes);
    } catch {
      return undefined;
    }
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Equality in time that does not depend on the bytes. */
  equals(other: SecretValue): boolean {
    return this.#bytes.length === other.#bytes.length && timingSafeEqual(this.#bytes, other.#bytes);
  }

  /** Overwrites the bytes; the value is empty afterwards. */
  release(): void {
    this.#bytes.fill(0);
    this.#bytes = Buffer.alloc(0);
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.toPrimitive](): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
