import { describe, expect, test } from "vitest";
import { SyncError } from "../errors/index.ts";
import { VirtualClock } from "../time/clock.ts";
import type { RateLane } from "./bucket.ts";
import { defaultLimits, RateBudget } from "./budget.ts";
import type { RateCategory } from "./types.ts";

const signal = new AbortController().signal;

async function refusal(promise: Promise<void>): Promise<SyncError> {
  const error: unknown = await promise.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (!(error instanceof SyncError)) throw new Error("was not refused");
  expect(error.reason).toBe("RateLimited");
  return error;
}

async function drain(budget: RateBudget, lane: RateLane = "user"): Promise<number> {
  let taken = 0;
  while (budget.available("write") > 0) {
    await budget.acquire("write", 1, lane, signal);
    taken++;
  }
  return taken;
}

test("a minute's worth goes at once, then the rate holds, and nobody waits long inside a call", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock, maxWaitMs: 1000 });
  expect(await drain(budget)).toBe(100);
  let granted = false;
  const waiting = budget.acquire("write", 1, "user", signal).then(() => (granted = true));
  await clock.advance(500);
  expect(granted).toBe(false);
  await clock.advance(200);
  await waiting;
  const waits: number[] = [];
  const first = budget.acquire("write", 1, "user", signal);
  for (let i = 0; i < 5; i++) waits.push((await refusal(budget.acquire("write", 1, "user", signal))).retryAfterMs ?? 0);
  // Those sent away are told to come back one after the other, not all at once.
  for (let i = 1; i < waits.length; i++) expect((waits[i] ?? 0) - (waits[i - 1] ?? 0)).toBeCloseTo(600, -1);
  await clock.advance(600);
  await first;
});

test("a bulk copy leaves room for a person, who is served first", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock, maxWaitMs: 60_000 });
  for (let i = 0; i < 85; i++) await budget.acquire("write", 1, "new", signal);
  const order: string[] = [];
  const bulk = budget.acquire("write", 1, "new", signal).then(() => order.push("new"));
  for (let i = 0; i < 15; i++) await budget.acquire("write", 1, "user", signal);
  const user = budget.acquire("write", 1, "user", signal).then(() => order.push("user"));
  await clock.advance(60_000);
  await Promise.all([bulk, user]);
  expect(order).toEqual(["user", "new"]);
});

test.each(Object.keys(defaultLimits) as RateCategory[])(
  "%s: a person's call goes at once however many refreshes wait, and so does a rotated value where there is room",
  async (category) => {
    const clock = new VirtualClock();
    // One of four clusters on one identity.
    const budget = new RateBudget({ clock, share: 0.25, patienceMs: 3_600_000 });
    const capacity = budget.available(category);
    const order: string[] = [];
    const ask = (lane: RateLane, name: string): Promise<void> =>
      budget.acquire(category, 1, lane, signal).then(() => void order.push(name));
    const refreshes = Array.from({ length: capacity }, (_, n) => ask("verification", `refresh ${n}`));
    await ask("user", "user");
    expect(order.at(-1)).toBe("user");
    expect(clock.monotonic()).toBe(0);
    // A small bucket has room for the person alone.
    const both = capacity >= 10;
    if (both) await ask("rotated", "rotated");
    expect(clock.monotonic()).toBe(0);
    await clock.advance(10 * 60_000);
    await Promise.all(refreshes);
    expect(order).toHaveLength(capacity + (both ? 2 : 1));
  },
);

test("headers lower the budget and never raise it; nonsense in them changes nothing", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock, share: 0.5 });
  expect(budget.available("write")).toBe(50);
  for (const bad of ["-1", "1e9", "NaN", "99999999999999999999", ""])
    budget.observe("write", { limit: bad, remaining: bad });
  budget.observe("write", { limit: "100000", remaining: "100000" });
  expect(budget.available("write")).toBe(50);
  budget.observe("write", { limit: "100", remaining: "3" });
  expect(budget.available("write")).toBe(3);
  budget.observe("write", { limit: "10", remaining: "10" });
  await clock.advance(120_000);
  expect(budget.available("write")).toBe(5);
});

test("429 halves the rate and blocks until Retry-After, clamped to 15 minutes; each quiet minute gives a tenth back", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock });
  budget.limited("write", 1e12);
  expect((await refusal(budget.acquire("write", 1, "user", signal))).retryAfterMs).toBe(15 * 60_000);
  await clock.advance(15 * 60_000);
  await budget.acquire("write", 1, "user", signal);
  const other = new RateBudget({ clock });
  other.limited("write", 1000);
  await clock.advance(59_000);
  expect(other.available("write")).toBe(49);
  const seen: number[] = [];
  for (let minute = 0; minute < 6; minute += 1) {
    await clock.advance(60_000);
    seen.push(other.available("write"));
  }
  expect(seen).toEqual([60, 70, 80, 90, 100, 100]);
});

test("hints of a server are clamped: nonsense neither blocks for ever nor breaks the budget", async () => {
  for (const hint of [Number.NaN, -1, Number.POSITIVE_INFINITY, Number.MAX_VALUE]) {
    const clock = new VirtualClock();
    const budget = new RateBudget({ clock });
    budget.limited("write", hint);
    await clock.advance(15 * 60_000);
    await budget.acquire("write", 1, "verification", signal);
  }
});

