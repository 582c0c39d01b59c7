import { describe, expect, it } from "vitest";
import type { Authority } from "../model/index.ts";
import { PairWorld } from "./testing/pair-world.ts";
import type { Policies, TargetKind } from "./types.ts";

// The decision table, row by row and cell by cell: what becomes of a secret by what its mark says both sides held (base), what
// the old store (S) and ScaiVault (V) hold now, and who has the authority. K is the Kubernetes Secret.

const A = '{"key":"a"}';
const B = '{"key":"b"}';
const C = '{"key":"c"}';

type Column = "remote_wins" | "local_wins" | "manual, Source" | "manual, ScaiVault";

const policiesOf: Readonly<Record<Column, Pick<Policies, "authority" | "conflictResolution">>> = {
  remote_wins: { authority: "Source", conflictResolution: "remote_wins" },
  local_wins: { authority: "ScaiVault", conflictResolution: "local_wins" },
  "manual, Source": { authority: "Source", conflictResolution: "manual" },
  "manual, ScaiVault": { authority: "ScaiVault", conflictResolution: "manual" },
};

/** What a cell says: how V and K stand, what is done, what is held, and what people may answer. */
interface Cell {
  readonly V: string;
  readonly K: string;
  readonly actions?: readonly string[];
  readonly held?: readonly string[];
  readonly choices?: readonly Authority[];
}

interface Row {
  readonly name: string;
  /** From a world in which both copies hold A as their marks say; default nothing. */
  readonly given?: (world: PairWorld) => void;
  /** There are no copies yet. */
  readonly fresh?: boolean;
  readonly more?: Partial<Policies>;
  readonly cells: Readonly<Record<Column, Cell>>;
}

const nothing: Cell = { V: "InSync InSync", K: "InSync InSync" };
const both = (V: string, K: string, ...actions: readonly string[]): Cell => ({ V, K, actions });
const doing = "Pending Progressing";
const same = (cell: Cell): Row["cells"] => ({
  remote_wins: cell,
  local_wins: cell,
  "manual, Source": cell,
  "manual, ScaiVault": cell,
});

const gone = (world: PairWorld): void => {
  world.sourceState = "Gone";
  world.believed = true;
};
const goneFromScaiVault = (world: PairWorld): void => {
  world.remove("ScaiVault");
  world.knownBefore = true;
  world.vaultGoneBelieved = true;
};

