import { annotations, type FederationBackendStatus } from "../api/index.ts";
import type { PolledEvent } from "../catalogue/index.ts";
import type { TreeReport } from "../decide/index.ts";
import { FINALIZER } from "../api/index.ts";
import type { KubeObject, Lane } from "../runtime/index.ts";
import { Approvals } from "./approvals.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { ensureFinalizer, releaseBackend } from "./finalize.ts";
import { lastGoodMs } from "./last-good.ts";
import type { NewsAudience } from "./scaivault-news.ts";
import type { Requeue } from "./requeue.ts";
import type { StatusWriter } from "./status-writer.ts";
import { brakeItemOf } from "./sync-brakes.ts";
import { TreeEvaluator } from "./tree-evaluator.ts";
import { addressOf, holdMassOf, lookAt } from "./tree-look.ts";
import { TreeMemory } from "./tree-memory.ts";
import { nameMembers } from "./tree-names.ts";
import { resolveTree, type Tree, treeKeyOf } from "./tree-subject.ts";
import { finalizeTree, removeTreeStrays, shownCopies, strayNotes, sweepTree } from "./tree-sweep.ts";
import { viewBackend } from "./views.ts";
import type { World } from "./world.ts";

/** What trees ask of those who run them. */
export interface TreeHooks {
  /** One secret is due. */
  due(tree: Tree, path: string, lane: Lane): void;
  /** Status has something new to say. `soon`: more than progress. */
  changed(backendKey: string, soon: boolean): void;
}

/** So many secrets are looked at before the next ones, when nothing says that they changed. */
const CHUNK = 1000;

/**
 * Trees of FederationBackends that the operator copies. Each secret is due by itself (a poll showed that it changed, ScaiVault
 * was looked at, its turn in the rate budget came, its plan was approved), so that one of them never moves ten thousand.
 */
export class TreeController {
  readonly #world: World;
  readonly #status: StatusWriter;
  readonly #hooks: TreeHooks;
  readonly #approvals: Approvals;
  readonly #evaluator: TreeEvaluator;
  readonly #trees = new Map<string, TreeMemory>();
  /** Stores whose trees are being looked at as a whole; true: once more afterwards. */
  readonly #verifying = new Map<StoreHandle, boolean>();

  constructor(world: World, status: StatusWriter, hooks: TreeHooks) {
    this.#world = world;
    this.#status = status;
    this.#hooks = hooks;
    this.#approvals = new Approvals(world);
    this.#evaluator = new TreeEvaluator(world, this.#approvals);
  }

  /** The backend is gone, or has no tree any more. */
  forget(backendKey: string): void {
    const key = treeKeyOf(backendKey);
    this.#trees.delete(backendKey);
    this.#approvals.forget(key);
    this.#world.lingering.forget(key);
    this.#world.treeSizes.delete(backendKey);
    this.#world.brakes.retain(key, new Set());
  }

