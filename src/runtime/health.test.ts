import { describe, expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import { Liveness } from "./health.ts";

describe("Liveness", () => {
  it("names loops that made no attempt for three minutes", async () => {
    const clock = new VirtualClock();
    const liveness = new Liveness(clock);
    const poll = liveness.loop("poll");
    let lastMs = clock.monotonic();
    const end = liveness.watch("secrets", () => lastMs);
    await clock.advance(179_000);
    clock.jump(3_600_000);
    expect(liveness.check()).toEqual({ ok: true, stale: [] });
    poll.beat();
    await clock.advance(2_000);
    expect(liveness.check()).toEqual({ ok: false, stale: ["secrets"] });
    lastMs = clock.monotonic();
    expect(liveness.check().ok).toBe(true);
    await clock.advance(200_000);
    expect(liveness.check().stale).toEqual(["poll", "secrets"]);
    poll.end();
    end();
    expect(liveness.check().ok).toBe(true);
  });
});
