/** What must hold of the conditions of every status of ours, as kstatus and people read them. */
import { expect } from "vitest";
import type { Condition } from "../../src/api/index.ts";
import { reasons } from "../../src/errors/index.ts";

const onlyWhileTrue: ReadonlySet<string> = new Set([
  "Reconciling",
  "Stalled",
  "Stale",
  "Conflict",
  "DeletionHeld",
  "ChangeHeld",
  "ApprovalNeeded",
  "TargetsDiverged",
]);

interface Status {
  readonly observedGeneration?: number | undefined;
  readonly conditions?: readonly Condition[] | undefined;
}

/** Ready is there exactly once; the others only while they are True; every reason is in the table; times are whole. */
export function expectSaneConditions(status: Status | undefined): void {
  const conditions = status?.conditions ?? [];
  const types = conditions.map(({ type }) => type);
  expect(types.filter((type) => type === "Ready")).toHaveLength(1);
  expect(new Set(types).size).toBe(types.length);
  for (const condition of conditions) {
    if (onlyWhileTrue.has(condition.type)) expect(condition.status, condition.type).toBe("True");
    expect(condition.reason === "Ok" || condition.reason in reasons, condition.reason).toBe(true);
    expect(condition.observedGeneration).toBe(status?.observedGeneration);
    expect(condition.lastTransitionTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(condition.message.length).toBeLessThanOrEqual(1024);
  }
  const is = (type: string) => conditions.some((one) => one.type === type && one.status === "True");
  // kstatus: in progress and stalled exclude Ready and each other.
  if (is("Ready")) expect(types.filter((type) => type === "Reconciling" || type === "Stalled")).toEqual([]);
  expect(is("Reconciling") && is("Stalled")).toBe(false);
}
