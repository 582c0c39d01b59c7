import { describe, expect, it } from "vitest";
import type { Mark } from "../model/index.ts";
import { PairWorld } from "./testing/pair-world.ts";
import { planPair } from "./planner.ts";
import type { Policies, TargetKind } from "./types.ts";

const A = '{"key":"a"}';
const B = '{"key":"b"}';
const C = '{"key":"c"}';

/** Both copies made and in sync at value A. */
function synced(policies: Partial<Policies> = {}): PairWorld {
  const world = new PairWorld();
  world.policies = { ...world.policies, ...policies };
  world.put(A);
  world.settle();
  return world;
}

const flipped = (manual = false): PairWorld => {
  const world = synced();
  world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: manual ? "manual" : "local_wins" };
  world.settle();
  return world;
};

/** `V:InSync/InSync K:Pending/Progressing` and the actions as `Update ScaiVault SourceChanged`. */
function look(world: PairWorld, approved = false) {
  const { plan } = world.plan(approved);
  const short = (kind: TargetKind) => (kind === "ScaiVault" ? "V" : "K");
  return {
    plan,
    states: plan.outcomes.map(({ kind, state, reason }) => `${short(kind)} ${state} ${reason}`),
    actions: plan.actions.map(({ kind, target, why }) => `${kind} ${short(target)} ${why}`),
    held: plan.held.map(({ kind, target, why }) => `${kind} ${short(target)} ${why}`),
  };
}

const gone = (world: PairWorld, believed = true): void => {
  world.sourceState = "Gone";
  world.believed = believed;
};

