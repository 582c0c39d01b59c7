import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MarkReading } from "../model/index.ts";
import { type CleanupInput, planCleanup, policyField } from "./index.ts";

type Target = CleanupInput["targets"][number];

function target(
  changes: Partial<Omit<Target, "observation">> & {
    policy?: string;
    authority?: "Source" | "ScaiVault";
    observation?: Partial<Target["observation"]>;
  } = {},
): Target {
  const mark: MarkReading = {
    state: "Valid",
    mark: {
      owner: "east/billing/SecretSync/stripe",
      source: "s",
      version: "1",
      targetVersion: "7",
      authority: changes.authority ?? "Source",
      policy: changes.policy ?? policyField("Retain", "Delete", "x"),
      fingerprint: "f",
    },
  };
  return {
    kind: changes.kind ?? "ScaiVault",
    ref: changes.ref ?? "e/x",
    incumbent: changes.incumbent ?? "Self",
    rights: changes.rights ?? { read: true, write: true, delete: true },
    ...(changes.claimedBy === undefined ? {} : { claimedBy: changes.claimedBy }),
    ...(changes.markMoved === undefined ? {} : { markMoved: changes.markMoved }),
    observation: {
      presence: "Present",
      version: "7",
      mark,
      content: "AsMarked",
      metadataAsDeclared: true,
      fence: "7",
      ...changes.observation,
    },
  };
}

const input = (targets: Target[], changes: Partial<CleanupInput> = {}): CleanupInput => ({
  path: "prod/x",
  why: "ObjectDeleted",
  cleanupPolicy: "Delete",
  targets,
  brakes: { deletion: "Open" },
  approved: false,
  dying: false,
  ...changes,
});

const kinds = (plan: ReturnType<typeof planCleanup>) => plan.actions.map(({ kind }) => kind);

describe("planCleanup", () => {
  it("deletes what is ours and as we left it", () => {
    const plan = planCleanup(input([target()]));
    expect(plan).toMatchObject({ orphans: [], held: [], releaseFinalizer: true });
    expect(plan.actions).toEqual([
      expect.objectContaining({ kind: "Delete", ref: "e/x", over: "7", why: "ObjectDeleted" }),
    ]);
  });

  it.each<[string, Target, string]>([
    ["the policy came later", target({ policy: policyField("Retain", "Retain", "x") }), "cleanupPolicy was not Delete"],
    ["ScaiVault is the authority", target({ authority: "ScaiVault" }), "ScaiVault is its authority"],
    ["another writer changed it", target({ observation: { content: "Changed" } }), "another writer changed it"],
    [
      "the mark cannot be checked",
      target({ observation: { mark: { state: "Unverified" } } }),
      "its mark cannot be checked",
    ],
    ["another object's mark is on it", target({ incumbent: "Other" }), "another object keeps it"],
    ["its owner is another that is gone", target({ incumbent: "Gone" }), "another object keeps it"],
    ["another object claims it", target({ claimedBy: "other" }), "another object keeps it"],
    ["somebody writes in our name", target({ markMoved: true }), "another object keeps it"],
    ["there is no right", target({ rights: { read: true, write: true, delete: false } }), "no right to delete"],
  ])("keeps it as an orphan when %s", (_what, one, why) => {
    const plan = planCleanup(input([one]));
    expect([kinds(plan), plan.releaseFinalizer]).toEqual([[], true]);
    expect(plan.orphans[0]?.why).toContain(why);
  });

  it("lets the object go and lists an orphan when the brake holds the deletion", () => {
    const plan = planCleanup(input([target()], { brakes: { deletion: "Held" } }));
    expect(plan).toMatchObject({
      actions: [],
      releaseFinalizer: true,
      orphans: [{ ref: "e/x" }],
      held: [{ kind: "Delete" }],
    });
    expect(kinds(planCleanup(input([target()], { brakes: { deletion: "Held" }, approved: true })))).toEqual(["Delete"]);
  });

  it("touches nothing and waits for nothing in a dying namespace", () => {
    const unseen = target({ observation: { presence: "Unknown" } });
    for (const cleanupPolicy of ["Retain", "Release", "Delete"] as const)
      expect(planCleanup(input([unseen, target({ ref: "e/y" })], { dying: true, cleanupPolicy }))).toMatchObject({
        actions: [],
        held: [],
        releaseFinalizer: true,
      });
  });

  it("keeps the finalizer only for a target that could not be asked", () => {
    expect(planCleanup(input([target({ observation: { presence: "Unknown" } })])).releaseFinalizer).toBe(false);
    expect(planCleanup(input([target({ observation: { presence: "Absent" } })]))).toMatchObject({
      actions: [],
      orphans: [],
      releaseFinalizer: true,
    });
  });

  it("leaves everything with Retain, and hands back with Release", () => {
    expect(planCleanup(input([target()], { cleanupPolicy: "Retain" }))).toMatchObject({
      actions: [],
      orphans: [{ ref: "e/x" }],
    });
    expect(
      kinds(planCleanup(input([target({ observation: { content: "Changed" } })], { cleanupPolicy: "Release" }))),
    ).toEqual(["Release"]);
    expect(
      kinds(planCleanup(input([target({ observation: { mark: { state: "None" } } })], { cleanupPolicy: "Release" }))),
    ).toEqual([]);
  });

  it("never deletes without policy, mark, right, brake and unchanged content", () => {
    const targets = fc.record({
      incumbent: fc.constantFrom("Self", "Self", "Gone", "Other", "OtherCluster") as fc.Arbitrary<Target["incumbent"]>,
      policy: fc.constantFrom(policyField("Delete", "Delete", "x"), policyField("Delete", "Retain", "x"), "nonsense"),
      content: fc.constantFrom("AsMarked", "Changed", "Unknown") as fc.Arbitrary<Target["observation"]["content"]>,
      presence: fc.constantFrom("Present", "Absent", "Unknown") as fc.Arbitrary<Target["observation"]["presence"]>,
      may: fc.boolean(),
    });
    const others = fc.record({
      dying: fc.boolean(),
      approved: fc.boolean(),
      open: fc.boolean(),
      cleanupPolicy: fc.constantFrom("Retain", "Release", "Delete") as fc.Arbitrary<CleanupInput["cleanupPolicy"]>,
    });
    fc.assert(
      fc.property(
        targets,
        others,
        ({ incumbent, policy, content, presence, may }, { dying, approved, open, cleanupPolicy }) => {
          const one = target({
            incumbent,
            policy,
            rights: { read: true, write: may, delete: may },
            observation: { content, presence },
          });
          const plan = planCleanup(
            input([one], { dying, approved, cleanupPolicy, brakes: { deletion: open ? "Open" : "Held" } }),
          );
          const allowed = !dying && may && incumbent === "Self" && presence === "Present";
          const whole =
            allowed &&
            cleanupPolicy === "Delete" &&
            content === "AsMarked" &&
            policy.includes("/Delete/") &&
            (open || approved);
          expect(kinds(plan).includes("Delete")).toBe(whole);
          expect(kinds(plan).includes("Release")).toBe(allowed && cleanupPolicy === "Release");
          if (dying) expect(plan.releaseFinalizer).toBe(true);
        },
      ),
    );
  });
});
