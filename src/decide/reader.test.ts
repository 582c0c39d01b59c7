import { describe, expect, it } from "vitest";
import { PairWorld } from "./testing/pair-world.ts";
import type { Policies, TargetKind } from "./types.ts";

const A = '{"key":"a"}';
const B = '{"key":"b"}';
const C = '{"key":"c"}';

/** This cluster keeps its Secret; the path in ScaiVault was written by the cluster `west`. */
function reading(policies: Partial<Policies> = {}): PairWorld {
  const world = new PairWorld();
  world.policies = { ...world.policies, ...policies };
  world.put(A);
  world.settle();
  world.markAs("ScaiVault", { cluster: "west" });
  world.reader = true;
  return world;
}

const flipped = (policies: Partial<Policies> = {}): PairWorld => {
  const world = reading();
  world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins", ...policies };
  world.markAs("ScaiVault", { cluster: "west" }, { authority: "ScaiVault" });
  return world;
};

function look(world: PairWorld, approved = false) {
  const { plan } = world.plan(approved);
  const short = (kind: TargetKind) => (kind === "ScaiVault" ? "V" : "K");
  return {
    states: plan.outcomes.map(({ kind, state, reason }) => `${short(kind)} ${state} ${reason}`),
    actions: plan.actions.map(({ kind, target, why }) => `${kind} ${short(target)} ${why}`),
    held: plan.held.map(({ kind, target, why }) => `${kind} ${short(target)} ${why}`),
  };
}

