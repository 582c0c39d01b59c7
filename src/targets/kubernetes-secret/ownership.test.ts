import fc from "fast-check";
import { expect, test } from "vitest";
import { fieldOwnership, type KubeObject, type ManagedFieldsEntry, ownsExactly } from "../../runtime/index.ts";
import {
  isToolKey,
  keysVersion,
  MANAGER,
  markTakenOver,
  ownershipClean,
  releasedFields,
  takenOver,
} from "./ownership.ts";

const time = "2026-01-01T00:00:00Z";
const LABEL = "f:scaivault.scailabs.ai/managed";
const MARK = "f:scaivault.scailabs.ai/mark";

function metadata(entries: readonly ManagedFieldsEntry[]): KubeObject["metadata"] {
  return { name: "s", namespace: "n", managedFields: entries };
}

const keys = fc.uniqueArray(fc.constantFrom("a", "b", "c.d", "__proto__", "."), { maxLength: 4 });
const fields = fc.record({
  data: keys,
  type: fc.boolean(),
  labels: fc.uniqueArray(fc.constantFrom(LABEL, "f:team", "f:reconcile.external-secrets.io/x")),
});
const entry: fc.Arbitrary<ManagedFieldsEntry> = fc
  .record({
    manager: fc.constantFrom(MANAGER, "external-secrets", "kubectl-edit", "argo"),
    operation: fc.constantFrom("Apply", "Update"),
    fields,
  })
  .map(({ manager, operation, fields: owned }) => ({
    manager,
    operation,
    fieldsType: "FieldsV1",
    fieldsV1: {
      ...(owned.data.length === 0
        ? {}
        : { "f:data": Object.fromEntries([[".", {}], ...owned.data.map((key) => [`f:${key}`, {}])]) }),
      ...(owned.type ? { "f:type": {} } : {}),
      ...(owned.labels.length === 0
        ? {}
        : { "f:metadata": { "f:labels": Object.fromEntries([[".", {}], ...owned.labels.map((name) => [name, {}])]) } }),
    },
  }));
const entries = fc.uniqueArray(entry, { selector: (one) => `${one.manager}/${one.operation}`, maxLength: 6 });

test("after a take-over the keys are ours alone, and what others own beside them stays theirs", () => {
  fc.assert(
    fc.property(entries, keys, fc.boolean(), (before, wanted, adopting) => {
      const after = takenOver(metadata(before), wanted, time, adopting);
      expect(ownsExactly(fieldOwnership(after, MANAGER), wanted)).toBe(true);
      expect(ownershipClean(metadata(after))).toBe(true);
      const teamOwners = (list: readonly ManagedFieldsEntry[]): (string | undefined)[] =>
        list
          .filter((one) => one.manager !== MANAGER && JSON.stringify(one).includes("f:team"))
          .map((one) => one.manager);
      expect(teamOwners(after)).toEqual(teamOwners(before));
      const foreign = JSON.stringify(after.filter((one) => one.manager !== MANAGER));
      expect(foreign).not.toContain(LABEL);
      expect(foreign).not.toContain("f:data");
      if (adopting) expect(foreign).not.toContain("external-secrets.io");
    }),
  );
});

test("after a hand-back nothing of ours is left, and the list is never empty", () => {
  fc.assert(
    fc.property(entries, (before) => {
      const after = releasedFields(metadata(before), time);
      expect(after.length).toBeGreaterThan(0);
      expect(after.every((one) => one.manager !== MANAGER)).toBe(true);
      expect(JSON.stringify(after)).not.toContain(LABEL);
      const owners = fieldOwnership(after, MANAGER);
      const others = fieldOwnership(before, MANAGER);
      expect([owners.applied, owners.ours.size]).toEqual([false, 0]);
      expect(owners.foreign).toEqual(others.foreign);
    }),
  );
});

test("setting the mark takes label and mark, and no data key from anybody", () => {
  fc.assert(
    fc.property(entries, (before) => {
      const after = markTakenOver(metadata(before), time);
      const [was, is] = [fieldOwnership(before, MANAGER), fieldOwnership(after, MANAGER)];
      expect(is.ours).toEqual(was.ours);
      expect(is.foreign).toEqual(was.foreign);
      expect(JSON.stringify(after.filter((one) => one.manager !== MANAGER))).not.toContain(LABEL);
      expect(JSON.stringify(after[0])).toContain(MARK);
    }),
  );
});

test("the version of a set of keys depends on the names alone, and fits a mark", () => {
  expect(keysVersion(["b", "a"])).toBe(keysVersion(new Set(["a", "b"])));
  expect(keysVersion(["a", "b"])).not.toBe(keysVersion(["a"]));
  expect(keysVersion(["ab"])).not.toBe(keysVersion(["a", "b"]));
  expect(keysVersion([])).toMatch(/^k0\.[0-9a-f]{24}$/);
});

test("labels of other operators are known by their prefix", () => {
  expect(isToolKey("reconcile.external-secrets.io/managed")).toBe(true);
  expect(isToolKey("external-secrets.io/other")).toBe(false);
  expect(isToolKey("team")).toBe(false);
});
