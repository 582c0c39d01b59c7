import { describe, expect, it } from "vitest";
import { MemorySource } from "../../test/support/memory-source.ts";
import { SyncError } from "../errors/index.ts";
import { settle, VirtualClock } from "../time/clock.ts";
import { StorePoller } from "./poller.ts";
import type { PolledEvent } from "./types.ts";
import { nextTick, stableOffset } from "./schedule.ts";

const MINUTE = 60_000;
const INTERVAL = 5 * MINUTE;
const START = Date.UTC(2026, 0, 1);

interface Setup {
  readonly clock: VirtualClock;
  readonly source: MemorySource;
  readonly poller: StorePoller;
  readonly paths: Map<string, number>;
  readonly subtrees: Map<string, number>;
  readonly polled: PolledEvent[];
  readonly states: string[];
  readonly known: Map<string, ReadonlySet<string>>;
  /** Full polls with the paths that were asked for. */
  asked(): string[][];
}

function setup(paths: Record<string, number> = { a: INTERVAL }): Setup {
  const clock = new VirtualClock(START);
  const source = new MemorySource();
  const demand = { paths: new Map(Object.entries(paths)), subtrees: new Map<string, number>() };
  const polled: PolledEvent[] = [];
  const states: string[] = [];
  const known = new Map<string, ReadonlySet<string>>();
  const poller = new StorePoller({
    key: "store",
    source,
    clock,
    demand: () => demand,
    known: () => known,
    onPolled: (event) => void polled.push(event),
    onState: (what) => void states.push(what),
  });
  const asked = () => source.calls.polls.map((poll) => [...poll.paths].sort());
  return { clock, source, poller, ...demand, polled, states, known, asked };
}

/** Polls once and lets it end. */
async function first(all: Setup): Promise<void> {
  all.poller.pollNow({ fresh: false });
  await all.clock.advance(100);
}

/** Moves to just after the next tick of the store. */
async function tick({ clock }: Setup, intervalMs = INTERVAL): Promise<void> {
  await clock.advance(nextTick("store", intervalMs, clock.now()) - clock.now() + 100);
}

const unavailable = () => new SyncError("SourceUnavailable", "the store cannot be reached");

