import { decideRegistration, type RegistrationStep, wantedRegistration } from "../decide/index.ts";
import type { DeclaredRegistration } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import type { FederatedBackend, WantedRegistration } from "../model/index.ts";
import type { FederationCall } from "../ports/index.ts";
import { checkCredentialHost, federationOf } from "./registration-checks.ts";
import { registrationFor } from "./registration-handover.ts";
import type { RegistrationListing } from "./registration-listing.ts";
import { announcedMs, type RegistrationMemory, type RegistrationSubject } from "./registration-state.ts";
import type { World } from "./world.ts";

const WINDOW_MS = 600_000;
/** Changes over another writer within the window, and no more. */
const MAX_REPAIRS = 3;
/** Changes that one edit of the object may need: where to read, how, and one that ScaiVault writes otherwise. */
const MAX_CHANGES = 4;

/** What a step came to. */
export type StepResult =
  /** The registration is as declared. */
  | "Settled"
  /** Something was done: what comes next follows from what ScaiVault says now. */
  | "Again"
  /** Status has to say something first. */
  | "Announced"
  /** It waits for something outside. */
  | "Waits";

/** One registration, its object, and what it shall be. */
export interface RegistrationJob {
  readonly world: World;
  readonly listing: RegistrationListing;
  readonly subject: RegistrationSubject;
  readonly memory: RegistrationMemory;
  readonly declared: DeclaredRegistration;
  readonly call: FederationCall;
  /** A listing that began before this (monotonic) is too old. */
  readonly notBeforeMs: number;
}

/**
 * Compares the registration with the object and does the one thing that is next. A credential path is checked right before
 * each creation and change.
 * @throws SyncError
 */
export async function stepRegistration(job: RegistrationJob): Promise<StepResult> {
  const { memory, declared, subject } = job;
  const { byID, byName } = await findRegistration(job);
  // What somebody else made is compared with what is declared, whatever comes first.
  const isForeign = byID === undefined && byName !== undefined && memory.announcedMs === undefined;
  const wanted = isForeign
    ? wantedRegistration(memory.name, declared)
    : registrationFor(job.world, subject, memory, declared);
  memory.mode = wanted.mode;
  const step = decideRegistration({
    wanted,
    recordedID: memory.id,
    // Only what stands in status, and was not taken back since, makes a backend of our name ours.
    announcedMs: memory.announcedMs === undefined ? undefined : announcedMs(subject.backend),
    byID,
    byName,
    adopt: subject.effective.adopt === "IfEqual" ? "IfEqual" : "Never",
    healthy: memory.health?.status === "healthy",
  });
  return carryOut(job, wanted, step);
}

/** By the recorded id, else by name. A listing that leaves something out is completed by a look at the one. */
async function findRegistration({ world, listing, memory, call, notBeforeMs }: RegistrationJob): Promise<{
  readonly byID: FederatedBackend | undefined;
  readonly byName: FederatedBackend | undefined;
}> {
  const { backends } = federationOf(world);
  const all = await listing.since(notBeforeMs, call);
  const whole = async (found: FederatedBackend | undefined) => {
    if (found === undefined) return undefined;
    const told = found.config !== undefined && found.pathMapping !== undefined && found.mode !== undefined;
    return told ? found : backends.get(found.id, call);
  };
  const byID = memory.id === undefined ? undefined : await whole(all.find(({ id }) => id === memory.id));
  if (byID?.name === memory.name) return { byID, byName: byID };
  return { byID, byName: await whole(all.find(({ name }) => name === memory.name)) };
}

async function carryOut(job: RegistrationJob, wanted: WantedRegistration, step: RegistrationStep): Promise<StepResult> {
  const { memory, subject } = job;
  switch (step.kind) {
    case "Refuse":
      throw new SyncError(step.reason, step.message);
    case "Announce":
      forgetID(memory);
      memory.announcedMs = job.world.clock.now();
      memory.uncertain = false;
      return "Announced";
    case "Create":
      return create(job, wanted);
    case "Adopt":
      noteWritten(job, "Adopt");
      take(job, step.backend);
      return "Again";
    case "Wait":
      memory.under = `${step.fields.join(", ")} changes when ScaiVault reaches the store`;
      memory.registeredMode = modeOf(step.backend);
      return "Waits";
    case "Patch":
      return patch(job, step);
    case "Keep":
      memory.under = undefined;
      memory.registeredMode = wanted.mode;
      memory.settledGeneration = subject.backend.metadata.generation;
      memory.takenInGeneration = memory.settledGeneration;
      return "Settled";
    default:
      return step satisfies never;
  }
}

