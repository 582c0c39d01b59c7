import { expect } from "vitest";
import type { Condition } from "../../src/api/index.ts";
import { reasons } from "../../src/errors/index.ts";

interface StatusLike {
  readonly observedGeneration?: number | undefined;
  readonly conditions?: readonly Condition[] | undefined;
}

/** Conditions that stand only while they are True. */
const onlyWhileTrue = new Set([
  "Reconciling",
  "Stalled",
  "Stale",
  "Conflict",
  "DeletionHeld",
  "ChangeHeld",
  "ApprovalNeeded",
  "TargetsDiverged",
]);
const others = new Set(["Ready", "SourceReachable", "ScaiVaultReachable"]);
const CONTROL = /[\p{Cc}\p{Cf}]/u;

/**
 * What has to hold for every status that the operator writes: kstatus' rules, the closed tables of types and reasons,
 * one line of clean text in each message.
 */
export function expectSaneConditions(status: StatusLike | undefined): void {
  const conditions = status?.conditions ?? [];
  const types = conditions.map(({ type }) => type);
  expect(types[0], "Ready comes first").toBe("Ready");
  expect(new Set(types).size, "each type once").toBe(types.length);
  for (const condition of conditions) {
    const { type, status: is, reason, message, observedGeneration, lastTransitionTime } = condition;
    expect(onlyWhileTrue.has(type) || others.has(type), `type ${type}`).toBe(true);
    if (onlyWhileTrue.has(type)) expect(is, `${type} stands only while True`).toBe("True");
    expect(reason === "Ok" || Object.hasOwn(reasons, reason), `reason ${reason}`).toBe(true);
    expect(observedGeneration, `${type}'s generation`).toBe(status?.observedGeneration);
    expect(lastTransitionTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(message).not.toMatch(CONTROL);
    expect(message.length).toBeLessThanOrEqual(1024);
  }
  const is = (type: string): boolean => conditions.some((one) => one.type === type && one.status === "True");
  const ready = conditions.find(({ type }) => type === "Ready");
  for (const bad of ["Reconciling", "Stalled", "Stale", "Conflict", "DeletionHeld", "ChangeHeld", "ApprovalNeeded"])
    if (is(bad)) expect(ready?.status, `${bad} and Ready`).not.toBe("True");
  expect(is("Reconciling") && is("Stalled"), "Reconciling and Stalled exclude each other").toBe(false);
  if (ready?.status === "True") expect(reasons[ready.reason as keyof typeof reasons].kind).toBe("ok");
  if (ready?.status === "False") expect(ready.message, "why it is not Ready").not.toBe("");
}
