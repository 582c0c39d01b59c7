import {
  incumbentOf,
  type OwnerRef,
  renderScaiVault,
  renderSecret,
  sightOf,
  vaultSourceIDOf,
} from "../decide/index.ts";
import type { Sight, TargetInput } from "../decide/types.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import type { Mark } from "../model/index.ts";
import type { TargetObservation } from "../ports/index.ts";
import { bindTarget, type BoundTarget } from "./bound-target.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { sourceTagsOf } from "./source-state.ts";
import type { Pair, Subject } from "./subject.ts";
import { anyClaim, readOnlyPath, stillClaims, winningClaim } from "./target-claims.ts";
import {
  type Lane,
  scaivaultAddress,
  scaivaultShape,
  type SecretAddress,
  secretShape,
  shapeOf,
  type World,
} from "./world.ts";

/** How often we wrote back over others, by target, within ten minutes and for one source version. */
export interface RevertCounter {
  count(targetID: string, version: string): number;
}

/** How targets are looked at. */
interface Look extends Memory {
  /** The object gives them up: whoever else names them goes before it, whatever the mark says. */
  readonly leaving?: boolean;
}

/** What an evaluation remembers from one time to the next. */
export interface Memory {
  readonly reverts: RevertCounter;
  readonly marks: { moved(targetID: string, now: Mark): boolean; wrote(targetID: string): boolean };
}

/**
 * Binds and observes the targets of a pair. `notBeforeMs`: how old an answer of ScaiVault may be. `assume`: a Secret of which
 * nothing is known is taken for absent, without a call.
 */
export async function gatherTargets(
  world: World,
  subject: Subject,
  pair: Pair,
  options: Look & { readonly notBeforeMs: number; readonly lane: Lane; readonly assume?: boolean },
  signal: AbortSignal,
): Promise<EvaluatedTarget[]> {
  const secret = secretTarget(world, subject, pair, options.assume === true);
  const bound = [scaivaultTarget(world, subject, pair, options), secret];
  const present = bound.filter((target) => target !== undefined);
  return Promise.all(present.map((target) => evaluated(world, subject, target, options, signal)));
}

function scaivaultTarget(
  world: World,
  subject: Subject,
  pair: Pair,
  options: { notBeforeMs: number; lane: Lane },
): BoundTarget | undefined {
  const { scaivault } = world;
  const spec = subject.sync.spec.targets.scaivault;
  const path = pair.scaivaultPath;
  if (spec === undefined || path === undefined) return undefined;
  if (scaivault === undefined) return unconfigured(path);
  const tags = sourceTagsOf(subject, pair.ref.path);
  const address = scaivaultAddress(spec, path, subject, tags, options.lane);
  const at = {
    kind: "ScaiVault" as const,
    ref: path,
    targetID: scaivaultTargetID(path),
    shape: shapeOf(spec, scaivaultShape),
    address,
    render: renderScaiVault,
  };
  return bindTarget(scaivault.target, at, (ref, signal) =>
    scaivault.observations.get(ref, options.notBeforeMs, signal),
  );
}

/** Identity of a ScaiVault path in fingerprints, the same as in marks. Frozen with the mark format. */
export function scaivaultTargetID(path: string): string {
  return `scaivault/${path}`;
}

/** Identity of a Secret in fingerprints, the same as in marks. Frozen with the mark format. */
export function secretTargetID(namespace: string, name: string): string {
  return `kubernetes-secret/${namespace}/${name}`;
}

/** Without a ScaiVault connection the target says so and everything else goes on. */
function unconfigured(path: string): BoundTarget {
  const error = new SyncError(
    "ScaiVaultUnavailable",
    "the operator has no ScaiVault connection (scaivault in its configuration)",
  );
  const refuse = () => Promise.reject(error);
  const observation: TargetObservation = {
    presence: "Unknown",
    version: "",
    mark: { state: "None" },
    content: "Unknown",
    metadataAsDeclared: true,
    fence: "",
    failure: error,
  };
  return {
    kind: "ScaiVault",
    ref: path,
    targetID: scaivaultTargetID(path),
    shape: "",
    render: renderScaiVault,
    observe: () => Promise.resolve(observation),
    reserve: () => ({ granted: true, permit: { use: () => true, release: () => undefined } }),
    read: refuse,
    write: refuse,
    mark: refuse,
    adopt: refuse,
    release: refuse,
    remove: refuse,
  };
}

