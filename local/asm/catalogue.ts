/**
 * What the emulator knows about the secrets of one account and region: the entries as ListSecrets gives them, kept up to date with
 * each write, and the states of the recent past for stale lists. It never holds a value.
 */
import { AwsError, text, textList, type Json } from "./wire.ts";

/** A secret as DescribeSecret and ListSecrets show it. Never changed in place. */
export interface Entry extends Json {
  readonly ARN: string;
  readonly Name: string;
}

/** AWS leaves out what is empty, and versions without a label. */
export function cleanEntry(raw: Json): Entry {
  const cleaned: Json = {};
  for (const [key, value] of Object.entries(raw)) {
    if (value === null || value === undefined || key === "SecretVersionsToStages" || key === "VersionIdsToStages")
      continue;
    cleaned[key] = value;
  }
  const versions = (raw["VersionIdsToStages"] ?? raw["SecretVersionsToStages"] ?? {}) as Record<string, unknown>;
  const labelled: Record<string, string[]> = {};
  for (const id of Object.keys(versions)) {
    const stages = textList(versions as Json, id);
    if (stages.length > 0) labelled[id] = stages;
  }
  if (Object.keys(labelled).length > 0) cleaned["VersionIdsToStages"] = labelled;
  return cleaned as Entry;
}

/** DescribeSecret says VersionIdsToStages, ListSecrets says SecretVersionsToStages. */
function listShape(entry: Entry): Json {
  const { VersionIdsToStages: versions, ...rest } = entry;
  return versions === undefined ? rest : { ...rest, SecretVersionsToStages: versions };
}

function matchesFilter(entry: Entry, filter: Json): boolean {
  const tags = (Array.isArray(entry["Tags"]) ? entry["Tags"] : []) as Json[];
  const fields: Record<string, readonly string[]> = {
    name: [entry.Name],
    description: [text(entry, "Description") ?? ""],
    "tag-key": tags.map((tag) => text(tag, "Key") ?? ""),
    "tag-value": tags.map((tag) => text(tag, "Value") ?? ""),
    "primary-region": [text(entry, "PrimaryRegion") ?? ""],
    "owning-service": [text(entry, "OwningService") ?? ""],
  };
  const key = text(filter, "Key") ?? "";
  const subjects = key === "all" ? Object.values(fields).flat() : (fields[key] ?? []);
  const found = (value: string): boolean => {
    if (key === "description" || key === "all") {
      // Words, in any case.
      const wanted = value.toLowerCase();
      return subjects.some((subject) => subject.toLowerCase().includes(wanted));
    }
    return subjects.some((subject) => subject.startsWith(value));
  };
  const values = textList(filter, "Values");
  const wanted = values.filter((value) => !value.startsWith("!"));
  const unwanted = values.filter((value) => value.startsWith("!")).map((value) => value.slice(1));
  return (wanted.length === 0 || wanted.some(found)) && !unwanted.some(found);
}

/** The entries that match all filters. */
export function filterEntries(entries: readonly Entry[], body: Json): Entry[] {
  const filters = (Array.isArray(body["Filters"]) ? body["Filters"] : []) as Json[];
  return entries.filter((entry) => filters.every((filter) => matchesFilter(entry, filter)));
}

function sortEntries(entries: Entry[], body: Json): Entry[] {
  const by = {
    "created-date": "CreatedDate",
    "last-accessed-date": "LastAccessedDate",
    "last-changed-date": "LastChangedDate",
    name: "Name",
  }[text(body, "SortBy") ?? ""];
  const direction = text(body, "SortOrder") === "desc" ? -1 : 1;
  if (by === undefined) return direction === 1 ? entries : entries.toReversed();
  const rank = (entry: Entry): string | number => {
    const value = entry[by];
    return typeof value === "number" || typeof value === "string" ? value : 0;
  };
  return entries.toSorted((a, b) => (rank(a) < rank(b) ? -direction : rank(a) > rank(b) ? direction : 0));
}

