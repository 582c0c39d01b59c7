import { SyncError } from "../../errors/index.ts";
import type { PollDemand, PollResult, SourceFact } from "../../ports/index.ts";
import type { Clock } from "../../time/clock.ts";
import { forEachLimit } from "../concurrency.ts";
import { aborted, DENIED_MS, isStoreWide, type PollLimits, throwIfAllTroubled, trouble } from "../limits.ts";
import { bodyOf, objectOf, pathError } from "./answers.ts";
import type { VaultAnswer } from "./api.ts";
import { factOfMetadata, versionOfData } from "./facts.ts";
import { goodSegment, type Segments, splitPath } from "./paths.ts";
import type { KvMount, VaultStore } from "./store.ts";

export const notes = {
  metadataDenied: "read on metadata/ is denied for some secrets: each poll reads their values to learn the version",
  v1: "KV v1 has no versions: each poll reads the values, and a value that went back is not detected",
} as const;

const PARALLEL = 8;

interface Gathering {
  readonly facts: Map<string, SourceFact>;
  readonly failures: Map<string, SyncError>;
  readonly subtrees: Map<string, readonly string[] | SyncError>;
  readonly notes: Set<string>;
  readonly started: number;
  metadataReads: number;
  valueReads: number;
}

export interface VaultPollerOptions {
  readonly store: VaultStore;
  readonly clock: Clock;
  readonly limits: PollLimits;
  /** The version of a KV v1 secret: a keyed hash of its answer's data. */
  readonly contentVersion: (answer: VaultAnswer, action: string) => string;
}

/** Learns versions: KV v2 by one read of `metadata/` a secret, KV v1 and where that is denied by reading the value. */
export class VaultPoller {
  readonly #options: VaultPollerOptions;
  /** Paths whose metadata is denied, until when. */
  readonly #denied = new Map<string, number>();

  constructor(options: VaultPollerOptions) {
    this.#options = options;
  }

  async poll(demand: PollDemand, signal: AbortSignal): Promise<PollResult> {
    if (signal.aborted) throw aborted("poll");
    const out: Gathering = {
      facts: new Map(),
      failures: new Map(),
      subtrees: new Map(),
      notes: new Set(),
      started: this.#options.store.moment(),
      metadataReads: 0,
      valueReads: 0,
    };
    const ask = new Set(demand.paths);
    for (const subtree of new Set(demand.subtrees)) {
      const members = await this.#subtree(subtree, out, signal);
      for (const member of members) ask.add(member);
    }
    await forEachLimit(ask, PARALLEL, signal, async (path, both) => {
      if (out.failures.has(path)) return;
      try {
        out.facts.set(path, await this.#fact(path, out, both));
      } catch (error) {
        if (isStoreWide(error)) throw error;
        out.failures.set(path, error as SyncError);
      }
    });
    throwIfAllTroubled(out.facts, [...out.failures.values(), ...out.subtrees.values()]);
    const method = out.valueReads > 0 && out.metadataReads === 0 ? "Read" : "Metadata";
    return { method, facts: out.facts, failures: out.failures, subtrees: out.subtrees, notes: [...out.notes].sort() };
  }

  async #fact(path: string, out: Gathering, signal: AbortSignal): Promise<SourceFact> {
    const segments = splitPath(path);
    const mount = await this.#options.store.mountOf(segments, signal);
    const key = keyBelow(segments, mount);
    if (key.length === 0) throw new SyncError("InvalidPath", "the path names a mount, not a secret in it");
    if (mount.version === 1) return this.#factV1(path, mount, key, out, signal);
    const until = this.#denied.get(path);
    if (until === undefined || this.#options.clock.monotonic() >= until) {
      const action = `read metadata of ${path}`;
      const answer = await this.#options.store.read([...mount.segments, "metadata"], key, action, signal);
      out.metadataReads++;
      if (answer.status === 200) {
        this.#denied.delete(path);
        const fact = factOfMetadata(path, answer, this.#options.clock.now());
        if (fact === undefined) throw trouble(action, "NoMetadata");
        return fact;
      }
      if (answer.status === 404) return this.#notFound(path, segments, mount, out, signal);
      if (answer.status !== 403) throw pathError(answer, action, "");
      if (this.#denied.size > 100_000) this.#denied.clear();
      this.#denied.set(path, this.#options.clock.monotonic() + DENIED_MS);
    }
    return this.#factByData(path, segments, mount, key, out, signal);
  }

  /** The version out of a value's own metadata; the value is dropped at once. */
  async #factByData(
    path: string,
    segments: Segments,
    mount: KvMount,
    key: Segments,
    out: Gathering,
    signal: AbortSignal,
  ): Promise<SourceFact> {
    const action = `read ${path}`;
    const answer = await this.#options.store.read([...mount.segments, "data"], key, action, signal);
    out.valueReads++;
    if (answer.status === 200 || answer.status === 404) {
      const seen = versionOfData(answer, this.#options.clock.now());
      if (seen === undefined && answer.status === 404) return this.#notFound(path, segments, mount, out, signal);
      if (seen === undefined) throw trouble(action, "NoMetadata");
      out.notes.add(notes.metadataDenied);
      if (seen.gone || answer.status === 404) return { state: "Gone", path, how: "Deleted" };
      return {
        state: "Present",
        path,
        stages: new Map([["latest", seen.version]]),
        versions: undefined,
        versionKind: "Number",
        ...(seen.writtenAt === undefined ? {} : { writtenAt: new Map([[seen.version, seen.writtenAt]]) }),
        ...(Number.isNaN(seen.createdMs) ? {} : { changedAtMs: seen.createdMs }),
      };
    }
    throw pathError(answer, action, `read on ${[...mount.segments, "data", ...key].join("/")}`);
  }

  async #factV1(path: string, mount: KvMount, key: Segments, out: Gathering, signal: AbortSignal): Promise<SourceFact> {
    const action = `read ${path}`;
    const answer = await this.#options.store.read(mount.segments, key, action, signal);
    out.valueReads++;
    out.notes.add(notes.v1);
    if (answer.status === 404) return this.#notFound(path, [...mount.segments, ...key], mount, out, signal);
    if (answer.status !== 200) throw pathError(answer, action, `read on ${path}`);
    const version = this.#options.contentVersion(answer, action);
    return {
      state: "Present",
      path,
      stages: new Map([["latest", version]]),
      versions: new Set([version]),
      versionKind: "Content",
    };
  }

  /**
   * 404 also comes from a mount that is gone or has another version now. That is not a secret that is gone, so the mount
   * is asked for once in each poll before anything counts as not found.
   */
  async #notFound(
    path: string,
    segments: Segments,
    mount: KvMount,
    out: Gathering,
    signal: AbortSignal,
  ): Promise<SourceFact> {
    await this.#sameMount(segments, mount, out, signal);
    return { state: "Gone", path, how: "NotFound" };
  }

