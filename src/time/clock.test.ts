import { afterEach, describe, expect, it, vi } from "vitest";
import { systemClock, VirtualClock } from "./clock.ts";

describe("VirtualClock", () => {
  it("stands still until it is advanced", async () => {
    const clock = new VirtualClock(1000);
    expect(clock.now()).toBe(1000);
    await clock.advance(250);
    expect(clock.now()).toBe(1250);
    expect(clock.monotonic()).toBe(250);
  });

  it("can be set on and back, which is no time that passes", async () => {
    const clock = new VirtualClock(1000);
    let fired = 0;
    clock.setTimeout(() => (fired += 1), 100);
    clock.jump(3_600_000);
    await clock.advance(99);
    expect([clock.now(), clock.monotonic(), fired]).toEqual([3_601_099, 99, 0]);
    clock.jump(-7_200_000);
    await clock.advance(1);
    expect([clock.now(), clock.monotonic(), fired]).toEqual([-3_598_900, 100, 1]);
  });

  it("fires timers in order of time, then of setting, at their own time", async () => {
    const clock = new VirtualClock(0);
    const fired: string[] = [];
    const note = (name: string) => () => fired.push(`${name}@${clock.now()}`);
    clock.setTimeout(note("late"), 30);
    clock.setTimeout(note("first"), 10);
    clock.setTimeout(note("second"), 10);
    await clock.advance(20);
    expect(fired).toEqual(["first@10", "second@10"]);
    expect(clock.pending).toBe(1);
    expect(clock.nextInMs).toBe(10);
    await clock.advance(10);
    expect(fired).toEqual(["first@10", "second@10", "late@30"]);
    expect(clock.nextInMs).toBeUndefined();
  });

  it("runs timers that promise chains of fired timers set within the same advance", async () => {
    const clock = new VirtualClock(0);
    const at: number[] = [];
    const loop = async (): Promise<void> => {
      for (let i = 0; i < 3; i++) {
        await clock.sleep(100);
        await Promise.resolve();
        at.push(clock.now());
      }
    };
    const done = loop();
    await clock.advance(1000);
    await done;
    expect(at).toEqual([100, 200, 300]);
    expect(clock.now()).toBe(1000);
  });

  it("does not fire a cancelled timer", async () => {
    const clock = new VirtualClock();
    const fn = vi.fn();
    const cancel = clock.setTimeout(fn, 10);
    cancel();
    cancel();
    await clock.advance(100);
    expect(fn).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });

  it("rejects a sleep with the reason of its signal and leaves no timer behind", async () => {
    const clock = new VirtualClock();
    const abort = new AbortController();
    const sleeping = clock.sleep(1000, abort.signal);
    const outcome = expect(sleeping).rejects.toThrow("stop");
    abort.abort(new Error("stop"));
    await outcome;
    expect(clock.pending).toBe(0);
    await expect(clock.sleep(1, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    expect(clock.pending).toBe(0);
  });

  it("waits for what `settle` says between two steps", async () => {
    let idle = true;
    const clock = new VirtualClock(0, {
      settle: async () => {
        while (!idle) await new Promise((resolve) => setTimeout(resolve, 1));
      },
    });
    const at: string[] = [];
    clock.setTimeout(() => {
      idle = false;
      setTimeout(() => {
        at.push(`io@${clock.now()}`);
        idle = true;
      }, 20);
    }, 10);
    clock.setTimeout(() => at.push(`timer@${clock.now()}`), 15);
    await clock.advance(100);
    expect(at).toEqual(["io@10", "timer@15"]);
  });

  it("queues concurrent advances", async () => {
    const clock = new VirtualClock(0);
    await Promise.all([clock.advance(10), clock.advance(20)]);
    expect(clock.now()).toBe(30);
  });

  it("treats negative and NaN delays as 0", async () => {
    const clock = new VirtualClock(0);
    const fired: number[] = [];
    clock.setTimeout(() => fired.push(1), -5);
    clock.setTimeout(() => fired.push(2), Number.NaN);
    await clock.advance(0);
    expect(fired).toEqual([1, 2]);
  });
});

describe("systemClock", () => {
  afterEach(() => void vi.useRealTimers());

  it("does not fire a delay above 2^31-1 ms early, and fires it in the end", () => {
    vi.useFakeTimers();
    const fn = vi.fn();
    systemClock.setTimeout(fn, 2 ** 31 + 5000);
    vi.advanceTimersByTime(2 ** 31 - 1);
    expect(fn).not.toHaveBeenCalled();
    vi.advanceTimersByTime(5002);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it("cancels a long delay in a later chunk", () => {
    vi.useFakeTimers();
    const fn = vi.fn();
    const cancel = systemClock.setTimeout(fn, 2 ** 32);
    vi.advanceTimersByTime(2 ** 31 + 10);
    cancel();
    vi.advanceTimersByTime(2 ** 32);
    expect(fn).not.toHaveBeenCalled();
  });

  it("sleeps and can be aborted", async () => {
    await systemClock.sleep(1);
    const abort = new AbortController();
    const sleeping = systemClock.sleep(60_000, abort.signal);
    abort.abort();
    await expect(sleeping).rejects.toMatchObject({ name: "AbortError" });
  });
});
