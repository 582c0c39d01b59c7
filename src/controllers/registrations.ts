import { annotations, effectiveBackend, type FederationBackend } from "../api/index.ts";
import {
  type DeclaredRegistration,
  registrationDiff,
  type RegistrationReport,
  reportRegistration,
} from "../decide/index.ts";
import { type SyncError, toSyncError } from "../errors/index.ts";
import type { FederationCall } from "../ports/index.ts";
import { type KubeObject, keyOf, type Lane, WorkQueue, type WorkResult } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import { indexes } from "./caches.ts";
import { checkRegistrationRights, declaredRegistration, federationOf } from "./registration-checks.ts";
import { authMethodOf, writeCredentials } from "./registration-credentials.ts";
import { ensureRegistrationFinalizer, finalizeRegistration, retireRegistration } from "./registration-finalize.ts";
import { registrationFor, releaseMarks } from "./registration-handover.ts";
import { RegistrationListing } from "./registration-listing.ts";
import { handleSyncRequest, lookAtHealth, type SyncRequestResult } from "./registration-look.ts";
import {
  announcedMs,
  newMemory,
  type RegistrationMemory,
  registrationSubject,
  type RegistrationSubject,
  viewOf,
} from "./registration-state.ts";
import { type StepResult, stepRegistration } from "./registration-step.ts";
import { Reverts } from "./reverts.ts";
import { SyncRequests } from "./sync-requests.ts";
import { viewBackend } from "./views.ts";
import type { World } from "./world.ts";

/** All registrations are compared with one listing this often, in milliseconds. */
const LISTING_MS = 60_000;
/** No backend's status is asked for more often than this when nothing is awaited. */
const LOOK_MS = 60_000;
/** Until a backend settles (its first sync, a store that comes back) it is looked at this often. */
const SETTLE_MS = 20_000;
const REFUSED_RETRY_MS = 60_000;
/** While ScaiVault does not answer it is asked this often, for all backends together. */
const PROBE_MS = 10_000;
const ofScaiVault: ReadonlySet<string> = new Set(["ScaiVaultUnavailable", "ScaiVaultDenied"]);
const FINALIZE_RETRY_MS = 30_000;
/** Part of the calls a minute that routine looks may take; the rest is for people's changes. */
const ROUTINE_PART = 0.4;
/** The same for those that are not as they should be. */
const SETTLE_PART = 0.2;
/** Calls that a look at one backend takes, its conflicts among them. */
const CALLS_A_LOOK = 1.5;
/** Steps of one reconcile; more than any edit needs. */
const MAX_STEPS = 8;
/** Key in the queue that stands for the listing of all. */
const ALL = "";