const table: readonly Row[] = [
  { name: "S as base, V as base", cells: same(nothing) },
  {
    name: "S changed, V as base",
    given: (w) => w.put(B),
    cells: {
      remote_wins: both(doing, doing, "Update V SourceChanged", "Update K SourceChanged"),
      local_wins: both("InSync SourceChanged", "InSync InSync"),
      "manual, Source": both(doing, doing, "Update V SourceChanged", "Update K SourceChanged"),
      "manual, ScaiVault": both("InSync SourceChanged", "InSync InSync"),
    },
  },
  {
    name: "S as base, V changed by another",
    given: (w) => w.foreignWrite("ScaiVault", B),
    cells: {
      remote_wins: both(doing, "InSync InSync", "Restore V Drift"),
      local_wins: both("InSync InSync", doing, "Update K SourceChanged"),
      "manual, Source": { V: "Conflict TargetChanged", K: "InSync InSync", choices: ["Source", "ScaiVault"] },
      "manual, ScaiVault": { V: "Conflict TargetChanged", K: "Held BothChanged", choices: ["Source", "ScaiVault"] },
    },
  },
  {
    name: "S as base, V changed by another after it was restored three times",
    given: (w) => {
      if (w.policies.conflictResolution === "remote_wins")
        for (const value of [B, C, B]) {
          w.foreignWrite("ScaiVault", value);
          w.settle();
        }
      w.foreignWrite("ScaiVault", C);
    },
    cells: {
      remote_wins: { V: "Conflict Conflict", K: "InSync InSync", choices: ["Source", "ScaiVault"] },
      local_wins: both("InSync InSync", doing, "Update K SourceChanged"),
      "manual, Source": { V: "Conflict TargetChanged", K: "InSync InSync", choices: ["Source", "ScaiVault"] },
      "manual, ScaiVault": { V: "Conflict TargetChanged", K: "Held BothChanged", choices: ["Source", "ScaiVault"] },
    },
  },
  {
    name: "S as base, V written anew by another with what both sides held",
    given: (w) => w.foreignWrite("ScaiVault", A),
    cells: {
      remote_wins: both(doing, "InSync InSync", "Mark V NewBase"),
      local_wins: both("InSync InSync", doing, "Mark K NewBase"),
      "manual, Source": both(doing, "InSync InSync", "Mark V NewBase"),
      "manual, ScaiVault": both(doing, doing, "Mark V NewBase", "Mark K NewBase"),
    },
  },
  {
    name: "S changed, V written anew by another with what both sides held",
    given: (w) => {
      w.put(B);
      w.foreignWrite("ScaiVault", A);
    },
    cells: {
      remote_wins: both(doing, doing, "Update V SourceChanged", "Update K SourceChanged"),
      local_wins: both(doing, doing, "Mark V Kept", "Mark K NewBase"),
      "manual, Source": both(doing, doing, "Update V SourceChanged", "Update K SourceChanged"),
      "manual, ScaiVault": both(doing, doing, "Mark V Metadata", "Mark K NewBase"),
    },
  },
  {
    name: "S changed, V changed, equal",
    given: (w) => {
      w.put(B);
      w.foreignWrite("ScaiVault", B);
    },
    cells: {
      remote_wins: both(doing, doing, "Mark V NewBase", "Update K SourceChanged"),
      local_wins: both(doing, doing, "Mark V NewBase", "Update K SourceChanged"),
      "manual, Source": both(doing, doing, "Mark V NewBase", "Update K SourceChanged"),
      "manual, ScaiVault": both(doing, doing, "Mark V NewBase", "Update K SourceChanged"),
    },
  },
  {
    name: "S changed, V changed, differ",
    given: (w) => {
      w.put(B);
      w.foreignWrite("ScaiVault", C);
    },
    cells: {
      remote_wins: both(doing, doing, "Update V BothChanged", "Update K SourceChanged"),
      local_wins: both(doing, doing, "Mark V Kept", "Update K SourceChanged"),
      "manual, Source": { V: "Conflict BothChanged", K: "Held BothChanged", choices: ["Source", "ScaiVault"] },
      "manual, ScaiVault": { V: "Conflict BothChanged", K: "Held BothChanged", choices: ["Source", "ScaiVault"] },
    },
  },
  {
    name: "V absent, never there",
    fresh: true,
    cells: {
      remote_wins: both(doing, doing, "Create V NewTarget", "Create K NewTarget"),
      local_wins: both("Failed TargetNotFound", "Failed TargetNotFound"),
      "manual, Source": both(doing, doing, "Create V NewTarget", "Create K NewTarget"),
      "manual, ScaiVault": both("Failed TargetNotFound", "Failed TargetNotFound"),
    },
  },
  {
    name: "V present without a mark, different",
    fresh: true,
    given: (w) => w.foreignWrite("ScaiVault", B),
    cells: {
      remote_wins: both("Failed NotOwned", doing, "Create K NewTarget"),
      local_wins: both("InSync InSync", doing, "Create K NewTarget"),
      "manual, Source": both("Failed NotOwned", doing, "Create K NewTarget"),
      "manual, ScaiVault": both("InSync InSync", doing, "Create K NewTarget"),
    },
  },
  {
    name: "V present without a mark, equal, adopt: IfEqual",
    fresh: true,
    more: { adopt: "IfEqual" },
    given: (w) => w.foreignWrite("ScaiVault", A),
    cells: {
      remote_wins: both(doing, doing, "Adopt V Adopt", "Create K NewTarget"),
      local_wins: both("InSync InSync", doing, "Create K NewTarget"),
      "manual, Source": both(doing, doing, "Adopt V Adopt", "Create K NewTarget"),
      "manual, ScaiVault": both("InSync InSync", doing, "Create K NewTarget"),
    },
  },
  {
    name: "V present without a mark, different, adopt: IfEqual",
    fresh: true,
    more: { adopt: "IfEqual" },
    given: (w) => w.foreignWrite("ScaiVault", B),
    cells: {
      remote_wins: both("Failed AdoptDiffers", doing, "Create K NewTarget"),
      local_wins: both("InSync InSync", doing, "Create K NewTarget"),
      "manual, Source": both("Failed AdoptDiffers", doing, "Create K NewTarget"),
      "manual, ScaiVault": both("InSync InSync", doing, "Create K NewTarget"),
    },
  },
  {
    name: "V present without a mark, equal, adopt: WithApproval",
    fresh: true,
    more: { adopt: "WithApproval" },
    given: (w) => w.foreignWrite("ScaiVault", A),
    cells: {
      remote_wins: both(doing, doing, "Adopt V Adopt", "Create K NewTarget"),
      local_wins: both("InSync InSync", doing, "Create K NewTarget"),
      "manual, Source": both(doing, doing, "Adopt V Adopt", "Create K NewTarget"),
      "manual, ScaiVault": both("InSync InSync", doing, "Create K NewTarget"),
    },
  },
  {
    name: "V present without a mark, different, adopt: WithApproval",
    fresh: true,
    more: { adopt: "WithApproval" },
    given: (w) => w.foreignWrite("ScaiVault", B),
    cells: {
      remote_wins: {
        ...both("Held ApprovalNeeded", doing, "Create K NewTarget"),
        held: ["Update V AdoptDiffers"],
      },
      local_wins: both("InSync InSync", doing, "Create K NewTarget"),
      "manual, Source": {
        ...both("Held ApprovalNeeded", doing, "Create K NewTarget"),
        held: ["Update V AdoptDiffers"],
      },
      "manual, ScaiVault": both("InSync InSync", doing, "Create K NewTarget"),
    },
  },
  {
    name: "K present without a mark, different, adopt: WithApproval, its owner did not consent",
    fresh: true,
    more: { adopt: "WithApproval" },
    given: (w) => {
      w.foreignWrite("ScaiVault", A);
      w.foreignWrite("KubernetesSecret", B);
    },
    cells: {
      remote_wins: both(doing, "Failed AdoptDiffers", "Adopt V Adopt"),
      local_wins: both("InSync InSync", "Failed AdoptDiffers"),
      "manual, Source": both(doing, "Failed AdoptDiffers", "Adopt V Adopt"),
      "manual, ScaiVault": both("InSync InSync", "Failed AdoptDiffers"),
    },
  },
  {
    name: "K present without a mark, different, adopt: WithApproval, its owner consents",
    fresh: true,
    more: { adopt: "WithApproval" },
    given: (w) => {
      w.foreignWrite("ScaiVault", A);
      w.foreignWrite("KubernetesSecret", B);
      w.consented = true;
    },
    cells: {
      remote_wins: { ...both(doing, "Held ApprovalNeeded", "Adopt V Adopt"), held: ["Update K AdoptDiffers"] },
      local_wins: { ...both("InSync InSync", "Held ApprovalNeeded"), held: ["Update K AdoptDiffers"] },
      "manual, Source": { ...both(doing, "Held ApprovalNeeded", "Adopt V Adopt"), held: ["Update K AdoptDiffers"] },
      "manual, ScaiVault": { ...both("InSync InSync", "Held ApprovalNeeded"), held: ["Update K AdoptDiffers"] },
    },
  },
  {
    name: "K present without a mark, of another type, adopt: WithApproval",
    fresh: true,
    more: { adopt: "WithApproval" },
    given: (w) => {
      w.foreignWrite("ScaiVault", A);
      w.foreignWrite("KubernetesSecret", B);
      Object.assign(w, { consented: true, otherType: true });
    },
    cells: {
      remote_wins: both(doing, "Failed AdoptDiffers", "Adopt V Adopt"),
      local_wins: both("InSync InSync", "Failed AdoptDiffers"),
      "manual, Source": both(doing, "Failed AdoptDiffers", "Adopt V Adopt"),
      "manual, ScaiVault": both("InSync InSync", "Failed AdoptDiffers"),
    },
  },
  {
    name: "another object's mark on V",
    given: (w) => {
      w.living.add("other");
      w.markAs("ScaiVault", { name: "other" });
      w.put(B);
    },
    cells: {
      remote_wins: both("Conflict Claimed", doing, "Update K SourceChanged"),
      local_wins: both("InSync InSync", "InSync InSync"),
      "manual, Source": both("Conflict Claimed", doing, "Update K SourceChanged"),
      "manual, ScaiVault": both("InSync InSync", "InSync InSync"),
    },
  },
  {
    name: "V differs, its base lost (a mark that cannot be checked)",
    given: (w) => {
      w.foreignWrite("ScaiVault", B);
      w.vault.marked = new Map([...w.vault.marked, ["version", "id-9"]]);
    },
    cells: {
      remote_wins: both("Held BaseUnknown", "InSync InSync"),
      local_wins: both("InSync InSync", doing, "Update K SourceChanged"),
      "manual, Source": both("Held BaseUnknown", "InSync InSync"),
      "manual, ScaiVault": both("InSync InSync", doing, "Update K SourceChanged"),
    },
  },
  {
    name: "V soft-deleted by another",
    given: (w) => {
      w.vaultSoftDeleted = true;
      w.put(B);
    },
    cells: {
      remote_wins: both("Failed TargetSoftDeleted", doing, "Update K SourceChanged"),
      local_wins: both("Failed TargetSoftDeleted", "Unknown DeletionUnconfirmed"),
      "manual, Source": both("Failed TargetSoftDeleted", doing, "Update K SourceChanged"),
      "manual, ScaiVault": both("Failed TargetSoftDeleted", "Unknown DeletionUnconfirmed"),
    },
  },
  {
    name: "S gone, V as base, Retain",
    given: gone,
    cells: {
      remote_wins: both("Retained SourceGoneRetained", "Retained SourceGoneRetained"),
      local_wins: both("InSync Retired", "InSync InSync"),
      "manual, Source": both("Retained SourceGoneRetained", "Retained SourceGoneRetained"),
      "manual, ScaiVault": both("InSync Retired", "InSync InSync"),
    },
  },
  {
    name: "S gone, V as base, Delete",
    more: { deletionPolicy: "Delete" },
    given: gone,
    cells: {
      remote_wins: both(doing, doing, "Delete V SourceGone", "Delete K SourceGone"),
      local_wins: both("InSync Retired", "InSync InSync"),
      "manual, Source": {
        V: "Held ApprovalNeeded",
        K: "Held ApprovalNeeded",
        held: ["Delete V SourceGone", "Delete K SourceGone"],
      },
      "manual, ScaiVault": both("InSync Retired", "InSync InSync"),
    },
  },
  {
    name: "S gone, V as base, Delete, under the brake",
    more: { deletionPolicy: "Delete" },
    given: (w) => {
      gone(w);
      w.brakes = { deletion: "Held", change: "Open" };
    },
    cells: {
      remote_wins: {
        V: "Held DeletionBraked",
        K: "Held DeletionBraked",
        held: ["Delete V SourceGone", "Delete K SourceGone"],
      },
      local_wins: both("InSync Retired", "InSync InSync"),
      "manual, Source": {
        V: "Held ApprovalNeeded",
        K: "Held ApprovalNeeded",
        held: ["Delete V SourceGone", "Delete K SourceGone"],
      },
      "manual, ScaiVault": both("InSync Retired", "InSync InSync"),
    },
  },
  {
    name: "S gone, V changed, Delete",
    more: { deletionPolicy: "Delete" },
    given: (w) => {
      gone(w);
      w.foreignWrite("ScaiVault", B);
    },
    cells: {
      remote_wins: { V: "Conflict TargetChanged", K: "Held TargetChanged", choices: ["ScaiVault"] },
      local_wins: both("InSync Retired", doing, "Update K SourceChanged"),
      "manual, Source": { V: "Conflict TargetChanged", K: "Held TargetChanged", choices: ["ScaiVault"] },
      "manual, ScaiVault": { V: "Conflict TargetChanged", K: "Held BothChanged", choices: ["ScaiVault"] },
    },
  },
  {
    name: "S as base, V gone",
    given: goneFromScaiVault,
    cells: {
      remote_wins: both(doing, "InSync InSync", "Create V NewTarget"),
      local_wins: both("Failed TargetNotFound", "Retained SourceGoneRetained"),
      "manual, Source": { V: "Conflict TargetChanged", K: "Held BothChanged", choices: ["Source"] },
      "manual, ScaiVault": { V: "Conflict TargetChanged", K: "Conflict TargetChanged", choices: ["Source"] },
    },
  },
  {
    name: "S as base, V gone, Delete",
    more: { deletionPolicy: "Delete" },
    given: goneFromScaiVault,
    cells: {
      remote_wins: both(doing, "InSync InSync", "Create V NewTarget"),
      local_wins: both("Failed TargetNotFound", doing, "Delete K SourceGone"),
      "manual, Source": { V: "Conflict TargetChanged", K: "Held BothChanged", choices: ["Source"] },
      "manual, ScaiVault": { V: "Conflict TargetChanged", K: "Conflict TargetChanged", choices: ["Source"] },
    },
  },
  {
    name: "S gone, V gone",
    given: (w) => {
      gone(w);
      goneFromScaiVault(w);
    },
    cells: {
      remote_wins: both("Retained SourceGoneRetained", "Retained SourceGoneRetained"),
      local_wins: both("Failed TargetNotFound", "Retained SourceGoneRetained"),
      // Nothing is left to choose from, and nothing is deleted.
      "manual, Source": both("Retained SourceGoneRetained", "Retained SourceGoneRetained"),
      "manual, ScaiVault": both("Conflict TargetChanged", "Conflict TargetChanged"),
    },
  },
  {
    name: "S fails, V changed",
    given: (w) => {
      w.sourceState = "Failed";
      w.foreignWrite("ScaiVault", B);
    },
    cells: {
      remote_wins: both("Unknown SourceUnavailable", "Unknown SourceUnavailable"),
      local_wins: both("InSync InSync", doing, "Update K SourceChanged"),
      "manual, Source": both("Unknown SourceUnavailable", "Unknown SourceUnavailable"),
      "manual, ScaiVault": { V: "Conflict TargetChanged", K: "Held BothChanged", choices: ["ScaiVault"] },
    },
  },
  {
    name: "V fails, S as base",
    given: (w) => {
      w.vaultUnknown = true;
    },
    cells: {
      remote_wins: both("Unknown Unexpected", "InSync InSync"),
      local_wins: both("Unknown Unexpected", "Unknown Unexpected"),
      "manual, Source": both("Unknown Unexpected", "InSync InSync"),
      "manual, ScaiVault": both("Unknown Unexpected", "Unknown Unexpected"),
    },
  },
];

