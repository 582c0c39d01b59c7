import { SyncError } from "../../errors/index.ts";
import type { SecretValue } from "../../model/index.ts";
import { NetError, unavailable } from "../../net/index.ts";
import type { Clock } from "../../time/clock.ts";
import { Semaphore } from "../concurrency.ts";
import { aborted, trouble } from "../limits.ts";
import type { StorePause } from "../pause.ts";
import { bodyOf, objectOf, pathError, storeWide, unusable } from "./answers.ts";
import type { VaultAnswer, VaultAPI } from "./api.ts";
import { beginsWith, type Segments } from "./paths.ts";
import type { TokenKeeper } from "./token.ts";

/** A KV mount as Vault reports it. */
export interface KvMount {
  readonly segments: Segments;
  readonly version: 1 | 2;
}

export interface VaultStoreOptions {
  readonly api: VaultAPI;
  readonly tokens: TokenKeeper;
  readonly pause: StorePause;
  readonly clock: Clock;
  readonly connections: number;
}

const MOUNT_MS = 3_600_000;

/** Calls with a token, and the knowledge of what is mounted where. */
export class VaultStore {
  readonly #options: VaultStoreOptions;
  readonly #places: Semaphore;
  readonly #mounts = new Map<string, { mount: KvMount; seenAtMs: number; asked: number }>();
  /** Counts the questions for mounts and the moments that are compared with them; a clock may stand still. */
  #moment = 0;
  readonly #oneMount = new Semaphore(1);

  constructor(options: VaultStoreOptions) {
    this.#options = options;
    this.#places = new Semaphore(options.connections);
  }

  /** GET; see {@link VaultStore.list}. */
  read(under: Segments, rest: Segments, action: string, signal: AbortSignal, version?: string): Promise<VaultAnswer> {
    return this.#call(action, signal, (token) => this.#options.api.read(under, rest, { token, signal, version }));
  }

  /**
   * LIST.
   * @returns an answer with status 200, 204, 400, 403, 404, 405 or 500
   * @throws SyncError for everything that concerns the whole store
   */
  list(under: Segments, rest: Segments, action: string, signal: AbortSignal): Promise<VaultAnswer> {
    return this.#call(action, signal, (token) => this.#options.api.list(under, rest, { token, signal }));
  }

  /** Logs in when there is no good token. */
  async login(signal: AbortSignal): Promise<SecretValue> {
    return this.#options.tokens.token(signal);
  }

  /** Reads what Vault knows of our token: it answers and the token is good. */
  async lookupSelf(signal: AbortSignal): Promise<void> {
    await this.read(["auth", "token"], ["lookup-self"], "probe", signal);
  }

  async #call(
    action: string,
    signal: AbortSignal,
    send: (token: SecretValue) => Promise<VaultAnswer>,
  ): Promise<VaultAnswer> {
    let again412 = true;
    for (let tries = 0; ; tries++) {
      const token = await this.#options.tokens.token(signal);
      const answer = await this.#send(action, signal, () => send(token));
      if (answer.status === 403 && tries < 2 && (await this.#options.tokens.refused(token, answer, signal))) continue;
      // A performance standby that has not caught up yet.
      if (answer.status === 412 && again412) {
        again412 = false;
        continue;
      }
      if (answer.status === 412) throw unusable(action, "HTTP 412");
      return answer;
    }
  }

  #send(action: string, signal: AbortSignal, send: () => Promise<VaultAnswer>): Promise<VaultAnswer> {
    const { pause, clock } = this.#options;
    return pause.sending(signal, (refused) =>
      this.#places.run(
        async () => {
          pause.check(action);
          let answer: VaultAnswer;
          try {
            answer = await send();
          } catch (error) {
            throw error instanceof NetError ? unavailable(error, "SourceUnavailable", action) : error;
          }
          const failure = storeWide(answer, action, clock.now(), refused);
          if (failure !== undefined) throw failure;
          pause.answered();
          return answer;
        },
        signal,
        () => aborted(action),
      ),
    );
  }

  /**
   * The KV mount that a path lies in. Vault is asked once for each mount (`sys/internal/ui/mounts/<path>`, which any token
   * with a right below the mount may), then known for an hour.
   *
   * @param since when given, what was seen before this {@link VaultStore.moment} is asked anew
   * @throws SyncError UnsupportedMount when it is no KV mount, AccessDenied when there is none or no right below it
   */
  async mountOf(path: Segments, signal: AbortSignal, since?: number): Promise<KvMount> {
    const known = this.#known(path, since);
    if (known !== undefined) return known;
    // One at a time: the first answer usually serves all who wait.
    return this.#oneMount.run(
      async () => this.#known(path, since) ?? (await this.#askMount(path, signal)),
      signal,
      () => aborted("look up a mount"),
    );
  }

  /** A moment for {@link VaultStore.mountOf}: later than every answer that has been asked for. */
  moment(): number {
    return ++this.#moment;
  }

  #known(path: Segments, since = 0): KvMount | undefined {
    const now = this.#options.clock.monotonic();
    for (const { mount, seenAtMs, asked } of this.#mounts.values())
      if (beginsWith(path, mount.segments) && now - seenAtMs < MOUNT_MS && asked >= since) return mount;
    return undefined;
  }

  async #askMount(path: Segments, signal: AbortSignal): Promise<KvMount> {
    const shown = path.join("/");
    const action = `look up the mount of ${shown}`;
    const asked = ++this.#moment;
    const answer = await this.read(["sys", "internal", "ui", "mounts"], path, action, signal);
    for (const [key, { mount }] of this.#mounts) if (beginsWith(path, mount.segments)) this.#mounts.delete(key);
    if (answer.status !== 200)
      throw pathError(answer, action, `a right below the mount of ${shown}, or there is no such mount`);
    const data = objectOf(bodyOf(answer)["data"]);
    const name = data["path"];
    const segments = typeof name === "string" ? name.split("/").filter((segment) => segment !== "") : [];
    if (segments.length === 0 || !beginsWith(path, segments)) throw trouble(action, "AnotherMount");
    if (data["type"] !== "kv")
      throw new SyncError("UnsupportedMount", `${segments.join("/")} is no KV mount`, { action });
    const mount: KvMount = { segments, version: objectOf(data["options"])["version"] === "2" ? 2 : 1 };
    this.#mounts.set(segments.join("/"), { mount, seenAtMs: this.#options.clock.monotonic(), asked });
    return mount;
  }
}