async function create(job: RegistrationJob, wanted: WantedRegistration): Promise<StepResult> {
  const { world, listing, memory, declared, call } = job;
  await checkCredentialHost(world, declared, call.signal);
  world.assertHeld();
  let made: FederatedBackend | "Exists";
  try {
    made = await federationOf(world).backends.create(wanted, call);
  } catch (error) {
    const known = error instanceof SyncError ? error : undefined;
    // Where nothing was sent for want of room, what was listed still holds; to list again would use up the room each time.
    if (known?.reason === "RateLimited") throw error;
    listing.forget();
    // Nothing was made, so nothing that is found later answers what was announced.
    if (known?.reason === "RegistrationRefused") memory.announcedMs = undefined;
    else if (known === undefined || known.code === "no_answer" || known.code === "connection_broken")
      memory.uncertain = true;
    throw error;
  }
  if (made === "Exists") {
    listing.forget();
    // Another's, unless an answer of ours was lost.
    if (!memory.uncertain) memory.announcedMs = undefined;
    return "Again";
  }
  noteWritten(job, "Create");
  take(job, { ...made, name: made.name === "" ? wanted.name : made.name });
  return "Again";
}

function take({ world, memory, listing }: RegistrationJob, backend: FederatedBackend): void {
  memory.id = backend.id;
  memory.announcedMs = undefined;
  memory.uncertain = false;
  memory.registeredMode = modeOf(backend) ?? memory.mode;
  memory.changedMs = world.clock.now();
  memory.lookedMs = undefined;
  listing.learn(backend);
}

async function patch(job: RegistrationJob, step: RegistrationStep & { kind: "Patch" }): Promise<StepResult> {
  const { world, listing, memory, declared, subject, call } = job;
  assertNoFight(job, step.fields);
  await checkCredentialHost(world, declared, call.signal);
  world.assertHeld();
  let there: boolean;
  try {
    there = await federationOf(world).backends.patch(step.backend.id, step.patch, call);
  } catch (error) {
    if (!(error instanceof SyncError && error.reason === "RateLimited")) listing.forget();
    throw error;
  }
  listing.forget();
  if (!there) return "Again";
  memory.repairs.push(world.clock.monotonic());
  noteWritten(job, "Update", step.fields.join(", "));
  if (step.patch.mode !== undefined) {
    memory.changedMs = world.clock.now();
    memory.registeredMode = step.patch.mode;
    memory.health = undefined;
    memory.conflicts = undefined;
  }
  memory.lookedMs = undefined;
  memory.settledGeneration = undefined;
  memory.takenInGeneration = subject.backend.metadata.generation;
  return "Again";
}

/** @throws SyncError Conflict when others change it back again and again */
function assertNoFight({ world, memory, subject }: RegistrationJob, fields: readonly string[]): void {
  const now = world.clock.monotonic();
  memory.repairs = memory.repairs.filter((time) => now - time < WINDOW_MS);
  const { generation } = subject.backend.metadata;
  if (memory.settledGeneration !== undefined && memory.settledGeneration !== generation) memory.repairs = [];
  const most = memory.settledGeneration === generation ? MAX_REPAIRS : MAX_CHANGES;
  if (memory.repairs.length < most) return;
  const message = `another writer keeps changing ${memory.name} in ScaiVault: ${fields.join(", ")}`;
  throw new SyncError("Conflict", message);
}

/** The registration is not what was recorded, or there is none any more. */
function forgetID(memory: RegistrationMemory): void {
  memory.id = undefined;
  memory.registeredMode = undefined;
  memory.health = undefined;
  memory.conflicts = undefined;
}

function modeOf({ mode }: FederatedBackend): "proxy" | "sync" | undefined {
  return mode === "proxy" || mode === "sync" ? mode : undefined;
}

/** For logs and metrics. */
function noteWritten({ world, subject, memory }: RegistrationJob, action: string, message?: string): void {
  const { namespace, name } = subject.backend.metadata;
  world.metrics.write("Registration", action, { namespace, backend: subject.key });
  world.log.info("registration written", {
    kind: "FederationBackend",
    namespace,
    name,
    action,
    target: memory.name,
    ...(message === undefined ? {} : { message }),
  });
}