  /** Takes a backend's tree in as it is now, after its checks. */
  async reconcile(backendKey: string, object: KubeObject, signal: AbortSignal): Promise<Requeue> {
    const status = this.#status.current<FederationBackendStatus>("FederationBackend", object);
    const tree = resolveTree(this.#world, object, status);
    if (runsInScaiVault(object)) {
      if (this.#trees.has(backendKey)) this.forget(backendKey);
      return {};
    }
    if (object.metadata.deletionTimestamp !== undefined) {
      if (object.metadata.finalizers?.includes(FINALIZER) !== true) return {};
      return finalizeTree(this.#world, tree, object, this.#evaluator.memory, signal);
    }
    if (tree === undefined) {
      if (this.#trees.has(backendKey)) this.forget(backendKey);
      await releaseBackend(this.#world, object, signal);
      return {};
    }
    await ensureFinalizer(this.#world, tree.subject, object, signal);
    const memory = this.#takeIn(tree);
    if (tree.subject.refusal !== undefined || tree.subject.store === undefined) return {};
    await this.#approve(memory, object);
    const tidying = { evaluated: this.#evaluator.memory, approvals: this.#approvals };
    if (memory.isSettled) await removeTreeStrays(this.#world, memory, tidying, signal);
    return {};
  }

  /** A tree of another generation, store or right is looked at anew, as a whole. */
  #takeIn(tree: Tree): TreeMemory {
    const memory = this.#trees.get(tree.backendKey) ?? new TreeMemory(tree);
    this.#trees.set(tree.backendKey, memory);
    memory.tree = tree;
    const { uid, generation } = tree.backend.metadata;
    const { store, refusal } = tree.subject;
    const basis = JSON.stringify([uid, generation, store?.identityKey, refusal?.reason]);
    if (basis === memory.basis) return memory;
    memory.basis = basis;
    memory.restart();
    if (refusal === undefined && this.#name(memory))
      for (const path of memory.members.keys()) this.#hooks.due(tree, path, "change");
    return memory;
  }

  #name(memory: TreeMemory): boolean {
    const { tree } = memory;
    if (!nameMembers(this.#world, tree, memory)) return false;
    const items = [...memory.members.values()].map((source) => brakeItemOf(tree.subject, source));
    this.#world.brakes.retain(tree.key, new Set(items));
    return true;
  }

  /** An approval releases what all secrets of the tree hold together; it is used once. */
  async #approve(memory: TreeMemory, object: KubeObject): Promise<void> {
    const { tree } = memory;
    const hash = tree.backend.metadata.annotations?.[annotations.approve];
    const plans = memory.heldPlans();
    if (hash === undefined || this.#world.dryRun) return;
    const whole = this.#approvals.of(tree.subject, plans).state === "Given";
    const answers = this.#approvals.answers(tree.subject, [...memory.held.values()]);
    const given = [...answers.values()].find(({ state }) => state === "Given");
    if (!whole && given === undefined) return;
    await this.#status.approvalUsed("FederationBackend", object, hash);
    this.#approvals.use(tree.subject, given === undefined ? plans : [{ held: [given.action] }]);
    for (const path of memory.held.keys())
      if (given === undefined || given.action.ref === path) this.#hooks.due(tree, path, "user");
  }

  /** A poll of a store ended: what changed goes first, everything else follows. */
  async polled(store: StoreHandle, event: PolledEvent, signal: AbortSignal): Promise<void> {
    for (const backendKey of store.backends) {
      const memory = this.#trees.get(backendKey);
      if (memory?.tree.subject.store !== store) continue;
      if (!this.#name(memory)) continue;
      // What is found is a part of the tree from now on.
      if (event.full && !memory.isSwept && (await sweepTree(this.#world, memory, signal))) this.#name(memory);
      const now = this.#world.clock.monotonic();
      if (event.full) memory.polledMs = now;
      const changed = this.#changedIn(memory, event);
      if (changed.size > 0) {
        await lookAt(this.#world, memory, changed, { changed: true }, signal);
        memory.lookedMs = now;
        holdMassOf(this.#world, memory, changed);
        for (const path of changed) this.#hooks.due(memory.tree, path, "change");
      }
      if (!event.full)
        for (const path of askedIn(memory, event))
          if (!changed.has(path)) this.#hooks.due(memory.tree, path, "refresh");
      this.#hooks.changed(backendKey, true);
    }
    if (event.full) void this.#verify(store, signal);
  }

  #changedIn(memory: TreeMemory, { changed }: PolledEvent): Set<string> {
    const paths = new Set(changed.flatMap((source) => memory.targetsOf(source)));
    for (const path of memory.members.keys()) if (!memory.seen(path)) paths.add(path);
    return paths;
  }

  /** ScaiVault is asked for all of the store's trees, some at a time. One that still runs is not overtaken by the next. */
  async #verify(store: StoreHandle, signal: AbortSignal): Promise<void> {
    if (this.#verifying.has(store)) {
      this.#verifying.set(store, true);
      return;
    }
    this.#verifying.set(store, false);
    try {
      for (const backendKey of store.backends) {
        const memory = this.#trees.get(backendKey);
        if (memory?.tree.subject.store !== store) continue;
        await this.#verifyTree(memory, signal);
      }
    } finally {
      const again = this.#verifying.get(store) === true && !signal.aborted;
      this.#verifying.delete(store);
      if (again) void this.#verify(store, signal);
    }
  }

  async #verifyTree(memory: TreeMemory, signal: AbortSignal): Promise<void> {
    const all = [...memory.members.keys()].filter((path) => !this.#wasLookedAt(path, memory.polledMs));
    for (let at = 0; at < all.length && !signal.aborted; at += CHUNK) {
      const some = all.slice(at, at + CHUNK);
      await lookAt(this.#world, memory, some, { changed: false }, signal);
      for (const path of some) if (memory.members.has(path)) this.#hooks.due(memory.tree, path, "refresh");
    }
  }

  #wasLookedAt(path: string, sinceMs: number): boolean {
    const asOfMs = this.#world.scaivault?.observations.asOfMs({ path });
    return asOfMs !== undefined && asOfMs >= sinceMs;
  }

  /** Looks at one secret. @returns undefined when it is not of this tree any more */
  async evaluate(backendKey: string, path: string, lane: string, signal: AbortSignal): Promise<Requeue | undefined> {
    const memory = this.#trees.get(backendKey);
    if (memory?.members.has(path) !== true) return undefined;
    if (memory.tree.subject.refusal !== undefined) return {};
    // ScaiVault may run it since a moment ago.
    const object = this.#world.caches.backends.get(backendKey);
    if (object !== undefined && runsInScaiVault(object)) return undefined;
    const { wrote } = memory;
    const next = await this.#evaluator.evaluate(memory, path, lane, signal);
    this.#hooks.changed(backendKey, memory.isComplete && !(memory.wrote && wrote) && !memory.isUnderway(path));
    return next ?? {};
  }

  /** Trees as hearers of ScaiVault's news. */
  news(signal: AbortSignal): NewsAudience {
    const holders = (path: string) => [...this.#trees.values()].filter(({ members }) => members.has(path));
    return {
      targets: () =>
        [...this.#trees.values()].flatMap(({ tree }) => tree.mappings.map(({ scaivaultPath }) => scaivaultPath)),
      address: (path) => {
        const [memory] = holders(path);
        const address = memory === undefined ? undefined : addressOf(memory, path);
        return address === undefined ? undefined : { ...address, lane: "rotated" };
      },
      changed: (path) => holders(path).forEach(({ tree }) => this.#hooks.due(tree, path, "drift")),
      missed: () => {
        for (const memory of this.#trees.values()) memory.polledMs = this.#world.clock.monotonic();
        for (const { tree } of this.#trees.values())
          if (tree.subject.store !== undefined) void this.#verify(tree.subject.store, signal);
      },
    };
  }

  /** Whoever claimed some ScaiVault paths does so no longer: trees that wait for them look again. */
  freed(isFreed: (path: string) => boolean): void {
    for (const memory of this.#trees.values())
      for (const path of memory.members.keys()) if (isFreed(path)) this.#hooks.due(memory.tree, path, "change");
  }

  /** The store began or ceased to answer. */
  storeChanged(store: StoreHandle): void {
    for (const backendKey of store.backends) {
      const memory = this.#trees.get(backendKey);
      if (memory?.tree.subject.store !== store) continue;
      for (const path of memory.members.keys()) this.#hooks.due(memory.tree, path, "refresh");
    }
  }

  /** What the backend's status says of its tree; undefined when it has none. */
  report(backendKey: string): TreeReport | undefined {
    const memory = this.#trees.get(backendKey);
    if (memory === undefined) return undefined;
    const { tree } = memory;
    const { federation, subject } = tree;
    const hash = this.#approvals.of(subject, memory.heldPlans()).hash;
    const wrote = memory.wrote;
    memory.wrote = false;
    return {
      situation:
        subject.refusal !== undefined
          ? { kind: "Refused", reason: subject.refusal.reason, message: subject.refusal.message }
          : memory.isNamed
            ? memory.situation(hash)
            : { kind: "Refused", reason: "Progressing", message: "" },
      complete: memory.isComplete,
      effective: subject.effective,
      federation,
      lastGoodMs: lastGoodMs(this.#world, subject),
      wrote,
      handledApproval: this.#approvals.lastUsed(subject),
      copies: shownCopies(memory),
      notes: strayNotes(memory),
    };
  }
}

/** Such a backend's registration, and its finalizer, are somebody else's. */
export function runsInScaiVault(object: KubeObject): boolean {
  const view = viewBackend(object);
  return view.ok && view.object.spec.federation?.runsIn === "ScaiVault";
}

/** Secrets that a poll of single paths or subtrees was asked for. */
function* askedIn(memory: TreeMemory, { asked }: PolledEvent): Iterable<string> {
  const prefixes = asked.filter((one) => one.endsWith("/"));
  const single = new Set(asked);
  for (const [path, source] of memory.members)
    if (single.has(source) || prefixes.some((prefix) => source.startsWith(prefix))) yield path;
}
