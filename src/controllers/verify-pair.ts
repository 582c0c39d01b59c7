import { fingerprintMatches, isKept, sameContent } from "../decide/index.ts";
import { datedVersion } from "../catalogue/index.ts";
import { type Reason, SyncError, toSyncError } from "../errors/index.ts";
import type { Authority, SecretPayload } from "../model/index.ts";
import type { RenderedContent } from "../ports/index.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { gatherTargets, type Memory } from "./gather.ts";
import { shownVersion } from "./report.ts";
import { sourceStateOf } from "./source-state.ts";
import type { Pair, Subject } from "./subject.ts";
import type { World } from "./world.ts";

export type SideKind = "Source" | "ScaiVault" | "KubernetesSecret";

/** One side of a secret that is not as the side that has the authority. */
export interface SideDifference {
  readonly side: SideKind;
  /** Source path, ScaiVault path, or name of the Secret. */
  readonly ref: string;
  readonly how: "Differs" | "Lacks";
  /** Another writer, where the Secret tells who. */
  readonly by?: string;
}

/** What comparing one secret came to. No values, and no fingerprints. */
export interface PairVerdict {
  readonly path: string;
  /** The side that the others are compared with. */
  readonly authority: Authority;
  readonly sourceVersion?: string;
  readonly scaivaultVersion?: string;
  readonly differences: readonly SideDifference[];
  /** People settled a conflict for ScaiVault's content: it differs from the source by their will. */
  readonly kept?: true;
  /** Sides that could not be compared, and why. */
  readonly unknown: readonly { readonly ref: string; readonly reason: Reason; readonly message: string }[];
}

/** A comparison under way; every value that is read for it is zeroed at its end. */
interface Comparing {
  readonly world: World;
  readonly subject: Subject;
  readonly pair: Pair;
  readonly signal: AbortSignal;
  readonly payloads: SecretPayload[];
  readonly contents: RenderedContent[];
  readonly differences: SideDifference[];
  readonly unknown: PairVerdict["unknown"][number][];
  sourceVersion?: string;
}

/**
 * Compares source, ScaiVault and Kubernetes Secret. Source and ScaiVault are read and compared as JSON documents, whatever the
 * order of members; the Secret by the keyed fingerprint in its mark and by who owns its keys, without its data (with
 * `apply: Never` there is no mark, and it is read).
 */
export async function verifyPair(
  world: World,
  subject: Subject,
  pair: Pair,
  options: Memory & { readonly notBeforeMs: number },
  signal: AbortSignal,
): Promise<PairVerdict> {
  const comparing: Comparing = {
    world,
    subject,
    pair,
    signal,
    payloads: [],
    contents: [],
    differences: [],
    unknown: [],
  };
  try {
    const targets = await gatherTargets(world, subject, pair, { ...options, lane: "verification" }, signal);
    return await compare(comparing, targets);
  } finally {
    release(comparing);
  }
}

async function compare(comparing: Comparing, targets: readonly EvaluatedTarget[]): Promise<PairVerdict> {
  const vault = targets.find(({ target }) => target.kind === "ScaiVault");
  const secret = targets.find(({ target }) => target.kind === "KubernetesSecret");
  const authority = authorityOf(comparing.subject, vault);
  const kept = vault !== undefined && authority === "Source" && keeps(vault);
  const inScaiVault = vault === undefined ? undefined : await look(comparing, vault);
  const inSource = authority === "Source" ? await readSource(comparing, targets) : undefined;
  if (vault !== undefined && authority === "Source" && inSource !== undefined && inScaiVault !== undefined)
    compareScaiVault(comparing, vault, inSource, inScaiVault);
  const truth = authority === "Source" && !kept ? inSource : inScaiVault?.payload;
  if (secret !== undefined && truth !== undefined) await compareSecret(comparing, secret, truth);
  return verdictOf(comparing, authority, vault, kept);
}

/** What was found, without the values. `kept`: people settled a conflict for ScaiVault's content. */
function verdictOf(
  { pair, sourceVersion, differences, unknown }: Comparing,
  authority: Authority,
  vault: EvaluatedTarget | undefined,
  kept: boolean,
): PairVerdict {
  return {
    path: pair.ref.path,
    authority,
    ...(sourceVersion === undefined ? {} : { sourceVersion }),
    ...(vault?.observation.presence === "Present" ? { scaivaultVersion: vault.observation.version } : {}),
    differences,
    ...(kept && differences.some(({ side }) => side === "ScaiVault") ? { kept } : {}),
    unknown,
  };
}

/** The authority that the mark in ScaiVault names, else the declared one: a flip that is held has not happened yet. */
function authorityOf({ effective }: Subject, vault: EvaluatedTarget | undefined): Authority {
  if (vault === undefined) return effective.authority;
  const { mark, presence } = vault.observation;
  return presence === "Present" && mark.state === "Valid" ? mark.mark.authority : effective.authority;
}

function keeps({ observation }: EvaluatedTarget): boolean {
  return isKept({ observation });
}

