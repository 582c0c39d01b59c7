import type { Clock } from "../../src/time/clock.ts";
import { Agenda } from "../agenda.ts";
import { FAILED_ROTATION_RETRY_MS } from "../assumptions.ts";
import { auditSystem } from "../audit/system.ts";
import { ApiError } from "../errors.ts";
import type { EventHub, EventType, Origin } from "../events/hub.ts";
import { aboutSecret } from "../events/secret-events.ts";
import { defaultRecipes, regenerate } from "../generate/service.ts";
import type { SecretPolicies } from "../generate/service.ts";
import type { WriteInput } from "../secrets/body.ts";
import type { SecretService } from "../secrets/service.ts";
import type { SecretWatcher, Write } from "../secrets/watcher.ts";
import { Collection } from "../store/objects.ts";
import type { Owner, SecretRecord, Store } from "../store/store.ts";
import type { WebhookService } from "../webhooks/service.ts";
import { GracePeriods } from "./grace.ts";
import type { RotationHistory, RotationItem } from "./history.ts";
import { timesOf } from "./policies.ts";
import type { RotationPolicies, RotationPolicy } from "./policies.ts";
import { afterStep, dueAt, isAwaited, newTurn, nextStep } from "./turn.ts";
import type { Step, Turn } from "./turn.ts";

/** A secret under a rotation policy. */
export interface Assignment {
  /** Owner and path. */
  readonly id: string;
  readonly owner: Owner;
  readonly path: string;
  readonly policyId: string;
  readonly turn: Turn;
}

/** What the service is built from. */
export interface RotationParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly events: EventHub;
  readonly secrets: SecretService;
  readonly webhooks: WebhookService;
  readonly policies: RotationPolicies;
  readonly secretPolicies: SecretPolicies;
  readonly history: RotationHistory;
}

const scheduler: Origin = { identityId: "system:rotation-scheduler" };
const iso = (ms: number): string => new Date(ms).toISOString();

/** Rotates: tells when it is due, makes values where the policy says so, and ends old versions. Rights are the handlers' matter. */
export class RotationService implements SecretWatcher {
  readonly #parts: RotationParts;
  readonly #assignments: Collection<Assignment>;
  readonly #graces: GracePeriods;
  readonly #agenda: Agenda;
  /** Secrets that the service itself writes at this moment. */
  readonly #writing = new Set<string>();

  constructor(parts: RotationParts) {
    this.#parts = parts;
    this.#assignments = new Collection(parts.store.objects, "rotation-assignment");
    this.#graces = new GracePeriods(parts.store, parts.clock);
    this.#agenda = new Agenda(parts.clock);
  }

