import { describe, expect, it } from "vitest";
import type { ObjectPlan } from "../controllers/index.ts";
import type { Action } from "../decide/types.ts";
import { exitCodeOf, planReport, renderReport, withoutPaths } from "./plan-report.ts";

const action = (kind: Action["kind"], more: Partial<Action> = {}): Action => ({
  kind,
  target: "KubernetesSecret",
  path: "prod/a",
  ref: "a",
  from: "Source",
  fromVersion: "v1",
  why: "SourceChanged",
  over: "secret-state",
  ...more,
});
const plan = (more: Partial<ObjectPlan>): ObjectPlan => ({
  kind: "SecretSync",
  namespace: "billing",
  name: "a",
  origin: "Manifest",
  actions: [],
  held: [],
  hash: "",
  outcomes: [],
  errors: [],
  ...more,
});
const outcome = (state: ObjectPlan["outcomes"][number]["state"], reason: ObjectPlan["outcomes"][number]["reason"]) => ({
  kind: "KubernetesSecret" as const,
  ref: "a",
  state,
  reason,
  message: "",
  path: "prod/a",
});

it("ends with what the operator's role means for the plan", () => {
  const report = planReport([plan({ outcomes: [outcome("Pending", "WaitingForWriter")] })], [], "this one only reads");
  expect(renderReport(report).split("\n").slice(-2)).toEqual([
    "0 to create, 0 to change, 0 to delete, 0 held",
    "this one only reads",
  ]);
  expect([exitCodeOf(report), withoutPaths(report).note]).toEqual([0, "this one only reads"]);
});

describe("exitCodeOf", () => {
  it.each([
    ["nothing", plan({ outcomes: [outcome("InSync", "InSync")] }), 0],
    ["a retained copy", plan({ outcomes: [outcome("Retained", "SourceGoneRetained")] }), 0],
    ["an action", plan({ actions: [action("Create")] }), 2],
    ["a held action", plan({ held: [action("Delete")], hash: "h" }), 2],
    ["a fence", plan({ outcomes: [outcome("Held", "AuthorityFenced")] }), 2],
    ["a conflict", plan({ outcomes: [outcome("Conflict", "BothChanged")] }), 1],
    [
      "a failure beside an action",
      plan({ actions: [action("Create")], outcomes: [outcome("Failed", "InvalidKey")] }),
      1,
    ],
    ["a source that is not known", plan({ outcomes: [outcome("Unknown", "SourceUnavailable")] }), 1],
    ["an error", plan({ errors: [{ path: "", reason: "BackendNotFound", message: "", hint: "" }] }), 1],
    ["a suspended object", plan({ ignored: "Suspended" }), 0],
    ["a tree, which is not planned here", plan({ kind: "FederationBackend", ignored: "TreeNotPlanned" }), 0],
  ])("%s", (_, one, code) => {
    expect(exitCodeOf(planReport([one], []))).toBe(code);
  });

  it("puts errors before changes", () => {
    const changes = plan({ actions: [action("Create")] });
    const broken = plan({ errors: [{ path: "", reason: "BackendNotFound", message: "", hint: "" }] });
    expect(exitCodeOf(planReport([changes, broken], []))).toBe(1);
    expect(planReport([changes, broken], []).summary).toEqual({ create: 1, change: 0, delete: 0, held: 0, failed: 1 });
  });
});

describe("renderReport", () => {
  const report = planReport(
    [
      plan({
        actions: [
          action("Update", { target: "ScaiVault", ref: "environments/a" }),
          action("Create", { ref: "b", why: "NewTarget", from: "ScaiVault", fromVersion: "7" }),
        ],
        held: [action("Delete", { why: "SourceGone", fromVersion: "" })],
        hash: "abc-123",
        outcomes: [{ ...outcome("Held", "DeletionBraked"), message: "many at once" }],
      }),
      plan({ name: "b", outcomes: [outcome("InSync", "InSync")] }),
      plan({ name: "c", ignored: "NotWatched" }),
      plan({
        name: "d",
        origin: "Cluster",
        errors: [{ path: "prod/d", reason: "InvalidPath", message: "no\u001b[2Jsuch", hint: "Mend it." }],
      }),
    ],
    [],
  );

  it("is a block an object, in columns, with the counts at the end", () => {
    expect(renderReport(report)).toMatchInlineSnapshot(`
      "SecretSync billing/a
        update        ScaiVault         environments/a  from prod/a version v1: the source changed
        create        KubernetesSecret  b               from ScaiVault version 7: it is not there yet
        held: delete  KubernetesSecret  a               the source is gone
                      KubernetesSecret  a               DeletionBraked: many at once. Unusually many deletions at once, or the start-up window; check, then approve the plan.
        to approve what is held: kubectl annotate --overwrite -n billing secretsync a scaivault.scailabs.ai/approve=abc-123
      SecretSync billing/b
        in sync  KubernetesSecret  a  InSync
      SecretSync billing/c
        the operator does not watch this namespace (watchNamespaces): nothing is done
      SecretSync billing/d (in the cluster; reads a backend of these files)
        prod/d: InvalidPath: no\\u{1b}[2Jsuch. Mend it.
      1 to create, 1 to change, 0 to delete, 1 held, 1 with errors"
    `);
  });

  it("shows nothing that a terminal obeys", () => {
    const hostile = "x\u001b[31m\u202e\n";
    const made = planReport(
      [
        plan({
          name: hostile,
          actions: [action("Create", { ref: hostile, path: hostile, fromVersion: hostile })],
          held: [action("Delete", { ref: hostile })],
          hash: "h",
          outcomes: [{ ...outcome("Failed", "InvalidKey"), ref: hostile, message: hostile }],
          errors: [{ path: hostile, reason: "InvalidPath", message: hostile, hint: "" }],
        }),
      ],
      [],
    );
    for (const line of renderReport(made).split("\n")) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it("shows neither what a target holds now nor its own fences", () => {
    expect(JSON.stringify(report) + renderReport(report)).not.toContain("secret-state");
  });
});

describe("withoutPaths", () => {
  it("names each path by a number, the same everywhere, and drops messages", () => {
    const made = planReport(
      [
        plan({
          actions: [action("Create", { target: "ScaiVault", ref: "environments/hidden", path: "prod/hidden" })],
          outcomes: [{ ...outcome("Pending", "Progressing"), path: "prod/hidden", message: "prod/hidden is there" }],
          errors: [{ path: "prod/hidden/2", reason: "InvalidPath", message: "prod/hidden/2", hint: "Mend it." }],
        }),
      ],
      [],
    );
    const shown = withoutPaths(made);
    expect(JSON.stringify(shown)).not.toContain("hidden");
    expect(shown.objects[0]).toMatchObject({
      actions: [{ path: "path-1", ref: "path-2" }],
      targets: [{ path: "path-1", ref: "a" }],
      problems: [{ path: "path-3", message: "", hint: "Mend it." }],
    });
  });
});