/** The value of the source; undefined when it has none or cannot be read, which is noted. */
async function readSource(
  comparing: Comparing,
  targets: readonly EvaluatedTarget[],
): Promise<SecretPayload | undefined> {
  const { subject, pair, signal, payloads } = comparing;
  const { path } = pair.ref;
  const state = sourceStateOf(subject, pair);
  if (state?.state === "Gone") {
    // Where nothing is left of it anywhere, all sides are the same.
    if (targets.some(({ observation }) => observation.presence === "Present")) lacks(comparing, "Source", path);
    return undefined;
  }
  if (state === undefined || state.state === "Unknown" || subject.store === undefined) {
    note(
      comparing,
      path,
      state?.state === "Unknown" ? state : { reason: "SourceUnavailable", message: "it was not polled" },
    );
    return undefined;
  }
  try {
    const read = await subject.store.source.read(pair.ref, signal);
    payloads.push(read.payload);
    comparing.sourceVersion = shownVersion(datedVersion(read.version, read.writtenAt));
    return read.payload;
  } catch (error) {
    const failed = toSyncError(error, `read ${path}`);
    if (failed.reason === "SourceNotFound" || failed.reason === "SourcePendingDeletion")
      lacks(comparing, "Source", path);
    else note(comparing, path, failed);
    return undefined;
  }
}

/** What ScaiVault holds; undefined when there is nothing or it cannot be read, which is noted. */
async function look(
  comparing: Comparing,
  { target, observation, rights }: EvaluatedTarget,
): Promise<RenderedContent | undefined> {
  const { presence, failure } = observation;
  if (!rights.read) return note(comparing, target.ref, new SyncError("NotGranted", `no right to read ${target.ref}`));
  if (presence === "Unknown")
    return note(comparing, target.ref, failure ?? { reason: "ScaiVaultUnavailable", message: "it was not seen" });
  if (presence !== "Present") return lacks(comparing, "ScaiVault", target.ref);
  try {
    const held = await target.read(comparing.signal);
    if (held === undefined) return lacks(comparing, "ScaiVault", target.ref);
    comparing.contents.push(held);
    return held;
  } catch (error) {
    return note(comparing, target.ref, toSyncError(error, `read ${target.ref}`));
  }
}

/** JSON equality; the type in ScaiVault is only a hint. */
function compareScaiVault(
  comparing: Comparing,
  { target }: EvaluatedTarget,
  source: SecretPayload,
  held: RenderedContent,
): void {
  const wanted = render(comparing, target, source);
  if (wanted !== undefined && !sameContent({ ...wanted, type: held.type }, held))
    comparing.differences.push({ side: "ScaiVault", ref: target.ref, how: "Differs" });
}

async function compareSecret(
  comparing: Comparing,
  { target, observation, incumbent }: EvaluatedTarget,
  truth: SecretPayload,
): Promise<void> {
  const { presence, mark, content, failure, otherWriter } = observation;
  const { ref } = target;
  if (presence === "Unknown")
    return note(comparing, ref, failure ?? { reason: "Unexpected", message: "it was not seen" });
  if (presence !== "Present") return lacks(comparing, "KubernetesSecret", ref);
  const differs = { side: "KubernetesSecret", ref, how: "Differs" } as const;
  const wanted = render(comparing, target, truth);
  if (wanted === undefined) return;
  const ours = mark.state === "Valid" && (incumbent === "Self" || incumbent === "Gone") ? mark.mark : undefined;
  if (ours === undefined) return compareUnmarked(comparing, target, wanted);
  if (content !== "AsMarked")
    comparing.differences.push({ ...differs, ...(otherWriter === undefined ? {} : { by: otherWriter }) });
  else if (!fingerprintMatches(comparing.world.ring, target.targetID, wanted, ours.fingerprint))
    comparing.differences.push(differs);
}

/** A Secret of another tool: with `apply: Never` it is there to be compared; else it is none of ours, and not read. */
async function compareUnmarked(
  comparing: Comparing,
  target: EvaluatedTarget["target"],
  wanted: RenderedContent,
): Promise<void> {
  if (comparing.subject.effective.apply !== "Never")
    return note(comparing, target.ref, new SyncError("NotOwned", `Secret ${target.ref} bears no mark of this object`));
  try {
    const held = await target.read(comparing.signal);
    if (held === undefined) return lacks(comparing, "KubernetesSecret", target.ref);
    comparing.contents.push(held);
    if (!sameContent(wanted, held))
      comparing.differences.push({ side: "KubernetesSecret", ref: target.ref, how: "Differs" });
  } catch (error) {
    note(comparing, target.ref, toSyncError(error, `read Secret ${target.ref}`));
  }
}

function render(
  comparing: Comparing,
  target: EvaluatedTarget["target"],
  payload: SecretPayload,
): RenderedContent | undefined {
  try {
    const content = target.render(payload);
    comparing.contents.push(content);
    return content;
  } catch (error) {
    return note(comparing, target.ref, toSyncError(error, `render ${target.ref}`));
  }
}

function lacks({ differences }: Comparing, side: SideKind, ref: string): undefined {
  differences.push({ side, ref, how: "Lacks" });
}

function note(
  { unknown }: Comparing,
  ref: string,
  { reason, message }: { readonly reason: Reason; readonly message: string },
): undefined {
  unknown.push({ ref, reason, message });
}

function release({ payloads, contents }: Comparing): void {
  for (const { payload } of contents) payloads.push(payload);
  for (const value of [
    ...payloads.flatMap(({ raw, keys }) => [raw, ...keys.values()]),
    ...contents.flatMap(({ keys }) => [...keys.values()]),
  ])
    value.release();
}