function secretTarget(world: World, subject: Subject, pair: Pair, assume: boolean): BoundTarget | undefined {
  const spec = subject.sync.spec.targets.kubernetesSecret;
  const name = pair.secretName;
  if (spec === undefined || name === undefined) return undefined;
  const { namespace } = subject.sync.metadata;
  const keys = spec.data === undefined ? undefined : new Set(spec.data.map(({ key }) => key));
  const at = {
    kind: "KubernetesSecret" as const,
    ref: name,
    targetID: secretTargetID(namespace, name),
    shape: shapeOf(spec, secretShape),
    address: { namespace, name, keys, object: subject.key },
    render: (payload: Parameters<typeof renderSecret>[0]) => renderSecret(payload, spec),
  };
  return bindTarget(world.secrets, at, (ref, signal) => {
    const assumed = assume ? world.secrets.assume?.(ref) : undefined;
    return assumed === undefined ? observeSecret(world, ref, signal) : Promise.resolve(assumed);
  });
}

async function evaluated(
  world: World,
  subject: Subject,
  target: BoundTarget,
  { reverts, marks, leaving = false }: Look,
  signal: AbortSignal,
): Promise<EvaluatedTarget> {
  const observation = notGranted(world, subject, target) ?? (await observe(target, signal));
  const owner = selfOf(world, subject);
  const { incumbent, otherOwner } = incumbentOf(
    observation.mark,
    owner,
    world.ring,
    (other) => stillClaims(world, other, target),
    predecessors(world, target, marks),
  );
  const winner = claimBefore(world, subject, target, { observation, incumbent, leaving });
  const mark = observation.mark.state === "Valid" ? observation.mark.mark : undefined;
  return {
    target,
    observation,
    incumbent,
    ...(otherOwner === undefined ? {} : { otherOwner }),
    rights: rightsOf(world, subject, target),
    ...(winner === undefined ? {} : { claimedBy: winner }),
    reverts: reverts.count(target.targetID, mark?.version ?? ""),
    ...(mark !== undefined && incumbent === "Self" && marks.moved(target.targetID, mark) ? { markMoved: true } : {}),
    ...(wasThere(subject, target, marks) ? { knownBefore: true } : {}),
    ...(observation.consent === subject.sync.metadata.name ? { consented: true } : {}),
    ...(target.kind === "ScaiVault" ? ofScaiVault(world, subject, target, marks, sightOf(observation, incumbent)) : {}),
  };
}

/** Whose claim to the target goes before this object's. */
function claimBefore(
  world: World,
  subject: Subject,
  target: BoundTarget,
  { observation, incumbent, leaving }: Pick<EvaluatedTarget, "observation" | "incumbent"> & { leaving: boolean },
): string | undefined {
  // What takes no copies at all is nobody's to claim.
  if (observation.failure?.reason === "ReadOnlyPath") return undefined;
  return leaving ? anyClaim(world, subject, target) : winningClaim(world, subject, target, incumbent);
}

/** What is told of paths in ScaiVault only. */
function ofScaiVault(
  world: World,
  subject: Subject,
  target: BoundTarget,
  marks: Memory["marks"],
  now: Sight | undefined,
): Partial<EvaluatedTarget> {
  return {
    sourceID: vaultSourceIDOf(world.ring, target.ref),
    goneBelieved: goneBelieved(world, subject, target),
    ...(world.scaivault?.role === "Reader" ? { readOnly: true } : {}),
    ...lastSeen(world, subject, target, marks, now),
  };
}

/**
 * Clusters whose marks this one takes over. Where it wrote already and another cluster's mark stands now, that cluster still
 * writes: then nobody fights for the path.
 */
function predecessors(world: World, { kind, targetID }: BoundTarget, marks: Memory["marks"]): ReadonlySet<string> {
  const { scaivault } = world;
  if (kind !== "ScaiVault" || scaivault === undefined || marks.wrote(targetID)) return nobody;
  return scaivault.takeOverFrom;
}

const nobody: ReadonlySet<string> = new Set();

/** What ScaiVault said of the fence when it was seen last; only asked when the look of now says nothing. */
function lastSeen(
  world: World,
  subject: Subject,
  target: BoundTarget,
  marks: Memory["marks"],
  now: Sight | undefined,
): Pick<EvaluatedTarget, "lastSeen"> {
  const before = now === undefined ? world.scaivault?.observations.lastSeen({ path: target.ref }) : undefined;
  if (before === undefined) return {};
  const claims = (owner: OwnerRef) => stillClaims(world, owner, target);
  const former = predecessors(world, target, marks);
  const seen = sightOf(before, incumbentOf(before.mark, selfOf(world, subject), world.ring, claims, former).incumbent);
  return seen === undefined ? {} : { lastSeen: seen };
}

