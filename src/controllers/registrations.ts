import { annotations, effectiveBackend, type FederationBackend } from "../api/index.ts";
import { type RegistrationReport, reportRegistration } from "../decide/index.ts";
import { type SyncError, toSyncError } from "../errors/index.ts";
import type { FederationCall } from "../ports/index.ts";
import { type KubeObject, keyOf, type Lane, WorkQueue, type WorkResult } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import { indexes } from "./caches.ts";
import { checkRegistrationRights, federationOf } from "./registration-checks.ts";
import { RegistrationDeclarations } from "./registration-declarations.ts";
import { ensureRegistrationFinalizer, finalizeRegistration, retireRegistration } from "./registration-finalize.ts";
import { releaseMarks } from "./registration-handover.ts";
import { RegistrationListing } from "./registration-listing.ts";
import { isAnother } from "./registration-compare.ts";
import { handleSyncRequest, lookAtHealth } from "./registration-look.ts";
import { isLookDue, nextLook, SETTLE_MS, settleMs } from "./registration-pace.ts";
import {
  announcedMs,
  newMemory,
  type RegistrationMemory,
  registrationSubject,
  type RegistrationSubject,
  viewOf,
} from "./registration-state.ts";
import { type StepResult, stepRegistration } from "./registration-step.ts";
import { SyncRequests } from "./sync-requests.ts";
import { viewBackend } from "./views.ts";
import type { World } from "./world.ts";

/** All registrations are compared with one listing this often, in milliseconds. */
const LISTING_MS = 60_000;
const REFUSED_RETRY_MS = 60_000;
/** While ScaiVault does not answer it is asked this often, for all backends together. */
const PROBE_MS = 10_000;
const ofScaiVault: ReadonlySet<string> = new Set(["ScaiVaultUnavailable", "ScaiVaultDenied"]);
const FINALIZE_RETRY_MS = 30_000;
/** Steps of one reconcile; more than any edit needs. */
const MAX_STEPS = 8;
/** Key in the queue that stands for the listing of all. */
const ALL = "";

/** What registrations ask of those who run them. */
export interface RegistrationHooks {
  /** Status has something new to say. */
  changed(backendKey: string): void;
  onError(key: string, error: unknown, retryInMs?: number): void;
}

/**
 * FederationBackends that ScaiVault runs: registered, kept as declared, looked at and removed. They have a queue of their own,
 * because ScaiVault takes few such calls a minute: one listing serves all of them, and looks at each are spread.
 */
export class Registrations {
  readonly #world: World;
  readonly #hooks: RegistrationHooks;
  readonly #queue: WorkQueue;
  readonly #memories = new Map<string, RegistrationMemory>();
  readonly #listing: RegistrationListing | undefined;
  readonly #requests = new SyncRequests();
  readonly #declarations: RegistrationDeclarations;
  readonly #unsubscribe: (() => void)[] = [];
  /** The next listing of all has a time. */
  #compares = false;

  constructor(world: World, hooks: RegistrationHooks) {
    this.#world = world;
    this.#hooks = hooks;
    this.#queue = new WorkQueue({ clock: world.clock });
    this.#declarations = new RegistrationDeclarations(world);
    const backends = world.scaivault?.federation.backends;
    this.#listing = backends === undefined ? undefined : new RegistrationListing(backends, world.clock);
  }

