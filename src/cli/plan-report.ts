import { annotations } from "../api/index.ts";
import type { ObjectPlan, PlannedTarget } from "../controllers/index.ts";
import type { Action, Why } from "../decide/types.ts";
import { cleanText, type Reason, reasons } from "../errors/index.ts";
import { exitCodes } from "./exit-codes.ts";
import { type Finding, findingLine } from "./findings.ts";

/** One action as it is printed. */
export interface ReportedAction {
  readonly action: "Create" | "Update" | "Restore" | "Mark" | "Adopt" | "Release" | "Delete";
  readonly target: "ScaiVault" | "KubernetesSecret";
  readonly ref: string;
  /** Path in the store; empty for copies that the spec no longer names. */
  readonly path: string;
  readonly from: "Source" | "ScaiVault";
  /** Version that is copied; empty for deletions and releases, `unversioned` for stores without versions. */
  readonly version: string;
  readonly why: Why;
  /** True: it waits for people. */
  readonly held: boolean;
}

/** One target as it stands. */
export interface ReportedTarget {
  readonly target: "ScaiVault" | "KubernetesSecret";
  readonly ref: string;
  readonly path: string;
  readonly state: PlannedTarget["state"];
  readonly reason: Reason;
  readonly message: string;
  /** With `apply: Never`: names of keys and how they compare. */
  readonly keys?: NonNullable<PlannedTarget["keys"]>;
}

export interface ReportedObject {
  readonly kind: ObjectPlan["kind"];
  readonly namespace: string;
  readonly name: string;
  readonly origin: ObjectPlan["origin"];
  readonly result: "Nothing" | "Changes" | "Failed" | "Ignored";
  readonly ignored?: NonNullable<ObjectPlan["ignored"]>;
  readonly actions: readonly ReportedAction[];
  /** Value of the annotation that approves what is held; absent when nothing is, or the object is not applied yet. */
  readonly approve?: string;
  readonly targets: readonly ReportedTarget[];
  readonly problems: ObjectPlan["errors"];
}

/** What `plan -o json` prints. Members are only ever added. */
export interface PlanReport {
  readonly objects: readonly ReportedObject[];
  readonly summary: {
    readonly create: number;
    readonly change: number;
    readonly delete: number;
    readonly held: number;
    /** Objects of which something is wrong. */
    readonly failed: number;
  };
  /** Warnings about the manifests. */
  readonly findings: readonly Finding[];
  /** What the operator's role means for the plan. */
  readonly note?: string;
}

const broken: ReadonlySet<PlannedTarget["state"]> = new Set(["Failed", "Unknown", "Conflict"]);

export function planReport(plans: readonly ObjectPlan[], findings: readonly Finding[], note?: string): PlanReport {
  const objects = plans.map(reported);
  const open = objects.flatMap(({ actions }) => actions.filter(({ held }) => !held));
  const count = (...kinds: Action["kind"][]) => open.filter(({ action }) => kinds.includes(action)).length;
  return {
    objects,
    summary: {
      create: count("Create"),
      change: count("Update", "Restore", "Mark", "Adopt", "Release"),
      delete: count("Delete"),
      held: objects.reduce((sum, { actions }) => sum + actions.filter(({ held }) => held).length, 0),
      failed: objects.filter(({ result }) => result === "Failed").length,
    },
    findings,
    ...(note === undefined ? {} : { note }),
  };
}

/** Errors go before changes: what could not be looked at may hide any. */
export function exitCodeOf({ objects }: PlanReport): number {
  const has = (result: ReportedObject["result"]) => objects.some((object) => object.result === result);
  return has("Failed") ? exitCodes.failed : has("Changes") ? exitCodes.changes : exitCodes.ok;
}

function reported(plan: ObjectPlan): ReportedObject {
  const action =
    (held: boolean) =>
    (one: Action): ReportedAction => ({
      action: one.kind,
      target: one.target,
      ref: one.ref,
      path: one.path,
      from: one.from,
      version: one.fromVersion,
      why: one.why,
      held,
    });
  const failed = plan.errors.length > 0 || plan.outcomes.some(({ state }) => broken.has(state));
  const waits = plan.held.length > 0 || plan.outcomes.some(({ state }) => state === "Held");
  return {
    kind: plan.kind,
    namespace: plan.namespace,
    name: plan.name,
    origin: plan.origin,
    result:
      plan.ignored !== undefined
        ? "Ignored"
        : failed
          ? "Failed"
          : waits || plan.actions.length > 0
            ? "Changes"
            : "Nothing",
    ...(plan.ignored === undefined ? {} : { ignored: plan.ignored }),
    actions: [...plan.actions.map(action(false)), ...plan.held.map(action(true))],
    ...(plan.hash === "" ? {} : { approve: plan.hash }),
    targets: plan.outcomes.map(({ kind, ref, path, state, reason, message, keys }) => ({
      target: kind,
      ref,
      path,
      state,
      reason,
      message,
      ...(keys === undefined ? {} : { keys }),
    })),
    problems: plan.errors,
  };
}

/** The report without paths: each becomes `path-1`, `path-2`, the same one everywhere. Messages may name them and go. */
export function withoutPaths(report: PlanReport): PlanReport {
  const names = new Map<string, string>();
  const hidden = (path: string): string => {
    if (path === "") return "";
    const name = names.get(path) ?? `path-${names.size + 1}`;
    names.set(path, name);
    return name;
  };
  const ref = (target: string, text: string) => (target === "ScaiVault" ? hidden(text) : text);
  return {
    ...report,
    objects: report.objects.map((object) => ({
      ...object,
      actions: object.actions.map((one) => ({ ...one, path: hidden(one.path), ref: ref(one.target, one.ref) })),
      targets: object.targets.map((one) => ({
        ...one,
        path: hidden(one.path),
        ref: ref(one.target, one.ref),
        message: "",
      })),
      problems: object.problems.map((one) => ({ ...one, path: hidden(one.path), message: "" })),
    })),
    findings: report.findings.map((finding) => ({ ...finding, message: "" })),
  };
}

