/** Reads the API server's audit log, so that tests and benchmarks can count what was asked of it. */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** One request, as the API server saw it. There are no bodies in it (level Metadata). */
export interface AuditEntry {
  readonly id: string;
  /** Milliseconds since the epoch when the request arrived (real time, never a virtual clock). */
  readonly at: number;
  readonly user: string;
  readonly userAgent: string;
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, … */
  readonly verb: string;
  /** `group/resource`, or only the resource for the core group; empty for other URLs. */
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly uri: string;
  /** Status code; 0 while the request (a watch) has not been answered. */
  readonly code: number;
}

/** Which entries are meant; a missing field means all. */
export interface AuditFilter {
  /** Position in the log, from `auditMark`. */
  readonly since?: number;
  readonly user?: string;
  readonly verbs?: readonly string[];
  /** As in {@link AuditEntry.resource}. */
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
}

interface RawEvent {
  auditID?: string;
  requestReceivedTimestamp?: string;
  verb?: string;
  requestURI?: string;
  userAgent?: string;
  user?: { username?: string };
  impersonatedUser?: { username?: string };
  objectRef?: { resource?: string; apiGroup?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
}

function parseLine(line: string): AuditEntry | undefined {
  let raw: RawEvent;
  try {
    raw = JSON.parse(line) as RawEvent;
  } catch {
    return undefined;
  }
  const ref = raw.objectRef;
  return {
    id: raw.auditID ?? "",
    at: Date.parse(raw.requestReceivedTimestamp ?? ""),
    user: raw.impersonatedUser?.username ?? raw.user?.username ?? "",
    userAgent: raw.userAgent ?? "",
    verb: raw.verb ?? "",
    resource: ref?.resource === undefined ? "" : ref.apiGroup ? `${ref.apiGroup}/${ref.resource}` : ref.resource,
    subresource: ref?.subresource ?? "",
    namespace: ref?.namespace ?? "",
    name: ref?.name ?? "",
    uri: raw.requestURI ?? "",
    code: raw.responseStatus?.code ?? 0,
  };
}

/** Whether an entry is meant by a filter (without `since`). */
export function matchesAudit(entry: AuditEntry, filter: AuditFilter): boolean {
  return (
    (filter.user === undefined || entry.user === filter.user) &&
    (filter.verbs === undefined || filter.verbs.includes(entry.verb)) &&
    (filter.resource === undefined || entry.resource === filter.resource) &&
    (filter.subresource === undefined || entry.subresource === filter.subresource) &&
    (filter.namespace === undefined || entry.namespace === filter.namespace)
  );
}

/** Parses audit lines; each request once (a watch logs its start and its end), the last word on it wins. */
export function parseAudit(text: string): AuditEntry[] {
  const byId = new Map<string, AuditEntry>();
  for (const line of text.split("\n")) {
    const entry = line === "" ? undefined : parseLine(line);
    if (entry === undefined) continue;
    const known = byId.get(entry.id);
    byId.set(entry.id, known === undefined || entry.code !== 0 ? entry : known);
  }
  return [...byId.values()];
}

/** The end of the log as a position for `since`. */
export function auditPosition(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
}

/** The log's text from a position on. */
export function auditText(file: string, since = 0): string {
  const handle = openSync(file, "r");
  try {
    const size = fstatSync(handle).size;
    const parts: Buffer[] = [];
    const step = 4 * 1024 * 1024;
    for (let at = since; at < size; at += step) {
      const buffer = Buffer.alloc(Math.min(step, size - at));
      readSync(handle, buffer, 0, buffer.length, at);
      parts.push(buffer);
    }
    return Buffer.concat(parts).toString("utf8");
  } finally {
    closeSync(handle);
  }
}

/**
 * Counts entries by a text made of them.
 * @param by default `verb resource/subresource`
 */
export function countAudit(
  entries: readonly AuditEntry[],
  by: (entry: AuditEntry) => string = ({ verb, resource, subresource }) =>
    `${verb} ${resource}${subresource && `/${subresource}`}`,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const entry of entries) {
    const key = by(entry);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
