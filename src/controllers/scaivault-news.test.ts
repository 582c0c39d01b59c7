import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Observations } from "../catalogue/index.ts";
import { SyncError } from "../errors/index.ts";
import type { SecretTarget, TargetObservation } from "../ports/index.ts";
import { VirtualClock } from "../time/clock.ts";
import { ScaiVaultNews } from "./scaivault-news.ts";
import type { NewsEvent, ScaiVaultAddress, World } from "./world.ts";

const MINUTE = 60_000;

/** ScaiVault as a map of versions, news over real observations, and who hears of what. */
function setup(paths: readonly string[]) {
  const clock = new VirtualClock();
  const versions = new Map(paths.map((path) => [path, 1]));
  const looks: string[][] = [];
  const outcomes: string[] = [];
  const lags: number[] = [];
  const changed: string[] = [];
  let failure: SyncError | undefined;
  let missed = 0;
  const refuse = () => Promise.reject(new Error("news write nothing and read no value"));
  const target: SecretTarget<ScaiVaultAddress> = {
    key: ({ path }) => path,
    observe: (refs) => {
      looks.push(refs.map(({ path }) => path));
      if (failure !== undefined) return Promise.reject(failure);
      return Promise.resolve(new Map(refs.map(({ path }) => [path, seen(versions.get(path))])));
    },
    read: refuse,
    write: refuse,
    mark: refuse,
    adopt: refuse,
    release: refuse,
    remove: refuse,
  };
  const observations = new Observations({ target, clock, onReachability: () => undefined });
  const metrics = { news: (one: string) => void outcomes.push(one), newsLag: (ms: number) => void lags.push(ms) };
  const log = { warn: () => undefined };
  // The parts of the world that news touch.
  const world = { clock, scaivault: { observations }, metrics, log } as unknown as World;
  const audience = {
    targets: () => paths,
    address: (path: string) => (paths.includes(path) ? { path } : undefined),
    changed: (path: string) => void changed.push(path),
    missed: () => void (missed += 1),
  };
  const stop = new AbortController();
  const news = new ScaiVaultNews(world, [audience], stop.signal);
  const known = async () => {
    await observations.refresh(
      paths.map((path) => ({ path })),
      stop.signal,
    );
    looks.length = 0;
  };
  return {
    clock,
    versions,
    looks,
    outcomes,
    lags,
    changed,
    observations,
    news,
    stop,
    known,
    missed: () => missed,
    fail: (error: SyncError | undefined) => void (failure = error),
  };
}

function seen(version: number | undefined): TargetObservation {
  return {
    presence: version === undefined ? "Absent" : "Present",
    version: version === undefined ? "" : String(version),
    mark: { state: "None" },
    content: "Unknown",
    metadataAsDeclared: true,
    fence: String(version ?? ""),
  };
}
const updated = (path: string, version?: number, timestamp?: string): NewsEvent => ({
  type: "secret.updated",
  path,
  version,
  timestamp,
});
const deleted = (path: string): NewsEvent => ({
  type: "secret.deleted",
  path,
  version: undefined,
  timestamp: undefined,
});

describe("news of ScaiVault", () => {
  it("lead to one look for those of a moment, and only what differs is looked at further", async () => {
    const at = setup(["a", "b", "c"]);
    await at.known();
    at.versions.set("a", 2);
    const time = new Date(at.clock.now() - 2_000).toISOString();
    expect(at.news.heard([updated("a", 2, time), updated("b", 9), updated("a", 3)])).toBe(3);
    expect(at.news.heard([updated("c", 2)])).toBe(1);
    await at.clock.advance(500);
    expect([at.looks, at.changed]).toEqual([[["a", "b", "c"]], ["a"]]);
    expect(at.lags).toEqual([2_500]);
  });

  it("cost nothing for what is known, what is nobody's, and what was never looked at", async () => {
    const at = setup(["a", "b"]);
    at.news.heard([updated("a", 7)]);
    await at.known();
    at.observations.set({ path: "b" }, seen(5));
    // Our own writes, old events that come again, other people's paths.
    expect(
      at.news.heard([
        updated("b", 5),
        updated("b", 4),
        updated("a", 1),
        updated("x", 3),
        { ...updated("a"), path: undefined },
      ]),
    ).toBe(0);
    at.versions.delete("a");
    expect(at.news.heard([deleted("a")])).toBe(1);
    await at.clock.advance(MINUTE);
    expect([at.looks, at.changed]).toEqual([[["a"]], ["a"]]);
    expect(at.news.heard([deleted("a")])).toBe(0);
    expect(at.outcomes).toEqual(["foreign", "known", "known", "known", "foreign", "foreign", "looked", "known"]);
  });

  it("that cannot be looked into leave what is known as it was, are tried again, and then left to the next poll", async () => {
    const at = setup(["a"]);
    await at.known();
    at.fail(new SyncError("RateLimited", "slow down", { retryAfterMs: 1_000 }));
    at.versions.set("a", 2);
    at.news.heard([updated("a", 2)]);
    await at.clock.advance(5 * MINUTE);
    expect(at.looks).toHaveLength(3);
    expect([at.changed, at.observations.last({ path: "a" })]).toEqual([[], seen(1)]);
    at.fail(undefined);
    at.news.heard([updated("a", 2)]);
    await at.clock.advance(1_000);
    expect([at.changed, at.observations.last({ path: "a" })?.version]).toEqual([["a"], "2"]);
  });

  it("that ScaiVault dropped have everything looked at once in ten minutes, however often it says so", async () => {
    const at = setup(["a"]);
    for (let second = 0; second < 60 * 25; second += 1) {
      at.news.missed();
      await at.clock.advance(1_000);
    }
    expect(at.missed()).toBe(3);
  });

  it("end with the term", async () => {
    const at = setup(["a"]);
    await at.known();
    at.news.heard([updated("a", 2)]);
    at.news.missed();
    at.stop.abort();
    at.news.close();
    await at.clock.advance(30 * MINUTE);
    expect([at.looks, at.missed()]).toEqual([[], 0]);
  });

  it("forged or true, in any order: bounded looks, no invention, and every true change is found", async () => {
    const paths = Array.from({ length: 12 }, (_, n) => `p${n}`);
    const any = fc.record({
      path: fc.constantFrom(...paths, "x"),
      version: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
      type: fc.constantFrom("secret.updated", "secret.deleted", "secret.created", "nonsense"),
      timestamp: fc.constantFrom(undefined, "soon", "9999-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    });
    const moment = fc.record({
      forged: fc.array(any, { maxLength: 20 }),
      change: fc.option(fc.constantFrom(...paths), { nil: undefined }),
      waitMs: fc.integer({ min: 0, max: 20_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(moment, { maxLength: 25 }), async (moments) => {
        const at = setup(paths);
        await at.known();
        const truly = new Set<string>();
        for (const { forged, change, waitMs } of moments) {
          at.news.heard(forged);
          if (change !== undefined) {
            const version = (at.versions.get(change) ?? 0) + 1;
            at.versions.set(change, version);
            truly.add(change);
            at.news.heard([updated(change, version)]);
          }
          await at.clock.advance(waitMs);
          expect(at.looks.length).toBeLessThanOrEqual(6 + 12 * (at.clock.monotonic() / MINUTE) + 1);
        }
        await at.clock.advance(MINUTE);
        expect(new Set(at.changed)).toEqual(truly);
        for (const path of paths) expect(at.observations.last({ path })?.version).toBe(String(at.versions.get(path)));
        expect(at.lags.every((ms) => ms >= 0 && ms <= 3_600_000)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});
