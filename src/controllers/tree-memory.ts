import type { PairReport, SyncSituation, TreeNames } from "../decide/index.ts";
import { heldCounts } from "../decide/index.ts";
import type { PairPlan } from "../decide/types.ts";
import type { SyncError } from "../errors/index.ts";
import type { Planned } from "./approvals.ts";
import type { Tree } from "./tree-subject.ts";

const report = (state: "InSync" | "Pending", reason: "InSync" | "Progressing"): PairReport => ({
  path: "",
  targets: [{ kind: "ScaiVault", ref: "", state, reason, message: "" }],
  held: 0,
});

/** Of a secret that is fine, or only under way, nothing of its own is kept. */
const settled = report("InSync", "InSync");
const underway = report("Pending", "Progressing");

/** A copy that no mapping names any more, and whose deletion waits. */
export interface HeldStray {
  readonly plan: PairPlan;
  readonly report: PairReport;
}

/** What a tree's last looks came to, by ScaiVault path. Only what is not in sync is kept in detail. */
export class TreeMemory {
  tree: Tree;
  /** What the names rest on; another one is another tree. */
  basis = "";
  /** Something was written since status was made last. */
  wrote = false;
  /** Attempts in a row that failed, by ScaiVault path. */
  readonly failures = new Map<string, number>();
  /** Copies of ours that no mapping names any more, by ScaiVault path, as long as they stand there. */
  strays: readonly string[] = [];
  /** Those of them that stay for good, with the reason. */
  stays: ReadonlyMap<string, string> = new Map();
  /** Those whose deletion waits for people or for the brake. */
  heldStrays: ReadonlyMap<string, HeldStray> = new Map();
  /** When strays were cleaned up last, by the monotonic clock. */
  tidiedMs = -Infinity;
  /** They were looked for since the mappings are what they are. */
  isSwept = false;
  /** When a poll last ended, by the monotonic clock: what was looked at since then need not be looked at for it. */
  polledMs = -Infinity;
  /** When ScaiVault was last asked for all or for what changed, by the monotonic clock. */
  lookedMs = -Infinity;
  /** Mappings whose walk failed, and paths that cannot have a name. */
  #problems: readonly { readonly path: string; readonly error: SyncError }[] = [];
  #members: ReadonlyMap<string, string> = new Map();
  #bySource: ReadonlyMap<string, readonly string[]> = new Map();
  #contested: ReadonlySet<string> = new Set();
  #named = false;
  readonly #reports = new Map<string, PairReport>();
  readonly #held = new Map<string, Planned>();

  constructor(tree: Tree) {
    this.tree = tree;
  }

  /** ScaiVault path to source path. */
  get members(): ReadonlyMap<string, string> {
    return this.#members;
  }
  /** Mappings whose walk failed, and paths that cannot have a name. */
  get problems(): readonly { readonly path: string; readonly error: SyncError }[] {
    return this.#problems;
  }
  get contested(): ReadonlySet<string> {
    return this.#contested;
  }
  /** Its secrets are known: every walk has ended once. */
  get isNamed(): boolean {
    return this.#named;
  }
  /** Every secret was looked at. */
  get isComplete(): boolean {
    return this.#named && this.#reports.size === this.#members.size;
  }
  /** Everything is as declared. */
  get isSettled(): boolean {
    return (
      this.isComplete && this.#problems.length === 0 && [...this.#reports.values()].every((one) => one === settled)
    );
  }
  /** Plans that wait for people, by ScaiVault path: for an approval, or for an answer to a conflict. */
  get held(): ReadonlyMap<string, Planned> {
    return this.#held;
  }
  heldPlans(): PairPlan[] {
    return [...this.#held.values(), ...this.heldStrays.values()].map(({ plan }) => plan);
  }
  /** ScaiVault paths of a source secret. */
  targetsOf(source: string): readonly string[] {
    return this.#bySource.get(source) ?? [];
  }
  seen(path: string): boolean {
    return this.#reports.has(path);
  }
  isUnderway(path: string): boolean {
    return this.#reports.get(path) === underway;
  }

  /** Takes over what the tree consists of now. */
  name(
    { mapped, contested }: TreeNames,
    problems: readonly { readonly path: string; readonly error: SyncError }[],
  ): void {
    const members = new Map<string, string>();
    const bySource = new Map<string, string[]>();
    for (const { path, scaivaultPath } of mapped) {
      members.set(scaivaultPath, path);
      const others = bySource.get(path);
      if (others === undefined) bySource.set(path, [scaivaultPath]);
      else others.push(scaivaultPath);
    }
    for (const path of this.#reports.keys()) if (members.get(path) !== this.#members.get(path)) this.#forget(path);
    this.#members = members;
    this.#bySource = bySource;
    this.#contested = contested;
    this.#problems = problems;
    this.#named = true;
  }

  /** Everything is looked at anew. */
  restart(): void {
    this.#reports.clear();
    this.#held.clear();
    this.failures.clear();
    this.isSwept = false;
    this.stays = new Map();
    this.heldStrays = new Map();
    this.tidiedMs = -Infinity;
    this.#named = false;
  }

  /** What one look came to. */
  take(path: string, found: PairReport, { context, plan }: Planned): void {
    const [only] = found.targets;
    const fine = only?.state === "InSync" && only.reason === "InSync";
    const waits = only?.state === "Pending" && only.reason === "Progressing";
    this.#reports.set(path, fine ? settled : waits ? underway : found);
    if (plan.held.length === 0 && plan.choices.length === 0) this.#held.delete(path);
    else this.#held.set(path, { context: { path: context.path }, plan });
  }

  /** A secret that went, with all its copies: nothing is said of it any longer. */
  drop(path: string): void {
    this.#forget(path);
    const source = this.#members.get(path);
    (this.#members as Map<string, string>).delete(path);
    if (source !== undefined) (this.#bySource as Map<string, readonly string[]>).delete(source);
  }

  /** What status is made of. */
  situation(planHash: string): SyncSituation {
    const { add, change, delete: deleted } = heldCounts(this.heldPlans());
    return {
      kind: "Evaluated",
      pairs: [
        ...[...this.#members.keys()].map((path) => this.#reports.get(path) ?? underway),
        ...[...this.heldStrays.values()].map((stray) => stray.report),
      ],
      problems: this.#problems.map(({ path, error }) => ({ path, reason: error.reason, message: error.message })),
      plan: { hash: planHash, add, change, delete: deleted },
      subtree: true,
      applyNever: this.tree.federation.apply === "Never",
    };
  }

  #forget(path: string): void {
    this.#reports.delete(path);
    this.#held.delete(path);
    this.failures.delete(path);
  }
}
