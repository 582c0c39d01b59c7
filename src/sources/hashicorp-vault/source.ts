import { SyncError } from "../../errors/index.ts";
import { JSONError, type JSONSlice, parseJSON, payloadFromObjectText, type SecretPayload } from "../../model/index.ts";
import type { BoundCredential, Network } from "../../net/index.ts";
import type { SecretSource, SourceRead, SourceRef } from "../../ports/index.ts";
import type { Clock } from "../../time/clock.ts";
import { defaultLimits, type PollLimits, trouble } from "../limits.ts";
import { refuseEmpty } from "../payload.ts";
import { StorePause } from "../pause.ts";
import { pathError } from "./answers.ts";
import type { VaultAnswer, VaultAPI } from "./api.ts";
import { factOfMetadata, versionOfData } from "./facts.ts";
import { createNodeVaultAPI } from "./node-vault-api.ts";
import { goodSegment, type Segments, splitPath } from "./paths.ts";
import { keyBelow, VaultPoller } from "./poller.ts";
import { type KvMount, VaultStore } from "./store.ts";
import { TokenKeeper, type VaultAuth } from "./token.ts";

/** Options of {@link createVaultSource}. */
export interface VaultSourceOptions {
  /** Credential and address, bound by `Network.bind` with `service: "Vault"`; the CA is the destination's. */
  readonly access: BoundCredential<VaultAuth>;
  /** Vault Enterprise namespace. */
  readonly namespace?: string | undefined;
  readonly network: Network;
  readonly clock: Clock;
  /** A keyed hash of bytes, for KV v1, which has no versions; readable text of at most 64 characters. */
  readonly contentVersion: (bytes: Uint8Array) => string;
  readonly userAgent?: string | undefined;
  readonly limits?: Partial<PollLimits> | undefined;
  readonly random?: (() => number) | undefined;
}

const CONNECTIONS = 8;

/**
 * HashiCorp Vault's KV engine (v1 and v2, found out by itself) as a source, for one server, namespace and identity.
 *
 * Rights used: `read` on `<mount>/data/<key>` (the value), `read` on `<mount>/metadata/<key>` (polls without values),
 * `list` on `<mount>/metadata/<folder>` (subtrees); KV v1: `read` and `list` on the path itself. `auth/token/lookup-self`,
 * `renew-self` and `revoke-self` come with Vault's default policy.
 */
export function createVaultSource(options: VaultSourceOptions): SecretSource {
  const { access, namespace, network, userAgent } = options;
  const api = createNodeVaultAPI({
    destination: access.destination,
    namespace,
    network,
    connections: CONNECTIONS,
    userAgent,
  });
  return vaultSourceOver(api, options);
}

/** The same over any implementation of the port. */
export function vaultSourceOver(
  api: VaultAPI,
  options: Omit<VaultSourceOptions, "network" | "userAgent">,
): SecretSource {
  const { access, clock } = options;
  const auth = access.credential;
  const mount = auth.kind === "AppRole" ? loginMount(auth.mount) : [];
  const pause = new StorePause(clock);
  const tokens = new TokenKeeper({
    auth,
    mount,
    api,
    clock,
    random: options.random,
    throttled: (advice) => pause.throttled(advice),
  });
  const store = new VaultStore({ api, tokens, pause, clock, connections: CONNECTIONS });
  const contentVersion = (answer: VaultAnswer, action: string): string => {
    const data = dataOf(answer, action, ["data"]);
    const version = options.contentVersion(data.raw.bytes());
    release(data);
    return version;
  };
  const poller = new VaultPoller({ store, clock, limits: { ...defaultLimits, ...options.limits }, contentVersion });
  const reader = new VaultReader(store, clock, options.contentVersion);
  return {
    identity: identityOf(options, mount),
    probe: (signal) => store.lookupSelf(signal),
    poll: (demand, signal) => poller.poll(demand, signal),
    read: (ref, signal) => reader.read(ref, signal),
    async close() {
      await tokens.close();
      await api.close();
    },
  };
}

class VaultReader {
  readonly #store: VaultStore;
  readonly #clock: Clock;
  readonly #contentVersion: (bytes: Uint8Array) => string;

  constructor(store: VaultStore, clock: Clock, contentVersion: (bytes: Uint8Array) => string) {
    this.#store = store;
    this.#clock = clock;
    this.#contentVersion = contentVersion;
  }

