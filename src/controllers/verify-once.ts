import { type Reason, SyncError } from "../errors/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import type { BackendRegistry } from "./backend-registry.ts";
import { membersOf } from "./members.ts";
import { NO_ANSWER, OneLook, POLL_TIMEOUT_MS } from "./one-look.ts";
import { OwnMarks, Reverts } from "./reverts.ts";
import { sourceStateOf } from "./source-state.ts";
import { type Pair, pairsOf, resolveSubject, type Subject } from "./subject.ts";
import { pairOf } from "./tree-evaluator.ts";
import { lookAt } from "./tree-look.ts";
import { TreeMemory } from "./tree-memory.ts";
import { nameMembers } from "./tree-names.ts";
import { resolveTree, type Tree, treeKeyOf } from "./tree-subject.ts";
import { type PairVerdict, verifyPair } from "./verify-pair.ts";
import { backendKeyOf, viewSync } from "./views.ts";
import type { World } from "./world.ts";

/** What comparing one object came to. */
export interface ObjectVerdict {
  readonly kind: "SecretSync" | "FederationBackend";
  readonly namespace: string;
  readonly name: string;
  readonly pairs: readonly PairVerdict[];
  /** Why the object, or one of its secrets, could not be compared at all. */
  readonly errors: readonly { readonly path: string; readonly reason: Reason; readonly message: string }[];
}

/** An object that is to be compared. A FederationBackend stands for the tree that the operator copies for it. */
export interface VerifyObject {
  readonly kind: ObjectVerdict["kind"];
  readonly object: KubeObject;
}

/** An object with everything that is compared for it. */
interface Expanded {
  readonly pairs: readonly { readonly subject: Subject; readonly pair: Pair }[];
  readonly errors: ObjectVerdict["errors"];
}

const OBJECTS_AT_ONCE = 8;
const PAIRS_AT_ONCE = 16;
/** So many differences are looked at once more: a secret may have been under way between two reads. */
const MANY_AGAIN = 200;

/** Compares source, ScaiVault and Secrets of the given objects by the parts that `run` is made of; nothing is written. */
export class VerifyRun {
  readonly #look: OneLook;
  readonly #memory;
  readonly #clock: World["clock"];
  #sinceMs = 0;

  constructor(clock: World["clock"], makeWorld: (registry: BackendRegistry) => World) {
    this.#look = new OneLook(clock, makeWorld);
    this.#clock = clock;
    this.#memory = { reverts: new Reverts(() => clock.monotonic()), marks: new OwnMarks() };
  }