describe("authority Source, remote_wins", () => {
  it("makes both copies first, whatever the brakes say", () => {
    const world = new PairWorld();
    world.put(A);
    world.brakes = { deletion: "Held", change: "Held" };
    expect(look(world).actions).toEqual(["Create V NewTarget", "Create K NewTarget"]);
    world.settle();
    expect([world.vault.value, world.secret.value, world.vault.version]).toEqual([A, A, 1]);
  });

  it("does nothing, and reads nothing, when nothing changed", () => {
    const world = synced();
    world.reads = 0;
    expect(look(world)).toMatchObject({ states: ["V InSync InSync", "K InSync InSync"], actions: [], held: [] });
    expect(world.reads).toBe(0);
  });

  it("writes both when the source changed", () => {
    const world = synced();
    world.put(B);
    expect(look(world).actions).toEqual(["Update V SourceChanged", "Update K SourceChanged"]);
    world.settle();
    expect([world.vault.value, world.vault.version, world.secret.value]).toEqual([B, 2, B]);
  });

  it("writes the mark only when the new version has the old content, however it is spelled", () => {
    const world = synced();
    world.put('{ "key": "\\u0061" }');
    expect(look(world).actions).toEqual(["Mark V NewBase", "Mark K NewBase"]);
    world.settle();
    expect(world.vault.version).toBe(1);
  });

  it("writes back what another writer changed, three times, then it is a conflict", () => {
    const world = synced();
    world.foreignWrite("ScaiVault", B);
    expect(look(world).actions).toEqual(["Restore V Drift"]);
    world.reverts = 3;
    expect(look(world)).toMatchObject({ states: ["V Conflict Conflict", "K InSync InSync"], actions: [] });
    world.put(C);
    expect(look(world).actions).toEqual(["Update V BothChanged", "Update K SourceChanged"]);
  });

  it("repairs a Secret without reading it, and stops after three times", () => {
    const world = synced();
    world.foreignWrite("KubernetesSecret", B);
    const { plan } = world.plan();
    expect(plan.actions.map(({ kind, why }) => `${kind} ${why}`)).toEqual(["Restore Drift"]);
    expect(world.reads).toBeGreaterThan(0);
    world.reverts = 3;
    expect(look(world).states).toEqual(["V InSync InSync", "K Conflict Conflict"]);
  });

  it("repairs a Secret of which only the mark was taken off", () => {
    const world = synced();
    world.secret.marked = new Map();
    expect(look(world).actions).toEqual(["Update K MarkLost"]);
    world.settle();
    expect(look(world).states).toEqual(["V InSync InSync", "K InSync InSync"]);
  });

  it("leaves a Secret alone whose label was taken off", () => {
    const world = synced();
    world.secret.labelled = false;
    expect(look(world)).toMatchObject({ states: ["V InSync InSync", "K Failed NotOwned"], actions: [] });
  });

  it("takes equal changes of both sides as the new base", () => {
    const world = synced();
    world.put(B);
    world.foreignWrite("ScaiVault", B);
    expect(look(world).actions).toEqual(["Mark V NewBase", "Update K SourceChanged"]);
    world.settle();
    expect(world.vault.version).toBe(2);
  });

  it("lets the source win when both changed", () => {
    const world = synced();
    world.put(B);
    world.foreignWrite("ScaiVault", C);
    expect(look(world).actions).toEqual(["Update V BothChanged", "Update K SourceChanged"]);
  });

  it("makes a copy anew that was deleted in ScaiVault", () => {
    const world = synced();
    world.remove("ScaiVault");
    expect(look(world).actions).toEqual(["Create V NewTarget"]);
  });

  it.each([
    ["none", (w: PairWorld) => (w.vault.marked = new Map()), "V Failed NotOwned"],
    [
      "forged",
      (w: PairWorld) => (w.vault.marked = new Map([...w.vault.marked, ["version", "id-9"]])),
      "V Held BaseUnknown",
    ],
    [
      "another object's",
      (w: PairWorld) => (w.living.add("other"), w.markAs("ScaiVault", { name: "other" })),
      "V Conflict Claimed",
    ],
    [
      "another namespace's, gone",
      (w: PairWorld) => w.markAs("ScaiVault", { namespace: "shop", name: "x" }),
      "V Failed NotOwned",
    ],
  ])("never writes a path whose mark is %s, not even for a changed source", (_what, change, state) => {
    const world = synced();
    change(world);
    world.put(B);
    const seen = look(world);
    expect(seen.states[0]).toBe(state);
    expect(seen.actions).toEqual(["Update K SourceChanged"]);
    world.settle();
    expect(world.vault.value).toBe(A);
  });

  it("takes over from an object of this namespace that is gone, without a write of data", () => {
    const world = synced();
    world.markAs("ScaiVault", { name: "gone" });
    world.markAs("KubernetesSecret", { name: "gone" });
    world.reads = 0;
    expect(look(world).actions).toEqual(["Mark V TakeOver", "Mark K TakeOver"]);
    world.settle();
    expect([world.vault.version, world.reads]).toEqual([1, 0]);
  });

  it("is in sync, and never writes, where another cluster holds the wanted version", () => {
    const world = synced();
    world.markAs("ScaiVault", { cluster: "west" });
    expect(look(world).states).toEqual(["V InSync InSync", "K InSync InSync"]);
    world.put(B);
    expect(look(world)).toMatchObject({
      states: ["V Pending OtherCluster", "K Pending Progressing"],
      actions: ["Update K SourceChanged"],
    });
  });

  it("adopts only what is equal, and marks it without a write of data", () => {
    const world = new PairWorld();
    world.put(A);
    world.foreignWrite("ScaiVault", A);
    world.foreignWrite("KubernetesSecret", B);
    expect(look(world).states).toEqual(["V Failed NotOwned", "K Failed NotOwned"]);
    world.policies = { ...world.policies, adopt: "IfEqual" };
    expect(look(world)).toMatchObject({
      states: ["V Pending Progressing", "K Failed AdoptDiffers"],
      actions: ["Adopt V Adopt"],
    });
    world.settle();
    expect([world.vault.version, world.secret.value]).toEqual([1, B]);
  });

  it("re-marks equal content after the key of marks was lost", () => {
    const world = synced({ adopt: "IfEqual" });
    for (const kind of ["ScaiVault", "KubernetesSecret"] as const) {
      const target = world.target(kind);
      target.marked = new Map([...target.marked, ["proof", "A".repeat(43)]]);
    }
    expect(look(world).actions).toEqual(["Adopt V Adopt", "Adopt K Adopt"]);
  });

  it("keeps what it has when the source fails", () => {
    const world = synced();
    world.sourceState = "Failed";
    world.foreignWrite("KubernetesSecret", B);
    expect(look(world)).toMatchObject({
      states: ["V Unknown SourceUnavailable", "K Unknown SourceUnavailable"],
      actions: [],
      held: [],
    });
  });

  it("changes the shape of a Secret by reading once; equal content is marked", () => {
    const world = synced();
    world.shape = "shape2";
    expect(look(world).actions).toEqual(["Mark K NewBase"]);
  });
});