  /** Plans what the store has. */
  begin(): void {
    for (const item of this.#assignments.values()) this.#resume(item);
    this.#graces.begin();
  }

  reload(): void {
    this.#agenda.empty();
    this.#assignments.reload();
    for (const item of this.#assignments.values()) this.#resume(item);
    this.#graces.reload();
  }

  stop(): void {
    this.#agenda.stop();
    this.#graces.stop();
  }

  assignmentOf(owner: Owner, path: string): Assignment | undefined {
    return this.#assignments.get(keyOf(owner, path));
  }

  /** The secrets under a policy. */
  assigned(policyId: string): Assignment[] {
    return this.#assignments.values().filter((item) => item.policyId === policyId);
  }

  /** Puts a secret under a policy, instead of the one it had. @throws ApiError `secret_not_found`. */
  assign(policy: RotationPolicy, path: string): void {
    const owner: Owner = `tenant:${policy.tenantId}`;
    const record = this.#parts.secrets.describe(owner, path);
    if (this.assignmentOf(owner, path)?.policyId !== policy.id) this.#assign(policy.id, record);
  }

  /** @throws ApiError `secret_not_found` when the secret is not under the policy. */
  unassign(policy: RotationPolicy, path: string): void {
    this.#detach(this.#under(policy, path).id);
  }

  /** A policy was changed: its secrets are looked at anew. */
  replan(policyId: string): void {
    for (const item of this.assigned(policyId)) this.#resume(item);
  }

  /** A policy goes; its secrets stay. */
  detachAll(policyId: string): void {
    for (const { id } of this.assigned(policyId)) this.#detach(id);
    this.#parts.history.forget(policyId);
  }

  /** When each active secret of a tenant is due, earliest first. */
  due(tenantId: string): { readonly item: Assignment; readonly policy: RotationPolicy; readonly at: number }[] {
    return this.#parts.policies
      .list(tenantId)
      .filter(({ isActive }) => isActive)
      .flatMap((policy) =>
        this.assigned(policy.id).map((item) => ({ item, policy, at: dueAt(item.turn, timesOf(policy)) })),
      )
      .sort((a, b) => a.at - b.at);
  }

  /**
   * Rotates a secret of a policy now.
   * @returns what came of it; `pending` when the policy does not generate values.
   * @throws ApiError `secret_not_found` when the secret is not under the policy.
   */
  rotateNow(policy: RotationPolicy, path: string, origin: Origin): RotationItem {
    const item = this.#under(policy, path);
    if (policy.autoGenerate) return this.#generate(policy, item, origin);
    const now = this.#parts.clock.now();
    const asked = this.#assignments.save({ ...item, turn: { ...newTurn(item.turn.lastRotatedAt), askedAt: now } });
    this.#tell(policy, asked, { at: now, kind: "due" });
    return this.#parts.history.pending(policy.id, path) as RotationItem;
  }

  beforeWrite(owner: Owner, path: string, input: WriteInput): boolean {
    if (typeof input.rotationPolicyId === "string") this.#policyFor(owner, input.rotationPolicyId);
    const key = keyOf(owner, path);
    if (this.#writing.has(key)) return true;
    const item = this.#assignments.get(key);
    return item !== undefined && isAwaited(item.turn) && this.#active(item) !== undefined;
  }

  written(record: SecretRecord, { old, input, isRotation, origin }: Write): void {
    const key = keyOf(record.owner, record.path);
    const item = this.#assignments.get(key);
    const policy = item && this.#parts.policies.find(item.policyId);
    if (isRotation && item !== undefined && policy !== undefined && old !== undefined)
      this.#complete(policy, item, { record, old, origin });
    if (input.rotationPolicyId === null) this.#detach(key);
    else if (input.rotationPolicyId !== undefined && input.rotationPolicyId !== item?.policyId)
      this.#assign(input.rotationPolicyId, record);
  }

  deleted(record: SecretRecord, permanent: boolean): void {
    this.#detach(keyOf(record.owner, record.path));
    if (permanent) this.#graces.forget(record);
  }

  #policyFor(owner: Owner, id: string): RotationPolicy {
    return this.#parts.policies.get(owner.startsWith("tenant:") ? owner.slice("tenant:".length) : "", id);
  }

  #under(policy: RotationPolicy, path: string): Assignment {
    const item = this.assignmentOf(`tenant:${policy.tenantId}`, path);
    if (item?.policyId !== policy.id)
      throw new ApiError("secret_not_found", "the secret is not under the rotation policy", { details: { path } });
    return item;
  }

  #active(item: Assignment): RotationPolicy | undefined {
    const policy = this.#parts.policies.find(item.policyId);
    return policy?.isActive === true ? policy : undefined;
  }

