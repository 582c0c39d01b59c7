import { describe, expect, it } from "vitest";
import { forEachLimit, Semaphore } from "./concurrency.ts";

const never = new AbortController().signal;
const aborted = (): Error => new Error("aborted");

describe("Semaphore", () => {
  it("lets so many run, in order, and a waiting caller leave", async () => {
    const places = new Semaphore(2);
    const log: number[] = [];
    const releases: (() => void)[] = [];
    const run = (n: number, signal = never): Promise<void> =>
      places.run(() => (log.push(n), new Promise<void>((resolve) => releases.push(resolve))), signal, aborted);
    const stop = new AbortController();
    const runs = [run(1), run(2), run(3, stop.signal), run(4)];
    stop.abort();
    await expect(runs[2]).rejects.toThrow("aborted");
    await expect(run(5, stop.signal)).rejects.toThrow("aborted");
    expect(log).toEqual([1, 2]);
    releases[0]?.();
    await runs[0];
    await expect.poll(() => log).toEqual([1, 2, 4]);
    for (const release of releases) release();
    await Promise.all([runs[1], runs[3]]);
    await places.run(() => Promise.resolve(), never, aborted);
  });

  it("gives its place back when work fails", async () => {
    const places = new Semaphore(1);
    for (let n = 0; n < 3; n++)
      await expect(places.run(() => Promise.reject(new Error("x")), never, aborted)).rejects.toThrow("x");
  });
});

describe("forEachLimit", () => {
  it("begins nothing after a failure, aborts what runs, and throws the first failure when all have ended", async () => {
    const begun: number[] = [];
    let ended = 0;
    const work = async (n: number, signal: AbortSignal): Promise<void> => {
      begun.push(n);
      if (n === 1) throw new Error("first");
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      ended++;
      throw new Error("later");
    };
    await expect(forEachLimit([0, 1, 2, 3, 4], 2, never, work)).rejects.toThrow("first");
    expect(begun).toEqual([0, 1]);
    expect(ended).toBe(1);
  });
});