describe("versions that go back, brakes, rights", () => {
  it("holds an older version until it is approved", () => {
    const world = synced();
    world.put(B);
    world.settle();
    world.current = 0;
    world.reads = 0;
    expect(look(world)).toMatchObject({
      states: ["V Held VersionWentBack", "K Held VersionWentBack"],
      actions: [],
      held: ["Update V SourceChanged", "Update K SourceChanged"],
    });
    expect(world.reads).toBe(0);
    expect(look(world, true).actions).toEqual(["Update V SourceChanged", "Update K SourceChanged"]);
  });

  it("holds a number that shrinks, and does not spread it to a new Secret", () => {
    const world = new PairWorld();
    world.numbered = true;
    world.tellsOlder = false;
    world.put(A);
    world.put(B);
    world.settle();
    world.current = 0;
    world.remove("KubernetesSecret");
    expect(look(world).held).toEqual(["Update V SourceChanged", "Create K NewTarget"]);
  });

  it("cannot tell where the source does not", () => {
    const world = synced();
    world.put(B);
    world.settle();
    world.current = 0;
    world.tellsOlder = false;
    expect(look(world).held).toEqual([]);
  });

  it("holds changes under the change brake, but neither first copies nor repairs", () => {
    const world = synced();
    world.brakes = { deletion: "Open", change: "Held" };
    world.put(B);
    expect(look(world)).toMatchObject({ states: ["V Held ManyChanges", "K Held ManyChanges"], actions: [] });
    world.remove("KubernetesSecret");
    expect(look(world).actions).toEqual(["Create K NewTarget"]);
  });

  it("writes nothing without the right, and says which path", () => {
    const world = synced();
    world.put(B);
    world.rights = { read: true, write: false, delete: false };
    expect(look(world)).toMatchObject({ states: ["V Failed NotGranted", "K Failed NotGranted"], actions: [] });
  });
});

describe("a fence that cannot be seen", () => {
  /** The process starts anew while ScaiVault is away. */
  const blind = (world: PairWorld): PairWorld => {
    world.vaultSeen = undefined;
    world.vaultUnknown = true;
    return world;
  };
  const held = { states: ["V Unknown Unexpected", "K Held AuthorityUnknown"], actions: [] };

  it("keeps a Secret from being made of the old store until ScaiVault says who has the authority", () => {
    const world = flipped();
    world.foreignWrite("ScaiVault", B);
    world.settle();
    world.remove("KubernetesSecret");
    world.policies = { ...world.policies, authority: "Source", conflictResolution: "remote_wins" };
    expect(look(blind(world))).toMatchObject({ ...held, held: ["Create K NewTarget"] });
    world.vaultUnknown = false;
    expect(look(world)).toMatchObject({ states: ["V Held AuthorityFenced", "K Held AuthorityFenced"], actions: [] });
    // What was seen once stands through an outage, too.
    world.vaultUnknown = true;
    expect(look(world)).toMatchObject({ states: ["V Unknown Unexpected", "K Held AuthorityFenced"], actions: [] });
  });

  it.each([
    ["a newer version", (w: PairWorld) => w.put(B), "Update K SourceChanged"],
    ["its mark taken off", (w: PairWorld) => (w.secret.marked = new Map()), "Update K MarkLost"],
    ["no Secret", (w: PairWorld) => w.remove("KubernetesSecret"), "Create K NewTarget"],
  ])("holds a Secret with %s, whatever its own mark says", (_what, change, action) => {
    const world = synced();
    change(world);
    expect(look(blind(world))).toMatchObject({ ...held, held: [action] });
    expect(look(world, true).actions).toEqual([action]);
    world.vaultUnknown = false;
    expect(look(world).actions).toContain(action);
  });

  it.each([
    ["is right", () => undefined, []],
    ["was changed", (w: PairWorld) => w.foreignWrite("KubernetesSecret", B), ["Restore K Drift"]],
    ["is to have other keys", (w: PairWorld) => (w.shape = "shape2"), ["Mark K NewBase"]],
  ])("lets a Secret that %s have the version that its mark names", (_what, change, actions) => {
    const world = synced();
    change(world);
    expect(look(blind(world)).actions).toEqual(actions);
  });

  it("does not stop a process that saw ScaiVault without a fence, however long the outage", () => {
    const world = synced();
    world.vaultUnknown = true;
    world.put(B);
    expect(look(world).actions).toEqual(["Update K SourceChanged"]);
    world.settle();
    world.current = 0;
    world.remove("KubernetesSecret");
    // The mark that was seen in ScaiVault still tells what is older.
    world.vaultSeen = { authority: "Source", mark: { ...(world.vaultSeen?.mark as Mark), version: "id-2" } };
    expect(look(world).states).toEqual(["V Unknown Unexpected", "K Held VersionWentBack"]);
  });

  it("counts a mark that cannot be checked as not seen, unless it stands on equal content", () => {
    const world = synced();
    world.vault.marked = new Map([...world.vault.marked, ["authority", "ScaiVault"]]);
    world.vaultSeen = undefined;
    world.remove("KubernetesSecret");
    expect(look(world)).toMatchObject({ states: ["V Held BaseUnknown", "K Held AuthorityUnknown"], actions: [] });
    world.policies = { ...world.policies, adopt: "IfEqual" };
    expect(look(world).actions).toEqual(["Adopt V Adopt", "Create K NewTarget"]);
  });

  it("keeps the old store from coming back by a Secret that was not told of the flip", () => {
    const world = synced();
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    world.step({ limit: 1 });
    world.put(B);
    expect(look(blind(world))).toMatchObject({ ...held, held: ["Update K SourceChanged"] });
  });
});

