import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { settle, VirtualClock } from "../time/clock.ts";
import type { Lane } from "./lanes.ts";
import { WorkQueue } from "./workqueue.ts";
import { WorkerPool, type WorkHandler } from "./workers.ts";

function build(options: { random?: () => number } = {}) {
  const clock = new VirtualClock(0);
  return { clock, queue: new WorkQueue({ clock, random: options.random ?? (() => 1) }) };
}

async function take(queue: WorkQueue): Promise<string> {
  const item = await queue.next();
  return item === undefined ? "closed" : `${item.key}:${item.lane}`;
}

describe("WorkQueue", () => {
  it("holds a key once, in its most urgent lane", async () => {
    const { queue } = build();
    queue.add("n/a", "refresh");
    queue.add("n/b", "retry");
    queue.add("n/a", "user");
    queue.add("n/a", "drift");
    expect(queue.depth).toBe(2);
    expect([await take(queue), await take(queue)]).toEqual(["n/a:user", "n/b:retry"]);
    expect(queue.depth).toBe(0);
  });

  it("never gives out a key twice; what was added meanwhile comes after done", async () => {
    const { queue } = build();
    queue.add("n/a");
    await take(queue);
    queue.add("n/a", "refresh");
    queue.add("n/a", "drift");
    expect(queue.depth).toBe(0);
    queue.done("n/a");
    expect(await take(queue)).toBe("n/a:drift");
    queue.done("n/a");
    expect(queue.empty).toBe(true);
  });

  it("serves lanes in order, and groups within a lane in turns", async () => {
    const { queue } = build();
    for (const key of ["big/1", "big/2", "big/3", "small/1"]) queue.add(key, "user");
    queue.add("x/1", "drift");
    const order = [];
    for (let i = 0; i < 5; i++) order.push((await queue.next())?.key);
    expect(order).toEqual(["big/1", "small/1", "big/2", "big/3", "x/1"]);
  });

  it("gives the urgent lanes, drift first, to those who take nothing else, once nobody else is free", async () => {
    const { queue } = build();
    const urgent = [queue.next({ urgentOnly: true }), queue.next({ urgentOnly: true })];
    const any = queue.next();
    for (const lane of ["refresh", "change", "retry", "user", "drift"] as const) queue.add(`n/${lane}`, lane);
    expect((await any)?.key).toBe("n/refresh");
    expect((await Promise.all(urgent)).map((item) => item?.key)).toEqual(["n/user", "n/drift"]);
    const next = queue.next({ urgentOnly: true });
    expect((await queue.next())?.key).toBe("n/change");
    queue.add("n/a", "user");
    expect((await next)?.key).toBe("n/a");
    const both = queue.next({ urgentOnly: true });
    queue.close();
    expect(await both).toBeUndefined();
  });

  it("repairs drift at once while changed objects, first copies and their slow values have all other workers", async () => {
    const { queue, clock } = build();
    const started: string[] = [];
    const hang = new Promise<void>((resolve) => clock.setTimeout(resolve, 60_000));
    const handler: WorkHandler = async (key) => {
      started.push(key);
      if (!key.includes("drift")) await hang;
    };
    const pool = new WorkerPool(queue, { clock, workers: 3, urgentWorkers: 1, handler });
    for (let i = 0; i < 100; i++) queue.add(`n/copy-${i}`, i % 2 === 0 ? "change" : "refresh");
    await settle();
    for (let i = 0; i < 5; i++) queue.add(`n/drift-${i}`, "drift");
    await settle();
    expect(started.slice(3)).toEqual(["n/drift-0", "n/drift-1", "n/drift-2", "n/drift-3", "n/drift-4"]);
    void pool.shutdown();
    await clock.advance(60_000);
  });

  it("does not starve a lane under a flood in another", async () => {
    const { queue } = build();
    queue.add("slow/1", "refresh");
    for (let i = 0; i < 100; i++) queue.add(`flood/${i}`, "user");
    const order: (string | undefined)[] = [];
    for (let i = 0; i < 16; i++) order.push((await queue.next())?.key);
    expect(order).toContain("slow/1");
  });

  it("delays: the earlier of two stays", async () => {
    const { clock, queue } = build();
    queue.addAfter("n/a", 1000);
    queue.addAfter("n/a", 5000);
    queue.addAfter("n/a", 500, "retry");
    await clock.advance(499);
    expect(queue.depth).toBe(0);
    await clock.advance(1);
    expect(await take(queue)).toBe("n/a:retry");
    queue.done("n/a");
    await clock.advance(10_000);
    expect(queue.empty).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("backs off exponentially up to the limit, honours a longer wish, and forgets", () => {
    const { queue } = build();
    const delays = Array.from({ length: 12 }, () => {
      const delay = queue.addRateLimited("n/a");
      queue.cancelDelay("n/a");
      return delay;
    });
    expect(delays.slice(0, 4)).toEqual([1000, 2000, 4000, 8000]);
    expect(delays.at(-1)).toBe(300_000);
    expect(queue.addRateLimited("n/b", 60_000)).toBe(60_000);
    queue.forget("n/a");
    expect(queue.failures("n/a")).toBe(0);
    expect(queue.addRateLimited("n/a")).toBe(1000);
  });

  it("spreads equal failures by jitter", () => {
    expect(build({ random: () => 0 }).queue.addRateLimited("n/a")).toBe(750);
    expect(build({ random: () => 1 }).queue.addRateLimited("n/a")).toBe(1000);
  });

  it("forget drops a waiting retry but not a refresh", async () => {
    const { clock, queue } = build();
    queue.addAfter("n/a", 1000, "refresh");
    queue.addRateLimited("n/b");
    queue.forget("n/a");
    queue.forget("n/b");
    await clock.advance(2000);
    expect(queue.depth).toBe(1);
    expect(await take(queue)).toBe("n/a:refresh");
  });

  it("sends waiting workers home on close and leaves no timers", async () => {
    const { clock, queue } = build();
    const waiting = queue.next();
    queue.addAfter("n/a", 1000);
    queue.close();
    expect(await waiting).toBeUndefined();
    expect(await queue.next()).toBeUndefined();
    queue.add("n/a");
    expect(queue.empty).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("reports depth by lane, age and running time", async () => {
    const { clock, queue } = build();
    queue.add("n/a");
    queue.add("n/b", "refresh");
    await clock.advance(700);
    await queue.next();
    await clock.advance(300);
    expect(queue.stats()).toEqual({
      depth: { user: 0, drift: 0, change: 0, retry: 0, refresh: 1 },
      delayed: 0,
      inFlight: 1,
      oldestMs: 1000,
      longestRunMs: 300,
      failing: 0,
    });
  });

  it("loses no key and doubles none, whatever the order of calls", async () => {
    const lane = fc.constantFrom<Lane>("user", "drift", "retry", "refresh");
    const key = fc.constantFrom("a/1", "a/2", "b/1", "c");
    const step = fc.oneof(
      fc.record({ op: fc.constant("add" as const), key, lane }),
      fc.record({ op: fc.constant("after" as const), key, lane, ms: fc.nat(50) }),
      fc.record({ op: fc.constant("take" as const) }),
      fc.record({ op: fc.constant("done" as const) }),
      fc.record({ op: fc.constant("time" as const), ms: fc.nat(60) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, queue } = build();
        const held: string[] = [];
        const wanted = new Set<string>();
        for (const s of steps) {
          if (s.op === "add") {
            queue.add(s.key, s.lane);
            wanted.add(s.key);
          } else if (s.op === "after") {
            queue.addAfter(s.key, s.ms, s.lane);
            wanted.add(s.key);
          } else if (s.op === "time") await clock.advance(s.ms);
          else if (s.op === "done") {
            const done = held.shift();
            if (done !== undefined) queue.done(done);
          } else if (queue.depth > 0) {
            const item = await queue.next();
            expect(held).not.toContain(item?.key);
            if (item !== undefined) {
              held.push(item.key);
              wanted.delete(item.key);
            }
          }
        }
        for (const k of held) queue.done(k);
        await clock.advance(1000);
        while (queue.depth > 0) {
          const item = await queue.next();
          if (item === undefined) break;
          wanted.delete(item.key);
          queue.done(item.key);
        }
        expect([...wanted]).toEqual([]);
        expect(queue.empty).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});

describe("a queue that runs its own workers", () => {
  it("works, and ends with its workers", async () => {
    const { queue } = build();
    const seen: string[] = [];
    queue.run(2, (key) => {
      seen.push(key);
      return Promise.resolve();
    });
    expect(() => queue.run(1, () => Promise.resolve())).toThrow("already");
    queue.add("n/a");
    await settle();
    expect(seen).toEqual(["n/a"]);
    expect(await queue.shutdown(1000)).toBe(true);
    queue.add("n/b");
    await settle();
    expect(seen).toEqual(["n/a"]);
    expect(await build().queue.shutdown()).toBe(true);
  });
});

describe("WorkerPool", () => {
  function pool(handler: WorkHandler, options: { workers?: number; itemTimeoutMs?: number } = {}) {
    const { clock, queue } = build();
    const errors: { key: string; retryInMs: number }[] = [];
    const workers = new WorkerPool(queue, {
      clock,
      workers: options.workers ?? 2,
      handler,
      ...(options.itemTimeoutMs === undefined ? {} : { itemTimeoutMs: options.itemTimeoutMs }),
      onError: (key, _error, retryInMs) => errors.push({ key, retryInMs }),
    });
    return { clock, queue, workers, errors };
  }

  it("retries with backoff until it succeeds, then forgets", async () => {
    const at: number[] = [];
    const { clock, queue, workers, errors } = pool(async () => {
      at.push(clock.now());
      if (at.length < 4) throw new Error("no");
      return Promise.resolve();
    });
    queue.add("n/a");
    await clock.advance(60_000);
    expect(at).toEqual([0, 1000, 3000, 7000]);
    expect(errors.map((e) => e.retryInMs)).toEqual([1000, 2000, 4000]);
    expect(queue.failures("n/a")).toBe(0);
    expect(await workers.shutdown()).toBe(true);
  });

  it("comes back when the handler asked for it, and keeps retryAfterMs of an error", async () => {
    const at: number[] = [];
    const { clock, queue } = pool(() => {
      at.push(clock.now());
      if (at.length === 2) return Promise.reject(Object.assign(new Error("slow down"), { retryAfterMs: 30_000 }));
      return Promise.resolve({ requeueAfterMs: 10_000 });
    });
    queue.add("n/a");
    await clock.advance(55_000);
    expect(at).toEqual([0, 10_000, 40_000, 50_000]);
    queue.close();
  });

  it("aborts an item whose time is over", async () => {
    const reasons: string[] = [];
    const { clock, queue } = pool(
      (_key, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reasons.push((signal.reason as Error).name);
            reject(new Error("aborted"));
          });
        }),
      { itemTimeoutMs: 5000 },
    );
    queue.add("n/a");
    await clock.advance(5000);
    expect(reasons).toEqual(["WorkTimeoutError"]);
    queue.close();
  });

  it("shutdown waits for running work, aborts it after the grace, and says when it did not end", async () => {
    let release: () => void = () => undefined;
    const first = pool(() => new Promise((resolve) => (release = () => resolve())));
    first.queue.add("n/a");
    await settle();
    const shutdown = first.workers.shutdown(1000, 2000);
    await settle();
    release();
    expect(await shutdown).toBe(true);

    const stubborn = pool(() => new Promise(() => undefined));
    stubborn.queue.add("n/a");
    await settle();
    const late = stubborn.workers.shutdown(1000, 2000);
    await stubborn.clock.advance(2000);
    expect(await late).toBe(false);
    expect(stubborn.clock.pending).toBe(0);
  });
});
