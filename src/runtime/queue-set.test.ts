import { describe, expect, it } from "vitest";
import { settle, VirtualClock } from "../time/clock.ts";
import { QueueSet } from "./queue-set.ts";
import type { WorkHandler } from "./workers.ts";

function build(handler: WorkHandler, workers = 2) {
  const clock = new VirtualClock(0);
  return { clock, set: new QueueSet({ clock, workers, handler, random: () => 1 }) };
}

describe("QueueSet", () => {
  it("lets a store that hangs hold nobody else's keys", async () => {
    const done: string[] = [];
    const { set } = build((key) => {
      if (key.startsWith("hung/")) return new Promise(() => undefined);
      done.push(key);
      return Promise.resolve();
    });
    for (let i = 0; i < 50; i++) set.add("hung", `hung/${i}`);
    for (let i = 0; i < 50; i++) set.add("well", `well/${i}`);
    await settle(40);
    expect(done).toHaveLength(50);
    // Two workers, and the two for urgent lanes.
    expect(set.stats().get("hung")).toMatchObject({ inFlight: 4, depth: { user: 46 } });
    expect(set.stats().get("well")).toMatchObject({ inFlight: 0, depth: { user: 0 } });
  });

  it("moves a key: the old work is aborted, the new queue begins only when it ended, and nothing stays behind", async () => {
    const log: string[] = [];
    let letGo: () => void = () => undefined;
    let calls = 0;
    const { clock, set } = build((_key, { signal }) => {
      calls += 1;
      if (calls > 1) {
        log.push("second work");
        return Promise.resolve();
      }
      signal.addEventListener("abort", () => log.push(`aborted ${(signal.reason as Error).name}`));
      return new Promise((_resolve, reject) => {
        letGo = () => {
          log.push("first work ended");
          reject(new Error("aborted"));
        };
      });
    });
    set.add("old", "n/a");
    await settle();
    set.add("new", "n/a");
    await settle();
    expect(log).toEqual(["aborted KeyMovedError"]);
    letGo();
    await settle();
    expect(log).toEqual(["aborted KeyMovedError", "first work ended", "second work"]);
    await clock.advance(600_000);
    expect(calls).toBe(2);
    expect(set.homeOf("n/a")).toBe("new");
    expect(set.dropIfEmpty("old")).toBe(true);
  });

  it("takes a delayed key along when it moves", async () => {
    const seen: string[] = [];
    const { clock, set } = build((key) => {
      seen.push(`${key}@${clock.now()}`);
      return Promise.resolve();
    });
    set.addAfter("old", "n/a", 1000);
    set.addAfter("new", "n/a", 5000);
    await clock.advance(10_000);
    expect(seen).toEqual(["n/a@5000"]);
  });

  it("does not bring back a key that was forgotten while it failed", async () => {
    let calls = 0;
    let fail: () => void = () => undefined;
    const { clock, set } = build(() => {
      calls += 1;
      return new Promise((_resolve, reject) => (fail = () => reject(new Error("x"))));
    });
    set.add("s", "n/a");
    await settle();
    set.forgetKey("n/a");
    fail();
    await clock.advance(600_000);
    expect(calls).toBe(1);
    expect(set.dropIfEmpty("s")).toBe(true);
  });

  it("shuts all queues down and takes nothing more", async () => {
    let calls = 0;
    const { set } = build(() => {
      calls += 1;
      return Promise.resolve();
    });
    set.add("a", "n/a");
    set.add("b", "n/b");
    await settle();
    expect(await set.shutdown()).toBe(true);
    set.add("a", "n/c");
    await settle();
    expect(calls).toBe(2);
  });
});
