import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { ApiError, validationError } from "../errors.ts";
import type { Owner, Store } from "../store/store.ts";
import { credentialsPath } from "./config.ts";
import { neededFields, readCredentials } from "./credentials.ts";
import { StoreFailure } from "./failure.ts";
import { LiveBackend } from "./live.ts";
import { PathMapping } from "./mapping.ts";
import type { OutgoingOptions } from "./outgoing.ts";
import type { BackendRecord, BackendSpec } from "./record.ts";
import type { CallCounts } from "./remote.ts";

/** What federation is built from. */
export interface FederationParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly outgoing: OutgoingOptions;
}

/** A path that a backend has. */
export interface Claim {
  readonly backend: LiveBackend;
  /** Name in the store. */
  readonly remote: string;
}

/** The backends of all tenants: who has a path, and the rules of creating, changing and removing. */
export class Federation {
  readonly #parts: FederationParts;
  readonly #live = new Map<string, LiveBackend>();
  #outgoing: OutgoingOptions;

  constructor(parts: FederationParts) {
    this.#parts = parts;
    this.#outgoing = parts.outgoing;
    for (const record of parts.store.federation.listBackends()) this.#add(record);
  }

  /** Takes over what the store has; all connections are made anew. */
  async reload(): Promise<void> {
    const old = this.all();
    this.#live.clear();
    for (const record of this.#parts.store.federation.listBackends()) this.#add(record);
    await Promise.all(old.map((backend) => backend.disconnect()));
  }

  /** Changes how stores are reached; all connections are made anew. */
  async setOutgoing(options: OutgoingOptions): Promise<void> {
    this.#outgoing = options;
    await Promise.all([...this.#live.values()].map((backend) => backend.disconnect()));
  }

  /** The backend that has a path of a tenant's. Partner-wide secrets are never federated. */
  find(owner: Owner, path: string): Claim | undefined {
    for (const backend of this.#live.values()) {
      if (owner !== ownerOf(backend)) continue;
      const remote = backend.mapping.toRemote(path);
      if (remote !== undefined) return { backend, remote };
    }
    return undefined;
  }

  /** Backends of a tenant in proxy mode that can have paths below a prefix. */
  proxiedBelow(owner: Owner, prefix: string): LiveBackend[] {
    return [...this.#live.values()].filter(
      (backend) => backend.record.mode === "proxy" && owner === ownerOf(backend) && backend.mapping.touches(prefix),
    );
  }

  /** By name. */
  list(tenantId: string): LiveBackend[] {
    return [...this.#live.values()]
      .filter(({ record }) => record.tenantId === tenantId)
      .sort((a, b) => (a.record.name < b.record.name ? -1 : 1));
  }

  /** @throws ApiError `backend_not_found`. */
  get(tenantId: string, id: string): LiveBackend {
    const backend = this.#live.get(id);
    if (backend?.record.tenantId !== tenantId)
      throw new ApiError("backend_not_found", "no such federation backend", { details: { backend: id } });
    return backend;
  }

  /** Whether a backend was not removed meanwhile. */
  has(backend: LiveBackend): boolean {
    return this.#live.get(backend.record.id) === backend;
  }

  /** All backends, for what runs by itself. */
  all(): LiveBackend[] {
    return [...this.#live.values()];
  }

  /** @throws ApiError `backend_exists`, `validation_error` (overlap), `invalid_config` (credentials). */
  async create(tenantId: string, spec: BackendSpec): Promise<LiveBackend> {
    this.#checkNeighbours(tenantId, undefined, spec);
    this.#checkCredentials(tenantId, spec);
    const now = this.#parts.clock.now();
    const record: BackendRecord = {
      ...spec,
      id: `fed_${randomBytes(9).toString("hex")}`,
      tenantId,
      createdAt: now,
      updatedAt: now,
      outcome: null,
      lastError: null,
    };
    this.#parts.store.federation.saveBackend(record);
    const backend = this.#add(record);
    await backend.check();
    return backend;
  }

  /** @throws ApiError as `create`, and `backend_not_found` when it was removed meanwhile. */
  async change(backend: LiveBackend, spec: BackendSpec): Promise<void> {
    const { record } = this.get(backend.record.tenantId, backend.record.id);
    this.#checkNeighbours(record.tenantId, record.id, spec);
    if (!sameConfig(record, spec)) this.#checkCredentials(record.tenantId, spec);
    const kept = spec.mode === "sync" && record.mode === "sync" ? record.outcome : null;
    const changed: BackendRecord = {
      ...record,
      ...spec,
      updatedAt: this.#parts.clock.now(),
      outcome: kept,
      lastError: null,
    };
    this.#parts.store.federation.saveBackend(changed);
    await backend.change(changed);
    await backend.check();
  }

  /** Saves what a sync found out. */
  note(backend: LiveBackend, part: Pick<BackendRecord, "lastError"> & Partial<Pick<BackendRecord, "outcome">>): void {
    if (!this.has(backend)) return;
    backend.record = { ...backend.record, ...part };
    this.#parts.store.federation.saveBackend(backend.record);
  }

  async remove(backend: LiveBackend): Promise<void> {
    this.#live.delete(backend.record.id);
    this.#parts.store.federation.removeBackend(backend.record.id);
    await backend.disconnect();
  }

  /** Calls to stores since the server started, by backend name. */
  calls(tenantId: string): Record<string, CallCounts> {
    return Object.fromEntries(this.list(tenantId).map((backend) => [backend.record.name, backend.calls]));
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await Promise.all([...this.#live.values()].map((backend) => backend.disconnect()));
  }

  #add(record: BackendRecord): LiveBackend {
    const { store, clock } = this.#parts;
    const backend = new LiveBackend(record, { store, clock, outgoing: () => this.#outgoing });
    this.#live.set(record.id, backend);
    return backend;
  }

  #checkNeighbours(tenantId: string, ownId: string | undefined, spec: BackendSpec): void {
    const others = this.list(tenantId).filter(({ record }) => record.id !== ownId);
    if (others.some(({ record }) => record.name === spec.name))
      throw new ApiError("backend_exists", "a backend of this name exists", { details: { name: spec.name } });
    const mapping = new PathMapping(spec.pathMapping);
    const rival = others.find((other) => other.mapping.overlaps(mapping));
    if (rival !== undefined)
      throw validationError({ path_mapping: `overlaps with the paths of backend ${rival.record.name}` });
  }

  #checkCredentials(tenantId: string, spec: BackendSpec): void {
    try {
      readCredentials(this.#parts.store, tenantId, spec);
    } catch (error) {
      if (!(error instanceof StoreFailure)) throw error;
      const field = spec.type === "hashicorp-vault" ? "auth_config_path" : "credentials_path";
      throw new ApiError("invalid_config", "the credentials path holds no usable secret", {
        details: {
          fields: {
            [`config.${field}`]: `${credentialsPath(spec.type, spec.config)} must be a secret with ${neededFields(spec).join(" and ")}`,
          },
        },
      });
    }
  }
}

/** Whose paths a backend has. */
export function ownerOf(backend: LiveBackend): Owner {
  return `tenant:${backend.record.tenantId}`;
}

/** Whether two backends send the same credentials to the same place. */
export function sameConfig(a: Pick<BackendSpec, "config">, b: Pick<BackendSpec, "config">): boolean {
  const keys = new Set([...Object.keys(a.config), ...Object.keys(b.config)]);
  return [...keys].every((key) => a.config[key] === b.config[key]);
}
