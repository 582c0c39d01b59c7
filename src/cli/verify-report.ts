import type { Problem } from "../api/index.ts";
import type { ObjectVerdict, PairVerdict, SideDifference } from "../controllers/index.ts";
import { cleanText } from "../errors/index.ts";
import type { SeenObject } from "./status-report.ts";

/** One secret whose sides are not the same. Versions and times, never values. */
export interface ShownDifference {
  readonly kind: ObjectVerdict["kind"];
  readonly namespace: string;
  readonly name: string;
  /** Path in the source. */
  readonly path: string;
  /** The side that the others are compared with. */
  readonly authority: PairVerdict["authority"];
  readonly sides: readonly SideDifference[];
  readonly sourceVersion?: string;
  readonly scaivaultVersion?: string;
  /** When the operator first saw that something is not right with it. */
  readonly since?: string;
  /** People settled a conflict for ScaiVault's content. */
  readonly kept?: true;
}

/** What could not be compared, and why. */
export interface ShownUnknown {
  readonly kind: ObjectVerdict["kind"];
  readonly namespace: string;
  readonly name: string;
  /** Empty: the whole object. */
  readonly path: string;
  readonly reason: string;
  readonly message: string;
}

/** What `verify -o json` prints. Members are only ever added. */
export interface VerifyReport {
  /** When it began: reads of the stores between this and `endedAt` with this User-Agent are its own. */
  readonly startedAt: string;
  readonly endedAt: string;
  /** Secrets that were compared. */
  readonly compared: number;
  readonly differences: readonly ShownDifference[];
  readonly unknown: readonly ShownUnknown[];
}

export interface Verified {
  readonly verdict: ObjectVerdict;
  readonly object: SeenObject;
}

export function verifyReport(
  verified: readonly Verified[],
  { startedMs, endedMs }: { readonly startedMs: number; readonly endedMs: number },
): VerifyReport {
  return {
    startedAt: new Date(startedMs).toISOString(),
    endedAt: new Date(endedMs).toISOString(),
    compared: verified.reduce((sum, { verdict }) => sum + verdict.pairs.length, 0),
    differences: verified.flatMap(differencesOf),
    unknown: verified.flatMap(({ verdict }) => unknownOf(verdict)),
  };
}

function differencesOf({ verdict, object }: Verified): ShownDifference[] {
  return verdict.pairs
    .filter(({ differences }) => differences.length > 0)
    .map(({ path, authority, differences, sourceVersion, scaivaultVersion, kept }) => {
      const since = sinceOf(object, path, differences);
      return {
        ...placeOf(verdict),
        path: cleanText(path, 600),
        authority,
        sides: differences.map(({ side, ref, how, by }) => ({
          side,
          ref: cleanText(ref, 600),
          how,
          ...(by === undefined ? {} : { by: cleanText(by) }),
        })),
        ...(sourceVersion === undefined ? {} : { sourceVersion: cleanText(sourceVersion) }),
        ...(scaivaultVersion === undefined ? {} : { scaivaultVersion: cleanText(scaivaultVersion) }),
        ...(since === undefined ? {} : { since: cleanText(since) }),
        ...(kept === undefined ? {} : { kept }),
      };
    });
}

/** Since when status names a problem of one of these sides; undefined: status knows of none yet. */
function sinceOf({ status }: SeenObject, path: string, differences: readonly SideDifference[]): string | undefined {
  const { problems = [] } = (status ?? {}) as { readonly problems?: readonly Problem[] };
  const places = new Set([path, ...differences.map(({ ref }) => ref)]);
  const times = problems.filter((problem) => places.has(problem.path)).map(({ since }) => since);
  return times.sort()[0];
}

function unknownOf(verdict: ObjectVerdict): ShownUnknown[] {
  const found = [
    ...verdict.errors,
    ...verdict.pairs.flatMap(({ unknown }) =>
      unknown.map(({ ref, reason, message }) => ({ path: ref, reason, message })),
    ),
  ];
  return found.map(({ path, reason, message }) => ({
    ...placeOf(verdict),
    path: cleanText(path, 600),
    reason,
    message: cleanText(message, 512),
  }));
}

function placeOf({ kind, namespace, name }: ObjectVerdict): Pick<ShownUnknown, "kind" | "namespace" | "name"> {
  return { kind, namespace: cleanText(namespace), name: cleanText(name) };
}

/** One line a secret; nothing at all when everything is the same. */
export function renderVerify({ differences, unknown }: VerifyReport): string {
  return [...differences.map(differenceLine), ...unknown.map(unknownLine)].join("\n");
}

function differenceLine(one: ShownDifference): string {
  const { kind, namespace, name, path, authority, sides, since, kept } = one;
  const truth = authority === "Source" ? "the source" : "ScaiVault";
  const said = sides.map((side) =>
    sideText(side, side.side === "KubernetesSecret" && kept === true ? "ScaiVault" : truth),
  );
  const when = kept === true ? "kept by people" : since === undefined ? "not in status yet" : `since ${since}`;
  return `${kind} ${namespace}/${name} ${path}: ${said.join("; ")} (${when})`;
}

function sideText({ side, ref, how, by }: SideDifference, truth: string): string {
  const who = side === "Source" ? "the source" : side === "ScaiVault" ? `ScaiVault ${ref}` : `Secret ${ref}`;
  if (how === "Lacks") return `${who} lacks it`;
  return by === undefined ? `${who} differs from ${truth}` : `${who} differs from ${truth}, changed by ${by}`;
}

function unknownLine({ kind, namespace, name, path, reason, message }: ShownUnknown): string {
  const place = path === "" ? "" : ` ${path}`;
  return `${kind} ${namespace}/${name}${place}: not compared: ${reason}${message === "" ? "" : `: ${message}`}`;
}
