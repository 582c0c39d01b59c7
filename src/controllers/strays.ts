import type { CleanupPlan } from "../decide/index.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { ownSecrets } from "./caches.ts";
import { applyCleanup, cleanupPlanOf, copiedPath } from "./finalize.ts";
import { bindScaiVaultByPath, bindSecretByName, type Memory } from "./gather.ts";
import { membersOf } from "./members.ts";
import { pairsOf, type Subject } from "./subject.ts";
import type { World } from "./world.ts";

/** ScaiVault paths that objects were seen to have: status forgets them before it is certain that they may go. */
export class KnownCopies {
  readonly #byObject = new Map<string, Set<string>>();

  /** Takes over what status says now. */
  note({ key, sync, effective }: Subject): void {
    if (effective.cleanupPolicy === "Retain") {
      this.forget(key);
      return;
    }
    const known = this.#byObject.get(key) ?? new Set<string>();
    for (const { kind, ref } of sync.status?.targets ?? []) if (kind === "ScaiVault") known.add(ref);
    if (known.size > 0) this.#byObject.set(key, known);
  }

  refs(key: string): Iterable<string> {
    return this.#byObject.get(key) ?? [];
  }

  forget(key: string): void {
    this.#byObject.delete(key);
  }
}

/**
 * Copies that the spec no longer names (a renamed target, a target that was taken out) are treated by `cleanupPolicy`.
 * With Retain nothing is looked at: they stay, with their marks, free for the namespace. Call it only when everything
 * that the spec does name is in sync: until then an old copy may be the only one.
 */
export async function removeStrays(
  world: World,
  subject: Subject,
  known: KnownCopies,
  memory: Memory,
  signal: AbortSignal,
): Promise<void> {
  if (world.dryRun) return;
  let ended = true;
  for await (const { path, target } of straysOf(world, subject, known.refs(subject.key), memory, signal)) {
    const done = await applyCleanup(world, subject, { path, why: "TargetRemoved", targets: [target] }, signal);
    ended &&= done;
  }
  if (ended) known.forget(subject.key);
}

/** What {@link removeStrays} would do. */
export async function planStrays(
  world: World,
  subject: Subject,
  memory: Memory,
  signal: AbortSignal,
): Promise<CleanupPlan[]> {
  const known = new KnownCopies();
  known.note(subject);
  const plans: CleanupPlan[] = [];
  for await (const { path, target } of straysOf(world, subject, known.refs(subject.key), memory, signal))
    plans.push(cleanupPlanOf(world, subject, { path, why: "TargetRemoved", targets: [target] }));
  return plans;
}

/** Only what writes by itself tidies up. */
function mayTidy({ effective: { cleanupPolicy, apply, suspend }, refusal }: Subject): boolean {
  return cleanupPolicy !== "Retain" && apply === "Automatic" && !suspend && refusal === undefined;
}

async function* straysOf(
  world: World,
  subject: Subject,
  known: Iterable<string>,
  memory: Memory,
  signal: AbortSignal,
): AsyncIterable<{ readonly path: string; readonly target: EvaluatedTarget }> {
  if (!mayTidy(subject)) return;
  const { location } = subject;
  const subtree = location?.kind === "subtree";
  const below = membersOf(world, subject);
  if (location === undefined || below === undefined) return;
  const { pairs, problems } = pairsOf(subject, below);
  // Names that cannot be made now may have been made before: they are not strays.
  if (problems.length > 0) return;
  const names = new Set(pairs.map(({ secretName }) => secretName));
  const paths = new Set(pairs.map(({ scaivaultPath }) => scaivaultPath));
  const keepsAll = subtree && subject.sync.spec.targets.kubernetesSecret !== undefined;
  for (const secret of ownSecrets(world.caches, subject.key)) {
    // In a subtree a Secret whose source secret is gone is the matter of deletionPolicy.
    if (names.has(secret.metadata.name) || keepsAll) continue;
    const target = await bindSecretByName(world, subject, secret.metadata.name, memory, signal);
    yield { path: copiedPath(target), target };
  }
  for (const ref of known) {
    if (paths.has(ref)) continue;
    const target = await bindScaiVaultByPath(world, subject, ref, memory, signal);
    if (target !== undefined) yield { path: copiedPath(target), target };
  }
}
