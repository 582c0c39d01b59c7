import { type Conflict, federationBackendKind, type KindInfo, type Problem, secretSyncKind } from "../api/index.ts";
import { cleanText } from "../errors/index.ts";
import type { SeenObject } from "./status-report.ts";

/** One conflict as an object's status tells it. Versions and times, never values. */
export interface ShownConflict {
  readonly kind: KindInfo["kind"];
  readonly namespace: string;
  readonly name: string;
  /** ScaiVault path, or name of the Secret. */
  readonly path: string;
  readonly reason: string;
  readonly message: string;
  /** When it was first seen. */
  readonly since: string;
  readonly source?: Conflict["source"];
  readonly scaivault?: Conflict["scaivault"];
  /** Sides that can be kept by `conflicts resolve`. */
  readonly keep: readonly ("source" | "scaivault")[];
}

/** What `conflicts -o json` prints. Members are only ever added. */
export interface ConflictsReport {
  readonly conflicts: readonly ShownConflict[];
  /** Conflicts that no status names any more, since it names so many at most. */
  readonly more: number;
  /** Objects whose status says nothing of what they are now. */
  readonly unknown: readonly string[];
  readonly objects: number;
}

const kinds: readonly KindInfo[] = [secretSyncKind, federationBackendKind];
const reasonsOfConflicts: ReadonlySet<string> = new Set([
  "BothChanged",
  "TargetChanged",
  "Conflict",
  "Claimed",
  "AnotherWriter",
]);

interface Seen {
  readonly observedGeneration?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  readonly problems?: readonly Problem[];
  readonly counts?: { readonly conflicts?: number };
}

export function conflictsReport(backends: readonly SeenObject[], syncs: readonly SeenObject[]): ConflictsReport {
  const objects = [
    ...backends.map((object) => ({ kind: federationBackendKind.kind, object })),
    ...syncs.map((object) => ({ kind: secretSyncKind.kind, object })),
  ];
  const conflicts = objects.flatMap(({ kind, object }) => conflictsOf(kind, object)).sort(byPlace);
  const named = (object: SeenObject): number => conflicts.filter((one) => isOf(one, object)).length;
  // The counts of a backend are those of its dependants, which are listed themselves.
  const more = syncs.reduce(
    (sum, object) => sum + Math.max(0, (seenOf(object).counts?.conflicts ?? 0) - named(object)),
    0,
  );
  return {
    conflicts,
    more,
    unknown: objects
      .filter(({ object }) => isUnknown(object))
      .map(textOf)
      .sort(),
    objects: objects.length,
  };
}

function conflictsOf(kind: KindInfo["kind"], object: SeenObject): ShownConflict[] {
  const { conditions = [], problems = [] } = seenOf(object);
  const inConflict = conditions.some(({ type, status }) => type === "Conflict" && status === "True");
  const settled = problems.some(({ conflict }) => conflict !== undefined);
  return (
    problems
      .filter(({ reason, conflict }) => conflict !== undefined || (inConflict && reasonsOfConflicts.has(reason)))
      // A Secret that waits for the conflict of its path is no conflict of its own.
      .filter(({ reason, conflict }) => conflict !== undefined || !settled || !/^(?:Both|Target)Changed$/.test(reason))
      .map(({ path, reason, message, since, conflict }) => ({
        kind,
        namespace: cleanText(object.metadata.namespace ?? ""),
        name: cleanText(object.metadata.name),
        path: cleanText(path, 600),
        reason: cleanText(reason),
        message: cleanText(message, 512),
        since: cleanText(since),
        ...(conflict === undefined ? {} : { source: sideOf(conflict.source), scaivault: sideOf(conflict.scaivault) }),
        keep: [
          ...(conflict?.keepSource === undefined ? [] : ["source" as const]),
          ...(conflict?.keepScaiVault === undefined ? [] : ["scaivault" as const]),
        ],
      }))
  );
}

function sideOf({ base, now }: Conflict["source"]): Conflict["source"] {
  return {
    ...(base === undefined ? {} : { base: cleanText(base) }),
    ...(now === undefined ? {} : { now: cleanText(now) }),
  };
}

function seenOf({ status }: SeenObject): Seen {
  return typeof status === "object" && status !== null ? (status as Seen) : {};
}

/** Nobody has looked at the object as it is now. */
function isUnknown(object: SeenObject): boolean {
  const { conditions, observedGeneration } = seenOf(object);
  if (conditions === undefined) return true;
  const { generation } = object.metadata;
  return generation !== undefined && observedGeneration !== undefined && observedGeneration < generation;
}

const textOf = ({ kind, object }: { readonly kind: string; readonly object: SeenObject }): string =>
  cleanText(`${kind} ${object.metadata.namespace ?? ""}/${object.metadata.name}`, 600);
const isOf = ({ kind, namespace, name }: ShownConflict, { metadata }: SeenObject): boolean =>
  kind === secretSyncKind.kind && namespace === metadata.namespace && name === metadata.name;
const placeOf = ({ namespace, kind, name, path }: ShownConflict): string => `${namespace}/${kind}/${name}/${path}`;
const byPlace = (a: ShownConflict, b: ShownConflict): number => (placeOf(a) < placeOf(b) ? -1 : 1);

/** For people: three lines a conflict. */
export function renderConflicts({ conflicts, more, unknown, objects }: ConflictsReport): string {
  return [
    ...conflicts.flatMap(conflictLines),
    ...(more === 0 ? [] : [`and ${more} more that no status names`]),
    ...unknown.map((one) => `${one}: no operator has looked at it as it is now`),
    `${conflicts.length + more} conflicts in ${objects} objects`,
  ].join("\n");
}

function conflictLines(one: ShownConflict): string[] {
  const { kind, namespace, name, path, reason, since, source, scaivault, message, keep } = one;
  const versions =
    source === undefined || scaivault === undefined
      ? message
      : `source ${movedText(source)}, ScaiVault ${movedText(scaivault)}`;
  return [
    `${kind} ${namespace}/${name} ${path}: ${reason} since ${since}`,
    `  ${versions}`,
    ...(keep.length === 0 ? [] : [`  ${resolveText(one, keep.join("|"))}`]),
  ];
}

/** `7 -> 8`, or the version alone where nothing moved. */
export function movedText({ base, now }: Conflict["source"]): string {
  if (base === undefined || base === now) return now ?? "gone";
  return `${base} -> ${now ?? "gone"}`;
}

/** The command that settles it. */
export function resolveText({ kind, namespace, name, path }: ShownConflict, keep: string): string {
  const short = kinds.find((one) => one.kind === kind)?.shortNames[0] ?? kind;
  return `scaivault-operator conflicts resolve ${short}/${name} -n ${namespace} --path ${path} --keep ${keep}`;
}

/** `ssync/stripe`, in any way that kubectl takes. */
export function parseObjectName(text: string): { readonly kind: KindInfo["kind"]; readonly name: string } | undefined {
  const [word = "", name, ...rest] = text.split("/");
  if (name === undefined || name === "" || rest.length > 0) return undefined;
  const lower = word.toLowerCase();
  const found = kinds.find((one) => [one.singular, one.plural, ...one.shortNames].includes(lower));
  return found === undefined ? undefined : { kind: found.kind, name };
}
