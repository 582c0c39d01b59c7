import { compareKeys, type KeyComparison, type KeyRing, planPair } from "../decide/index.ts";
import type {
  ActionKind,
  Brakes,
  ContentFacts,
  Incumbent,
  PairPlan,
  Policies,
  Sight,
  SourceState,
  TargetInput,
} from "../decide/types.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import type { Authority, SecretPayload } from "../model/index.ts";
import type { Permit, RenderedContent, Reservation, SourceRead, TargetObservation } from "../ports/index.ts";
import type { BoundTarget } from "./bound-target.ts";
import type { ComparisonMemo } from "./comparison-memo.ts";
import { contentFacts, hasContent } from "./content-facts.ts";
import type { PlanMemo, Remembered } from "./plan-memo.ts";

/** One target as it goes into an evaluation: the target itself and what metadata and rights say of it. */
export interface EvaluatedTarget {
  readonly target: BoundTarget;
  readonly observation: TargetObservation;
  /** Why the observation is `Unknown`. */
  readonly observeError?: SyncError;
  readonly incumbent: Incumbent;
  readonly otherOwner?: string;
  readonly rights: TargetInput["rights"];
  readonly readOnly?: boolean;
  readonly claimedBy?: string;
  readonly reverts: number;
  readonly sourceID?: string;
  readonly knownBefore?: boolean;
  readonly goneBelieved?: boolean;
  readonly lastSeen?: Sight;
  readonly markMoved?: boolean;
  readonly consented?: boolean;
}

/** One source secret with its targets, before planning. */
export interface PairContext {
  readonly path: string;
  readonly owner: string;
  readonly sourceID: string;
  readonly policies: Policies;
  readonly source: SourceState;
  readonly targets: readonly EvaluatedTarget[];
  readonly brakes: Brakes;
  readonly ring: KeyRing;
  /** Asks ScaiVault's rate budget for a write, before anything is read for it; absent where nothing is written. */
  reserve?(kind: ActionKind): Reservation;
  /** Reads the wanted version of the source. */
  readSource(signal: AbortSignal): Promise<SourceRead>;
  /** With apply Never: what earlier comparisons said. */
  readonly memo: ComparisonMemo;
  /** What values said when they were read last. */
  readonly plans: PlanMemo;
  /** What is held in this plan was approved by people. */
  readonly approved: boolean;
  /** The side that people keep in its conflict. */
  readonly keep?: Authority;
}

/** Values that were read while planning; the executor writes from these. */
export interface PairValues {
  source?: SourceRead;
  readonly rendered: Map<BoundTarget, RenderedContent>;
  readonly held: Map<BoundTarget, RenderedContent>;
  /** The write to ScaiVault that was set aside for this plan. */
  permit?: Permit;
}

/** The plan of one pair, and the errors that kept it from being better. */
export interface PairResult {
  readonly context: PairContext;
  readonly plan: PairPlan;
  readonly values: PairValues;
  /** With apply Never: how the keys of each target compare. */
  readonly keys: ReadonlyMap<BoundTarget, KeyComparison>;
  /** Reading the source's value failed. */
  readonly sourceError?: SyncError;
  /** ScaiVault is not written yet: the rate budget has no room. Resolves when it is this pair's turn. */
  readonly turn?: Promise<void>;
}

const MAX_ROUNDS = 5;

/**
 * Plans one pair: first from metadata alone; when the planner asks for values they are read, compared by keyed
 * fingerprint or byte by byte, and it is asked again. Reads nothing that the planner did not ask for.
 */
export async function evaluatePair(context: PairContext, signal: AbortSignal): Promise<PairResult> {
  const values: PairValues = { rendered: new Map(), held: new Map() };
  const said = context.plans.recall(context);
  const waiting = said === undefined ? undefined : planAgain(context, said);
  if (waiting !== undefined) return { context, plan: waiting, values, keys: comparisons(context, values) };
  return planWithValues(context, values, signal);
}

/** What is known so far; each round may add to it. */
interface Known {
  readonly unrenderable: Map<BoundTarget, SyncError>;
  secretsFrom: Authority;
  source: SourceState;
  sourceError?: SyncError;
  turn?: Promise<void>;
}