  async read(ref: SourceRef, signal: AbortSignal): Promise<SourceRead> {
    const segments = splitPath(ref.path);
    const mount = await this.#store.mountOf(segments, signal);
    const key = keyBelow(segments, mount);
    if (key.length === 0) throw new SyncError("InvalidPath", "the path names a mount, not a secret in it");
    const action = `read ${ref.path}`;
    const noVersion = new SyncError("VersionNotFound", "the secret has no such version", { action });
    if (
      ref.stage !== undefined ||
      (ref.version !== undefined && (mount.version === 1 || !/^[1-9]\d{0,9}$/.test(ref.version)))
    )
      throw noVersion;
    return mount.version === 1 ? this.#readV1(ref, mount, key, signal) : this.#readV2(ref, mount, key, signal);
  }

  async #readV1(ref: SourceRef, mount: KvMount, key: Segments, signal: AbortSignal): Promise<SourceRead> {
    const action = `read ${ref.path}`;
    const answer = await this.#store.read(mount.segments, key, action, signal);
    if (answer.status !== 200) throw pathError(answer, action, `read on ${ref.path}`);
    const payload = refuseEmpty(dataOf(answer, action, ["data"]), action);
    return { path: ref.path, version: this.#contentVersion(payload.raw.bytes()), payload };
  }

  async #readV2(ref: SourceRef, mount: KvMount, key: Segments, signal: AbortSignal): Promise<SourceRead> {
    const action = `read ${ref.path}`;
    const answer = await this.#store.read([...mount.segments, "data"], key, action, signal, ref.version);
    const seen = versionOfData(answer, this.#clock.now());
    if (answer.status === 404) throw await this.#missing(ref, seen !== undefined, mount, key, signal);
    if (answer.status !== 200)
      throw pathError(answer, action, `read on ${[...mount.segments, "data", ...key].join("/")}`);
    if (seen === undefined || (ref.version !== undefined && seen.version !== ref.version))
      throw trouble(action, "AnotherVersion");
    return {
      path: ref.path,
      version: seen.version,
      writtenAt: seen.writtenAt,
      payload: refuseEmpty(dataOf(answer, action, ["data", "data"]), action),
    };
  }

  /** Why there is no value: the answer itself tells for deleted versions, the metadata for versions that never were. */
  async #missing(
    ref: SourceRef,
    deleted: boolean,
    mount: KvMount,
    key: Segments,
    signal: AbortSignal,
  ): Promise<SyncError> {
    const action = `read ${ref.path}`;
    const none = new SyncError("VersionNotFound", "the secret has no such version", { action, code: "404" });
    if (deleted)
      return ref.version === undefined
        ? new SyncError("SourceNotFound", "the newest version is deleted", { action, code: "Deleted" })
        : none;
    const answer = await this.#store.read([...mount.segments, "metadata"], key, action, signal);
    const fact = answer.status === 200 ? factOfMetadata(ref.path, answer, this.#clock.now()) : undefined;
    if (fact?.state === "Present" && fact.stages.size === 0)
      return new SyncError("SourceEmpty", "the secret has no value", { action, code: "404" });
    if (ref.version !== undefined && answer.status !== 404) return none;
    return new SyncError("SourceNotFound", "there is no such secret", { action, code: "404" });
  }
}

/** The source text of a member of the answer, as a payload: numbers keep their digits. */
function dataOf(answer: VaultAnswer, action: string, path: readonly string[]): SecretPayload {
  let slice: JSONSlice | undefined;
  try {
    slice = parseJSON(answer.text);
  } catch (error) {
    if (error instanceof JSONError && error.problem !== "NotJSON")
      throw new SyncError("NotRepresentable", "the answer has too much depth, too many keys or a key twice", {
        action,
        code: error.problem,
      });
    throw trouble(action, "NotJSON");
  }
  for (const name of path) slice = slice?.members.get(name);
  if (slice?.kind !== "object") throw trouble(action, "NoData");
  return payloadFromObjectText(slice.text);
}

function release(payload: SecretPayload): void {
  payload.raw.release();
  for (const value of payload.keys.values()) value.release();
}

function loginMount(mount: string): Segments {
  const segments = mount
    .split("/")
    .filter((segment, index, all) => segment !== "" || (index > 0 && index < all.length - 1));
  if (segments.length === 0 || !segments.every(goodSegment))
    throw new SyncError("InvalidSpec", "auth.appRole.mount is no mount path");
  return segments;
}

/** `host/namespace/approle:<mount>` or `host/namespace/token`; ids of roles are half of a credential and not shown. */
function identityOf(options: Pick<VaultSourceOptions, "access" | "namespace">, mount: Segments): string {
  const { credential, destination } = options.access;
  const who = credential.kind === "AppRole" ? `approle:${mount.join("/")}` : "token";
  return [destination.url.host, ...(options.namespace === undefined ? [] : [options.namespace]), who].join("/");
}