/** Both copies made and in sync at A, as each column has them. */
function worldOf({ fresh, more, given }: Row, column: Column): PairWorld {
  const world = new PairWorld();
  world.policies = { ...world.policies, ...more };
  world.put(A);
  if (fresh !== true) world.settle();
  world.policies = { ...world.policies, ...policiesOf[column] };
  if (fresh !== true) world.settle();
  given?.(world);
  return world;
}

const letter = (kind: TargetKind): string => (kind === "ScaiVault" ? "V" : "K");

function look(world: PairWorld): Required<Cell> {
  const { plan } = world.plan();
  const [vault, secret] = plan.outcomes;
  const line = ({ kind, target, why }: (typeof plan.actions)[number]) => `${kind} ${letter(target)} ${why}`;
  return {
    V: `${vault?.state ?? ""} ${vault?.reason ?? ""}`,
    K: `${secret?.state ?? ""} ${secret?.reason ?? ""}`,
    actions: plan.actions.map(line),
    held: plan.held.map(line),
    choices: plan.choices.map(({ keep }) => keep),
  };
}

describe.each(table)("decision table: $name", (row) => {
  it.each(Object.entries(row.cells) as [Column, Cell][])("%s", (column, cell) => {
    expect(look(worldOf(row, column))).toEqual({ actions: [], held: [], choices: [], ...cell });
  });
});

