import { type Authority, type Mark, payloadFromText, type SecretPayload } from "../../model/index.ts";
import type { RenderedContent, TargetObservation } from "../../ports/index.ts";
import {
  createKeyRing,
  fingerprint,
  fingerprintMatches,
  incumbentOf,
  ownerOf,
  planPair,
  policyField,
  readMark,
  renderScaiVault,
  renderSecret,
  sameContent,
  sightOf,
  sourceIDOf,
  vaultSourceIDOf,
  writeMark,
} from "../index.ts";
import type { Action, Brakes, PairInput, PairPlan, Policies, SourceState, TargetInput, TargetKind } from "../types.ts";

export const ring = createKeyRing([Buffer.alloc(32, 7)]);
export const self = { cluster: "east", namespace: "billing", kind: "SecretSync", name: "stripe" };
export const owner = ownerOf(ring, self);
const location = { namespace: "billing", name: "aws", location: "aws us-east-1" };
const PATH = "prod/billing/stripe";
export const VAULT_PATH = "environments/production/billing/stripe";
export const SOURCE_ID = sourceIDOf(ring, location, PATH);

/** A target in the model. `touched`: another writer was at it since our last write (what managedFields tell of a Secret). */
export interface ModelTarget {
  value: string | undefined;
  version: number;
  /** Made anew after it was gone. */
  lineage: number;
  marked: ReadonlyMap<string, string>;
  touched: boolean;
  /** Our label is on it (Secrets). */
  labelled: boolean;
}

const emptyTarget = (): ModelTarget => ({
  value: undefined,
  version: 0,
  lineage: 0,
  marked: new Map(),
  touched: false,
  labelled: false,
});

/** What an action did, for the tests to judge. */
export interface Done {
  readonly action: Action;
  readonly before: ModelTarget;
  readonly observed: TargetInput;
}

/**
 * A small model of one secret in three places: old store, ScaiVault and Kubernetes Secret. Marks and fingerprints are
 * real; observing, reading and executing are what the real parts do, without any I/O.
 */
export class PairWorld {
  readonly versions: { readonly id: string; readonly value: string }[] = [];
  current = -1;
  sourceState: "Present" | "Gone" | "Failed" = "Gone";
  believed = false;
  numbered = false;
  tellsOlder = true;
  vault: ModelTarget = emptyTarget();
  secret: ModelTarget = emptyTarget();
  hasVault = true;
  hasSecret = true;
  vaultGoneBelieved = false;
  vaultUnknown = false;
  /** Somebody deleted the path, and ScaiVault still retains it. */
  vaultSoftDeleted = false;
  /** What this process saw in ScaiVault last; a restart forgets it. */
  vaultSeen: TargetInput["lastSeen"];
  markMoved = false;
  /** The operator only reads ScaiVault. */
  reader = false;
  /** ScaiVault's rate budget has no room. */
  deferred = false;
  /** Clusters whose marks are taken over. */
  predecessors: ReadonlySet<string> = new Set();
  knownBefore = false;
  /** The owner of the Secret consents to a take-over. */
  consented = false;
  /** Somebody made the Secret with another type. */
  otherType = false;
  reverts = 0;
  rights = { read: true, write: true, delete: true };
  /** Living objects by name; the mark's owner may be one of these. */
  living = new Set<string>(["stripe"]);
  brakes: Brakes = { deletion: "Open", change: "Open" };
  shape = "shape1";
  policies: Policies = {
    authority: "Source",
    conflictResolution: "remote_wins",
    deletionPolicy: "Retain",
    cleanupPolicy: "Retain",
    adopt: "Never",
    apply: "Automatic",
  };
  reads = 0;
  births = 0;

  put(value: string): void {
    const id = this.numbered ? String(this.versions.length + 1) : `id-${this.versions.length + 1}`;
    this.versions.push({ id, value });
    this.current = this.versions.length - 1;
    this.sourceState = "Present";
    this.believed = false;
  }

  get sourceValue(): string | undefined {
    return this.sourceState === "Present" ? this.versions[this.current]?.value : undefined;
  }

  foreignWrite(kind: TargetKind, value: string): void {
    const target = this.target(kind);
    // A new version keeps the metadata it had; a new path has none.
    const lineage = target.value === undefined ? (this.births += 1) : target.lineage;
    Object.assign(target, { value, version: target.version + 1, touched: true, lineage });
  }

  remove(kind: TargetKind): void {
    Object.assign(this.target(kind), emptyTarget());
  }

  target(kind: TargetKind): ModelTarget {
    return kind === "ScaiVault" ? this.vault : this.secret;
  }

  source(): SourceState {
    if (this.sourceState === "Failed") return { state: "Unknown", reason: "SourceUnavailable", message: "down" };
    const now = this.versions[this.current];
    if (this.sourceState === "Gone" || now === undefined)
      return { state: "Gone", how: "NotFound", believed: this.believed };
    const older = new Set(this.versions.slice(0, this.current).map(({ id }) => id));
    return { state: "Present", version: now.id, older: this.tellsOlder ? older : undefined, numbered: this.numbered };
  }

