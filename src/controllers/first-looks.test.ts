import { describe, expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import { FirstLooks } from "./first-looks.ts";

describe("FirstLooks", () => {
  it("lets objects say nothing for two seconds, and then has those that still wait looked at once", async () => {
    const clock = new VirtualClock();
    const looks: string[] = [];
    const first = new FirstLooks(clock, (key) => looks.push(key));
    for (const key of ["waits", "served", "gone"]) first.note(key, first.early);
    await clock.advance(1_900);
    first.note("served", false);
    first.note("gone", false);
    expect([first.early, looks]).toEqual([true, []]);
    await clock.advance(200);
    expect([first.early, looks]).toEqual([false, ["waits"]]);
    await clock.advance(60_000);
    expect(looks).toEqual(["waits"]);
  });

  it("has nobody looked at after its term", async () => {
    const clock = new VirtualClock();
    const looks: string[] = [];
    const first = new FirstLooks(clock, (key) => looks.push(key));
    first.note("waits", true);
    first.close();
    await clock.advance(10_000);
    expect([looks, clock.pending]).toEqual([[], 0]);
  });
});
