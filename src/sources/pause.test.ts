import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import { VirtualClock } from "../time/clock.ts";
import { StorePause } from "./pause.ts";

const signal = new AbortController().signal;

/** A store that refuses the calls that `refuses` names, by number; each answer and refusal is counted. */
function store(refuses: (call: number) => boolean, adviceMs?: number) {
  const pause = new StorePause(new VirtualClock(), () => 0);
  let calls = 0;
  const call = (): Promise<string> =>
    pause.sending(signal, (refused) => {
      pause.check("read");
      calls += 1;
      if (refuses(calls))
        return Promise.reject(new SyncError("RateLimited", "slow down", { retryAfterMs: refused(adviceMs) }));
      pause.answered();
      return Promise.resolve("value");
    });
  return { call, calls: () => calls };
}

describe("a store that throttles", () => {
  it("one call of three is asked again at once, and nobody hears of it", async () => {
    const { call, calls } = store((n) => n % 3 === 0);
    const answers = await Promise.all(Array.from({ length: 60 }, call));
    expect(new Set(answers)).toEqual(new Set(["value"]));
    expect(calls()).toBeLessThanOrEqual(90);
  });

  it("all calls is paused for everybody after ten of them, and asked nothing meanwhile", async () => {
    const { call, calls } = store(() => true);
    const refused = await Promise.allSettled(Array.from({ length: 4 }, call));
    for (const one of refused) expect(one).toMatchObject({ reason: { reason: "RateLimited", retryAfterMs: 1000 } });
    expect(calls()).toBeLessThanOrEqual(12);
    const before = calls();
    await expect(call()).rejects.toMatchObject({ reason: "RateLimited" });
    expect(calls()).toBe(before);
  });

  it("with the wish for a second or more is left alone for that long", async () => {
    const { call, calls } = store(() => true, 7_000);
    await expect(call()).rejects.toMatchObject({ reason: "RateLimited", retryAfterMs: 7_000 });
    await expect(call()).rejects.toMatchObject({ reason: "RateLimited" });
    expect(calls()).toBe(1);
  });

  it("is not asked again by who gave up", async () => {
    const stop = new AbortController();
    const pause = new StorePause(new VirtualClock(), () => 1);
    let calls = 0;
    const call = pause.sending(stop.signal, (refused) => {
      calls += 1;
      stop.abort();
      return Promise.reject(new SyncError("RateLimited", "slow down", { retryAfterMs: refused(undefined) }));
    });
    await expect(call).rejects.toMatchObject({ reason: "RateLimited" });
    expect(calls).toBe(1);
  });
});
