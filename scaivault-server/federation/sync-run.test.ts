// Any order of edits on both sides, outages and syncs, against a store that is a map.
import fc from "fast-check";
import { expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { EventHub } from "../events/hub.ts";
import { SecretService } from "../secrets/service.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Owner } from "../store/store.ts";
import { StoreFailure } from "./failure.ts";
import type { LiveBackend } from "./live.ts";
import { PathMapping } from "./mapping.ts";
import type { BackendRecord, ConflictResolution } from "./record.ts";
import type { RemoteStore } from "./remote.ts";
import { SyncRun } from "./sync-run.ts";
import type { SyncReport } from "./sync-run.ts";

const owner: Owner = "tenant:t1";
const paths = ["ext/a", "ext/b/c", "other/x"];
const user = { identityId: "user:somebody" };

class World {
  readonly clock = new VirtualClock();
  readonly store = new MemoryStore();
  readonly secrets = new SecretService({
    store: this.store,
    clock: this.clock,
    events: new EventHub(this.store.events, this.clock, () => "ptn"),
    retentionMs: 30 * 86_400_000,
    cas: false,
    onVersion: () => undefined,
    filterMetadata: (members) => members,
  });
  /** Name to value and version. */
  readonly remote = new Map<string, { text: string; version: number }>();
  /** Values that were current here at some time, by path. */
  readonly seen = new Map<string, Set<string>>();
  away = false;
  resolution: ConflictResolution = "remote_wins";
  #versions = 0;

  setRemote(name: string, text: string): void {
    this.remote.set(name, { text, version: ++this.#versions });
  }

  write(path: string, text: string): void {
    const record = this.store.getSecret(owner, path);
    if (record !== undefined && record.recoverableUntil !== null) return;
    const input = {
      data: text,
      secretType: "json",
      metadata: undefined,
      maxVersions: 1000,
      expiresInMs: undefined,
      rotationPolicyId: undefined,
      cas: undefined,
    };
    this.secrets.write(owner, path, input, user);
    this.look();
  }

  remove(path: string): void {
    if (this.store.getSecret(owner, path)?.recoverableUntil === null) this.secrets.remove(owner, path, false, user);
  }

  current(path: string): string | undefined {
    const record = this.store.getSecret(owner, path);
    return record?.recoverableUntil === null ? this.store.getVersion(owner, path, record.version)?.data : undefined;
  }

  /** Notes what is current. */
  look(): void {
    for (const path of paths) {
      const text = this.current(path);
      if (text !== undefined) this.seen.set(path, (this.seen.get(path) ?? new Set()).add(text));
    }
  }

  state(): string {
    return JSON.stringify(
      paths.map((path) => [this.store.getSecret(owner, path), this.store.listVersions(owner, path)]),
    );
  }

  async sync(): Promise<SyncReport | undefined> {
    const store: RemoteStore = {
      calls: { login: 0, list: 0, read: 0, metadata: 0 },
      check: () => Promise.resolve(),
      describe: () => Promise.resolve(undefined),
      close: () => Promise.resolve(),
      list: () =>
        this.away
          ? Promise.reject(new StoreFailure("unavailable"))
          : Promise.resolve(
              [...this.remote].map(([name, { version }]) => ({ name, mark: `v${version}`, info: undefined })),
            ),
      read: (name) => {
        const found = this.remote.get(name);
        if (found === undefined) return Promise.resolve(undefined);
        return Promise.resolve({
          data: found.text,
          secretType: "json",
          version: 1,
          mark: `v${found.version}`,
          createdAt: null,
        });
      },
    };
    const record = { id: "fed_1", name: "x", tenantId: "t1", conflictResolution: this.resolution } as BackendRecord;
    const backend = {
      record,
      mapping: new PathMapping({ "ext/**": "src/**" }),
      ask: (work: (remote: RemoteStore) => Promise<unknown>) => work(store),
    } as unknown as LiveBackend;
    try {
      return await new SyncRun(backend, this, "sync_1", new AbortController().signal).run();
    } catch (error) {
      if (!(error instanceof StoreFailure)) throw error;
      return undefined;
    } finally {
      this.look();
    }
  }
}

type Step =
  | { kind: "remote" | "local"; at: number; value: number }
  | { kind: "remoteGone" | "localGone"; at: number }
  | { kind: "sync"; away: boolean }
  | { kind: "resolution"; to: ConflictResolution };

const at = fc.integer({ min: 0, max: paths.length - 1 });
const value = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("remote" as const, "local" as const), at, value }),
  fc.record({ kind: fc.constantFrom("remoteGone" as const, "localGone" as const), at }),
  fc.record({ kind: fc.constant("sync" as const), away: fc.boolean() }),
  fc.record({
    kind: fc.constant("resolution" as const),
    to: fc.constantFrom<ConflictResolution>("remote_wins", "local_wins", "manual"),
  }),
);

const nameOf = (path: string): string => path.replace(/^ext\//, "src/");

async function take(world: World, next: Step): Promise<void> {
  switch (next.kind) {
    case "remote":
      return world.setRemote(nameOf(paths[next.at]!), `{"v":${next.value}}`);
    case "local":
      return world.write(paths[next.at]!, `{"v":${next.value}}`);
    case "remoteGone":
      return void world.remote.delete(nameOf(paths[next.at]!));
    case "localGone":
      return world.remove(paths[next.at]!);
    case "resolution":
      world.resolution = next.to;
      return;
    case "sync": {
      const before = world.state();
      world.away = next.away;
      await world.sync();
      if (next.away) expect(world.state()).toBe(before);
    }
  }
}

it("loses no value without a version, touches nothing else, settles, and follows the resolution", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const world = new World();
      for (const next of steps) await take(world, next);
      const kept = world.current("other/x");
      world.away = false;
      await world.sync();
      // Everything that was ever current here is still a version.
      for (const [path, texts] of world.seen) {
        const versions = world.store
          .listVersions(owner, path)
          .map(({ version }) => world.store.getVersion(owner, path, version)?.data);
        for (const text of texts) expect(versions).toContain(text);
      }
      expect(world.current("other/x")).toBe(kept);
      // Equal content makes no version.
      const settled = world.state();
      const report = await world.sync();
      expect(world.state()).toBe(settled);
      expect(report).toMatchObject({ created: 0, updated: 0, restored: 0, removed: 0 });
      if (world.resolution === "remote_wins")
        for (const [name, { text }] of world.remote)
          if (name.startsWith("src/")) expect(world.current(name.replace("src/", "ext/"))).toBe(text);
      const listed = world.store.federation.listPaths("fed_1").filter(({ conflictSince }) => conflictSince !== null);
      for (const { path } of listed) expect(world.current(path)).not.toBe(world.remote.get(nameOf(path))?.text);
    }),
    { numRuns: 300 },
  );
});