  targetID(kind: TargetKind): string {
    return kind === "ScaiVault" ? `scaivault:${VAULT_PATH}` : "kubernetes:east/billing/stripe";
  }

  observe(kind: TargetKind): TargetObservation {
    if (kind !== "ScaiVault" || !this.vaultUnknown) return this.observeTruly(kind);
    return {
      presence: "Unknown",
      version: "",
      mark: { state: "None" },
      content: "Unknown",
      metadataAsDeclared: true,
      fence: "",
    };
  }

  /** What stands there, whether it can be seen or not. */
  observeTruly(kind: TargetKind): TargetObservation {
    const target = this.target(kind);
    const none = {
      version: "",
      mark: { state: "None" },
      content: "Unknown",
      metadataAsDeclared: true,
      fence: "",
    } as const;
    if (kind === "ScaiVault" && this.vaultSoftDeleted) return { presence: "SoftDeleted", ...none };
    if (target.value === undefined) return { presence: "Absent", ...none };
    const mark = readMark(ring, this.targetID(kind), target.marked);
    const version = kind === "ScaiVault" ? String(target.version) : "";
    const labelled = kind === "ScaiVault" || target.labelled;
    if (!labelled) return { ...none, presence: "Present", version };
    const asMarked =
      mark.state === "Valid" && (kind === "ScaiVault" ? mark.mark.targetVersion === version : !target.touched);
    return {
      presence: "Present",
      version,
      mark,
      content: mark.state !== "Valid" ? "Unknown" : asMarked ? "AsMarked" : "Changed",
      metadataAsDeclared: true,
      fence: "",
      ...(kind === "ScaiVault" ? { lineage: String(target.lineage) } : {}),
      ...(kind === "KubernetesSecret" && mark.state === "None" && !target.touched ? { markLost: true } : {}),
    };
  }

  render(kind: TargetKind, value: string): RenderedContent {
    const payload: SecretPayload = payloadFromText(value);
    return kind === "ScaiVault" ? renderScaiVault(payload) : renderSecret(payload);
  }

  /** The plan, with values read as often as it asks; what it would write, by target. */
  plan(
    approved = false,
    keep?: Authority,
  ): { plan: PairPlan; input: PairInput; rendered: Map<TargetKind, RenderedContent> } {
    const read = { source: false, targets: new Set<TargetKind>() };
    for (let round = 0; ; round += 1) {
      const rendered = new Map<TargetKind, RenderedContent>();
      const input = { ...this.input(approved, read, rendered, keep), ...(keep === undefined ? {} : { keep }) };
      const plan = planPair(input);
      if (plan.needs.length === 0) return { plan, input, rendered };
      if (round > 4) throw new Error("the planner asks for values without end");
      for (const need of plan.needs) {
        this.reads += 1;
        if (need.kind === "SourceValue") read.source = true;
        else read.targets.add(need.target);
      }
    }
  }

  input(
    approved: boolean,
    read: { source: boolean; targets: ReadonlySet<TargetKind> },
    rendered: Map<TargetKind, RenderedContent>,
    keep?: Authority,
  ): PairInput {
    const kinds: TargetKind[] = [
      ...(this.hasVault ? (["ScaiVault"] as const) : []),
      ...(this.hasSecret ? (["KubernetesSecret"] as const) : []),
    ];
    const bare: PairInput = {
      path: PATH,
      owner,
      sourceID: SOURCE_ID,
      policies: this.policies,
      source: this.source(),
      targets: kinds.map((kind) => this.targetInput(kind, {})),
      brakes: this.brakes,
      approved,
      ...(keep === undefined ? {} : { keep }),
    };
    // The side that is in force decides what Secrets are rendered from.
    const { secretsFrom } = planPair(bare);
    const withValues = (kind: TargetKind, inForce: string): TargetInput => {
      const fromVault = inForce === "ScaiVault" && kind === "KubernetesSecret";
      const wantedValue = fromVault
        ? read.targets.has("ScaiVault")
          ? this.vault.value
          : undefined
        : read.source
          ? this.sourceValue
          : undefined;
      const wanted = wantedValue === undefined ? undefined : this.render(kind, wantedValue);
      if (wanted !== undefined) rendered.set(kind, wanted);
      const heldValue = read.targets.has(kind) ? this.target(kind).value : undefined;
      const held = heldValue === undefined ? undefined : this.render(kind, heldValue);
      const mark = this.observe(kind).mark;
      const print = mark.state === "Valid" ? mark.mark.fingerprint : undefined;
      return this.targetInput(kind, {
        ...(wanted === undefined ? {} : { rendered: true }),
        ...(wanted !== undefined && print !== undefined
          ? { sourceEqualsMark: fingerprintMatches(ring, this.targetID(kind), wanted, print) }
          : {}),
        ...(held === undefined ? {} : { held: true }),
        ...(held !== undefined && print !== undefined
          ? { targetEqualsMark: fingerprintMatches(ring, this.targetID(kind), held, print) }
          : {}),
        ...(wanted !== undefined && held !== undefined ? { sourceEqualsTarget: sameContent(wanted, held) } : {}),
        ...(kind === "KubernetesSecret" && this.otherType ? { otherType: true } : {}),
      });
    };
    const first = { ...bare, targets: kinds.map((kind) => withValues(kind, secretsFrom)) };
    const second = planPair(first).secretsFrom;
    rendered.clear();
    return { ...bare, targets: kinds.map((kind) => withValues(kind, second)) };
  }

