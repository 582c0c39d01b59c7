import type { CleanupPlan } from "../decide/index.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { applyCleanup, cleanupPlanOf, ownSecrets } from "./finalize.ts";
import { bindScaiVaultByPath, bindSecretByName, type Memory } from "./gather.ts";
import { membersOf } from "./members.ts";
import { pairsOf, type Subject } from "./subject.ts";
import type { World } from "./world.ts";

/**
 * Copies that the spec no longer names (a renamed target, a target that was taken out) are treated by `cleanupPolicy`.
 * With Retain nothing is looked at: they stay, with their marks, free for the namespace.
 */
export async function removeStrays(world: World, subject: Subject, memory: Memory, signal: AbortSignal): Promise<void> {
  if (world.dryRun) return;
  for await (const { path, target } of straysOf(world, subject, memory, signal))
    await applyCleanup(world, subject, { path, why: "TargetRemoved", targets: [target] }, signal);
}

/** What {@link removeStrays} would do. */
export async function planStrays(
  world: World,
  subject: Subject,
  memory: Memory,
  signal: AbortSignal,
): Promise<CleanupPlan[]> {
  const plans: CleanupPlan[] = [];
  for await (const { path, target } of straysOf(world, subject, memory, signal))
    plans.push(cleanupPlanOf(world, subject, { path, why: "TargetRemoved", targets: [target] }));
  return plans;
}

async function* straysOf(
  world: World,
  subject: Subject,
  memory: Memory,
  signal: AbortSignal,
): AsyncIterable<{ readonly path: string; readonly target: EvaluatedTarget }> {
  if (subject.effective.cleanupPolicy === "Retain" || subject.effective.apply === "Never") return;
  const { location } = subject;
  const subtree = location?.kind === "subtree";
  const below = membersOf(world, subject);
  if (subject.refusal !== undefined || location === undefined || below === undefined) return;
  const { pairs, problems } = pairsOf(subject, below);
  // Names that cannot be made now may have been made before: they are not strays.
  if (problems.length > 0) return;
  const names = new Set(pairs.map(({ secretName }) => secretName));
  const paths = new Set(pairs.map(({ scaivaultPath }) => scaivaultPath));
  const keepsAll = subtree && subject.sync.spec.targets.kubernetesSecret !== undefined;
  for (const secret of ownSecrets(world, subject.key)) {
    // In a subtree a Secret whose source secret is gone is the matter of deletionPolicy.
    if (names.has(secret.metadata.name) || keepsAll) continue;
    yield {
      path: location.path,
      target: await bindSecretByName(world, subject, secret.metadata.name, memory, signal),
    };
  }
  for (const { kind, ref } of subject.sync.status?.targets ?? []) {
    if (kind !== "ScaiVault" || paths.has(ref)) continue;
    const target = await bindScaiVaultByPath(world, subject, ref, memory, signal);
    if (target !== undefined) yield { path: location.path, target };
  }
}
