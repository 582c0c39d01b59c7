import { FINALIZER, fieldManagers } from "../api/index.ts";
import { decideRetirement } from "../decide/index.ts";
import { toSyncError } from "../errors/index.ts";
import type { FederationBackend } from "../api/index.ts";
import { addFinalizer, type KubeObject, removeFinalizer } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import type { FederationCall } from "../ports/index.ts";
import { ownResources } from "./caches.ts";
import { isDying } from "./finalize.ts";
import { federationOf } from "./registration-checks.ts";
import type { RegistrationListing } from "./registration-listing.ts";
import { recordedID, type RegistrationMemory, type RegistrationSubject } from "./registration-state.ts";
import { effectiveBackend } from "../api/index.ts";
import type { World } from "./world.ts";

const options = (world: World, signal: AbortSignal) => ({
  signal,
  fieldManager: fieldManagers.finalizers,
  guard: () => world.assertHeld(),
});

/** The finalizer stands exactly while `cleanupPolicy: Delete` does. @returns whether it was changed */
export async function ensureRegistrationFinalizer(
  world: World,
  { effective }: RegistrationSubject,
  object: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  const wanted = effective.cleanupPolicy === "Delete";
  if (wanted === (object.metadata.finalizers?.includes(FINALIZER) === true)) return;
  world.assertHeld();
  const edit = wanted ? addFinalizer : removeFinalizer;
  await edit(world.client, ownResources.backends, object, FINALIZER, options(world, signal));
}

/**
 * The object is being deleted and our finalizer is on it: its registration goes, when it is provably ours. It never hangs in
 * a namespace or a CRD that is being deleted; the registration stays then. What ScaiVault copied stays in any case.
 * @returns whether the object may go
 */
export async function finalizeRegistration(
  world: World,
  object: KubeObject,
  backend: FederationBackend,
  what: { readonly memory: RegistrationMemory; readonly listing: RegistrationListing },
  call: FederationCall,
): Promise<boolean> {
  if (world.dryRun || object.metadata.finalizers?.includes(FINALIZER) !== true) return true;
  const { namespace, name } = backend.metadata;
  const dying = await isDying(world, namespace, call.signal, "FederationBackend");
  const stays = (message: string) =>
    world.log.info("registration stays", {
      kind: "FederationBackend",
      namespace,
      name,
      target: what.memory.name,
      message,
    });
  if (dying) stays("the namespace or the CRD is being deleted");
  else if (backend.spec.suspend === true) stays("the object is suspended");
  else {
    try {
      await remove(world, backend, what, call);
    } catch (error) {
      const failed = toSyncError(error, "delete the registration");
      world.log.warn("clean-up failed", { kind: "FederationBackend", namespace, name, ...errorFields(failed) });
      // What is refused for good must not keep the object for ever.
      if (failed.kind !== "terminal" && failed.kind !== "waiting") return false;
      stays(failed.message);
    }
  }
  world.assertHeld();
  await removeFinalizer(world.client, ownResources.backends, object, FINALIZER, options(world, call.signal));
  return true;
}

async function remove(
  world: World,
  backend: FederationBackend,
  { memory, listing }: { readonly memory: RegistrationMemory; readonly listing: RegistrationListing },
  call: FederationCall,
): Promise<void> {
  const id = memory.id ?? recordedID(backend);
  if (id === undefined) return;
  const { backends } = federationOf(world);
  const found = await backends.get(id, call);
  if (found?.name !== memory.name) return;
  world.assertHeld();
  listing.forget();
  await backends.delete(id, call);
  memory.id = undefined;
  noteRemoved(world, backend, memory);
}

function noteRemoved(world: World, backend: FederationBackend, memory: RegistrationMemory): void {
  const { namespace, name } = backend.metadata;
  world.metrics.write("Registration", "Delete", { namespace, backend: `${namespace}/${name}` });
  world.log.info("registration written", {
    kind: "FederationBackend",
    namespace,
    name,
    action: "Delete",
    target: memory.name,
  });
}

/**
 * The operator runs the federation from now on: the registration goes once every secret has a copy in ScaiVault.
 * @returns whether it is gone
 */
export async function retireRegistration(
  world: World,
  backend: FederationBackend,
  { memory, listing }: { readonly memory: RegistrationMemory; readonly listing: RegistrationListing },
  call: FederationCall,
): Promise<boolean> {
  const id = memory.id ?? recordedID(backend);
  const { backends } = federationOf(world);
  const found = id === undefined ? undefined : await backends.get(id, call);
  const health = found === undefined || found.mode === "proxy" ? undefined : await backends.status(found.id, call);
  const step = decideRetirement({
    name: memory.name,
    backend: found,
    syncInterval: effectiveBackend(backend.spec).syncInterval,
    health,
    sinceMs: memory.changedMs,
  });
  if (health !== undefined) memory.health = health;
  switch (step.kind) {
    case "None":
      break;
    case "Wait":
      memory.under = step.why;
      return false;
    case "Patch":
      world.assertHeld();
      listing.forget();
      await backends.patch(step.id, step.patch, call);
      memory.changedMs = world.clock.now();
      memory.registeredMode = "sync";
      memory.under = "ScaiVault copies everything before the operator takes over";
      return false;
    case "Delete":
      world.assertHeld();
      listing.forget();
      await backends.delete(step.id, call);
      noteRemoved(world, backend, memory);
      break;
    default:
      return step satisfies never;
  }
  memory.id = undefined;
  memory.under = undefined;
  return true;
}