  private targetInput(kind: TargetKind, content: TargetInput["content"]): TargetInput {
    const observation = this.observe(kind);
    const before = kind === "ScaiVault" ? this.predecessors : undefined;
    const verdict = incumbentOf(observation.mark, self, ring, ({ name }) => this.living.has(name), before);
    if (kind === "ScaiVault") this.vaultSeen = sightOf(observation, verdict.incumbent) ?? this.vaultSeen;
    return {
      kind,
      ref: kind === "ScaiVault" ? VAULT_PATH : "stripe",
      observation,
      ...verdict,
      rights: this.rights,
      shape: kind === "ScaiVault" ? "vshape" : this.shape,
      ...(this.reader && kind === "ScaiVault" ? { readOnly: true } : {}),
      ...(this.deferred && kind === "ScaiVault" ? { deferred: true } : {}),
      reverts: this.reverts,
      content,
      markMoved: this.markMoved,
      knownBefore: this.knownBefore,
      ...(kind === "KubernetesSecret" && this.consented ? { consented: true } : {}),
      ...(kind === "ScaiVault"
        ? {
            sourceID: vaultSourceIDOf(ring, VAULT_PATH),
            goneBelieved: this.vaultGoneBelieved,
            ...(this.vaultSeen === undefined ? {} : { lastSeen: this.vaultSeen }),
          }
        : {}),
    };
  }

  /** Plans and carries out; what a crash after `limit` actions leaves behind is kept. */
  step(options: { approved?: boolean; limit?: number; keep?: Authority } = {}): {
    plan: PairPlan;
    done: Done[];
    input: PairInput;
  } {
    const { plan, input, rendered } = this.plan(options.approved ?? false, options.keep);
    const done: Done[] = [];
    for (const action of plan.actions.slice(0, options.limit ?? plan.actions.length)) {
      const target = this.target(action.target);
      const observed = input.targets.find(({ kind }) => kind === action.target);
      if (observed === undefined) throw new Error("an action without its target");
      done.push({ action, before: { ...target }, observed });
      this.execute(action, target, rendered.get(action.target), observed);
    }
    return { plan, done, input };
  }

  private execute(
    action: Action,
    target: ModelTarget,
    content: RenderedContent | undefined,
    observed: TargetInput,
  ): void {
    if (action.kind === "Delete") {
      this.remove(action.target);
      return;
    }
    if (action.kind === "Release") {
      Object.assign(target, { marked: new Map(), labelled: false });
      return;
    }
    const before = observed.observation.mark.state === "Valid" ? observed.observation.mark.mark : undefined;
    const kept =
      action.why === "Kept" && target.value !== undefined ? this.render(action.target, target.value) : content;
    const print =
      kept === undefined || action.why === "Metadata"
        ? before?.fingerprint
        : fingerprint(ring, this.targetID(action.target), kept);
    if (print === undefined || action.mark === undefined) throw new Error("a mark without its content");
    const writes = action.kind === "Create" || action.kind === "Update" || action.kind === "Restore";
    if (writes) {
      if (content === undefined) throw new Error("a write without its content");
      const fromVault = action.from === "ScaiVault";
      const value = fromVault ? this.vault.value : this.sourceValue;
      const lineage = target.value === undefined ? (this.births += 1) : target.lineage;
      Object.assign(target, { value, version: target.version + 1, labelled: true, lineage });
    }
    target.touched = false;
    target.labelled = true;
    const mark: Mark = {
      owner,
      source: action.mark.source,
      version: action.mark.version,
      targetVersion: action.target === "ScaiVault" ? String(target.version) : "k1",
      authority: action.mark.authority,
      policy: policyField(this.policies.deletionPolicy, this.policies.cleanupPolicy, observed.shape, action.mark.note),
      fingerprint: print,
    };
    target.marked = writeMark(ring, this.targetID(action.target), mark);
  }

  /** The mark as an object of another name, cluster or namespace would have written it. */
  markAs(kind: TargetKind, by: Partial<typeof self>, changes: Partial<Mark> = {}): void {
    const target = this.target(kind);
    const reading = readMark(ring, this.targetID(kind), target.marked);
    if (reading.state !== "Valid") return;
    const mark: Mark = { ...reading.mark, owner: ownerOf(ring, { ...self, ...by }), ...changes };
    target.marked = writeMark(ring, this.targetID(kind), mark);
  }

  /** Runs until nothing is left to do. @returns how many rounds had actions */
  settle(limit = 5): number {
    for (let rounds = 0; rounds < limit; rounds += 1) if (this.step().plan.actions.length === 0) return rounds;
    throw new Error("it does not come to rest");
  }
}
