import type { AuditFilter, AuditRow, AuditSummary, NewAuditRow } from "../audit/audit.ts";
import { backendsOf, bySecret, replaceBackends } from "./content.ts";
import type { StoreContent } from "./content.ts";
import { MemoryEvents, MemoryObjects } from "./memory-events.ts";
import { MemoryFederation } from "../federation/store.ts";
import type { ListQuery, Owner, SecretRecord, SecretVersion, Store, VersionInfo } from "./store.ts";

interface Entry {
  record: SecretRecord;
  /** Ascending. */
  versions: SecretVersion[];
}

interface Shelf {
  readonly entries: Map<string, Entry>;
  /** Paths in order; undefined after a path came or went. */
  sorted: string[] | undefined;
}

/** Audit rows that the memory store keeps at most; the oldest quarter goes when it is full. */
const auditRowsMost = 200_000;

/** Everything in memory, gone when the process ends. */
export class MemoryStore implements Store {
  readonly objects = new MemoryObjects();
  readonly events = new MemoryEvents();
  readonly federation = new MemoryFederation();
  readonly #shelves = new Map<Owner, Shelf>();
  #audit: AuditRow[] = [];
  #sequence = 0;

  getSecret(owner: Owner, path: string): SecretRecord | undefined {
    return this.#entry(owner, path)?.record;
  }

  saveSecret(record: SecretRecord): void {
    const entry = this.#entry(record.owner, record.path);
    if (entry === undefined) this.#add(record, []);
    else entry.record = record;
  }

  appendVersion(record: SecretRecord, version: SecretVersion): void {
    const entry = this.#entry(record.owner, record.path);
    if (entry === undefined) {
      this.#add(record, [version]);
      return;
    }
    entry.record = record;
    entry.versions.push(version);
    const surplus = entry.versions.length - record.maxVersions;
    if (surplus > 0) entry.versions.splice(0, surplus);
  }

  getVersion(owner: Owner, path: string, version: number): SecretVersion | undefined {
    return this.#entry(owner, path)?.versions.findLast((item) => item.version === version);
  }

  listVersions(owner: Owner, path: string): VersionInfo[] {
    return (this.#entry(owner, path)?.versions ?? [])
      .map(({ version, secretType, createdAt, createdBy }) => ({ version, secretType, createdAt, createdBy }))
      .reverse();
  }

  removeVersion(owner: Owner, path: string, version: number): void {
    const entry = this.#entry(owner, path);
    if (entry !== undefined) entry.versions = entry.versions.filter((item) => item.version !== version);
  }

  softDeleted(): SecretRecord[] {
    return [...this.#shelves.values()]
      .flatMap((shelf) => [...shelf.entries.values()].map(({ record }) => record))
      .filter(({ recoverableUntil }) => recoverableUntil !== null);
  }

  removeSecret(owner: Owner, path: string): void {
    const shelf = this.#shelves.get(owner);
    if (shelf?.entries.delete(path) === true) shelf.sorted = undefined;
  }

  listSecrets(owner: Owner, query: ListQuery): SecretRecord[] {
    const shelf = this.#shelves.get(owner);
    if (shelf === undefined) return [];
    shelf.sorted ??= [...shelf.entries.keys()].sort();
    const from = query.after !== undefined && query.after > query.prefix ? query.after : query.prefix;
    const found: SecretRecord[] = [];
    for (let at = lowerBound(shelf.sorted, from); at < shelf.sorted.length && found.length < query.limit; at++) {
      const path = shelf.sorted[at] as string;
      if (!path.startsWith(query.prefix)) break;
      const record = shelf.entries.get(path)?.record;
      if (record !== undefined && record.recoverableUntil === null && path !== query.after) found.push(record);
    }
    return found;
  }

  appendAudit(row: NewAuditRow): void {
    this.#audit.push({ ...row, sequence: ++this.#sequence });
    if (this.#audit.length > auditRowsMost) this.#audit = this.#audit.slice(auditRowsMost / 4);
  }

  queryAudit(filter: AuditFilter, page: { readonly before?: number | undefined; readonly limit: number }): AuditRow[] {
    const found: AuditRow[] = [];
    for (let at = this.#audit.length - 1; at >= 0 && found.length < page.limit; at--) {
      const row = this.#audit[at] as AuditRow;
      if ((page.before === undefined || row.sequence < page.before) && matches(row, filter)) found.push(row);
    }
    return found;
  }

  summarizeAudit(filter: AuditFilter): AuditSummary {
    const byAction = new Map<string, number>();
    let total = 0;
    let successful = 0;
    for (const row of this.#audit) {
      if (!matches(row, filter)) continue;
      total++;
      if (row.success) successful++;
      byAction.set(row.action, (byAction.get(row.action) ?? 0) + 1);
    }
    return { total, successful, byAction };
  }

  atomically<T>(work: () => T): T {
    return work();
  }

  content(): StoreContent {
    const entries = [...this.#shelves.values()].flatMap((shelf) => [...shelf.entries.values()]);
    return {
      secrets: entries
        .map(({ record, versions }) => ({ record, versions: [...versions] }))
        .sort((a, b) => bySecret(a.record, b.record)),
      audit: [...this.#audit],
      objects: this.objects.all(),
      ...this.events.content(),
      backends: backendsOf(this.federation),
    };
  }

  replace(content: StoreContent): void {
    this.#shelves.clear();
    for (const { record, versions } of content.secrets) this.#add(record, [...versions]);
    this.#audit = [...content.audit];
    this.#sequence = this.#audit.at(-1)?.sequence ?? 0;
    this.objects.replace(content.objects);
    this.events.replace(content);
    replaceBackends(this.federation, content.backends);
  }

  close(): void {
    this.#shelves.clear();
    this.#audit = [];
  }

  #entry(owner: Owner, path: string): Entry | undefined {
    return this.#shelves.get(owner)?.entries.get(path);
  }

  #add(record: SecretRecord, versions: SecretVersion[]): void {
    let shelf = this.#shelves.get(record.owner);
    if (shelf === undefined) {
      shelf = { entries: new Map(), sorted: undefined };
      this.#shelves.set(record.owner, shelf);
    }
    shelf.entries.set(record.path, { record, versions });
    shelf.sorted = undefined;
  }
}

/** First index whose item is not below `value`. */
function lowerBound(sorted: readonly string[], value: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function matches(row: AuditRow, filter: AuditFilter): boolean {
  return (
    row.tenantId === filter.tenantId &&
    (filter.from === undefined || row.timestamp >= filter.from) &&
    (filter.to === undefined || row.timestamp <= filter.to) &&
    (filter.actions === undefined || filter.actions.includes(row.action)) &&
    (filter.identityId === undefined || row.identityId === filter.identityId) &&
    (filter.identityType === undefined || row.identityType === filter.identityType) &&
    (filter.pathPrefix === undefined || (row.secretPath?.startsWith(filter.pathPrefix) ?? false)) &&
    (filter.secretPath === undefined || row.secretPath === filter.secretPath) &&
    (filter.success === undefined || row.success === filter.success) &&
    (filter.sourceIp === undefined || row.sourceIp === filter.sourceIp) &&
    (filter.requestId === undefined || row.requestId === filter.requestId)
  );
}