const because: Readonly<Record<Why, string>> = {
  NewTarget: "it is not there yet",
  SourceChanged: "the source changed",
  BothChanged: "both sides changed",
  SourceMoved: "the spec names another source",
  ShapeChanged: "keys or type changed in the spec",
  Drift: "another writer changed it",
  MarkLost: "its mark was taken off",
  NewBase: "it is equal already",
  TakeOver: "its owner is gone",
  Metadata: "declared metadata differ",
  PolicyChanged: "policies changed in the spec",
  Flip: "ScaiVault becomes the authority",
  FlipBack: "the source becomes the authority again",
  Adopt: "it is equal and of another tool",
  AdoptDiffers: "it differs and is of another tool",
  Resolved: "people keep the source's content",
  Kept: "people keep ScaiVault's content",
  SourceGone: "the source is gone",
  TargetRemoved: "the spec no longer names it",
  ObjectDeleted: "the object is deleted",
};
const ignoredText: Readonly<Record<NonNullable<ObjectPlan["ignored"]>, string>> = {
  Suspended: "suspended: nothing is done",
  BeingDeleted: "it is being deleted",
  TreeNotPlanned:
    "the secrets of its federation are not planned here: apply it with `apply: OnApproval`, and status says what would be written",
  NotWatched: "the operator does not watch this namespace (watchNamespaces): nothing is done",
};

/** The report for people: a block an object, and the counts. */
export function renderReport(report: PlanReport): string {
  const { create, change, delete: gone, held, failed } = report.summary;
  const total = `${create} to create, ${change} to change, ${gone} to delete, ${held} held`;
  const blocks = report.objects.map((object) => block(object).join("\n"));
  return [
    ...report.findings.map(findingLine),
    ...blocks,
    `${total}${failed === 0 ? "" : `, ${failed} with errors`}`,
    ...(report.note === undefined ? [] : [report.note]),
  ].join("\n");
}

function block(object: ReportedObject): string[] {
  const label = `${object.kind} ${object.namespace}/${object.name}`;
  const origin = object.origin === "Cluster" ? " (in the cluster; reads a backend of these files)" : "";
  const lines = [`${cleanText(label, 400)}${origin}`];
  if (object.ignored !== undefined) return [...lines, `  ${ignoredText[object.ignored]}`];
  const rows = [...object.actions.map(actionRow), ...standing(object)];
  lines.push(...table(rows));
  for (const { path, reason, message, hint } of object.problems)
    lines.push(`  ${clean([path, reason, message].filter((part) => part !== "").join(": "))}. ${hint}`);
  if (rows.length === 0 && object.problems.length === 0) lines.push("  nothing to do");
  return [...lines, ...approval(object)];
}

function actionRow(one: ReportedAction): readonly string[] {
  const verb = one.held ? `held: ${one.action.toLowerCase()}` : one.action.toLowerCase();
  const place = one.from === "ScaiVault" ? "ScaiVault" : one.path;
  const from = one.version === "" ? "" : `from ${place} version ${one.version}: `;
  return [verb, one.target, one.ref, `${from}${because[one.why]}`];
}

/** Targets about which there is more to say than their action. */
function standing(object: ReportedObject): (readonly string[])[] {
  return object.targets.flatMap((one) => {
    const acted = object.actions.some(({ target, ref }) => target === one.target && ref === one.ref);
    if (acted && (one.state === "Pending" || one.state === "InSync")) return [];
    const fine = one.state === "InSync" && one.message === "";
    const text = [one.reason, one.message].filter((part) => part !== "").join(": ");
    const hint = fine || one.state === "Pending" ? "" : `. ${reasons[one.reason].hint}`;
    return [[acted ? "" : state(one), one.target, one.ref, `${text}${keysText(one)}${hint}`]];
  });
}

function state({ state: name }: ReportedTarget): string {
  return name === "InSync" ? "in sync" : name.toLowerCase();
}

function keysText({ keys }: ReportedTarget): string {
  if (keys === undefined) return "";
  const list = (word: string, names: readonly string[] | undefined) =>
    names === undefined ? [] : [`${word} ${names.join(" ")}`];
  const parts = [
    `${keys.equal} equal`,
    ...list("differs", keys.differs),
    ...list("missing", keys.missing),
    ...list("extra", keys.extra),
  ];
  return ` (keys: ${parts.join(", ")})`;
}

function approval({ actions, approve, namespace, name }: ReportedObject): string[] {
  if (!actions.some(({ held }) => held)) return [];
  if (approve === undefined) return ["  to approve what is held: apply it, then use the hash in status.plan.hash"];
  return [
    `  to approve what is held: kubectl annotate --overwrite -n ${clean(namespace)} secretsync ${clean(name)} ${annotations.approve}=${approve}`,
  ];
}

/** Columns as wide as their longest cell; a last one that is free. */
function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(clean));
  const width = (at: number) => Math.min(80, Math.max(0, ...cells.map((row) => row[at]?.length ?? 0)));
  const widths = [width(0), width(1), width(2)];
  return cells.map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd());
}

function clean(text: string): string {
  return cleanText(text, 1200);
}