describe("ticks", () => {
  it("polls on the store's own place in the interval, once each", async () => {
    const all = setup();
    all.source.put("a", "1");
    await first(all);
    expect(all.source.calls.polls).toHaveLength(1);
    await all.clock.advance(INTERVAL);
    expect(all.source.calls.polls).toHaveLength(2);
    const place = (all.poller.lastFullMs ?? 0) - stableOffset("store", INTERVAL);
    expect(place % INTERVAL).toBeLessThan(1_000);
    await all.clock.advance(10 * INTERVAL);
    expect(all.source.calls.polls).toHaveLength(12);
    expect(all.polled.every(({ full }) => full)).toBe(true);
    expect(all.source.calls.reads).toEqual([]);
    await all.poller.stop();
  });

  it("asks for a path only when its own interval is over", async () => {
    const all = setup({ fast: MINUTE, slow: 10 * MINUTE });
    all.source.put("fast", "1");
    all.source.put("slow", "1");
    await first(all);
    for (let minute = 0; minute < 20; minute += 1) await tick(all, MINUTE);
    const slow = all.asked().filter((paths) => paths.includes("slow"));
    expect(all.asked()).toHaveLength(21);
    expect(slow.length).toBeGreaterThanOrEqual(2);
    expect(slow.length).toBeLessThanOrEqual(3);
    await all.poller.stop();
  });

  it("never lets a path become older than its interval, wherever its first poll was", async () => {
    for (const ahead of [1_000, 20_000, 100_000, 140_000, 160_000, 299_000]) {
      const all = setup();
      all.source.put("a", "1");
      await all.clock.advance(nextTick("store", INTERVAL, all.clock.now()) - all.clock.now() + INTERVAL - ahead);
      all.poller.request(["a"], { fresh: false });
      await all.clock.advance(100);
      const looked = all.poller.fact("a")?.asOfMs ?? 0;
      await all.clock.advance(INTERVAL + 5_000);
      expect(all.poller.fact("a")?.asOfMs ?? 0, `${ahead} ms before the tick`).toBeGreaterThan(looked);
      await all.poller.stop();
    }
  });

  it("follows the demand: a new path is asked for, one that nobody wants is forgotten", async () => {
    const all = setup();
    all.source.put("a", "1");
    all.source.put("b", "1");
    await first(all);
    all.paths.delete("a");
    all.paths.set("b", INTERVAL);
    await tick(all);
    expect(all.asked()[1]).toEqual(["b"]);
    expect([all.poller.fact("a"), all.poller.fact("b")?.fact.state]).toEqual([undefined, "Present"]);
    await all.poller.stop();
  });

  it("does not poll while nobody wants anything, and again when somebody does", async () => {
    const all = setup({});
    await first(all);
    await all.clock.advance(10 * INTERVAL);
    const before = all.source.calls.polls.length;
    expect(before).toBeLessThanOrEqual(1);
    all.paths.set("a", INTERVAL);
    all.poller.request(["a"], { fresh: false });
    await all.clock.advance(100);
    expect(all.poller.fact("a")?.fact.state).toBe("Gone");
    await all.clock.advance(2 * INTERVAL);
    expect(all.source.calls.polls.length).toBeGreaterThanOrEqual(before + 2);
    await all.poller.stop();
  });

  it("forgets what it knew when nobody wants anything, so that whoever comes next asks for it and is polled for", async () => {
    const all = setup();
    all.source.put("a", "1");
    await first(all);
    all.paths.clear();
    all.poller.reconsider();
    await all.clock.advance(100);
    expect(all.poller.fact("a")).toBeUndefined();
    all.paths.set("a", INTERVAL);
    all.poller.request(["a"], { fresh: false });
    await all.clock.advance(100);
    await all.clock.advance(3 * INTERVAL);
    expect(all.asked()).toEqual([["a"], ["a"], ["a"], ["a"], ["a"]]);
    await all.poller.stop();
  });

  it("takes a shorter interval up with the next look at anything", async () => {
    const all = setup({ slow: 15 * MINUTE });
    await first(all);
    all.paths.set("fast", MINUTE);
    all.poller.request(["fast"], { fresh: false });
    await all.clock.advance(100);
    const before = all.source.calls.polls.length;
    await all.clock.advance(3 * MINUTE);
    expect(all.source.calls.polls.length - before).toBe(3);
    await all.poller.stop();
  });

  it("takes a shorter interval up at once when it is told of it", async () => {
    const all = setup({ a: 60 * MINUTE });
    await first(all);
    all.paths.set("a", MINUTE);
    all.poller.reconsider();
    await all.clock.advance(3 * MINUTE + 1_000);
    expect(all.source.calls.polls).toHaveLength(4);
    await all.poller.stop();
  });

  it("tells which paths are new since the poll before", async () => {
    const all = setup({ a: INTERVAL, b: INTERVAL });
    all.source.put("a", "1");
    all.source.put("b", "1");
    await first(all);
    await tick(all);
    all.source.put("b", "2");
    await tick(all);
    expect(all.polled.map(({ changed }) => [...changed].sort())).toEqual([["a", "b"], [], ["b"]]);
    await all.poller.stop();
  });

  it("tells the source what was copied last", async () => {
    const all = setup();
    const one = all.source.put("a", "1");
    all.source.put("a", "2");
    all.known.set("a", new Set([one]));
    await first(all);
    expect(all.source.calls.polls[0]?.known?.get("a")).toEqual(new Set([one]));
    await all.poller.stop();
  });
});

