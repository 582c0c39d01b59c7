import { readFile, stat } from "node:fs/promises";
import { errorCode, SyncError } from "../../errors/index.ts";
import { SecretValue } from "../../model/index.ts";
import type { Clock } from "../../time/clock.ts";
import type { SecretSupplier, TokenProvider } from "./provider.ts";

/** How often the file's identity is looked at, in milliseconds. */
const LOOK_EVERY_MS = 1000;
const MAX_TOKEN_BYTES = 64 * 1024;

interface Held {
  readonly value: SecretValue;
  readonly identity: string;
}

/**
 * A file that is read again when it changed (a mounted Secret, a projected ServiceAccount token, a file that an agent
 * rewrites). White space around its content is not part of it.
 */
export class WatchedFile implements SecretSupplier {
  readonly #path: string;
  readonly #clock: Clock;
  #held: Held | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<SecretValue> | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /**
   * The content as it was at most a second ago; the last good one while the file is away or empty, as in the middle of
   * being replaced.
   */
  async read(): Promise<SecretValue> {
    const now = this.#clock.monotonic();
    if (this.#held !== undefined && now - this.#lookedMs < LOOK_EVERY_MS) return this.#held.value;
    try {
      return await this.readNow();
    } catch (error) {
      if (this.#held === undefined) throw error;
      return this.#held.value;
    }
  }

  /** The content as it is now. @throws SyncError ScaiVaultDenied when it cannot be read or is empty */
  async readNow(): Promise<SecretValue> {
    this.#reading ??= this.#load().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #load(): Promise<SecretValue> {
    this.#lookedMs = this.#clock.monotonic();
    try {
      const found = await stat(this.#path);
      const identity = `${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}`;
      if (this.#held?.identity === identity) return this.#held.value;
      if (found.size > MAX_TOKEN_BYTES) throw this.#refuse("is larger than 64 KiB", "too_large");
      const value = SecretValue.fromText((await readFile(this.#path, "utf8")).trim());
      if (value.length === 0) throw this.#refuse("is empty", "empty");
      this.#held = { value, identity };
      return value;
    } catch (error) {
      if (error instanceof SyncError) throw error;
      throw this.#refuse("cannot be read", errorCode(error) ?? "EIO");
    }
  }

  #refuse(what: string, code: string): SyncError {
    return new SyncError("ScaiVaultDenied", `the credential file ${this.#path} ${what} (${code})`, { code });
  }
}

/** The content of a file as a {@link SecretSupplier}. */
export function secretFile(path: string, clock: Clock): SecretSupplier {
  return new WatchedFile(path, clock);
}

/** A bearer token out of a file: read again when the file changed, and at once when ScaiVault refused it. */
export function tokenFile(path: string, clock: Clock): TokenProvider {
  const file = new WatchedFile(path, clock);
  return {
    token: () => file.read(),
    renew: async (refused) => {
      const now = await file.readNow();
      return now.equals(refused) ? undefined : now;
    },
  };
}
