import { expect, it } from "vitest";
import { PairWorld } from "./testing/pair-world.ts";
import type { TargetKind } from "./types.ts";

const A = '{"key":"a"}';
const B = '{"key":"b"}';
const C = '{"key":"c"}';

const synced = (): PairWorld => {
  const world = new PairWorld();
  world.put(A);
  world.settle();
  return world;
};
const short = (kind: TargetKind) => (kind === "ScaiVault" ? "V" : "K");

/** While ScaiVault's rate budget has no room for the write that the plan wants. */
it.each<[string, () => PairWorld, string, string[], string[]]>([
  [
    "a first copy",
    () => ((world) => (world.put(A), world))(new PairWorld()),
    "V Pending Progressing",
    ["Create K"],
    ["Create V", "Create K"],
  ],
  [
    "a rotated value",
    () => ((world) => (world.put(B), world))(synced()),
    "V Pending Progressing",
    ["Update K"],
    ["Update V", "Update K"],
  ],
  [
    "a mark to take over, with the right content",
    () => ((world) => (world.markAs("ScaiVault", { name: "gone" }), world))(synced()),
    "V InSync InSync",
    [],
    ["Mark V"],
  ],
  [
    "a mark with other policies",
    () => ((world) => ((world.policies = { ...world.policies, deletionPolicy: "Delete" }), world))(synced()),
    "V InSync InSync",
    ["Mark K"],
    ["Mark V", "Mark K"],
  ],
  [
    "the mark of a flip",
    () =>
      ((world) => (
        (world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" }),
        world
      ))(synced()),
    "V Pending Progressing",
    ["Mark K"],
    ["Mark V", "Mark K"],
  ],
])("%s waits, and the Secret does not", (_what, make, state, actions, writes) => {
  const world = make();
  world.deferred = true;
  const { plan } = world.plan();
  const [path] = plan.outcomes;
  expect(`V ${path?.state} ${path?.reason}`).toBe(state);
  expect(plan.actions.map(({ kind, target }) => `${kind} ${short(target)}`)).toEqual(actions);
  expect(plan.writes.map(({ kind, target }) => `${kind} ${short(target)}`)).toEqual(writes);
  world.deferred = false;
  world.settle();
  expect(world.plan().plan.outcomes.map((one) => one.state)).toEqual(["InSync", "InSync"]);
});

it("of one target alone reads nothing before its turn", () => {
  const world = new PairWorld();
  world.put(A);
  world.hasSecret = false;
  world.deferred = true;
  expect([world.plan().plan.outcomes[0]?.state, world.reads]).toEqual(["Pending", 0]);
});

it("what people have to settle stays a conflict, and keeps the Secret", () => {
  const world = synced();
  world.policies = { ...world.policies, conflictResolution: "manual" };
  world.settle();
  world.put(B);
  world.foreignWrite("ScaiVault", C);
  world.deferred = true;
  const { plan } = world.plan();
  expect(plan.outcomes.map(({ state, reason }) => `${state} ${reason}`)).toEqual([
    "Conflict BothChanged",
    "Held BothChanged",
  ]);
  expect([plan.actions, plan.writes]).toEqual([[], []]);
});
