import type { AuditAction } from "../audit/audit.ts";

/** One request as tests see it. */
export interface RequestEntry {
  readonly at: number;
  readonly method: string;
  /** Such as `GET /v1/secrets/{path}`; `unknown` when nothing matched. */
  readonly route: string;
  readonly category: string;
  /** URL path without the query. */
  readonly path: string;
  readonly identity: string | undefined;
  readonly userAgent: string;
  readonly requestId: string;
  /** 0 when the connection was cut instead of answered. */
  readonly status: number;
}

/** Counts since the start or the last reset. */
export interface CounterSnapshot {
  readonly total: number;
  /** By `METHOD /route`. */
  readonly byRoute: Readonly<Record<string, number>>;
  readonly byCategory: Readonly<Record<string, number>>;
  readonly byStatus: Readonly<Record<string, number>>;
  /** Values answered (a batch counts each path). */
  readonly valuesRead: number;
  readonly versionsWritten: number;
  /** Secret paths (and globs) that requests named, refused ones too, with what they wanted there, by path. */
  readonly paths: readonly { readonly path: string; readonly actions: readonly AuditAction[] }[];
}

const requestsKept = 20_000;

/** Counts what clients did. Calls through the admin handle are not counted. */
export class Counters {
  #total = 0;
  #byRoute = new Map<string, number>();
  #byCategory = new Map<string, number>();
  #byStatus = new Map<string, number>();
  #valuesRead = 0;
  #versionsWritten = 0;
  #paths = new Map<string, Set<AuditAction>>();
  #requests: RequestEntry[] = [];

  /** At arrival, so that requests that never get an answer count too. */
  arrived(route: string, category: string): void {
    this.#total++;
    increase(this.#byRoute, route);
    increase(this.#byCategory, category);
  }

  done(entry: RequestEntry): void {
    increase(this.#byStatus, String(entry.status));
    this.#requests.push(entry);
    if (this.#requests.length > requestsKept) this.#requests = this.#requests.slice(requestsKept / 2);
  }

  touched(path: string, action: AuditAction): void {
    const actions = this.#paths.get(path) ?? new Set();
    actions.add(action);
    this.#paths.set(path, actions);
  }

  valueRead(): void {
    this.#valuesRead++;
  }

  versionWritten(): void {
    this.#versionsWritten++;
  }

  /** The last requests, oldest first. */
  requests(): readonly RequestEntry[] {
    return [...this.#requests];
  }

  snapshot(): CounterSnapshot {
    return {
      total: this.#total,
      byRoute: Object.fromEntries(this.#byRoute),
      byCategory: Object.fromEntries(this.#byCategory),
      byStatus: Object.fromEntries(this.#byStatus),
      valuesRead: this.#valuesRead,
      versionsWritten: this.#versionsWritten,
      paths: [...this.#paths]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([path, actions]) => ({ path, actions: [...actions] })),
    };
  }

  reset(): void {
    this.#total = 0;
    this.#valuesRead = 0;
    this.#versionsWritten = 0;
    this.#byRoute = new Map();
    this.#byCategory = new Map();
    this.#byStatus = new Map();
    this.#paths = new Map();
    this.#requests = [];
  }
}

function increase(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}