async function planWithValues(context: PairContext, values: PairValues, signal: AbortSignal): Promise<PairResult> {
  const known: Known = {
    unrenderable: new Map(),
    secretsFrom: context.policies.authority,
    source: context.source,
  };
  for (let round = 0; ; round += 1) {
    const last = round >= MAX_ROUNDS;
    renderAll(context, known.secretsFrom, values, known.unrenderable);
    const inputs = context.targets.map((target) => targetInput(context, target, values, known.unrenderable));
    const plan = planOf(
      context,
      known.source,
      known.turn === undefined ? inputs : inputs.map((input) => defer(context, input)),
    );
    if (plan.secretsFrom !== known.secretsFrom) {
      // The content of Secrets comes from the other side now: what was rendered does not count.
      known.secretsFrom = plan.secretsFrom;
      values.rendered.clear();
      known.unrenderable.clear();
      if (!last) continue;
    }
    if (!last && hasToWait(context, plan, values, known)) continue;
    if (plan.needs.length === 0 || last) return resultOf(context, plan, values, known);
    await readNeeds(context, plan, values, known, signal);
  }
}

function resultOf(context: PairContext, plan: PairPlan, values: PairValues, known: Known): PairResult {
  const { sourceError, turn, unrenderable } = known;
  if (sourceError === undefined && turn === undefined) remember(context, plan, values, unrenderable);
  return {
    context,
    plan,
    values,
    keys: comparisons(context, values),
    ...(sourceError === undefined ? {} : { sourceError }),
    ...(turn === undefined ? {} : { turn }),
  };
}

async function readNeeds(
  context: PairContext,
  plan: PairPlan,
  values: PairValues,
  known: Known,
  signal: AbortSignal,
): Promise<void> {
  for (const need of plan.needs) {
    try {
      if (need.kind === "SourceValue") values.source ??= await context.readSource(signal);
      else await fetchTarget(context, need.target, values, signal);
    } catch (error) {
      const failed = toSyncError(error, `read ${context.path}`);
      known.sourceError = failed;
      known.source = { state: "Unknown", reason: failed.reason, message: failed.message };
    }
  }
}

/** Sets a write to ScaiVault aside before anything is read for it. @returns true when it has to wait for its turn */
function hasToWait({ reserve }: PairContext, { writes }: PairPlan, values: PairValues, known: Known): boolean {
  const write = writes.find(({ target }) => target === "ScaiVault");
  if (write === undefined || reserve === undefined) return false;
  if (values.permit !== undefined || known.turn !== undefined) return false;
  const reservation = reserve(write.kind);
  if (reservation.granted) values.permit = reservation.permit;
  else known.turn = reservation.turn;
  return !reservation.granted;
}

/** What was approved is done as a whole: half of it would be another plan, and the approval void. */
function defer({ approved }: PairContext, input: TargetInput): TargetInput {
  return approved || input.kind === "ScaiVault" ? { ...input, deferred: true } : input;
}

function planOf(context: PairContext, source: SourceState, targets: readonly TargetInput[]): PairPlan {
  const { path, owner, sourceID, policies, brakes, approved, keep } = context;
  const answer = keep === undefined ? {} : { keep };
  return planPair({ path, owner, sourceID, policies, source, targets, brakes, approved, ...answer });
}

/** The plan of a pair that still waits as it did when its values were read last; undefined when they are needed again. */
function planAgain(context: PairContext, said: Remembered): PairPlan | undefined {
  const inputs = context.targets.map((evaluated): TargetInput => {
    const known = said.byTarget.get(evaluated.target.targetID);
    const { reason, message } = known?.unrenderable ?? {};
    return {
      ...targetInput(context, evaluated, { rendered: new Map(), held: new Map() }, new Map()),
      content: known?.content ?? {},
      ...(reason === undefined || message === undefined ? {} : { unrenderable: { reason, message } }),
    };
  });
  const plan = planOf(context, context.source, inputs);
  const still = plan.actions.length === 0 && plan.needs.length === 0 && plan.secretsFrom === said.secretsFrom;
  return still ? plan : undefined;
}

function remember(
  context: PairContext,
  plan: PairPlan,
  values: PairValues,
  unrenderable: ReadonlyMap<BoundTarget, SyncError>,
): void {
  const read = values.source !== undefined || values.held.size > 0;
  if (plan.actions.length > 0 || !read || context.source.state !== "Present") {
    context.plans.forget(context);
    return;
  }
  // A stage may have moved on between the poll and the read: then the value is not that of the version in the facts.
  if (values.source !== undefined && values.source.version !== context.source.version) return;
  const byTarget = new Map(
    context.targets.map(({ target, observation }) => [
      target.targetID,
      { content: contentFacts(context.ring, target, observation, values), unrenderable: unrenderable.get(target) },
    ]),
  );
  context.plans.keep(context, { secretsFrom: plan.secretsFrom, byTarget });
}