interface WrittenCredential {
  readonly basis: string;
  readonly authMethod: "approle" | "token";
  readonly atMs: number;
}

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
  readonly #reverts: Reverts;
  /** Versions of the Secrets that stand at ScaiVault paths, and when that was last looked at (monotonic). */
  readonly #credentials = new Map<string, WrittenCredential>();
  readonly #unsubscribe: (() => void)[] = [];
  /** The next listing of all has a time. */
  #compares = false;

  constructor(world: World, hooks: RegistrationHooks) {
    this.#world = world;
    this.#hooks = hooks;
    this.#queue = new WorkQueue({ clock: world.clock });
    this.#reverts = new Reverts(() => world.clock.monotonic());
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
    const { namespace, name } = backend.metadata;
    const memory = this.#memoryOf(`${namespace}/${name}`, backend);
    return this.has(backend) ? reportRegistration(viewOf(memory), this.#world.clock.now()) : undefined;
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
    const { clock } = world;
    const declared = await this.#declare(subject, call.signal);
    const listing = this.#listing;
    if (listing === undefined) throw toSyncError(undefined);
    const notBeforeMs = clock.monotonic() - LISTING_MS;
    let outcome: StepResult = "Again";
    for (let steps = 0; steps < MAX_STEPS && outcome === "Again"; steps += 1)
      outcome = await stepRegistration({ world, listing, subject, memory, declared, call, notBeforeMs });
    if (outcome === "Announced") return {};
    // While marks are released ScaiVault was asked already.
    const awaited =
      memory.pendingSync !== undefined ||
      memory.lookedMs === undefined ||
      (memory.under !== undefined && memory.marked === undefined);
    const looked = memory.lookedMs ?? -Infinity;
    if (awaited || clock.monotonic() - looked >= this.#lookEveryMs() - 1_000) {
      if (!(await lookAtHealth(world, memory, call))) {
        listing.forget();
        return { requeueAfterMs: 0, lane: "drift" };
      }
    }
    if (outcome === "Waits" && memory.health?.status === "healthy") return { requeueAfterMs: 0, lane: "change" };
    const handover = await releaseMarks(world, subject, memory, call.signal);
    // Others have their turn between; then comes what is declared.
    if (handover === "More" || handover === "Done") return { requeueAfterMs: 0, lane: "refresh" };
    const request = await handleSyncRequest(world, subject, memory, this.#requests, call);
    return this.#next(memory, request);
  }

  #next(memory: RegistrationMemory, request: SyncRequestResult): WorkResult {
    if (request.kind === "Later") return { requeueAfterMs: request.inMs, lane: "change" };
    const every = this.#lookEveryMs();
    if (isSettled(memory)) return { requeueAfterMs: every };
    return { requeueAfterMs: Math.min(every, Math.max(SETTLE_MS, this.#spreadMs(this.#unsettled(), SETTLE_PART))) };
  }

  #lookEveryMs(): number {
    const many = [...this.#memories.values()].filter(({ id }) => id !== undefined).length;
    return Math.max(LOOK_MS, this.#spreadMs(many, ROUTINE_PART));
  }

  /** Looks at each are spread so far that all of them together stay within a part of the budget. */
  #spreadMs(many: number, part: number): number {
    const perMinute = (this.#world.scaivault?.federation.perMinute() ?? 1) * part;
    return (many * CALLS_A_LOOK * 60_000) / Math.max(perMinute, 0.2);
  }

  /** What the object declares; the Secret that it names is at its ScaiVault path before anything else happens. */
  async #declare(subject: RegistrationSubject, signal: AbortSignal): Promise<DeclaredRegistration> {
    const world = this.#world;
    const { namespace, generation } = subject.backend.metadata;
    const vault = subject.backend.spec.hashicorpVault;
    const ca =
      vault?.caRef === undefined ? undefined : await world.resolver.certificate(vault.caRef, namespace, signal);
    const secret = subject.federation.credentials?.secretRef?.name;
    if (secret === undefined)
      return declaredRegistration(subject, { authMethod: vault?.auth?.token === undefined ? "approle" : "token", ca });
    const known = this.#credentials.get(subject.key);
    const watched = world.caches.credentials.get(`${namespace}/${secret}`)?.metadata.resourceVersion;
    const basis = JSON.stringify([watched, generation]);
    const age = world.clock.monotonic() - (known?.atMs ?? -Infinity);
    if (watched !== undefined && known?.basis === basis && age < effectiveBackend(subject.backend.spec).syncIntervalMs)
      return declaredRegistration(subject, { authMethod: known.authMethod, ca });
    const credential = await world.resolver.credential(namespace, secret, signal);
    const authMethod = authMethodOf(credential);
    const declared = declaredRegistration(subject, { authMethod, ca });
    await writeCredentials(world, subject, { credential, declared, reverts: this.#reverts }, signal);
    this.#credentials.set(subject.key, { basis, authMethod, atMs: world.clock.monotonic() });
    return declared;
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
    return { requeueAfterMs: Math.max(PROBE_MS, this.#spreadMs(this.#unsettled(), SETTLE_PART)), lane: "retry" };
  }

  #unsettled(): number {
    return [...this.#memories.values()].filter((one) => !isSettled(one)).length;
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
    this.#credentials.delete(key);
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
        const status = found?.status;
        const moved = status !== undefined && memory.health !== undefined && status !== memory.health.status;
        if (moved) memory.lookedMs = undefined;
        if (found === undefined || moved || this.#differs(key, memory, found)) this.#queue.add(key, "drift");
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

  #differs(key: string, memory: RegistrationMemory, found: Parameters<typeof registrationDiff>[1]): boolean {
    const object = this.#world.caches.backends.get(key);
    const view = object === undefined ? undefined : viewBackend(object);
    const subject = view?.ok === true ? registrationSubject(view.object) : undefined;
    if (subject === undefined || memory.problem?.reason === "Conflict") return false;
    // The certificate is compared when the object itself is looked at.
    const ca = found.config?.get("ca_cert_pem");
    const method = found.config?.get("auth_method") === "token" ? "token" : "approle";
    const declared = declaredRegistration(subject, { authMethod: method, ca: typeof ca === "string" ? ca : undefined });
    return registrationDiff(registrationFor(this.#world, subject, memory, declared), found).fields.length > 0;
  }
}

/** People's changes go first. Nobody waits long inside a worker: who finds no room comes back. */
function callLane(lane: Lane): NonNullable<FederationCall["lane"]> {
  return lane === "user" ? "user" : "new";
}

/** Nothing of it is under way, and ScaiVault has all that it should have. */
function isSettled({ under, health, mode, problem }: RegistrationMemory): boolean {
  return (
    problem === undefined &&
    under === undefined &&
    health?.status === "healthy" &&
    (mode === "proxy" || health.lastSyncMs !== undefined)
  );
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