  async #sameMount(segments: Segments, mount: KvMount, out: Gathering, signal: AbortSignal): Promise<void> {
    const now = await this.#options.store.mountOf(segments, signal, out.started);
    if (now.version !== mount.version || now.segments.join("/") !== mount.segments.join("/"))
      throw trouble(`read ${segments.join("/")}`, "MountChanged");
  }

  /** Walks a subtree; a failure is noted for it. @returns the paths below, empty on failure */
  async #subtree(subtree: string, out: Gathering, signal: AbortSignal): Promise<readonly string[]> {
    try {
      const segments = splitPath(subtree);
      const mount = await this.#options.store.mountOf(segments, signal);
      const members = await this.#walk(subtree, segments, mount, out, signal);
      out.subtrees.set(subtree, members);
      return members;
    } catch (error) {
      if (isStoreWide(error)) throw error;
      out.subtrees.set(subtree, error as SyncError);
      return [];
    }
  }

  async #walk(
    subtree: string,
    segments: Segments,
    mount: KvMount,
    out: Gathering,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { maxDepth, maxItems } = this.#options.limits;
    const base = mount.version === 2 ? [...mount.segments, "metadata"] : mount.segments;
    const root = keyBelow(segments, mount);
    const found: string[] = [];
    let level: Segments[] = [root];
    let folders = 0;
    for (let depth = 0; level.length > 0; depth++) {
      folders += level.length;
      if (depth > maxDepth || folders > maxItems)
        throw new SyncError("TooManyMatches", `${subtree} has more folders than are walked`, {
          action: `list ${subtree}`,
        });
      const next: Segments[] = [];
      await forEachLimit(level, PARALLEL, signal, async (folder, both) => {
        for (const name of await this.#list(base, folder, segments, mount, out, both)) {
          const child = name.endsWith("/") ? name.slice(0, -1) : name;
          const path = [...mount.segments, ...folder, child].join("/");
          if (!goodSegment(child))
            out.failures.set(path, new SyncError("InvalidPath", "the name has characters that cannot be asked for"));
          else if (name.endsWith("/")) next.push([...folder, child]);
          else found.push(path);
          if (found.length > maxItems)
            throw new SyncError("TooManyMatches", `${subtree} has more than ${maxItems} secrets`, {
              action: `list ${subtree}`,
            });
        }
      });
      level = next;
    }
    return found.sort();
  }

  async #list(
    base: Segments,
    folder: Segments,
    segments: Segments,
    mount: KvMount,
    out: Gathering,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const shown = [...base, ...folder].join("/");
    const action = `list ${[...mount.segments, ...folder].join("/")}`;
    const answer = await this.#options.store.list(base, folder, action, signal);
    if (answer.status === 404) {
      // An empty folder.
      await this.#sameMount(segments, mount, out, signal);
      return [];
    }
    if (answer.status !== 200) throw pathError(answer, action, `list on ${shown}`);
    const keys = objectOf(bodyOf(answer)["data"])["keys"];
    if (!Array.isArray(keys) || keys.some((key) => typeof key !== "string")) throw trouble(action, "NoKeys");
    return keys as string[];
  }
}

/** The key inside a mount; empty for the mount itself. */
export function keyBelow(segments: Segments, mount: KvMount): Segments {
  return segments.slice(mount.segments.length);
}