/** A world in which one side was kept, and everything has come to rest. */
function resolved(column: Column, keep: Authority, given?: (world: PairWorld) => void): PairWorld {
  const world = worldOf({ name: "", cells: same(nothing), ...(given === undefined ? {} : { given }) }, column);
  const { plan, done } = world.step({ keep });
  expect(done.map(({ action }) => [action.target, action.why])).toEqual([
    ["ScaiVault", keep === "Source" ? "Resolved" : "Kept"],
  ]);
  expect(plan.again).toBe(true);
  world.settle();
  return world;
}

const contents = ({ vault, secret, sourceValue }: PairWorld) => ({ S: sourceValue, V: vault.value, K: secret.value });
const bothChange = (world: PairWorld): void => {
  world.put(B);
  world.foreignWrite("ScaiVault", C);
};

describe("a conflict that people settle", () => {
  it.each(["manual, Source", "manual, ScaiVault"] as const)(
    "keeps the source (%s): its content everywhere",
    (column) => {
      const world = resolved(column, "Source", bothChange);
      expect(contents(world)).toEqual({ S: B, V: B, K: B });
      // The content that was there is a version below.
      expect(world.vault.version).toBe(3);
      expect(look(world)).toMatchObject({ ...nothing, actions: [], choices: [] });
    },
  );

  it.each(["manual, Source", "manual, ScaiVault"] as const)(
    "keeps ScaiVault (%s): no version is made, the Secret follows ScaiVault, and no later look undoes it",
    (column) => {
      const world = resolved(column, "ScaiVault", bothChange);
      expect(contents(world)).toEqual({ S: B, V: C, K: C });
      expect(world.vault.version).toBe(2);
      // A restart, and a spec that lets the source win.
      world.vaultSeen = undefined;
      world.reads = 0;
      const stands = column === "manual, Source" ? "InSync ScaiVaultKept" : "InSync SourceChanged";
      expect(look(world)).toMatchObject({ V: stands, K: "InSync InSync", actions: [], choices: [] });
      if (column === "manual, Source") {
        world.policies = { ...world.policies, conflictResolution: "remote_wins" };
        expect(look(world)).toMatchObject({ V: stands, K: "InSync InSync", actions: [] });
      }
      expect(world.reads).toBe(0);
    },
  );

  it("of three times restored content keeps either side", () => {
    const restored = (world: PairWorld): void => {
      for (const value of [B, C, B]) {
        world.foreignWrite("ScaiVault", value);
        world.settle();
      }
      world.foreignWrite("ScaiVault", C);
    };
    expect(contents(resolved("remote_wins", "ScaiVault", restored))).toEqual({ S: A, V: C, K: C });
    const world = resolved("remote_wins", "Source", restored);
    expect(contents(world)).toEqual({ S: A, V: A, K: A });
    // The count begins anew.
    world.foreignWrite("ScaiVault", B);
    expect(look(world).actions).toEqual(["Restore V Drift"]);
  });

  it("ends with the next version of the source, which is written to both", () => {
    const world = resolved("manual, Source", "ScaiVault", bothChange);
    world.put(A);
    expect(look(world).actions).toEqual(["Update V SourceChanged", "Update K SourceMoved"]);
    world.settle();
    expect(contents(world)).toEqual({ S: A, V: A, K: A });
    world.foreignWrite("ScaiVault", B);
    world.policies = { ...world.policies, conflictResolution: "remote_wins" };
    expect(look(world).actions).toEqual(["Restore V Drift"]);
  });

  it.each(["remote_wins", "manual"] as const)(
    "is asked again when what was kept changes (%s)",
    (conflictResolution) => {
      const world = resolved("manual, Source", "ScaiVault", bothChange);
      world.policies = { ...world.policies, conflictResolution };
      world.foreignWrite("ScaiVault", A);
      expect(look(world)).toEqual({
        V: "Conflict TargetChanged",
        K: "Held BothChanged",
        actions: [],
        held: [],
        choices: ["Source", "ScaiVault"],
      });
    },
  );

  it("lets a flip happen: people have said which side is right", () => {
    const world = resolved("manual, Source", "ScaiVault", bothChange);
    world.policies = { ...world.policies, authority: "ScaiVault", conflictResolution: "local_wins" };
    expect(look(world).actions).toEqual(["Mark V Flip", "Mark K Flip"]);
    world.settle();
    expect(contents(world)).toEqual({ S: B, V: C, K: C });
    expect(look(world)).toMatchObject({ V: "InSync SourceChanged", K: "InSync InSync" });
  });

  it("ends when the source becomes the authority again, by approval", () => {
    const world = worldOf({ name: "", cells: same(nothing), given: bothChange }, "local_wins");
    world.settle();
    expect(contents(world)).toEqual({ S: B, V: C, K: C });
    world.policies = { ...world.policies, ...policiesOf.remote_wins };
    expect(look(world)).toMatchObject({ V: "Held AuthorityFenced", held: ["Update V FlipBack", "Update K FlipBack"] });
    world.step({ approved: true });
    expect(contents(world)).toEqual({ S: B, V: B, K: B });
    expect(look(world)).toMatchObject({ ...nothing, actions: [] });
  });

  it("settles a flip that is held", () => {
    const world = worldOf({ name: "", cells: same(nothing), given: bothChange }, "remote_wins");
    world.policies = { ...world.policies, ...policiesOf.local_wins };
    expect(look(world)).toMatchObject({ V: "Held FlipHeld", K: "Held BothChanged", choices: ["Source", "ScaiVault"] });
    world.step({ keep: "ScaiVault" });
    world.settle();
    expect([contents(world), world.plan().plan.authority]).toEqual([{ S: B, V: C, K: C }, "ScaiVault"]);
  });

  it("never deletes what was kept when the source is gone", () => {
    const given = (world: PairWorld): void => {
      world.policies = { ...world.policies, deletionPolicy: "Delete" };
      world.settle();
      gone(world);
      world.foreignWrite("ScaiVault", B);
    };
    const world = resolved("remote_wins", "ScaiVault", given);
    expect(look(world)).toMatchObject({ V: "Retained SourceGoneRetained", actions: [], held: [] });
    expect(world.vault.value).toBe(B);
  });

  it("does not bring the source's content back by an outage of ScaiVault, or by a mark that was lost", () => {
    const world = resolved("manual, Source", "ScaiVault", bothChange);
    world.vaultUnknown = true;
    expect(look(world)).toMatchObject({ V: "Unknown Unexpected", K: "Unknown ScaiVaultUnavailable", actions: [] });
    world.vaultSeen = undefined;
    expect(look(world)).toMatchObject({ V: "Unknown Unexpected", K: "Unknown ScaiVaultUnavailable", actions: [] });
    world.vaultUnknown = false;
    world.vault.marked = new Map();
    expect(look(world)).toMatchObject({ V: "Failed NotOwned", K: "Held BaseUnknown", actions: [] });
  });

  it("answers nothing without the right to write, or where another cluster writes", () => {
    const world = worldOf({ name: "", cells: same(nothing), given: bothChange }, "manual, Source");
    world.reader = true;
    expect(look(world).choices).toEqual([]);
    expect(world.plan(false, "Source").plan.actions).toEqual([]);
  });

  it("does nothing by an answer where there is no conflict", () => {
    const world = worldOf({ name: "", cells: same(nothing), given: (w) => w.put(B) }, "manual, Source");
    expect(look(world).choices).toEqual([]);
  });
});

describe("fences after a restore of ScaiVault", () => {
  const flippedThenRestored = (): PairWorld => {
    const world = worldOf({ name: "", cells: same(nothing) }, "remote_wins");
    const before = { ...world.vault };
    world.policies = { ...world.policies, ...policiesOf.local_wins };
    world.settle();
    world.foreignWrite("ScaiVault", C);
    world.settle();
    // The backup is of the day before the flip; meanwhile the old store moved on.
    Object.assign(world.vault, before);
    world.put(B);
    return world;
  };

  it("does not fall back to the old store while the spec says ScaiVault", () => {
    const world = flippedThenRestored();
    expect(look(world)).toMatchObject({ K: "Held VersionWentBack", actions: ["Mark V Flip"] });
    world.settle();
    expect(contents(world)).toEqual({ S: B, V: A, K: C });
    expect(world.plan().plan.authority).toBe("ScaiVault");
  });

  it("is fenced when the spec says Source", () => {
    const world = flippedThenRestored();
    world.policies = { ...world.policies, ...policiesOf.remote_wins };
    expect(look(world)).toMatchObject({ V: "Held AuthorityFenced", K: "Held AuthorityFenced", actions: [] });
  });
});