  /** @param stage told what it is at */
  async verify(
    objects: readonly VerifyObject[],
    signal: AbortSignal,
    stage: (line: string) => void,
  ): Promise<readonly ObjectVerdict[]> {
    this.#look.only(
      new Set(objects.map(({ kind, object }) => (kind === "SecretSync" ? keyOf(object) : treeKeyOf(keyOf(object))))),
    );
    this.#sinceMs = this.#clock.monotonic();
    try {
      stage("checking the backends ...");
      await this.#look.resolveBackends(objects.flatMap(backendsOf), signal);
      const verdicts: ObjectVerdict[] = [];
      for (let at = 0; at < objects.length; at += OBJECTS_AT_ONCE) {
        stage(`comparing: ${at} of ${objects.length} objects ...`);
        const some = objects.slice(at, at + OBJECTS_AT_ONCE);
        verdicts.push(...(await Promise.all(some.map((object) => this.#verifyObject(object, signal)))));
      }
      return await this.#again(objects, verdicts, signal, stage);
    } finally {
      await this.#look.close();
    }
  }

  async #verifyObject(object: VerifyObject, signal: AbortSignal): Promise<ObjectVerdict> {
    const expanded = await this.#expand(object, signal);
    if (expanded instanceof SyncError) return { ...named(object), pairs: [], errors: [shown("", expanded)] };
    const { pairs, errors } = expanded;
    const verdicts: PairVerdict[] = [];
    for (let at = 0; at < pairs.length; at += PAIRS_AT_ONCE) {
      const some = pairs.slice(at, at + PAIRS_AT_ONCE);
      verdicts.push(...(await Promise.all(some.map((one) => this.#verifyPair(one, signal)))));
    }
    return { ...named(object), pairs: verdicts, errors };
  }

  #verifyPair({ subject, pair }: Expanded["pairs"][number], signal: AbortSignal): Promise<PairVerdict> {
    const options = { ...this.#memory, notBeforeMs: this.#sinceMs };
    return verifyPair(this.#look.world, subject, pair, options, signal);
  }

  /** The secrets of an object, once its store has been polled; or why there are none to compare. */
  async #expand({ kind, object }: VerifyObject, signal: AbortSignal): Promise<Expanded | SyncError> {
    const { world } = this.#look;
    const tree = kind === "SecretSync" ? undefined : resolveTree(world, object);
    const subject = tree === undefined ? resolveSubject(world, object) : tree.subject;
    if (subject instanceof SyncError) return subject;
    if (subject.refusal !== undefined) return subject.refusal;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]);
    try {
      return await this.#look.untilPolled(async () => {
        if (tree !== undefined) return expandTree(world, tree, deadline);
        await this.#look.refreshTargets(subject, deadline);
        return expand(world, subject);
      }, deadline);
    } catch (error) {
      if (error instanceof SyncError && error.message === NO_ANSWER) return error;
      throw error;
    }
  }

  /** What differs is looked at once more, all of it anew: a secret may have been written between two reads. */
  async #again(
    objects: readonly VerifyObject[],
    verdicts: readonly ObjectVerdict[],
    signal: AbortSignal,
    stage: (line: string) => void,
  ): Promise<readonly ObjectVerdict[]> {
    const differing = verdicts.flatMap(({ pairs }) => pairs.filter(({ differences }) => differences.length > 0));
    if (differing.length === 0 || differing.length > MANY_AGAIN) return verdicts;
    stage(`looking again at ${differing.length} that differ ...`);
    this.#sinceMs = this.#clock.monotonic();
    const out: ObjectVerdict[] = [];
    for (const [at, verdict] of verdicts.entries()) {
      const object = objects[at];
      const differs = new Set(
        verdict.pairs.filter(({ differences }) => differences.length > 0).map(({ path }) => path),
      );
      const expanded = object === undefined || differs.size === 0 ? undefined : await this.#expand(object, signal);
      if (expanded === undefined || expanded instanceof SyncError) {
        out.push(verdict);
        continue;
      }
      const again = expanded.pairs.filter(({ pair }) => differs.has(pair.ref.path));
      const anew = await Promise.all(again.map((one) => this.#verifyPair(one, signal)));
      const pairs = verdict.pairs.map((old) => anew.find(({ path }) => path === old.path) ?? old);
      out.push({ ...verdict, pairs });
    }
    return out;
  }
}

/** Undefined: the first poll has not ended. */
function expand(world: World, subject: Subject): Expanded | SyncError | undefined {
  const { store, location } = subject;
  if (store === undefined || location === undefined) return undefined;
  if (store.poller.state.state === "Failing") return store.poller.state.error;
  if (location.kind === "subtree") {
    const failure = store.poller.subtreeFailure(location.path);
    if (failure !== undefined) return failure;
    if (store.poller.subtree(location.path) === undefined) return undefined;
  }
  const { pairs, problems } = pairsOf(subject, membersOf(world, subject) ?? []);
  const missing = pairs.filter((pair) => sourceStateOf(subject, pair) === undefined).map(({ ref }) => ref.path);
  if (missing.length > 0) {
    store.poller.request(missing, { fresh: false });
    return undefined;
  }
  return {
    pairs: pairs.map((pair) => ({ subject, pair })),
    errors: problems.map(({ path, error }) => shown(path, error)),
  };
}

/** The secrets of a tree by its mappings; undefined: the first poll, or a walk, has not ended. */
async function expandTree(world: World, tree: Tree, signal: AbortSignal): Promise<Expanded | SyncError | undefined> {
  const { store } = tree.subject;
  if (store === undefined) return undefined;
  if (store.poller.state.state === "Failing") return store.poller.state.error;
  const memory = new TreeMemory(tree);
  if (!nameMembers(world, tree, memory)) return undefined;
  const pairs = [...memory.members].map(([path, source]) => pairOf(tree, source, path));
  const missing = pairs.filter(({ subject, pair }) => sourceStateOf(subject, pair) === undefined);
  if (missing.length > 0) {
    store.poller.request(
      missing.map(({ pair }) => pair.ref.path),
      { fresh: false },
    );
    return undefined;
  }
  await lookAt(world, memory, memory.members.keys(), { changed: false }, signal);
  return { pairs, errors: memory.problems.map(({ path, error }) => shown(path, error)) };
}

/** The backends that an object is read from. */
function backendsOf({ kind, object }: VerifyObject): string[] {
  if (kind === "FederationBackend") return [keyOf(object)];
  const view = viewSync(object);
  return view.ok ? [backendKeyOf(view.object)] : [];
}

function named({ kind, object }: VerifyObject): Pick<ObjectVerdict, "kind" | "namespace" | "name"> {
  const [namespace = "", name = ""] = keyOf(object).split("/");
  return { kind, namespace, name };
}

const shown = (path: string, { reason, message }: SyncError) => ({ path, reason, message });
