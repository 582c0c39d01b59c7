import { applyCleanup, ownSecrets } from "./finalize.ts";
import { bindScaiVaultByPath, bindSecretByName, type Memory } from "./gather.ts";
import { membersOf } from "./members.ts";
import { pairsOf, type Subject } from "./subject.ts";
import type { World } from "./world.ts";

/**
 * Copies that the spec no longer names (a renamed target, a target that was taken out) are treated by `cleanupPolicy`.
 * With Retain nothing is looked at: they stay, with their marks, free for the namespace.
 */
export async function removeStrays(world: World, subject: Subject, memory: Memory, signal: AbortSignal): Promise<void> {
  if (world.dryRun || subject.effective.cleanupPolicy === "Retain" || subject.effective.apply === "Never") return;
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
    const target = await bindSecretByName(world, subject, secret.metadata.name, memory, signal);
    await applyCleanup(world, subject, { path: location.path, why: "TargetRemoved", targets: [target] }, signal);
  }
  for (const { kind, ref } of subject.sync.status?.targets ?? []) {
    if (kind !== "ScaiVault" || paths.has(ref)) continue;
    const target = await bindScaiVaultByPath(world, subject, ref, memory, signal);
    if (target === undefined) continue;
    await applyCleanup(world, subject, { path: location.path, why: "TargetRemoved", targets: [target] }, signal);
  }
}
