import { parsePolicyField } from "../decide/index.ts";
import { toSyncError } from "../errors/index.ts";
import type { MarkReading } from "../model/index.ts";
import { keyOf, type KubeObject, type PartialObjectMetadata } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import { indexes, ownerKeyOf } from "./caches.ts";
import type { World } from "./world.ts";

/**
 * `cleanupPolicy: Release` needs no finalizer: Secrets whose owner is gone and whose valid mark says Release are given
 * back, after a deletion that was seen and after a restart alike.
 */
export async function releaseOrphan(world: World, secret: PartialObjectMetadata, signal: AbortSignal): Promise<void> {
  const key = ownerKeyOf(world.cluster, secret);
  if (world.dryRun || key === undefined || world.caches.syncs.get(key) !== undefined) return;
  const { namespace = "", name } = secret.metadata;
  const ref = { namespace, name };
  try {
    const observation = (await world.secrets.observe([ref], signal)).get(world.secrets.key(ref));
    if (observation?.presence !== "Present" || policyOf(observation.mark) !== "Release") return;
    world.assertHeld();
    await world.secrets.release(ref, observation, signal);
    // The object is gone, and with it the name of its backend.
    world.metrics.write("KubernetesSecret", "Release", { namespace, backend: "" });
    world.log.info("target written", { namespace, name, action: "Release", target: name, reason: "ObjectDeleted" });
  } catch (error) {
    world.log.warn("release failed", { namespace, name, ...errorFields(toSyncError(error, `release ${name}`)) });
  }
}

function policyOf(mark: MarkReading): string | undefined {
  return mark.state === "Valid" ? parsePolicyField(mark.mark.policy)?.cleanupPolicy : undefined;
}

/** Gives back all Secrets that a deleted object left with `cleanupPolicy: Release`. */
export async function releaseOrphansOf(world: World, object: KubeObject, signal: AbortSignal): Promise<void> {
  for (const secret of world.caches.managed.byIndex(indexes.owner, keyOf(object)))
    await releaseOrphan(world, secret, signal);
}
