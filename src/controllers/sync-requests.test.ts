import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SyncRequests } from "./sync-requests.ts";

describe("requests to sync now", () => {
  it("are taken once each, at most every thirty seconds an object", () => {
    const requests = new SyncRequests();
    expect(requests.take("a", "team", "one", 0)).toBe(0);
    expect(requests.take("a", "team", "one", 40_000)).toBeUndefined();
    expect(requests.take("b", "team", "one", 1)).toBe(0);
    expect(requests.take("b", "team", "two", 10_001)).toBe(20_000);
    expect(requests.take("b", "team", "two", 30_001)).toBe(0);
    expect(requests.last("b")).toEqual({ value: "two", atMs: 30_001 });
  });

  it("of one namespace are a hundred at once and one a second after that, each with a turn of its own", () => {
    const requests = new SyncRequests();
    const waits = Array.from({ length: 103 }, (_, n) => requests.take(`o${n}`, "flood", "x", 0));
    expect(waits.slice(0, 100)).toEqual(Array.from({ length: 100 }, () => 0));
    expect(waits.slice(100)).toEqual([1_000, 2_000, 3_000]);
    // Looking again gains nothing and costs nobody's turn.
    expect(requests.take("o101", "flood", "y", 1_500)).toBe(500);
    expect(requests.take("o101", "flood", "y", 2_000)).toBe(0);
    expect(requests.take("calm", "other", "x", 0)).toBe(0);
  });

  it("never get more than their share, whatever comes when", () => {
    const arrivals = fc.array(fc.record({ object: fc.nat(300), afterMs: fc.nat(3_000) }), { maxLength: 400 });
    fc.assert(
      fc.property(arrivals, (all) => {
        const requests = new SyncRequests();
        const taken: number[] = [];
        let now = 0;
        for (const [n, { object, afterMs }] of all.entries()) {
          now += Math.floor(afterMs / 30);
          const wait = requests.take(`o${object}`, "team", `v${n}`, now);
          if (wait === 0) taken.push(now);
          else expect(wait).toBeGreaterThan(0);
        }
        for (const [at, from] of taken.entries())
          for (let to = at; to < taken.length; to += 1)
            expect(to - at).toBeLessThanOrEqual(100 + ((taken[to] ?? 0) - from) / 1_000);
      }),
      { numRuns: 30 },
    );
  });
});