describe("requests", () => {
  it("shares one poll among requests that come together", async () => {
    const all = setup();
    all.poller.request(["x"], { fresh: false });
    all.poller.request(["y"], { fresh: true });
    all.poller.request(["x"], { fresh: false, subtrees: ["t"] });
    await all.clock.advance(100);
    expect(all.source.calls.polls).toHaveLength(1);
    expect(all.source.calls.polls[0]).toMatchObject({ paths: ["x", "y"], subtrees: ["t"], fresh: true });
    expect(all.polled[0]?.full).toBe(false);
    await all.poller.stop();
  });

  it("takes requests that come during a poll with the next one", async () => {
    const all = setup();
    await first(all);
    all.source.hang(true);
    all.poller.request(["x"], { fresh: false });
    await all.clock.advance(100);
    all.poller.request(["y"], { fresh: false });
    all.poller.request(["z"], { fresh: false });
    await all.clock.advance(1_000);
    expect(all.source.calls.polls).toHaveLength(2);
    await all.poller.stop();
    expect(all.source.calls.polls).toHaveLength(2);
  });

  it("asks fresh only when one of them wants it", async () => {
    const all = setup();
    all.poller.request(["x"], { fresh: false });
    await all.clock.advance(100);
    expect(all.source.calls.polls[0]?.fresh).toBe(false);
    all.poller.pollNow({ fresh: true });
    await all.clock.advance(100);
    expect(all.source.calls.polls[1]?.fresh).toBe(true);
    await all.poller.stop();
  });

  it("does not ask again at the tick for what a request has just looked at", async () => {
    const all = setup({ a: INTERVAL, b: INTERVAL });
    await first(all);
    const next = nextTick("store", INTERVAL, all.clock.now());
    await all.clock.advance(next - all.clock.now() - 1_000);
    all.poller.request(["a"], { fresh: true });
    await all.clock.advance(1_200);
    expect(all.asked().slice(1)).toEqual([["a"], ["b"]]);
    await all.poller.stop();
  });

  it("keeps a failed subtree walk apart from the paths that were known", async () => {
    const all = setup({});
    all.subtrees.set("t", INTERVAL);
    all.source.put("t/a", "1");
    await first(all);
    expect(all.poller.subtree("t")?.paths).toEqual(["t/a"]);
    all.source.fail("t", new SyncError("AccessDenied", "list is denied"));
    await tick(all);
    expect(all.poller.subtree("t")?.paths).toEqual(["t/a"]);
    expect(all.poller.subtreeFailure("t")?.reason).toBe("AccessDenied");
    all.source.fail("t", undefined);
    await tick(all);
    expect(all.poller.subtreeFailure("t")).toBeUndefined();
    await all.poller.stop();
  });
});

describe("belief that a secret is gone", () => {
  const believed = (all: Setup) => all.poller.fact("a")?.believedGone;

  it("needs two polls at least one interval apart", async () => {
    const all = setup();
    all.source.put("a", "1");
    await first(all);
    await tick(all);
    all.source.remove("a");
    await tick(all);
    expect([all.poller.fact("a")?.fact.state, believed(all)]).toEqual(["Gone", false]);
    // However often it is asked meanwhile: less than an interval is not enough.
    for (let times = 0; times < 4; times += 1) {
      all.poller.request(["a"], { fresh: true });
      await all.clock.advance(30_000);
      expect(believed(all)).toBe(false);
    }
    await tick(all);
    await tick(all);
    expect(believed(all)).toBe(true);
    expect(all.polled.at(-1)?.changed ?? []).toBeDefined();
    await all.poller.stop();
  });

  it.each([
    ["set on", 24 * 60 * MINUTE],
    ["set back", -24 * 60 * MINUTE],
  ])(
    "counts time that passed: a wall clock that is %s neither makes an interval of a moment nor delays polls",
    async (_what, ms) => {
      const all = setup();
      all.source.put("a", "1");
      await first(all);
      all.source.remove("a");
      all.poller.request(["a"], { fresh: true });
      await all.clock.advance(1_000);
      all.clock.jump(ms);
      all.poller.request(["a"], { fresh: true });
      await all.clock.advance(1_000);
      expect([all.poller.fact("a")?.fact.state, believed(all)]).toEqual(["Gone", false]);
      const before = all.source.calls.polls.length;
      await all.clock.advance(2 * INTERVAL);
      expect(all.source.calls.polls.length).toBeGreaterThanOrEqual(before + 1);
      expect(believed(all)).toBe(true);
      await all.poller.stop();
    },
  );

  it("wakes the objects when it is reached", async () => {
    const all = setup();
    await first(all);
    await tick(all);
    await tick(all);
    await tick(all);
    expect(believed(all)).toBe(true);
    const told = all.polled.filter(({ changed }) => changed.includes("a"));
    expect(told).toHaveLength(2);
    await all.poller.stop();
  });

  it.each([
    [
      "the secret is there again",
      (all: Setup) => void all.source.put("a", "2"),
      (all: Setup) => all.source.remove("a"),
    ],
    [
      "the path is denied",
      (all: Setup) => all.source.fail("a", new SyncError("AccessDenied", "denied")),
      (all: Setup) => all.source.fail("a", undefined),
    ],
    [
      "the store fails",
      (all: Setup) => all.source.failAll(unavailable()),
      (all: Setup) => all.source.failAll(undefined),
    ],
  ])("begins anew when %s in between", async (_name, disturb, mend) => {
    const all = setup();
    await first(all);
    await tick(all);
    const gone = all.poller.fact("a");
    expect(gone?.fact.state).toBe("Gone");
    disturb(all);
    await tick(all);
    expect(believed(all) ?? false).toBe(false);
    mend(all);
    await all.clock.advance(30_000);
    all.poller.request(["a"], { fresh: true });
    await all.clock.advance(100);
    expect(all.poller.fact("a")?.fact.state).toBe("Gone");
    expect(believed(all)).toBe(false);
    await all.poller.stop();
  });
});