describe("source gone", () => {
  it.each([
    [false, "V Unknown DeletionUnconfirmed"],
    [true, "V Retained SourceGoneRetained"],
  ])("keeps the copies with Retain (believed: %s)", (believed, state) => {
    const world = synced();
    gone(world, believed);
    expect(look(world).states[0]).toBe(state);
    expect(look(world).actions).toEqual([]);
  });

  it("deletes with Delete in spec and mark", () => {
    const world = synced({ deletionPolicy: "Delete" });
    gone(world, false);
    expect(look(world).actions).toEqual([]);
    gone(world);
    expect(look(world).actions).toEqual(["Delete V SourceGone", "Delete K SourceGone"]);
    world.settle();
    expect(look(world).states).toEqual(["V Failed SourceNotFound", "K Failed SourceNotFound"]);
  });

  it("keeps the copies when Delete came after the source had gone", () => {
    const world = synced();
    gone(world);
    world.policies = { ...world.policies, deletionPolicy: "Delete" };
    expect(look(world)).toMatchObject({
      states: ["V Retained SourceGoneRetained", "K Retained SourceGoneRetained"],
      actions: [],
    });
  });

  it("holds deletions under the brake until approved", () => {
    const world = synced({ deletionPolicy: "Delete" });
    gone(world);
    world.brakes = { deletion: "Held", change: "Open" };
    expect(look(world)).toMatchObject({
      states: ["V Held DeletionBraked", "K Held DeletionBraked"],
      held: ["Delete V SourceGone", "Delete K SourceGone"],
      actions: [],
    });
    expect(look(world, true).actions).toHaveLength(2);
  });

  it("is a conflict when ScaiVault changed meanwhile, and neither copy is deleted", () => {
    const world = synced({ deletionPolicy: "Delete" });
    gone(world);
    world.foreignWrite("ScaiVault", B);
    expect(look(world)).toMatchObject({ states: ["V Conflict TargetChanged", "K Held TargetChanged"], actions: [] });
    expect(look(world, true).actions).toEqual([]);
  });

  it("does not delete on the word of another source", () => {
    const world = synced({ deletionPolicy: "Delete" });
    world.markAs("ScaiVault", {}, { source: "billing/aws@00000000:elsewhere" });
    gone(world);
    expect(look(world).actions).toEqual(["Delete K SourceGone"]);
  });
});

