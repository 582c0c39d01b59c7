import { expect, test } from "vitest";
import { SyncError } from "../errors/index.ts";
import { VirtualClock } from "../time/clock.ts";
import { RateBudget, type RateLane } from "./budget.ts";

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

test("429 halves the rate and blocks until Retry-After, clamped to 15 minutes; quiet minutes give it back", async () => {
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
  await clock.advance(61_000);
  expect(other.available("write")).toBe(100);
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
