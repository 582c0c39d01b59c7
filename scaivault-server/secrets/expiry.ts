import type { Clock } from "../../src/time/clock.ts";
import { Agenda } from "../agenda.ts";
import { NOTIFY_BEFORE } from "../assumptions.ts";
import type { EventHub } from "../events/hub.ts";
import { aboutSecret } from "../events/secret-events.ts";
import { Collection } from "../store/objects.ts";
import type { Owner, SecretRecord, Store } from "../store/store.ts";
import { durationMs } from "./duration.ts";
import type { SecretWatcher, Write } from "./watcher.ts";

/** What is told of one secret's expiry. */
interface Notice {
  /** Owner and path. */
  readonly id: string;
  readonly owner: Owner;
  readonly path: string;
  readonly expiresAt: number | null;
  /** As written; undefined for the default. */
  readonly notifyBefore?: readonly string[];
  /** Up to when everything was told, ms since the epoch. */
  readonly toldUntil: number;
}

/** What expiry is built from. */
export interface ExpiryParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly events: EventHub;
  /** Lets the secret go when its retention has run out. */
  readonly sweep: (owner: Owner, path: string) => void;
}

const origin = { identityId: "system:expiry-scheduler" };
const dayMs = 86_400_000;

/** Tells `secret.expiring` and `secret.expired`, and ends the retention of soft-deleted secrets. */
export class Expiry implements SecretWatcher {
  readonly #parts: ExpiryParts;
  readonly #notices: Collection<Notice>;
  readonly #agenda: Agenda;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
    this.#notices = new Collection(parts.store.objects, "expiry");
    this.#agenda = new Agenda(parts.clock);
  }

  /** Plans what the store has. */
  begin(): void {
    for (const notice of this.#notices.values()) this.#plan(notice);
    for (const record of this.#parts.store.softDeleted()) this.#planSweep(record);
  }

  reload(): void {
    this.#agenda.empty();
    this.#notices.reload();
    this.begin();
  }

  stop(): void {
    this.#agenda.stop();
  }

  /** Thresholds of a secret, as written. */
  notifyBefore(owner: Owner, path: string): readonly string[] {
    return this.#notices.get(`${owner} ${path}`)?.notifyBefore ?? NOTIFY_BEFORE;
  }

  written(record: SecretRecord, { input }: Write): void {
    this.#note(record, input.notifyBefore);
  }

  restored(record: SecretRecord): void {
    this.#note(record, undefined);
  }

  deleted(record: SecretRecord, permanent: boolean): void {
    this.#drop(`${record.owner} ${record.path}`);
    if (permanent) this.#agenda.clear(`sweep ${record.owner} ${record.path}`);
    else this.#planSweep(record);
  }

  #note(record: SecretRecord, given: readonly string[] | undefined): void {
    const { owner, path, expiresAt } = record;
    const id = `${owner} ${path}`;
    const old = this.#notices.get(id);
    const notifyBefore = given ?? old?.notifyBefore;
    this.#agenda.clear(`sweep ${id}`);
    if (expiresAt === null && notifyBefore === undefined) {
      this.#drop(id);
      return;
    }
    const same = old?.expiresAt === expiresAt && given === undefined;
    const toldUntil = same ? old.toldUntil : this.#parts.clock.now();
    const notice = { id, owner, path, expiresAt, toldUntil, ...(notifyBefore === undefined ? {} : { notifyBefore }) };
    this.#plan(this.#notices.save(notice));
  }

  #drop(id: string): void {
    this.#agenda.clear(id);
    if (this.#notices.get(id) !== undefined) this.#notices.remove(id);
  }

  #planSweep({ owner, path, recoverableUntil }: SecretRecord): void {
    if (recoverableUntil === null) return;
    this.#agenda.set(`sweep ${owner} ${path}`, recoverableUntil, () => this.#parts.sweep(owner, path));
  }

  #plan(notice: Notice): void {
    const next = this.#moments(notice).find(({ at }) => at > notice.toldUntil);
    if (next === undefined) this.#agenda.clear(notice.id);
    else this.#agenda.set(notice.id, next.at, () => this.#tell(notice.id));
  }

  /** Thresholds and the expiry itself, in order. */
  #moments({ expiresAt, notifyBefore }: Notice): { readonly at: number; readonly threshold: string | undefined }[] {
    if (expiresAt === null) return [];
    const thresholds = (notifyBefore ?? NOTIFY_BEFORE).map((threshold) => ({
      at: expiresAt - durationMs(threshold),
      threshold,
    }));
    return [...thresholds, { at: expiresAt, threshold: undefined }].sort((a, b) => a.at - b.at);
  }

  /** Tells the last of what has passed. */
  #tell(id: string): void {
    const notice = this.#notices.get(id);
    const record = notice && this.#parts.store.getSecret(notice.owner, notice.path);
    if (notice === undefined || notice.expiresAt === null || record === undefined) return;
    const now = this.#parts.clock.now();
    const passed = this.#moments(notice).findLast(({ at }) => at > notice.toldUntil && at <= now);
    this.#parts.store.atomically(() => {
      const expires_at = new Date(notice.expiresAt ?? 0).toISOString();
      if (passed?.threshold !== undefined) {
        const days_remaining = Math.ceil(((notice.expiresAt ?? 0) - now) / dayMs);
        const data = { expires_at, days_remaining, threshold: passed.threshold };
        this.#parts.events.emit(notice.owner, aboutSecret("secret.expiring", record, origin, data));
      } else if (passed !== undefined) {
        const data = { expires_at, version: record.version };
        this.#parts.events.emit(notice.owner, aboutSecret("secret.expired", record, origin, data));
      }
      this.#plan(this.#notices.save({ ...notice, toldUntil: now }));
    });
  }
}