describe("manual", () => {
  it("writes a changed source, but leaves a changed ScaiVault to people; the Secret keeps what both held", () => {
    const world = synced({ conflictResolution: "manual" });
    world.put(B);
    expect(look(world).actions).toEqual(["Update V SourceChanged", "Update K SourceChanged"]);
    world.settle();
    world.foreignWrite("ScaiVault", C);
    expect(look(world)).toMatchObject({ states: ["V Conflict TargetChanged", "K InSync InSync"], actions: [] });
    world.put(A);
    expect(look(world)).toMatchObject({
      states: ["V Conflict BothChanged", "K Held BothChanged"],
      actions: [],
      held: [],
    });
    world.foreignWrite("ScaiVault", A);
    expect(look(world).actions).toEqual(["Mark V NewBase", "Update K SourceChanged"]);
  });

  it("asks before it deletes", () => {
    const world = synced({ conflictResolution: "manual", deletionPolicy: "Delete" });
    gone(world);
    expect(look(world)).toMatchObject({ states: ["V Held ApprovalNeeded", "K Held ApprovalNeeded"], actions: [] });
  });

  it("leaves changes in ScaiVault to people after the flip too", () => {
    const world = flipped(true);
    world.foreignWrite("ScaiVault", B);
    expect(look(world)).toMatchObject({ states: ["V Conflict TargetChanged", "K Held BothChanged"], actions: [] });
  });
});

describe("others in our name, and losses", () => {
  it("does not fight another operator that writes in its name", () => {
    const world = synced();
    world.put(B);
    world.markMoved = true;
    expect(look(world)).toMatchObject({
      states: ["V Conflict AnotherWriter", "K Conflict AnotherWriter"],
      actions: [],
    });
    expect(look(world, true).actions).toEqual([]);
  });

  it("leaves a path that was deleted in ScaiVault to people with manual", () => {
    const world = synced({ conflictResolution: "manual" });
    world.remove("ScaiVault");
    world.knownBefore = true;
    expect(look(world)).toMatchObject({ states: ["V Conflict TargetChanged", "K Held BothChanged"], actions: [] });
  });

  it("does not take a path that was made anew for the old one, though the version number is the same", () => {
    const world = flipped();
    world.remove("ScaiVault");
    world.foreignWrite("ScaiVault", B);
    expect(world.vault.version).toBe(1);
    expect(look(world).actions).toEqual(["Update K SourceChanged"]);
  });

  it("does not write under a living claim that goes before", () => {
    const world = synced();
    world.put(B);
    const { input } = world.plan();
    const targets = input.targets.map((target) => ({ ...target, claimedBy: "older" }));
    const plan = planPair({ ...input, targets });
    expect([plan.actions, plan.outcomes.map(({ reason }) => reason)]).toEqual([[], ["Claimed", "Claimed"]]);
  });
});