/** People who only observe want to know which keys differ. Values are compared here and dropped afterwards. */
function comparisons(context: PairContext, values: PairValues): Map<BoundTarget, KeyComparison> {
  const { policies, targets, source, memo } = context;
  const found = new Map<BoundTarget, KeyComparison>();
  if (policies.apply !== "Never" || source.state !== "Present") return found;
  for (const { target, observation } of targets) {
    const version = followedVersion(context, target, source.version);
    const known = memo.get(target, version, observation.fence);
    if (known !== undefined) found.set(target, known.keys);
    const wanted = values.rendered.get(target);
    const held = values.held.get(target);
    if (wanted === undefined || (held === undefined && observation.presence !== "Absent")) continue;
    const keys = compareKeys(wanted, held);
    found.set(target, keys);
    const equal = held !== undefined && hasContent(target, wanted, held);
    if (held !== undefined) memo.set(target, version, observation.fence, { equal, keys });
  }
  return found;
}

/** The content that the target should have, given the side that Secrets are rendered from. */
function wantedPayload(
  context: PairContext,
  authority: Authority,
  target: BoundTarget,
  values: PairValues,
): SecretPayload | undefined {
  if (authority === "ScaiVault" && target.kind === "KubernetesSecret") {
    const vault = context.targets.find((other) => other.target.kind === "ScaiVault");
    return vault === undefined ? undefined : values.held.get(vault.target)?.payload;
  }
  return values.source?.payload;
}

async function fetchTarget(
  context: PairContext,
  kind: BoundTarget["kind"],
  values: PairValues,
  signal: AbortSignal,
): Promise<void> {
  const wanted = context.targets.find((candidate) => candidate.target.kind === kind);
  if (wanted === undefined || values.held.has(wanted.target)) return;
  const content = await wanted.target.read(signal);
  if (content === undefined) throw new SyncError("TargetChanged", `${wanted.target.ref} went away`, { code: "fence" });
  values.held.set(wanted.target, content);
}

function renderAll(
  context: PairContext,
  authority: Authority,
  values: PairValues,
  unrenderable: Map<BoundTarget, SyncError>,
): void {
  for (const { target } of context.targets) {
    const payload = wantedPayload(context, authority, target, values);
    if (payload === undefined || values.rendered.has(target)) continue;
    try {
      values.rendered.set(target, target.render(payload));
    } catch (error) {
      unrenderable.set(target, toSyncError(error, `render ${target.ref}`));
    }
  }
}

function targetInput(
  context: PairContext,
  evaluated: EvaluatedTarget,
  values: PairValues,
  unrenderable: ReadonlyMap<BoundTarget, SyncError>,
): TargetInput {
  const { target, observation } = evaluated;
  const failure = unrenderable.get(target);
  return {
    kind: target.kind,
    ref: target.ref,
    observation,
    incumbent: evaluated.incumbent,
    ...(evaluated.otherOwner === undefined ? {} : { otherOwner: evaluated.otherOwner }),
    rights: evaluated.rights,
    shape: target.shape,
    ...(evaluated.readOnly === undefined ? {} : { readOnly: evaluated.readOnly }),
    ...(evaluated.claimedBy === undefined ? {} : { claimedBy: evaluated.claimedBy }),
    reverts: evaluated.reverts,
    ...(evaluated.sourceID === undefined ? {} : { sourceID: evaluated.sourceID }),
    ...(evaluated.knownBefore === undefined ? {} : { knownBefore: evaluated.knownBefore }),
    ...(evaluated.goneBelieved === undefined ? {} : { goneBelieved: evaluated.goneBelieved }),
    ...(evaluated.lastSeen === undefined ? {} : { lastSeen: evaluated.lastSeen }),
    ...(evaluated.markMoved === undefined ? {} : { markMoved: evaluated.markMoved }),
    ...(evaluated.consented === undefined ? {} : { consented: evaluated.consented }),
    content: {
      ...remembered(context, target, observation),
      ...contentFacts(context.ring, target, observation, values),
    },
    ...(failure === undefined ? {} : { unrenderable: { reason: failure.reason, message: failure.message } }),
  };
}

/** The version that a target is compared with: after the flip a Secret follows what ScaiVault holds. */
function followedVersion({ policies, targets }: PairContext, { kind }: BoundTarget, sourceVersion: string): string {
  if (policies.authority !== "ScaiVault" || kind !== "KubernetesSecret") return sourceVersion;
  const vault = targets.find(({ target }) => target.kind === "ScaiVault");
  return `ScaiVault ${vault?.observation.lineage ?? ""} ${vault?.observation.fence ?? ""}`;
}

function remembered(context: PairContext, target: BoundTarget, { fence }: TargetObservation): ContentFacts {
  const { policies, source, memo } = context;
  if (policies.apply !== "Never" || source.state !== "Present") return {};
  const known = memo.get(target, followedVersion(context, target, source.version), fence);
  return known === undefined ? {} : { sourceEqualsTarget: known.equal };
}
