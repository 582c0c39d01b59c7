import { describe, expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import type { KubeObject, Lane } from "../runtime/index.ts";
import type { BackendState } from "./backend-registry.ts";
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

  const usable = (state: "Unpolled" | "Good" | "Failing") =>
    ({ state: "Usable", store: { poller: { state: { state } } } }) as unknown as BackendState;
  const object = { metadata: { name: "one" }, spec: {} };
  const rows: [string, boolean, object, Lane, BackendState | undefined][] = [
    ["a backend that was not checked yet", true, object, "refresh", { state: "Pending" }],
    ["a store that was not polled yet", true, object, "change", usable("Unpolled")],
    ["a store that answered", false, object, "change", usable("Good")],
    ["a store that fails", false, object, "refresh", usable("Failing")],
    ["no backend of that name", false, object, "refresh", undefined],
    ["somebody's edit", false, object, "user", usable("Unpolled")],
    ["a hand edit of a copy", false, object, "drift", usable("Unpolled")],
    ["a suspended object", false, { ...object, spec: { suspend: true } }, "refresh", usable("Unpolled")],
    [
      "a deleted object",
      false,
      { metadata: { name: "one", deletionTimestamp: "2026-01-01T00:00:00Z" } },
      "refresh",
      usable("Unpolled"),
    ],
  ];
  it.each(rows)("%s: the first poll is waited for: %s", async (_case, expected, given, lane, state) => {
    const clock = new VirtualClock();
    const looks: string[] = [];
    const first = new FirstLooks(clock, (key) => looks.push(key));
    expect(first.takes("key", given as KubeObject, lane, state)).toBe(expected);
    await clock.advance(2_000);
    expect(looks).toEqual(expected ? ["key"] : []);
    expect(first.takes("key", given as KubeObject, lane, state)).toBe(false);
  });
});
