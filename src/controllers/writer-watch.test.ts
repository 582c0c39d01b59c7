import { expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import { WriterWatch } from "./writer-watch.ts";

const SECOND = 1_000;

function watching(stillWaits: (key: string) => boolean) {
  const clock = new VirtualClock();
  const looks: [number, string[]][] = [];
  const store = {};
  const watch = new WriterWatch<object>(clock, (at, keys) => {
    looks.push([clock.monotonic() / SECOND, [...keys].sort()]);
    for (const key of keys) if (stillWaits(key)) watch.note(at, key);
  });
  return { clock, looks, store, watch };
}

it("looks together, soon at first, then ever more seldom, and ends with the last that waits", async () => {
  let waits = true;
  const { clock, looks, store, watch } = watching(() => waits);
  for (const key of ["a", "b", "a"]) watch.note(store, key);
  await clock.advance(960 * SECOND);
  expect(looks).toEqual([30, 90, 210, 450, 750].map((at) => [at, ["a", "b"]]));
  waits = false;
  await clock.advance(3_600 * SECOND);
  expect(looks).toHaveLength(6);
  expect(clock.pending).toBe(0);
});

it("looks soon again when another one begins to wait", async () => {
  const { clock, looks, store, watch } = watching(() => true);
  watch.note(store, "a");
  await clock.advance(300 * SECOND);
  watch.note(store, "b");
  await clock.advance(31 * SECOND);
  expect(looks.at(-1)).toEqual([330, ["a", "b"]]);
  watch.close();
  expect(clock.pending).toBe(0);
});