/** A copy stood there: status says so, or this process made it. */
function wasThere(subject: Subject, target: BoundTarget, marks: Memory["marks"]): boolean {
  if (marks.wrote(target.targetID)) return true;
  const { targets = [], problems = [] } = subject.sync.status ?? {};
  // A path that somebody deleted holds no version any more: the conflict that this is remembers that it was there.
  if (target.kind === "ScaiVault" && problems.some(({ path, conflict }) => path === target.ref && conflict))
    return true;
  return targets.some(
    ({ kind, ref, sourceVersion }) => kind === target.kind && ref === target.ref && sourceVersion !== undefined,
  );
}

/** ScaiVault said twice, at least an interval apart, that there is nothing. */
function goneBelieved(world: World, subject: Subject, target: BoundTarget): boolean {
  const absentMs = world.scaivault?.observations.absentForMs({ path: target.ref });
  // A plan comes once and writes nothing: it says what becomes of it when the second look says the same.
  return absentMs !== undefined && (world.dryRun || absentMs >= subject.effective.syncIntervalMs);
}

/** What takes no copies, or a namespace has no right to, is not looked at: whether it is there is nobody's business. */
function notGranted(world: World, subject: Subject, target: BoundTarget): TargetObservation | undefined {
  const readOnly = readOnlyPath(world, subject, target);
  if (readOnly !== undefined) return unseen(readOnly);
  if (target.kind !== "ScaiVault" || rightsOf(world, subject, target).read) return undefined;
  const verdict = world.rights.scaivault(subject.sync.metadata.namespace, target.ref, "write");
  return verdict.ok ? undefined : unseen(verdict.error);
}

async function observe(target: BoundTarget, signal: AbortSignal): Promise<TargetObservation> {
  try {
    return await target.observe(signal);
  } catch (error) {
    return unseen(toSyncError(error, `look at ${target.ref}`));
  }
}

function unseen(failure: SyncError): TargetObservation {
  return {
    presence: "Unknown",
    version: "",
    mark: { state: "None" },
    content: "Unknown",
    metadataAsDeclared: true,
    fence: "",
    failure,
  };
}

/** This object as marks name it. */
export function selfOf(world: World, subject: Subject) {
  const { namespace, name } = subject.sync.metadata;
  return { cluster: world.cluster, namespace, kind: subject.kind, name };
}

function rightsOf(world: World, subject: Subject, target: BoundTarget): TargetInput["rights"] {
  if (target.kind === "KubernetesSecret") return { read: true, write: true, delete: true };
  const { namespace } = subject.sync.metadata;
  const write = world.rights.scaivault(namespace, target.ref, "write").ok;
  const read = write || world.rights.scaivault(namespace, target.ref, "read").ok;
  return { read, write, delete: write };
}

/** A Secret of this object that its spec no longer names. */
export function bindSecretByName(
  world: World,
  subject: Subject,
  name: string,
  memory: Memory,
  signal: AbortSignal,
): Promise<EvaluatedTarget> {
  const { namespace } = subject.sync.metadata;
  const at = {
    kind: "KubernetesSecret" as const,
    ref: name,
    targetID: secretTargetID(namespace, name),
    shape: "",
    address: { namespace, name, object: subject.key },
    render: (payload: Parameters<typeof renderSecret>[0]) => renderSecret(payload),
  };
  const target = bindTarget(world.secrets, at, (ref, aborted) => observeSecret(world, ref, aborted));
  return evaluated(world, subject, target, { ...memory, leaving: true }, signal);
}

/** A ScaiVault path of this object that its spec no longer names. */
export function bindScaiVaultByPath(
  world: World,
  subject: Subject,
  path: string,
  memory: Memory,
  signal: AbortSignal,
): Promise<EvaluatedTarget | undefined> {
  const { scaivault } = world;
  if (scaivault === undefined) return Promise.resolve(undefined);
  const at = {
    kind: "ScaiVault" as const,
    ref: path,
    targetID: scaivaultTargetID(path),
    shape: "",
    address: { path, object: subject.key, lane: "user" as const },
    render: renderScaiVault,
  };
  const notBeforeMs = world.clock.monotonic() - 1000;
  const target = bindTarget(scaivault.target, at, (ref, aborted) =>
    scaivault.observations.get(ref, notBeforeMs, aborted),
  );
  return evaluated(world, subject, target, { ...memory, leaving: true }, signal);
}

async function observeSecret(world: World, ref: SecretAddress, signal: AbortSignal): Promise<TargetObservation> {
  const observation = (await world.secrets.observe([ref], signal)).get(world.secrets.key(ref));
  if (observation === undefined) throw new SyncError("Unexpected", `Secret ${ref.name} gave no answer`);
  return observation;
}