  run(): void {
    const { caches } = this.#world;
    const { onError } = this.#hooks;
    this.#queue.run(2, (key, { lane, signal }) => this.#work(key, lane, signal), { onError });
    this.#unsubscribe.push(
      caches.backends.subscribe({
        add: (object) => this.#due(object, "change"),
        update: (object, old) => this.#updated(object, old),
        delete: (object) => this.#due(object, "change"),
      }),
      caches.credentials.subscribe({
        add: (secret) => this.#secretChanged(keyOf(secret)),
        update: (secret) => this.#secretChanged(keyOf(secret)),
        delete: (secret) => this.#secretChanged(keyOf(secret)),
      }),
    );
  }

  async end(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#queue.shutdown(5_000);
  }

  /** For metrics. */
  stats() {
    return this.#queue.stats();
  }

  /** Whether the object is ScaiVault's to run, or still was when it was last looked at; nothing else may write its paths then. */
  has(backend: FederationBackend): boolean {
    return registrationSubject(backend) !== undefined || this.#retires(backend);
  }

  /** How the registration of an object stands; undefined when it has none. Before it was looked at, what status recorded. */
  report(backend: FederationBackend): RegistrationReport | undefined {
    const { namespace, name, generation = 0 } = backend.metadata;
    const memory = this.#memoryOf(`${namespace}/${name}`, backend);
    return this.has(backend) ? reportRegistration(viewOf(memory), generation, this.#world.clock.now()) : undefined;
  }

  /** What this term knows of an object; at first, and after the operator ran it, what status says. */
  #memoryOf(key: string, backend: FederationBackend): RegistrationMemory {
    const known = this.#memories.get(key);
    const returns = known?.retired === true && registrationSubject(backend) !== undefined;
    const holds = known?.uid === backend.metadata.uid && !returns;
    return holds ? known : newMemory(this.#world.cluster, backend);
  }

  #due(object: KubeObject, lane: Lane): void {
    const key = keyOf(object);
    const view = viewBackend(object);
    if (!this.#memories.has(key) && (!view.ok || !this.has(view.object))) return;
    // Whatever was listed before somebody changed something is not believed any more.
    this.#listing?.forget();
    this.#queue.add(key, lane);
  }

  #updated(object: KubeObject, old: KubeObject): void {
    if (asked(object) !== asked(old)) this.#due(object, "user");
    // Status says now what it had to say before the next step.
    else if (announced(object) !== announced(old) && this.#memories.has(keyOf(object)))
      this.#queue.add(keyOf(object), "user");
  }

  #secretChanged(secret: string): void {
    for (const object of this.#world.caches.backends.byIndex(indexes.credential, secret)) this.#due(object, "change");
  }

  /** The operator is to run it, and a registration is recorded. */
  #retires({ metadata, spec, status }: FederationBackend): boolean {
    const runsHere = spec.federation !== undefined && spec.federation.runsIn !== "ScaiVault";
    const known = this.#memories.get(`${metadata.namespace}/${metadata.name}`);
    if (known?.uid === metadata.uid && known.retired) return false;
    const id = known?.id ?? status?.federation?.id;
    return runsHere && id !== undefined && id !== "";
  }

  async #work(key: string, lane: Lane, signal: AbortSignal): Promise<WorkResult> {
    if (key === ALL) return this.#compareAll(signal);
    const object = this.#world.caches.backends.get(key);
    const view = object === undefined ? undefined : viewBackend(object);
    if (object === undefined || view?.ok !== true) {
      if (object === undefined) this.#gone(key);
      return {};
    }
    const before = this.#memories.get(key);
    const memory = this.#memoryOf(key, view.object);
    this.#memories.set(key, memory);
    if (!this.#compares) this.#queue.addAfter(ALL, LISTING_MS, "refresh");
    this.#compares = true;
    const told = JSON.stringify(viewOf(memory));
    try {
      return await this.#reconcile(key, { object, backend: view.object, memory, lane }, signal);
    } finally {
      if (told !== JSON.stringify(viewOf(memory)) || before !== memory) this.#hooks.changed(key);
    }
  }

  async #reconcile(
    key: string,
    job: {
      readonly object: KubeObject;
      readonly backend: FederationBackend;
      readonly memory: RegistrationMemory;
      readonly lane: Lane;
    },
    signal: AbortSignal,
  ): Promise<WorkResult> {
    const { object, backend, memory, lane } = job;
    const call: FederationCall = { signal, lane: callLane(lane), object: key };
    const subject = registrationSubject(backend);
    if (backend.metadata.deletionTimestamp !== undefined)
      // What the operator copied itself is its own clean-up.
      return subject === undefined ? {} : this.#finalize(job, call);
    if (subject === undefined) return this.#retire(key, backend, memory, call);
    if (backend.spec.suspend === true) {
      memory.problem = { reason: "BackendSuspended", message: "spec.suspend is true" };
      return {};
    }
    try {
      checkRegistrationRights(this.#world, subject);
      await ensureRegistrationFinalizer(this.#world, subject, object, signal);
      const result = await this.#bringAbout(subject, memory, call);
      memory.problem = undefined;
      return result;
    } catch (error) {
      return this.#failed(subject, memory, error);
    }
  }

  /** Steps until the registration is as declared or something is awaited; then looks at how it stands. */
  async #bringAbout(
    subject: RegistrationSubject,
    memory: RegistrationMemory,
    call: FederationCall,
  ): Promise<WorkResult> {
    const world = this.#world;
    const declared = await this.#declarations.of(subject, call.signal);
    const listing = this.#listing;
    if (listing === undefined) throw toSyncError(undefined);
    const notBeforeMs = world.clock.monotonic() - LISTING_MS;
    let outcome: StepResult = "Again";
    for (let steps = 0; steps < MAX_STEPS && outcome === "Again"; steps += 1)
      outcome = await stepRegistration({ world, listing, subject, memory, declared, call, notBeforeMs });
    if (outcome === "Announced") return {};
    if (isLookDue(world, this.#memories.values(), memory) && !(await lookAtHealth(world, memory, call))) {
      listing.forget();
      return { requeueAfterMs: 0, lane: "drift" };
    }
    if (outcome === "Waits" && memory.health?.status === "healthy") return { requeueAfterMs: 0, lane: "change" };
    const handover = await releaseMarks(world, subject, memory, call.signal);
    // Others have their turn between; then comes what is declared.
    if (handover === "More" || handover === "Done") return { requeueAfterMs: 0, lane: "refresh" };
    const request = await handleSyncRequest(world, subject, memory, this.#requests, call);
    return nextLook(world, this.#memories.values(), memory, request);
  }

  #failed(subject: RegistrationSubject, memory: RegistrationMemory, error: unknown): WorkResult {
    const failed = toSyncError(error, "register in ScaiVault");
    // What is thrown by others than stores and targets is the API server's doing, a lost lease, or a defect.
    if (failed.reason === "Unexpected") throw error;
    const { namespace, name } = subject.backend.metadata;
    // A turn in the budget that is not there yet says nothing about the registration.
    const waits = failed.reason === "RateLimited" && memory.id !== undefined;
    if (!waits) memory.problem = { reason: failed.reason, message: failed.message };
    const fields = { kind: "FederationBackend", namespace, name, ...errorFields(failed) };
    this.#world.log[waits ? "debug" : "warn"]("registration failed", fields);
    if (failed.kind !== "transient" || failed.retryAfterMs !== undefined)
      return { requeueAfterMs: retryMs(failed, subject), lane: "retry" };
    return { requeueAfterMs: Math.max(PROBE_MS, settleMs(this.#world, this.#memories.values())), lane: "retry" };
  }

  async #finalize(
    { object, backend, memory }: { object: KubeObject; backend: FederationBackend; memory: RegistrationMemory },
    call: FederationCall,
  ): Promise<WorkResult> {
    const listing = this.#listing;
    if (listing === undefined) return {};
    const done = await finalizeRegistration(this.#world, object, backend, { memory, listing }, call);
    return done ? {} : { requeueAfterMs: FINALIZE_RETRY_MS, lane: "retry" };
  }

  /** `federation` is gone: the registration stays as it is. The operator is to run it: the registration goes. */
  async #retire(
    key: string,
    backend: FederationBackend,
    memory: RegistrationMemory,
    call: FederationCall,
  ): Promise<WorkResult> {
    const { namespace, name } = backend.metadata;
    if (!this.#retires(backend) || this.#listing === undefined) {
      if (memory.retired) return {};
      if (memory.id !== undefined)
        this.#world.log.info("registration stays", { kind: "FederationBackend", namespace, name, target: memory.name });
      this.#forget(key);
      this.#hooks.changed(key);
      return {};
    }
    try {
      const gone = await retireRegistration(this.#world, backend, { memory, listing: this.#listing }, call);
      memory.problem = undefined;
      if (!gone) return { requeueAfterMs: SETTLE_MS, lane: "change" };
      memory.retired = true;
      this.#hooks.changed(key);
      return {};
    } catch (error) {
      const failed = toSyncError(error, "retire the registration");
      if (failed.reason === "Unexpected") throw error;
      memory.problem = { reason: failed.reason, message: failed.message };
      return { requeueAfterMs: failed.retryAfterMs ?? FINALIZE_RETRY_MS, lane: "retry" };
    }
  }

  /** The object is gone, and its registration with it, or by cleanupPolicy Retain it stays and somebody should know. */
  #gone(key: string): void {
    const memory = this.#memories.get(key);
    const [namespace = "", name = ""] = key.split("/");
    if (memory?.id !== undefined)
      this.#world.log.info("registration stays", { kind: "FederationBackend", namespace, name, target: memory.name });
    this.#forget(key);
  }

  #forget(key: string): void {
    this.#memories.delete(key);
    this.#declarations.forget(key);
    this.#requests.forget(key);
  }

  /** One listing shows for all of them what others changed, and which of them ScaiVault calls otherwise than before. */
  async #compareAll(signal: AbortSignal): Promise<WorkResult> {
    const again = { requeueAfterMs: LISTING_MS, lane: "refresh" as const };
    const registered = [...this.#memories].filter(([, { id }]) => id !== undefined);
    this.#compares = this.#memories.size > 0;
    if (registered.length === 0 || this.#listing === undefined) return this.#compares ? again : {};
    try {
      federationOf(this.#world);
      const notBeforeMs = this.#world.clock.monotonic() - LISTING_MS / 2;
      const all = new Map(
        (await this.#listing.since(notBeforeMs, { signal, lane: "new" })).map((one) => [one.id, one]),
      );
      this.#scaivaultAnswers(registered);
      for (const [key, memory] of registered) {
        const found = all.get(memory.id ?? "");
        if (isAnother(this.#world, key, memory, found)) this.#queue.add(key, "drift");
      }
    } catch (error) {
      const failed = toSyncError(error, "list the federation backends");
      if (failed.reason === "Unexpected") throw error;
      if (failed.reason === "RateLimited") return again;
      this.#scaivaultFails(registered, failed);
      return { requeueAfterMs: PROBE_MS, lane: "refresh" };
    }
    return again;
  }

  /** What one listing shows of ScaiVault is said of all backends, without a call for each of them. */
  #scaivaultFails(registered: readonly (readonly [string, RegistrationMemory])[], failed: SyncError): void {
    for (const [key, memory] of registered) {
      if (memory.problem !== undefined) continue;
      memory.problem = { reason: failed.reason, message: failed.message };
      this.#hooks.changed(key);
    }
  }

  #scaivaultAnswers(registered: readonly (readonly [string, RegistrationMemory])[]): void {
    for (const [key, memory] of registered) {
      if (memory.problem === undefined || !ofScaiVault.has(memory.problem.reason)) continue;
      memory.problem = undefined;
      this.#hooks.changed(key);
    }
  }
}

/** People's changes go first. Nobody waits long inside a worker: who finds no room comes back. */
function callLane(lane: Lane): NonNullable<FederationCall["lane"]> {
  return lane === "user" ? "user" : "new";
}

/** What people ask for; status writes of ours do not count. */
function asked({ metadata }: KubeObject): string {
  const { uid, generation, deletionTimestamp } = metadata;
  return JSON.stringify([uid, generation, deletionTimestamp, metadata.annotations?.[annotations.syncRequestedAt]]);
}

function announced(object: KubeObject): number | undefined {
  const view = viewBackend(object);
  return view.ok ? announcedMs(view.object) : undefined;
}

/** What only an edit mends waits for one; rights and what others hold are looked at again, and a fight once an interval. */
function retryMs(error: SyncError, { backend }: RegistrationSubject): number {
  if (error.reason === "Conflict") return effectiveBackend(backend.spec).syncIntervalMs;
  if (error.retryAfterMs !== undefined) return Math.max(error.retryAfterMs, 1_000);
  return REFUSED_RETRY_MS;
}