  #assign(policyId: string, { owner, path, version }: SecretRecord): void {
    const madeAt = this.#parts.store.getVersion(owner, path, version)?.createdAt ?? this.#parts.clock.now();
    this.#plan(this.#assignments.save({ id: keyOf(owner, path), owner, path, policyId, turn: newTurn(madeAt) }));
  }

  #detach(id: string): void {
    this.#agenda.clear(id);
    const item = this.#assignments.get(id);
    if (item === undefined) return;
    const waited = this.#parts.history.pending(item.policyId, item.path);
    if (waited !== undefined) this.#parts.history.save({ ...waited, status: "failed", error: "detached" });
    this.#assignments.remove(id);
  }

  /** Plans a secret after a start or a change; what the server should have generated is tried at once. */
  #resume(item: Assignment): void {
    if (item.turn.dueTold && this.#active(item)?.autoGenerate === true)
      this.#agenda.set(item.id, this.#parts.clock.now(), () => this.#again(item.id));
    else this.#plan(item);
  }

  #plan(item: Assignment): void {
    const policy = this.#active(item);
    const step = policy && nextStep(item.turn, timesOf(policy), this.#parts.clock.now());
    if (step === undefined) this.#agenda.clear(item.id);
    else this.#agenda.set(item.id, step.at, () => this.#step(item.id));
  }

  /** Does what is due for a secret. */
  #step(id: string): void {
    const item = this.#assignments.get(id);
    const policy = item && this.#active(item);
    if (item === undefined || policy === undefined) return;
    const now = this.#parts.clock.now();
    const step = nextStep(item.turn, timesOf(policy), now);
    if (step === undefined || step.at > now) {
      this.#plan(item);
      return;
    }
    this.#tell(policy, item, step);
    if (step.kind === "due" && policy.autoGenerate) this.#generate(policy, item, scheduler);
  }

  /** Tells a step and plans the next one. */
  #tell(policy: RotationPolicy, item: Assignment, step: Step): void {
    const { store, history, clock } = this.#parts;
    const record = store.getSecret(item.owner, item.path);
    if (record === undefined) return;
    store.atomically(() => {
      const due_at = iso(dueAt(item.turn, timesOf(policy)));
      if (step.kind === "overdue") this.#emit("rotation.overdue", policy, record, { due_at });
      else if (step.kind === "due") this.#emit("rotation.due", policy, record, { due_at, due_now: true });
      else {
        const warn_before = policy.warnBefore.find(
          (text) => timesOf({ ...policy, warnBefore: [text] }).warnMs[0] === step.thresholdMs,
        );
        this.#emit("rotation.due", policy, record, { due_at, warn_before });
      }
      if (step.kind === "due" && !policy.autoGenerate && history.pending(policy.id, item.path) === undefined)
        history.add({ ...this.#blank(policy, record), startedAt: clock.now() });
      this.#plan(this.#assignments.save({ ...item, turn: afterStep(item.turn, step) }));
    });
  }

  /** Writes a generated version; `rotation.failed` when that cannot be. */
  #generate(policy: RotationPolicy, item: Assignment, origin: Origin): RotationItem {
    const { store, secrets, history, clock } = this.#parts;
    const { owner, path } = item;
    const startedAt = clock.now();
    this.#writing.add(item.id);
    try {
      const { record, version } = secrets.current(owner, path);
      const recipes =
        policy.secretPolicyId === null
          ? defaultRecipes(version.data)
          : this.#parts.secretPolicies.get(policy.tenantId, policy.secretPolicyId).fields;
      if (recipes === undefined) throw new ApiError("validation_error", "nothing says which field to make anew");
      const data = regenerate(version.data, recipes);
      const written = secrets.write(owner, path, { ...keepAll, data, secretType: record.secretType }, origin);
      this.#audit(policy, path, true, { version: written.version }, origin);
      return history
        .list(policy.id)
        .find((made) => made.path === path && made.newVersion === written.version) as RotationItem;
    } catch (error) {
      const reason = error instanceof ApiError ? error.code : "internal_error";
      const record = store.getSecret(owner, path);
      if (record === undefined) throw error;
      this.#emit("rotation.failed", policy, record, { reason });
      this.#audit(policy, path, false, { code: reason }, origin);
      if (this.#assignments.get(item.id)?.turn.dueTold === true)
        this.#agenda.set(item.id, startedAt + FAILED_ROTATION_RETRY_MS, () => this.#again(item.id));
      return history.add({
        ...this.#blank(policy, record),
        startedAt,
        completedAt: startedAt,
        status: "failed",
        error: reason,
      });
    } finally {
      this.#writing.delete(item.id);
    }
  }

  /** Another try after a failure. */
  #again(id: string): void {
    const item = this.#assignments.get(id);
    const policy = item && this.#active(item);
    if (item === undefined || policy === undefined) return;
    const now = this.#parts.clock.now();
    const step = nextStep(item.turn, timesOf(policy), now);
    if (step !== undefined && step.at <= now) this.#tell(policy, item, step);
    if (policy.autoGenerate) this.#generate(policy, item, scheduler);
    else this.#plan(item);
  }

  /** A rotation happened: tells it, begins the grace period and the next turn. Runs within the write. */
  #complete(
    policy: RotationPolicy,
    item: Assignment,
    done: { readonly record: SecretRecord; readonly old: SecretRecord; readonly origin: Origin },
  ): void {
    const { clock, history, events } = this.#parts;
    const { record, old, origin } = done;
    const now = clock.now();
    const autoGenerated = this.#writing.has(item.id);
    const until = now + timesOf(policy).graceMs;
    const versions = { old_version: old.version, new_version: record.version };
    const rotated = aboutSecret("secret.rotated", record, origin, {
      ...versions,
      rotation_policy_id: policy.id,
      rotation_policy_name: policy.name,
      grace_period_ends: iso(until),
      auto_generated: autoGenerated,
    });
    this.#parts.webhooks.also(policy.webhookIds, events.emit(record.owner, rotated), rotated.subject);
    this.#emit("rotation.completed", policy, record, versions);
    const waited = history.pending(policy.id, item.path);
    const result = {
      status: "success",
      oldVersion: old.version,
      newVersion: record.version,
      autoGenerated,
      completedAt: now,
      graceEndsAt: until,
    } as const;
    if (waited === undefined) history.add({ ...this.#blank(policy, old), ...result, startedAt: now });
    else history.save({ ...waited, ...result });
    this.#graces.add(item, old.version, until);
    this.#plan(this.#assignments.save({ ...item, turn: newTurn(now) }));
  }

  #blank(policy: RotationPolicy, record: SecretRecord): Omit<RotationItem, "id"> {
    return {
      policyId: policy.id,
      path: record.path,
      status: "pending",
      oldVersion: record.version,
      newVersion: null,
      autoGenerated: false,
      startedAt: this.#parts.clock.now(),
      completedAt: null,
      graceEndsAt: null,
      error: null,
    };
  }

  #emit(type: EventType, policy: RotationPolicy, record: SecretRecord, data: Readonly<Record<string, unknown>>): void {
    const named = { rotation_policy_id: policy.id, rotation_policy_name: policy.name, ...data };
    const draft = aboutSecret(type, record, scheduler, named);
    this.#parts.webhooks.also(policy.webhookIds, this.#parts.events.emit(record.owner, draft), draft.subject);
  }

  #audit(policy: RotationPolicy, path: string, success: boolean, extra: object, origin: Origin): void {
    // What a caller asked for is audited by its request.
    if (origin !== scheduler) return;
    auditSystem(this.#parts.store, this.#parts.clock, {
      tenantId: policy.tenantId,
      action: "rotate",
      identityId: scheduler.identityId,
      path,
      success,
      durationMs: 0,
      requestId: policy.id,
      extra: { rotation_policy_id: policy.id, ...extra },
    });
  }
}

const keyOf = (owner: Owner, path: string): string => `${owner} ${path}`;

/** A write that changes the value only. */
const keepAll = {
  metadata: undefined,
  maxVersions: undefined,
  expiresInMs: undefined,
  rotationPolicyId: undefined,
  cas: undefined,
} as const;
