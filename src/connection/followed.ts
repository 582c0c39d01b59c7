import { SyncError, toSyncError } from "../errors/index.ts";
import { errorFields, type Logger } from "../telemetry/index.ts";
import type { Clock } from "../time/clock.ts";
import type { SecretRead, SecretStore } from "./secret-store.ts";
import { type ConnectionSettings, movedFields, parseConnection, sameConnection, settingsFrom } from "./settings.ts";

/** After a refused login the secret is looked at at once; without news the pause to the next such look doubles up to a minute. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/** How a connection is followed. */
export interface FollowOptions {
  readonly store: Pick<SecretStore, "name" | "region" | "read" | "readUnless" | "close">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly intervalMs: number;
  /** Plain http is allowed: the local environment only. */
  readonly insecure: boolean;
}

/** Tries a connection and begins to use it. @throws SyncError, and nothing has changed */
export type TakeIn = (settings: ConnectionSettings) => Promise<void>;

/**
 * The ScaiVault connection in use, and the secret that it came from. Another version is looked for each interval and when a login is
 * refused, by one look at a time. It is used once ScaiVault has accepted it; until then, and where it cannot be used, the former one
 * is. Url, tenant and CA are those of the start: a version that changes them is said and left, as a whole, so that no new secret is
 * ever sent to an old place.
 */
export class FollowedConnection {
  readonly #options: FollowOptions;
  #settings: ConnectionSettings;
  #version: string | undefined;
  /** The version that was last found not to be usable for good, so that it is not read and told again each interval. */
  #left: string | undefined;
  #looking: Promise<boolean> | undefined;
  #takeIn: TakeIn | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #told = "";
  #cancel: (() => void) | undefined;
  readonly #abort = new AbortController();

  private constructor(options: FollowOptions, settings: ConnectionSettings, version: string | undefined) {
    this.#options = options;
    this.#settings = settings;
    this.#version = version;
  }

  /** Reads the secret. @throws SyncError with what to do, when it is missing, empty, not valid, or may not be read */
  static async load(options: FollowOptions, signal?: AbortSignal): Promise<FollowedConnection> {
    const { version, text } = await options.store.read(signal);
    const content = version === undefined ? ({ state: "Empty" } as const) : parseConnection(text, options.insecure);
    return new FollowedConnection(options, settingsFrom(content, options.store.name), version);
  }

  /** What is in use. */
  get settings(): ConnectionSettings {
    return this.#settings;
  }

  /** For people: `AWS secret NAME in REGION`. */
  get source(): string {
    const { name, region } = this.#options.store;
    return `AWS secret ${name} in ${region}`;
  }

  get version(): string {
    return this.#version ?? "";
  }

  /** Who tries and takes in what came new. */
  onChange(takeIn: TakeIn): void {
    this.#takeIn = takeIn;
  }

  /** Begins to look each interval. */
  start(): void {
    if (this.#cancel !== undefined || this.#abort.signal.aborted) return;
    const arm = (): void => {
      this.#cancel = this.#options.clock.setTimeout(
        () => {
          arm();
          void this.look();
        },
        this.#options.intervalMs,
        { unref: true },
      );
    };
    arm();
  }

  /** Looks for another version now; concurrent callers share one look. @returns whether another connection is in use; never throws */
  look(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** {@link look} after a refused login: at once the first time, then with pauses, so that a refusal does not become a flood. */
  async lookAfterRefusal(): Promise<boolean> {
    if (this.#looking !== undefined) return this.#looking;
    const now = this.#options.clock.monotonic();
    if (now < this.#notBeforeMs) return false;
    this.#notBeforeMs = now + this.#pauseMs;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
    return this.look();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#cancel?.();
    await this.#options.store.close();
  }

  async #look(): Promise<boolean> {
    const { store } = this.#options;
    try {
      const found = await store.readUnless(this.#left ?? this.#version, this.#abort.signal);
      if (found === undefined || found.version === this.#version) {
        // A version that was left may have been taken back.
        if (found !== undefined) this.#left = undefined;
        this.#again();
        return false;
      }
      return await this.#takeOver(found);
    } catch (error) {
      if (this.#abort.signal.aborted) return false;
      this.#tell("connection not looked at", toSyncError(error, `read the ${this.source}`));
      return false;
    }
  }

  async #takeOver({ version, text }: SecretRead): Promise<boolean> {
    const { log, insecure, store } = this.#options;
    let settings: ConnectionSettings;
    try {
      settings = settingsFrom(version === undefined ? { state: "Empty" } : parseConnection(text, insecure), store.name);
      const moved = movedFields(this.#settings, settings);
      if (moved.length > 0) throw restartNeeded(store.name, moved);
    } catch (error) {
      // Only another version mends that.
      this.#left = version;
      this.#tell("connection not taken in", toSyncError(error));
      return false;
    }
    this.#left = undefined;
    const changed = !sameConnection(this.#settings, settings);
    try {
      if (changed) await this.#takeIn?.(settings);
    } catch (error) {
      // ScaiVault may not know it yet: tried again at the next look.
      this.#tell("connection not taken in", toSyncError(error));
      return false;
    }
    this.#settings = settings;
    this.#version = version;
    this.#told = "";
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
    if (changed) log.info("connection taken in", { name: store.name, version: version ?? "" });
    return changed;
  }

  /** Each trouble is told once, until it is another one or over. */
  #tell(event: string, error: SyncError): void {
    const key = `${event} ${error.reason} ${error.message}`;
    if (key === this.#told) return;
    this.#told = key;
    const message = `${error.message}; the connection that was read before stays in use`;
    this.#options.log.warn(event, { ...errorFields(error), name: this.#options.store.name, message });
  }

  #again(): void {
    if (this.#told.startsWith("connection not looked at")) {
      this.#options.log.info("connection looked at again", { name: this.#options.store.name });
      this.#told = "";
    }
  }
}

function restartNeeded(name: string, moved: readonly string[]): SyncError {
  const message = `${moved.join(", ")} of the AWS secret ${name} changed, which takes effect at the next start; restart the operator`;
  return new SyncError("CredentialInvalid", message, { code: "RestartNeeded" });
}