describe("an outage", () => {
  it("is probed at most six times a minute, without polls", async () => {
    const all = setup();
    await first(all);
    all.source.failAll(unavailable());
    await tick(all);
    expect([all.poller.state.state, all.states]).toEqual(["Failing", ["failing"]]);
    const polls = all.source.calls.polls.length;
    const before = all.source.calls.probes;
    await all.clock.advance(10 * MINUTE);
    const probes = all.source.calls.probes - before;
    expect(probes).toBeGreaterThanOrEqual(30);
    expect(probes).toBeLessThanOrEqual(60);
    expect(all.source.calls.polls).toHaveLength(polls);
    await all.poller.stop();
  });

  it("is not made longer or louder by requests", async () => {
    const all = setup();
    await first(all);
    all.source.failAll(unavailable());
    await tick(all);
    const before = all.source.calls.probes;
    for (let second = 0; second < 60; second += 1) {
      all.poller.request(["a"], { fresh: true });
      all.poller.pollNow({ fresh: true });
      await all.clock.advance(1_000);
    }
    expect(all.source.calls.probes - before).toBeLessThanOrEqual(7);
    await all.poller.stop();
  });

  it("ends with a full poll as soon as a probe is answered", async () => {
    const all = setup();
    all.source.put("a", "1");
    await first(all);
    all.source.failAll(unavailable());
    await tick(all);
    await all.clock.advance(MINUTE);
    all.source.failAll(undefined);
    all.source.put("a", "2");
    await all.clock.advance(11_000);
    expect([all.poller.state.state, all.states]).toEqual(["Good", ["failing", "recovered"]]);
    expect(all.polled.at(-1)).toMatchObject({ full: true, changed: ["a"] });
    await all.poller.stop();
  });

  it("leaves facts as they were and says once when they are stale", async () => {
    const all = setup();
    all.source.put("a", "1");
    await first(all);
    await tick(all);
    const good = all.poller.lastGoodMs ?? 0;
    all.source.failAll(unavailable());
    await tick(all);
    await all.clock.advance(good + 3 * INTERVAL - all.clock.monotonic() - 1_000);
    expect(all.states).toEqual(["failing"]);
    await all.clock.advance(2_000);
    expect(all.states).toEqual(["failing", "stale"]);
    await all.clock.advance(10 * INTERVAL);
    expect(all.states).toEqual(["failing", "stale"]);
    expect(all.poller.fact("a")).toMatchObject({ fact: { state: "Present" }, asOfMs: good });
    all.source.failAll(undefined);
    await all.clock.advance(11_000);
    expect(all.states).toEqual(["failing", "stale", "recovered"]);
    await all.poller.stop();
  });

  it("waits as long as the store asks, and no longer than fifteen minutes", async () => {
    const all = setup();
    await first(all);
    all.source.failAll(new SyncError("RateLimited", "slow down", { retryAfterMs: 90_000 }));
    await tick(all);
    const before = all.source.calls.probes;
    await all.clock.advance(80_000);
    expect(all.source.calls.probes).toBe(before);
    all.source.failAll(new SyncError("RateLimited", "slow down", { retryAfterMs: 86_400_000 }));
    await all.clock.advance(20_000);
    expect(all.source.calls.probes).toBe(before + 1);
    await all.clock.advance(14 * MINUTE);
    expect(all.source.calls.probes).toBe(before + 1);
    await all.clock.advance(2 * MINUTE);
    expect(all.source.calls.probes).toBe(before + 2);
    await all.poller.stop();
  });

  it("begins when a read of a value fails for a reason of the whole store, not for one of a secret", async () => {
    const all = setup();
    await first(all);
    all.poller.noteFailure(new SyncError("AccessDenied", "one secret"));
    expect(all.poller.state.state).toBe("Good");
    all.poller.noteFailure(unavailable());
    expect([all.poller.state.state, all.states]).toEqual(["Failing", ["failing"]]);
    await all.clock.advance(11_000);
    expect(all.poller.state.state).toBe("Good");
    await all.poller.stop();
  });

  it("from the first poll on is told with its reason", async () => {
    const all = setup();
    all.source.failAll(new SyncError("LoginFailed", "refused"));
    await first(all);
    const { state } = all.poller;
    expect(state.state === "Failing" ? state.error.reason : state.state).toBe("LoginFailed");
    expect(all.poller.lastGoodMs).toBeUndefined();
    all.source.failAll(undefined);
    await all.clock.advance(11_000);
    expect(all.poller.lastFullMs).toBeDefined();
    await all.poller.stop();
  });

  it("of one path is that path's matter", async () => {
    const all = setup({ a: INTERVAL, b: INTERVAL });
    all.source.put("a", "1");
    all.source.put("b", "1");
    all.source.fail("a", new SyncError("AccessDenied", "denied"));
    await first(all);
    expect(all.poller.state.state).toBe("Good");
    expect([all.poller.failure("a")?.reason, all.poller.fact("b")?.fact.state]).toEqual(["AccessDenied", "Present"]);
    all.source.fail("a", undefined);
    await tick(all);
    expect(all.poller.failure("a")).toBeUndefined();
    expect(all.polled.at(-1)?.changed).toEqual(["a"]);
    await all.poller.stop();
  });
});