describe("authority ScaiVault", () => {
  it("flips by the mark alone when both sides are equal", () => {
    const world = synced();
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    world.reads = 0;
    expect(look(world)).toMatchObject({ actions: ["Mark V Flip", "Mark K Flip"] });
    world.settle();
    expect([world.vault.version, world.reads]).toEqual([1, 0]);
    expect(look(world).plan.authority).toBe("ScaiVault");
  });

  it("holds the flip while they differ, and writes nothing over the newer side", () => {
    const world = synced();
    world.foreignWrite("ScaiVault", B);
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    const seen = look(world);
    expect(seen).toMatchObject({ states: ["V Held FlipHeld", "K InSync InSync"], actions: [] });
    expect(seen.plan).toMatchObject({ authority: "Source", fence: "FlipHeld" });
    world.put(B);
    // Equal by now: ScaiVault's mark flips, and its content is the Secret's.
    world.settle();
    expect([world.vault.version, world.secret.value, look(world).plan.authority]).toEqual([2, B, "ScaiVault"]);
  });

  it("brings ScaiVault up to a source that moved on before the flip, then flips", () => {
    const world = synced();
    world.put(B);
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    expect(look(world).plan.again).toBe(true);
    world.settle();
    expect([world.vault.value, look(world).plan.authority]).toEqual([B, "ScaiVault"]);
  });

  it("follows ScaiVault, never writes it, and only notes a changed source", () => {
    const world = flipped();
    world.put(C);
    expect(look(world)).toMatchObject({ states: ["V InSync SourceChanged", "K InSync InSync"], actions: [] });
    world.foreignWrite("ScaiVault", B);
    // Both moved: they are compared once, and the mark remembers that.
    expect(look(world).actions).toEqual(["Mark V Kept", "Update K SourceChanged"]);
    world.settle();
    expect([world.secret.value, world.vault.value, world.vault.version]).toEqual([B, B, 2]);
    world.reads = 0;
    expect(look(world)).toMatchObject({ states: ["V InSync SourceChanged", "K InSync InSync"], actions: [] });
    expect(world.reads).toBe(0);
  });

  it("is retired when the old store's secret is gone", () => {
    const world = flipped();
    gone(world);
    expect(look(world).states).toEqual(["V InSync Retired", "K InSync InSync"]);
  });

  it("waits for a path that never was, and reads one without a mark", () => {
    const world = new PairWorld();
    world.put(A);
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    expect(look(world)).toMatchObject({ states: ["V Failed TargetNotFound", "K Failed TargetNotFound"], actions: [] });
    world.foreignWrite("ScaiVault", B);
    expect(look(world).actions).toEqual(["Create K NewTarget"]);
    world.settle();
    expect([world.secret.value, world.vault.version]).toEqual([B, 1]);
  });

  it("applies deletionPolicy to the Secret when ScaiVault's is gone for good", () => {
    const world = flipped();
    world.policies = { ...world.policies, deletionPolicy: "Delete" };
    world.settle();
    world.remove("ScaiVault");
    expect(look(world).states).toEqual(["V Failed TargetNotFound", "K Unknown DeletionUnconfirmed"]);
    world.vaultGoneBelieved = true;
    expect(look(world).actions).toEqual(["Delete K SourceGone"]);
  });

  it("holds a Secret when ScaiVault's version went back", () => {
    const world = flipped();
    world.foreignWrite("ScaiVault", B);
    world.settle();
    Object.assign(world.vault, { version: 1, value: A });
    expect(look(world)).toMatchObject({ states: ["V InSync InSync", "K Held VersionWentBack"], actions: [] });
  });
});

describe("fence", () => {
  it("writes nothing for a spec that says Source where the mark says ScaiVault, until it is approved", () => {
    const world = flipped();
    world.foreignWrite("ScaiVault", B);
    world.settle();
    world.policies = { ...world.policies, authority: "Source", conflictResolution: "remote_wins" };
    world.put(C);
    world.reads = 0;
    const seen = look(world);
    expect(seen).toMatchObject({ states: ["V Held AuthorityFenced", "K Held AuthorityFenced"], actions: [] });
    expect([seen.held.length, world.reads]).toEqual([2, 0]);
    expect(look(world, true).actions).toEqual(["Update V BothChanged", "Update K FlipBack"]);
    world.step({ approved: true });
    expect([world.vault.value, world.secret.value, look(world).plan.fence]).toEqual([C, C, undefined]);
  });

  it("also when another cluster flipped it", () => {
    const world = synced();
    world.markAs("ScaiVault", { cluster: "west" }, { authority: "ScaiVault" });
    world.put(B);
    expect(look(world)).toMatchObject({ states: ["V Held AuthorityFenced", "K Held AuthorityFenced"], actions: [] });
  });
});

describe("apply", () => {
  it("holds everything with OnApproval", () => {
    const world = new PairWorld();
    world.put(A);
    world.policies = { ...world.policies, apply: "OnApproval" };
    expect(look(world)).toMatchObject({
      states: ["V Held ApprovalNeeded", "K Held ApprovalNeeded"],
      held: ["Create V NewTarget", "Create K NewTarget"],
      actions: [],
    });
    world.step({ approved: true });
    expect(look(world).states).toEqual(["V InSync InSync", "K InSync InSync"]);
  });

  it("observes with Never: equal, different, missing", () => {
    const world = new PairWorld();
    world.put(A);
    world.policies = { ...world.policies, apply: "Never" };
    world.foreignWrite("KubernetesSecret", A);
    expect(look(world)).toMatchObject({ states: ["V Pending Differs", "K InSync Observed"], actions: [], held: [] });
    world.foreignWrite("KubernetesSecret", B);
    expect(look(world).states[1]).toBe("K Pending Differs");
  });
});