test("the 429s of calls that were under way together halve the rate once, later ones again, to a sixteenth at least", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock });
  for (let call = 0; call < 5; call += 1) budget.limited("write", 2000);
  await clock.advance(59_000);
  expect(budget.available("write")).toBe(49);
  for (let times = 0; times < 9; times += 1) {
    budget.limited("write", 2000);
    await clock.advance(2000);
  }
  await clock.advance(57_000);
  expect(budget.available("write")).toBe(6);
});

test("shares are per category, and a tenant's own limits count instead of the documented ones", () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock, share: 0.2, limits: { write: 500 } });
  const available = (["write", "delete", "read", "batchMetadata"] as const).map((one) => budget.available(one));
  expect(available).toEqual([100, 20, 200, 20]);
});

describe("a turn that is asked for before something costly is done", () => {
  const key = (n: number) => `path-${n}`;
  const wait = (budget: RateBudget, lane: RateLane, n: number): Promise<void> => {
    const reservation = budget.reserve("write", lane, key(n));
    if (reservation.granted) throw new Error("granted");
    return reservation.turn;
  };

  test("comes to each once, in order, in small groups, at the allowed rate, however often it is asked for", async () => {
    const clock = new VirtualClock();
    const budget = new RateBudget({ clock });
    let granted = 0;
    const turns: number[] = [];
    const ask = (n: number): void => {
      const reservation = budget.reserve("write", "new", key(n));
      if (reservation.granted) {
        granted += 1;
        turns.push(clock.monotonic());
        expect(reservation.permit.use()).toBe(true);
        expect(reservation.permit.use()).toBe(false);
      } else if (!waiting.has(reservation.turn)) {
        waiting.add(reservation.turn);
        void reservation.turn.then(() => ask(n));
      }
    };
    const waiting = new Set<Promise<void>>();
    for (let n = 0; n < 300; n += 1) ask(n);
    expect(granted).toBe(85);
    for (let minute = 0; minute < 3; minute += 1) {
      // Polls look at everything again; that gives nobody a second place.
      for (let n = granted; n < 300; n += 1) ask(n);
      await clock.advance(60_000);
    }
    expect(granted).toBe(300);
    const moments = new Set(turns);
    expect(moments.size).toBeLessThan(40);
    expect(Math.max(...[...moments].map((at) => turns.filter((turn) => turn === at && at > 0).length))).toBe(10);
    expect(Math.max(...turns)).toBeLessThanOrEqual(60_000 * 2.2);
  });

  test("of a person or a rotated value comes before first copies that have waited longer", async () => {
    const clock = new VirtualClock();
    const budget = new RateBudget({ clock });
    await drain(budget);
    const order: string[] = [];
    for (const [n, lane] of (["verification", "new", "new", "rotated", "user"] as const).entries())
      void wait(budget, lane, n).then(() => order.push(`${lane} ${n}`));
    await clock.advance(1_000);
    expect(order).toEqual(["user 4"]);
    await clock.advance(120_000);
    expect(order).toEqual(["user 4", "rotated 3", "new 1", "new 2", "verification 0"]);
  });

  test("moves up when it is asked for again in a more urgent lane, and never back", async () => {
    const clock = new VirtualClock();
    const budget = new RateBudget({ clock });
    await drain(budget);
    const order: number[] = [];
    for (const n of [0, 1]) void wait(budget, "new", n).then(() => order.push(n));
    void wait(budget, "user", 1);
    void wait(budget, "verification", 1);
    await clock.advance(700);
    expect(order).toEqual([1]);
  });

  test("that is not used is given back; one that nobody comes for, too", async () => {
    const clock = new VirtualClock();
    const budget = new RateBudget({ clock });
    const reservation = budget.reserve("write", "user", "a");
    expect([reservation.granted, budget.available("write")]).toEqual([true, 99]);
    if (reservation.granted) reservation.permit.release();
    if (reservation.granted) reservation.permit.release();
    expect(budget.available("write")).toBe(100);
    await drain(budget);
    void wait(budget, "user", 0);
    await clock.advance(1_200);
    expect(budget.available("write")).toBe(1);
    await clock.advance(40_000);
    expect(budget.available("write")).toBe(68);
  });

  test("is worth nothing while the server asks to pause", async () => {
    const clock = new VirtualClock();
    const budget = new RateBudget({ clock });
    const reservation = budget.reserve("write", "user", "a");
    budget.limited("write", 5_000);
    if (!reservation.granted) throw new Error("refused");
    expect(reservation.permit.use()).toBe(false);
  });
});

test("a look at everything waits patiently, in its place; others are sent away", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock, share: 0.05 });
  for (let n = 0; n < 3; n += 1) await budget.acquire("batchMetadata", 1, "verification", signal);
  let looked = false;
  const look = budget.acquire("batchMetadata", 1, "verification", signal).then(() => (looked = true));
  await clock.advance(2_500);
  expect(looked).toBe(false);
  await clock.advance(1_000);
  await look;
  await budget.acquire("batchMetadata", 1, "user", signal);
  await refusal(budget.acquire("batchMetadata", 1, "user", signal));
});

test("a waiter that gives up leaves its place", async () => {
  const clock = new VirtualClock();
  const budget = new RateBudget({ clock });
  await drain(budget);
  const stop = new AbortController();
  const given = budget.acquire("write", 1, "user", stop.signal);
  const stays = budget.acquire("write", 1, "user", signal);
  stop.abort(new Error("stop"));
  await expect(given).rejects.toThrow("stop");
  await clock.advance(600);
  await stays;
});
