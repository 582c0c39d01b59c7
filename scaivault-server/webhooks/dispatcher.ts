import { createHmac, randomBytes } from "node:crypto";
import { Agent, request } from "undici";
import type { Clock } from "../../src/time/clock.ts";
import { Agenda } from "../agenda.ts";
import { DELIVERIES_KEPT, DELIVERY_TIMEOUT_MS, RETRY_DELAYS_MS } from "../assumptions.ts";
import { auditSystem } from "../audit/system.ts";
import { Collection } from "../store/objects.ts";
import type { Store } from "../store/store.ts";

/** Where events go: a webhook or a subscription. */
export interface Target {
  readonly id: string;
  readonly tenantId: string;
  readonly url: string;
  readonly secret: string;
  readonly enabled: boolean;
}

/** One event on its way to one target. Times in ms since the epoch. */
export interface DeliveryRecord {
  /** `del_…` */
  readonly id: string;
  readonly targetId: string;
  readonly eventId: string;
  readonly eventType: string;
  /** JSON text that is sent. */
  readonly body: string;
  readonly createdAt: number;
  readonly status: "pending" | "success" | "failed";
  /** Attempts that ended. */
  readonly attempts: number;
  readonly responseCode: number | null;
  readonly durationMs: number | null;
  /** A word for why the last attempt failed; never text of the receiver's. */
  readonly error: string | null;
  readonly nextAttemptAt: number | null;
}

/** What the dispatcher is built from. */
export interface DispatcherParts {
  readonly store: Store;
  readonly clock: Clock;
  /** The target as it is now; undefined when it is gone. */
  readonly targetOf: (id: string) => Target | undefined;
  /** Told after each attempt. */
  readonly onAttempt: (targetId: string, succeeded: boolean) => void;
}

interface Outcome {
  readonly responseCode: number | null;
  readonly durationMs: number;
  readonly error: string | null;
}

/** Attempts to one target at the same time. */
const mostAtOnce = 4;