describe("a reader of ScaiVault", () => {
  it.each<[string, (world: PairWorld) => void, string]>([
    ["the wanted version by another cluster's mark", () => undefined, "V InSync InSync"],
    ["the wanted version by its own mark of before", (w) => w.markAs("ScaiVault", {}), "V InSync InSync"],
    ["an older version", (w) => w.put(B), "V Pending WaitingForWriter"],
    ["nothing", (w) => w.remove("ScaiVault"), "V Pending WaitingForWriter"],
    [
      "nothing, where something was",
      (w) => (w.remove("ScaiVault"), (w.knownBefore = true)),
      "V Pending WaitingForWriter",
    ],
    ["no mark", (w) => (w.vault.marked = new Map()), "V Pending WaitingForWriter"],
    ["a change by others", (w) => w.foreignWrite("ScaiVault", C), "V Pending WaitingForWriter"],
    [
      "a mark of another key",
      (w) => (w.vault.marked = new Map([...w.vault.marked, ["version", "id-9"]])),
      "V Held BaseUnknown",
    ],
    [
      "a mark of another object here",
      (w) => (w.living.add("other"), w.markAs("ScaiVault", { name: "other" })),
      "V Conflict Claimed",
    ],
    [
      "a mark of another namespace",
      (w) => w.markAs("ScaiVault", { namespace: "shop", name: "x" }),
      "V Failed NotOwned",
    ],
    ["who knows what", (w) => (w.vaultUnknown = true), "V Unknown Unexpected"],
  ])("that finds %s", (_what, change, state) => {
    const world = reading({ adopt: "IfEqual" });
    change(world);
    const seen = look(world);
    expect(seen.states[0]).toBe(state);
    expect([...seen.actions, ...seen.held].filter((one) => one.includes(" V "))).toEqual([]);
    // Approvals change nothing in that.
    expect(look(world, true).actions.filter((one) => one.includes(" V "))).toEqual([]);
  });

  it("needs no right to write the path", () => {
    const world = reading();
    world.rights = { read: true, write: false, delete: false };
    expect(look(world).states).toEqual(["V InSync InSync", "K Failed NotGranted"]);
    world.rights = { read: false, write: false, delete: false };
    expect(look(world).states[0]).toBe("V Failed NotGranted");
  });

  it("writes its Secret from the source, whether the writer was there or not", () => {
    const world = reading();
    world.put(B);
    expect(look(world).actions).toEqual(["Update K SourceChanged"]);
    world.settle();
    expect([world.secret.value, world.vault.value]).toEqual([B, A]);
    world.remove("ScaiVault");
    world.remove("KubernetesSecret");
    expect(look(world).actions).toEqual(["Create K NewTarget"]);
  });

  it("compares numbers of versions only within one store and path, whatever the backend is called", () => {
    const world = reading();
    world.numbered = true;
    world.versions.splice(0, 1, { id: "1", value: A });
    const as = (source: string) => world.markAs("ScaiVault", { cluster: "west" }, { source, version: "1" });
    const { plan } = world.plan();
    expect(plan.outcomes[0]?.state).toBe("Pending");
    const [, digestAndPath = ""] = world
      .input(false, { source: false, targets: new Set() }, new Map())
      .sourceID.split("@");
    as(`shop/store@${digestAndPath}`);
    expect(look(world).states[0]).toBe("V InSync InSync");
    as("shop/store@00000000:prod/billing/stripe");
    expect(look(world).states[0]).toBe("V Pending WaitingForWriter");
  });

  it("says nothing of a version that went back, and does not follow it", () => {
    const world = reading();
    world.put(B);
    world.settle();
    world.markAs("ScaiVault", { cluster: "west" }, { version: "id-2", targetVersion: "1" });
    world.current = 0;
    expect(look(world)).toMatchObject({
      states: ["V Pending WaitingForWriter", "K Held VersionWentBack"],
      actions: [],
    });
    // Not even into a Secret that is made anew.
    world.remove("KubernetesSecret");
    expect(look(world)).toMatchObject({ actions: [], held: ["Create K NewTarget"] });
  });

  it("leaves the path to the writer when the source is gone; its Secret goes by policy", () => {
    const world = reading({ deletionPolicy: "Delete" });
    world.markAs("ScaiVault", {});
    world.sourceState = "Gone";
    world.believed = true;
    expect(look(world)).toMatchObject({
      states: ["V Retained SourceGoneRetained", "K Pending Progressing"],
      actions: ["Delete K SourceGone"],
    });
  });

  it("waits for the writer to move the authority, then its Secret follows ScaiVault", () => {
    const world = reading();
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    for (const cluster of ["west", "east"]) {
      world.markAs("ScaiVault", { cluster });
      expect(look(world)).toMatchObject({ states: ["V Pending WaitingForWriter", "K InSync InSync"], actions: [] });
    }
    world.markAs("ScaiVault", { cluster: "west" }, { authority: "ScaiVault" });
    world.reads = 0;
    expect(look(world)).toMatchObject({
      states: ["V InSync InSync", "K Pending Progressing"],
      actions: ["Mark K Flip"],
    });
    expect(world.reads).toBe(0);
    world.settle();
    world.foreignWrite("ScaiVault", C);
    world.settle();
    expect([world.secret.value, world.vault.version]).toEqual([C, 2]);
  });

  it("from an old state is fenced: the spec says Source, the mark says ScaiVault", () => {
    const world = reading();
    world.markAs("ScaiVault", { cluster: "west" }, { authority: "ScaiVault" });
    world.put(B);
    expect(look(world)).toMatchObject({
      states: ["V Held AuthorityFenced", "K Held AuthorityFenced"],
      actions: [],
      held: ["Update K SourceChanged"],
    });
  });

  it("keeps its Secret where people have to settle what ScaiVault holds", () => {
    const world = reading({ conflictResolution: "manual" });
    world.foreignWrite("ScaiVault", C);
    expect(look(world)).toMatchObject({ states: ["V Pending WaitingForWriter", "K InSync InSync"], actions: [] });
    world.put(B);
    expect(look(world)).toMatchObject({ states: ["V Pending WaitingForWriter", "K Held BothChanged"], actions: [] });
    const after = flipped({ conflictResolution: "manual" });
    after.settle();
    after.foreignWrite("ScaiVault", C);
    expect(look(after)).toMatchObject({ actions: [] });
    expect(look(after).states[0]).toBe("V Pending WaitingForWriter");
  });
});

describe("a writer after a hand-over", () => {
  const taken = (): PairWorld => {
    const world = reading();
    world.reader = false;
    world.predecessors = new Set(["west"]);
    return world;
  };

  it("takes the marks of its predecessor over, and writes and reads no value", () => {
    const world = taken();
    world.reads = 0;
    expect(look(world).actions).toEqual(["Mark V TakeOver"]);
    world.settle();
    expect([world.vault.version, world.reads]).toEqual([1, 0]);
    world.put(B);
    world.settle();
    expect([world.vault.value, world.secret.value]).toEqual([B, B]);
  });

  it("takes over no other cluster's marks, and none of another namespace", () => {
    const world = taken();
    world.markAs("ScaiVault", { cluster: "north" });
    expect(look(world).actions).toEqual([]);
    world.markAs("ScaiVault", { cluster: "west", namespace: "shop" });
    expect(look(world).actions).toEqual([]);
  });

  it("is fenced, and holds a version that went back, as any other", () => {
    const world = taken();
    world.markAs("ScaiVault", { cluster: "west" }, { authority: "ScaiVault" });
    expect(look(world).actions).toEqual([]);
    const behind = taken();
    behind.put(B);
    behind.settle();
    behind.markAs("ScaiVault", { cluster: "west" });
    behind.current = 0;
    expect(look(behind)).toMatchObject({ actions: [], states: ["V Held VersionWentBack", "K Held VersionWentBack"] });
  });
});
