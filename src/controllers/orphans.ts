import { secretMetadata } from "../api/index.ts";
import { parseOwner, parsePolicyField } from "../decide/index.ts";
import { toSyncError } from "../errors/index.ts";
import type { MarkReading } from "../model/index.ts";
import { keyOf, type KubeObject, type PartialObjectMetadata } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import type { World } from "./world.ts";

/** `namespace/name` of the SecretSync that a Secret's mark names, readable part only: good enough to wake it. */
export function ownerKeyOfSecret(world: World, secret: PartialObjectMetadata): string | undefined {
  const text = secret.metadata.annotations?.[secretMetadata.markAnnotation];
  const line = text?.split("\n").find((one) => one.startsWith("owner: "));
  const owner = line === undefined ? undefined : parseOwner(line.slice("owner: ".length));
  if (owner?.kind !== "SecretSync" || owner.cluster !== world.cluster) return undefined;
  return owner.namespace === secret.metadata.namespace ? `${owner.namespace}/${owner.name}` : undefined;
}

/**
 * `cleanupPolicy: Release` needs no finalizer: Secrets whose owner is gone and whose valid mark says Release are given
 * back, after a deletion that was seen and after a restart alike.
 */
export async function releaseOrphan(world: World, secret: PartialObjectMetadata, signal: AbortSignal): Promise<void> {
  const key = ownerKeyOfSecret(world, secret);
  if (world.dryRun || key === undefined || world.caches.syncs.get(key) !== undefined) return;
  const { namespace = "", name } = secret.metadata;
  const ref = { namespace, name };
  try {
    const observation = (await world.secrets.observe([ref], signal)).get(world.secrets.key(ref));
    if (observation?.presence !== "Present" || policyOf(observation.mark) !== "Release") return;
    world.assertHeld();
    await world.secrets.release(ref, observation, signal);
    world.metrics.write("KubernetesSecret", "Release");
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
  const key = keyOf(object);
  for (const secret of world.caches.managed.list())
    if (ownerKeyOfSecret(world, secret) === key) await releaseOrphan(world, secret, signal);
}