/** Sends events to webhooks: signed, retried with back-off on the server's clock, remembered. */
export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #deliveries: Collection<DeliveryRecord>;
  readonly #agenda: Agenda;
  readonly #agent = new Agent();
  readonly #queues = new Map<string, { active: number; waiting: string[] }>();
  #running = new Set<Promise<void>>();
  #stop = new AbortController();

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#deliveries = new Collection(parts.store.objects, "delivery");
    this.#agenda = new Agenda(parts.clock);
  }

  /** Goes on with what was pending when the server ended. */
  begin(): void {
    for (const { id, status, nextAttemptAt } of this.#deliveries.values())
      if (status === "pending") this.#plan(id, nextAttemptAt ?? this.#parts.clock.now());
  }

  /** Ends what is under way and takes over what the store has. */
  reload(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#agenda.empty();
    this.#queues.clear();
    this.#deliveries.reload();
    this.begin();
  }

  /** Ends everything; pending deliveries go on after the next start. */
  async stop(): Promise<void> {
    this.#agenda.stop();
    this.#stop.abort();
    await Promise.all(this.#running);
    await this.#agent.close();
  }

  /** Newest first. */
  list(targetId: string): DeliveryRecord[] {
    return this.#deliveries
      .values()
      .filter((item) => item.targetId === targetId)
      .reverse();
  }

  /** Forgets a target's deliveries. */
  forget(targetId: string): void {
    for (const { id } of this.list(targetId)) this.#remove(id);
  }

  /** Takes an event for a target; the first attempt begins after the caller's change is done. */
  accept(targetId: string, event: { readonly id: string; readonly type: string; readonly body: string }): void {
    const { id } = this.#remember(targetId, event);
    this.#plan(id, this.#parts.clock.now());
    for (const old of this.list(targetId).slice(DELIVERIES_KEPT)) this.#remove(old.id);
  }

  /** Sends an event once and tells how it went. */
  async sendOnce(
    target: Target,
    event: { readonly id: string; readonly type: string; readonly body: string },
  ): Promise<DeliveryRecord> {
    const record = this.#remember(target.id, event);
    const outcome = await this.#send(target, record, this.#stop.signal);
    return this.#finish(target, record, outcome, true);
  }

  #remember(
    targetId: string,
    event: { readonly id: string; readonly type: string; readonly body: string },
  ): DeliveryRecord {
    return this.#deliveries.save({
      id: `del_${randomBytes(12).toString("hex")}`,
      targetId,
      eventId: event.id,
      eventType: event.type,
      body: event.body,
      createdAt: this.#parts.clock.now(),
      status: "pending",
      attempts: 0,
      responseCode: null,
      durationMs: null,
      error: null,
      nextAttemptAt: null,
    });
  }

  #remove(id: string): void {
    this.#agenda.clear(id);
    this.#deliveries.remove(id);
  }

  #plan(id: string, at: number): void {
    this.#agenda.set(id, at, () => {
      const targetId = this.#deliveries.get(id)?.targetId;
      if (targetId === undefined) return;
      const queue = this.#queues.get(targetId) ?? { active: 0, waiting: [] };
      this.#queues.set(targetId, queue);
      queue.waiting.push(id);
      this.#next(targetId);
    });
  }

  /** Begins what waits for a target, a few at a time. */
  #next(targetId: string): void {
    const queue = this.#queues.get(targetId);
    while (queue !== undefined && queue.active < mostAtOnce) {
      const id = queue.waiting.shift();
      if (id === undefined) return;
      queue.active++;
      const work = this.#attempt(id, this.#stop.signal).finally(() => {
        this.#running.delete(work);
        queue.active--;
        this.#next(targetId);
      });
      this.#running.add(work);
    }
  }

  async #attempt(id: string, stopped: AbortSignal): Promise<void> {
    const record = this.#deliveries.get(id);
    if (record === undefined || stopped.aborted) return;
    const target = this.#parts.targetOf(record.targetId);
    if (target === undefined || !target.enabled) {
      this.#deliveries.save({ ...record, status: "failed", error: "disabled", nextAttemptAt: null });
      return;
    }
    const outcome = await this.#send(target, record, stopped);
    // What a stop cut off is tried again after the next start; what was deleted meanwhile stays away.
    if (stopped.aborted || this.#deliveries.get(id) === undefined) return;
    this.#finish(target, record, outcome, false);
  }

  #finish(target: Target, record: DeliveryRecord, outcome: Outcome, once: boolean): DeliveryRecord {
    const { clock, store } = this.#parts;
    const attempts = record.attempts + 1;
    const delay = outcome.error === null || once ? undefined : RETRY_DELAYS_MS[attempts - 1];
    const status = outcome.error === null ? "success" : delay === undefined ? "failed" : "pending";
    const nextAttemptAt = delay === undefined ? null : clock.now() + delay;
    const saved = this.#deliveries.save({ ...record, ...outcome, attempts, status, nextAttemptAt });
    if (nextAttemptAt !== null) this.#plan(saved.id, nextAttemptAt);
    this.#parts.onAttempt(target.id, outcome.error === null);
    auditSystem(store, clock, {
      tenantId: target.tenantId,
      action: "webhook_delivery",
      identityId: "system:webhook-dispatcher",
      path: null,
      success: outcome.error === null,
      durationMs: outcome.durationMs,
      requestId: saved.id,
      extra: {
        target: target.id,
        event_id: saved.eventId,
        event_type: saved.eventType,
        attempt: attempts,
        error: outcome.error,
      },
    });
    return saved;
  }

  /** One signed POST. [advanced/webhook-signatures] */
  async #send(target: Target, record: DeliveryRecord, stopped: AbortSignal): Promise<Outcome> {
    const { clock } = this.#parts;
    const startedAt = clock.monotonic();
    const late = new AbortController();
    const cancel = clock.setTimeout(() => late.abort(), DELIVERY_TIMEOUT_MS, { unref: true });
    const ended = (responseCode: number | null, error: string | null): Outcome => ({
      responseCode,
      durationMs: Math.round(clock.monotonic() - startedAt),
      error,
    });
    const timestamp = String(Math.floor(clock.now() / 1000));
    try {
      const { statusCode, body } = await request(target.url, {
        method: "POST",
        dispatcher: this.#agent,
        signal: AbortSignal.any([late.signal, stopped]),
        body: record.body,
        headers: {
          "content-type": "application/json",
          "user-agent": "ScaiVault-Webhook/1.0",
          "x-scaivault-event-id": record.eventId,
          "x-scaivault-event-type": record.eventType,
          "x-scaivault-timestamp": timestamp,
          "x-scaivault-signature": sign(target.secret, timestamp, record.body),
        },
      });
      await body.dump({ limit: 65_536 }).catch(() => undefined);
      if (statusCode >= 200 && statusCode < 300) return ended(statusCode, null);
      return ended(statusCode, statusCode >= 300 && statusCode < 400 ? "redirect" : "status");
    } catch {
      return ended(null, late.signal.aborted ? "timeout" : "no_answer");
    } finally {
      cancel();
    }
  }
}

/** `sha256=` and the HMAC of timestamp, dot and body. [advanced/webhook-signatures] */
export function sign(secret: string, timestamp: string, body: string): string {
  return `sha256=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;
}
