import { SyncError } from "../../errors/index.ts";
import type { RenderedContent } from "../../ports/target.ts";
import { decodeSecret, differingKeys, type SecretObject } from "./content.ts";
import { controllerOwner } from "./observation.ts";
import type { KubernetesSecretRef } from "./types.ts";

/**
 * Refuses to take a Secret over unless nobody controls it and its type is that of the content.
 * @throws SyncError AdoptRefused or AdoptDiffers
 */
export function refuseTakeOver(
  ref: KubernetesSecretRef,
  secret: SecretObject,
  content: RenderedContent,
  action: string,
): void {
  const owner = controllerOwner(secret.metadata);
  if (owner !== undefined) throw new SyncError("AdoptRefused", `${owner} still owns Secret ${ref.name}`, { action });
  if (secret.metadata.deletionTimestamp !== undefined) {
    throw new SyncError("AdoptRefused", `Secret ${ref.name} is being deleted`, { action });
  }
  if (secret.immutable === true) throw new SyncError("AdoptRefused", `Secret ${ref.name} is immutable`, { action });
  const type = decodeSecret(secret, new Set()).type;
  if (type !== content.type) {
    throw new SyncError("AdoptDiffers", `Secret ${ref.name} is of type ${type}, not ${content.type}`, { action });
  }
}

/**
 * Refuses to take a Secret over unless nobody controls it and it holds exactly this content.
 * @throws SyncError AdoptRefused or AdoptDiffers
 */
export function refuseAdoption(
  ref: KubernetesSecretRef,
  secret: SecretObject,
  content: RenderedContent,
  action: string,
): void {
  refuseTakeOver(ref, secret, content, action);
  const found = decodeSecret(secret, new Set(content.keys.keys()));
  const differing = differingKeys(found, content);
  if (differing.length > 0) {
    const more = differing.length > 5 ? ` and ${differing.length - 5} more` : "";
    throw new SyncError(
      "AdoptDiffers",
      `keys ${differing.slice(0, 5).join(", ")}${more} of Secret ${ref.name} differ`,
      {
        action,
      },
    );
  }
}
