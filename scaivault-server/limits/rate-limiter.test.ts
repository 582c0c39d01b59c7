import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { RateLimiter } from "./rate-limiter.ts";

describe("RateLimiter", () => {
  it("lets a full bucket through, then as much as refills", async () => {
    const clock = new VirtualClock();
    const limiter = new RateLimiter(clock, { write: 60 });
    for (let count = 59; count >= 0; count--)
      expect(limiter.take("x", "write")).toMatchObject({ allowed: true, limit: 60, remaining: count });
    expect(limiter.take("x", "write")).toMatchObject({ allowed: false, remaining: 0, retryAfterSeconds: 1 });
    await clock.advance(1000);
    expect(limiter.take("x", "write").allowed).toBe(true);
    expect(limiter.take("x", "write").allowed).toBe(false);
    await clock.advance(600_000);
    expect(limiter.take("x", "write").remaining).toBe(59);
  });

  it("keeps identities and categories apart", () => {
    const limiter = new RateLimiter(new VirtualClock(), { write: 1, read: 1 });
    expect(limiter.take("x", "write").allowed).toBe(true);
    expect(limiter.take("x", "read").allowed).toBe(true);
    expect(limiter.take("y", "write").allowed).toBe(true);
    expect(limiter.take("x", "write").allowed).toBe(false);
  });

  it("lets through after exactly the wait it told, for any limit", async () => {
    for (const perMinute of [1, 7, 50, 100, 999]) {
      const clock = new VirtualClock();
      const limiter = new RateLimiter(clock, { audit: perMinute });
      while (limiter.take("x", "audit").allowed);
      for (let round = 0; round < 5; round++) {
        const { retryAfterSeconds } = limiter.take("x", "audit");
        if (retryAfterSeconds === 0) continue;
        await clock.advance(retryAfterSeconds * 1000);
        expect(limiter.take("x", "audit").allowed).toBe(true);
      }
    }
  });

  it("tells the moment at which the bucket is full", () => {
    const clock = new VirtualClock(1_000_000);
    const limiter = new RateLimiter(clock, { read: 60 });
    expect(limiter.take("x", "read", 10).reset).toBe(1010);
  });

  it("owes what a batch took from a full bucket", async () => {
    const clock = new VirtualClock();
    const limiter = new RateLimiter(clock, { read: 60 });
    expect(limiter.take("x", "read", 90)).toMatchObject({ allowed: true, remaining: 0 });
    expect(limiter.take("x", "read").retryAfterSeconds).toBe(31);
    await clock.advance(31_000);
    expect(limiter.take("x", "read").allowed).toBe(true);
  });

  it("counts nobody's and system requests not, and lifts limits", () => {
    const limiter = new RateLimiter(new VirtualClock(), { read: 1, list: Infinity, write: 0 });
    for (let time = 0; time < 3; time++) {
      expect(limiter.take(undefined, "read").allowed).toBe(true);
      expect(limiter.take("x", "system").allowed).toBe(true);
      expect(limiter.take("x", "list").allowed).toBe(true);
    }
    expect(limiter.take("x", "write")).toMatchObject({ allowed: false, retryAfterSeconds: 60 });
    limiter.setLimit("read", 2);
    expect(limiter.take("x", "read").remaining).toBe(1);
  });
});