describe("stop", () => {
  it("ends a hanging poll at once and sets no timer again", async () => {
    const all = setup();
    all.source.hang(true);
    all.poller.pollNow({ fresh: false });
    await all.clock.advance(100);
    expect(all.source.calls.polls).toHaveLength(1);
    await all.poller.stop();
    await settle();
    expect(all.clock.pending).toBe(0);
    expect([all.polled, all.states]).toEqual([[], []]);
    all.poller.pollNow({ fresh: true });
    all.poller.request(["x"], { fresh: true });
    await all.clock.advance(10 * INTERVAL);
    expect(all.source.calls.polls).toHaveLength(1);
  });

  it("ends an outage's probes", async () => {
    const all = setup();
    all.source.failAll(unavailable());
    await first(all);
    await all.poller.stop();
    const { probes } = all.source.calls;
    await all.clock.advance(10 * INTERVAL);
    expect([all.source.calls.probes, all.clock.pending]).toEqual([probes, 0]);
  });
});

describe("requests that a poll has answered meanwhile", () => {
  it("cost no second poll", async () => {
    const all = setup();
    all.source.put("a", "1");
    const poll = all.source.poll.bind(all.source);
    all.source.poll = (demand, signal) => {
      all.source.poll = poll;
      all.poller.request(["a", "b"], { fresh: false });
      return poll(demand, signal);
    };
    await first(all);
    await all.clock.advance(1_000);
    expect(all.asked()).toEqual([["a"], ["b"]]);
    all.poller.request(["a"], { fresh: true });
    await all.clock.advance(1_000);
    expect(all.asked()).toEqual([["a"], ["b"], ["a"]]);
  });

  it("and failures of a store that nobody uses any more start nothing", async () => {
    const all = setup();
    await first(all);
    await all.poller.stop();
    all.poller.noteFailure(unavailable());
    await all.clock.advance(4 * INTERVAL);
    expect(all.states).toEqual([]);
    expect(all.clock.pending).toBe(0);
  });
});