/** Cuts a page out of a list. Tokens name the offset and are refused when they are not ours. */
export function page<T>(items: readonly T[], body: Json, most: number): { items: T[]; next: string | undefined } {
  const size = typeof body["MaxResults"] === "number" ? body["MaxResults"] : most;
  const token = text(body, "NextToken");
  let offset = 0;
  if (token !== undefined) {
    const decoded = /^offset:(\d{1,9})$/.exec(Buffer.from(token, "base64url").toString("utf8"))?.[1];
    if (decoded === undefined) throw new AwsError("InvalidNextTokenException", "The NextToken value is invalid.");
    offset = Number(decoded);
  }
  const end = offset + size;
  return {
    items: items.slice(offset, end),
    next: end < items.length ? Buffer.from(`offset:${end}`).toString("base64url") : undefined,
  };
}

/** The secrets of one account and region. */
export class Catalogue {
  #entries = new Map<string, Entry>();
  #byName = new Map<string, Entry>();
  readonly #created = new Map<string, number>();
  /** States before a write, oldest first, each valid until `until`. */
  #past: { until: number; entries: readonly Entry[] }[] = [];

  /** Takes what the emulator has. */
  load(entries: readonly Entry[]): void {
    this.#entries = new Map(entries.map((entry) => [entry.ARN, entry]));
    this.#byName = new Map(entries.map((entry) => [entry.Name, entry]));
  }

  /** All entries, in the order of creation. */
  all(): Entry[] {
    return [...this.#entries.values()];
  }

  /** Finds a secret by name, ARN, or ARN without the random suffix. */
  find(id: string): Entry | undefined {
    const exact = this.#entries.get(id) ?? this.#byName.get(id);
    if (exact !== undefined || !id.startsWith("arn:")) return exact;
    const name = /^arn:[^:]*:secretsmanager:[^:]*:[^:]*:secret:(.+)$/.exec(id)?.[1];
    const byName = name === undefined ? undefined : this.#byName.get(name);
    return byName?.ARN.startsWith(`${id}-`) === true ? byName : undefined;
  }

  /** Replaces an entry, or with `undefined` removes the one that `id` names. */
  put(entry: Entry | undefined, id: string): void {
    const old = this.find(id);
    if (entry === undefined) {
      if (old === undefined) return;
      this.#entries.delete(old.ARN);
      this.#byName.delete(old.Name);
      return;
    }
    if (old !== undefined && old.ARN !== entry.ARN) this.#entries.delete(old.ARN);
    this.#entries.set(entry.ARN, entry);
    this.#byName.set(entry.Name, entry);
  }

  /** Keeps the present state for stale lists: it is what a list shows until changes of `now` become visible. */
  remember(now: number, keepMs: number): void {
    this.#past = this.#past.filter((state) => state.until >= now - keepMs);
    // Of several changes in one moment only the state before the first can ever be shown.
    if (this.#past.at(-1)?.until !== now) this.#past.push({ until: now, entries: this.all() });
  }

  /** Forgets the past, so that lists are fresh. */
  forgetPast(): void {
    this.#past = [];
  }

  /** The entries as they were `staleMs` ago. */
  asOf(now: number, staleMs: number): Entry[] {
    if (staleMs <= 0) return this.all();
    const state = this.#past.find(({ until }) => until > now - staleMs);
    return state === undefined ? this.all() : [...state.entries];
  }

  /** Notes when a version was made, in ms. */
  versionMade(versionId: string, now: number): void {
    if (!this.#created.has(versionId)) this.#created.set(versionId, now);
  }

  /** When a version was made, in ms. */
  madeAt(versionId: string): number | undefined {
    return this.#created.get(versionId);
  }

  /** The answer to ListSecrets. */
  list(body: Json, now: number, staleMs: number): Json {
    const visible = this.asOf(now, staleMs).filter(
      (entry) => body["IncludePlannedDeletion"] === true || entry["DeletedDate"] === undefined,
    );
    const { items, next } = page(sortEntries(filterEntries(visible, body), body), body, 100);
    return { SecretList: items.map(listShape), ...(next === undefined ? {} : { NextToken: next }) };
  }
}
