import { registrationDiff } from "../decide/index.ts";
import type { FederatedBackend } from "../model/index.ts";
import { declaredRegistration } from "./registration-checks.ts";
import { registrationFor } from "./registration-handover.ts";
import { type RegistrationMemory, registrationSubject } from "./registration-state.ts";
import { viewBackend } from "./views.ts";
import type { World } from "./world.ts";

/** Whether a listing shows a registration otherwise than it was known, or than its object declares it. */
export function isAnother(
  world: World,
  key: string,
  memory: RegistrationMemory,
  found: FederatedBackend | undefined,
): boolean {
  if (found === undefined) return true;
  const { health } = memory;
  if (found.status !== undefined && health !== undefined && found.status !== health.status) {
    memory.lookedMs = undefined;
    return true;
  }
  return differs(world, key, memory, found);
}

function differs(world: World, key: string, memory: RegistrationMemory, found: FederatedBackend): boolean {
  const object = world.caches.backends.get(key);
  const view = object === undefined ? undefined : viewBackend(object);
  const subject = view?.ok === true ? registrationSubject(view.object) : undefined;
  if (subject === undefined || memory.problem?.reason === "Conflict") return false;
  // The certificate is compared when the object itself is looked at.
  const ca = found.config?.get("ca_cert_pem");
  const method = found.config?.get("auth_method") === "token" ? "token" : "approle";
  const declared = declaredRegistration(subject, { authMethod: method, ca: typeof ca === "string" ? ca : undefined });
  return registrationDiff(registrationFor(world, subject, memory, declared), found).fields.length > 0;
}
