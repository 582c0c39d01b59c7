import { randomBytes } from "node:crypto";
import type { App } from "../app.ts";
import { backupOf, restoreInto } from "../backup/backup.ts";
import { knownScopes } from "../auth/principal.ts";
import type { Principal } from "../auth/principal.ts";
import type { PolicyRule } from "../auth/policies.ts";
import type { LiveBackend } from "../federation/live.ts";
import type { OutgoingOptions } from "../federation/outgoing.ts";
import type { CallCounts } from "../federation/remote.ts";
import type { SyncReport } from "../federation/sync-run.ts";
import { ApiError } from "../errors.ts";
import { RawJson, toJson } from "../json/raw-json.ts";
import type { Category } from "../limits/rate-limiter.ts";
import { parseWrite } from "../secrets/body.ts";
import { checkPath } from "../secrets/path.ts";
import { timestamp } from "../secrets/service.ts";
import type { ExchangeTrust, IdentitySpec } from "../settings.ts";
import type { Owner, SecretRecord } from "../store/store.ts";
import type { CounterSnapshot, RequestEntry } from "./counters.ts";
import type { Fault, InjectedFault } from "./faults.ts";

/** A secret as the admin handle shows it. */
export interface StoredSecret {
  readonly path: string;
  readonly version: number;
  readonly secretType: string;
  /** JSON source text of the current version's `data`, exactly as stored. */
  readonly data: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly versions: readonly number[];
  readonly deleted: boolean;
  /** ISO 8601. */
  readonly updatedAt: string;
}

/** An event as subscribers get it. */
export interface EventEnvelope {
  readonly event_id: string;
  readonly event_type: string;
  readonly timestamp: string;
  readonly tenant_id: string;
  readonly partner_id: string;
  readonly identity_id: string;
  readonly path?: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly request_id: string | null;
}

/** What an administrator, a test or the local environment does to the server beside the API. Not counted, not limited. */
export class Admin {
  readonly #app: App;
  #setReady: (ready: boolean) => void;

  constructor(app: App, setReady: (ready: boolean) => void) {
    this.#app = app;
    this.#setReady = setReady;
  }

  /** A personal access token. @param lifetimeMs null (the default) for one that does not expire. */
  createToken(spec: IdentitySpec, lifetimeMs: number | null = null): string {
    return this.#app.tokens.issueOpaque(this.#principal(spec), lifetimeMs);
  }

  /** A client for the token endpoint. */
  createClient(spec: IdentitySpec & { readonly clientId?: string }): { clientId: string; clientSecret: string } {
    const clientId = spec.clientId ?? `app_${randomBytes(8).toString("hex")}`;
    return { clientId, clientSecret: this.#app.tokens.registerClient(clientId, this.#principal(spec)) };
  }

  removeClient(clientId: string): boolean {
    return this.#app.tokens.removeClient(clientId);
  }

  /** The token answers `token_revoked` from now on. @returns false when it was never issued here. */
  revokeToken(token: string): Promise<boolean> {
    return this.#app.tokens.revoke(token);
  }

  /** All tokens issued so far answer `token_revoked` from now on. */
  revokeAllTokens(): void {
    this.#app.tokens.revokeAll();
  }

  addTenant(tenantId: string, partnerId?: string): void {
    this.#app.tenants.add(tenantId, partnerId ?? this.#partnerOf(this.#app.homeTenantId));
  }

  /** Binds rules to an identity or group. @throws ApiError `invalid_glob`. */
  bindPolicy(
    identity: string,
    rules: readonly PolicyRule[],
    options: { readonly tenantId?: string; readonly name?: string } = {},
  ): { policyId: string; bindingId: string } {
    return this.#app.policies.bind(options.tenantId ?? this.#app.homeTenantId, identity, rules, options.name);
  }

  unbindPolicy(bindingId: string): boolean {
    return this.#app.policies.unbind(bindingId);
  }

  /** Takes all rights on paths from an identity. */
  unbindAll(identity: string, tenantId?: string): void {
    this.#app.policies.unbindAll(tenantId ?? this.#app.homeTenantId, identity);
  }

  /** Requests per minute; `Infinity` lifts the limit. */
  setLimit(category: Category, perMinute: number): void {
    this.#app.limiter.setLimit(category, perMinute);
  }

  /** Replaces the issuers whose tokens can be exchanged. */
  setExchangeTrust(trusts: readonly ExchangeTrust[]): void {
    this.#app.exchange.setTrust(trusts);
  }

  /** What `/v1/health/ready` answers. */
  setReady(ready: boolean): void {
    this.#setReady(ready);
  }

  inject(fault: Fault): InjectedFault {
    return this.#app.faults.inject(fault);
  }

  removeFault(id: number): boolean {
    return this.#app.faults.remove(id);
  }

  clearFaults(): void {
    this.#app.faults.clear();
  }

  counters(): CounterSnapshot {
    return this.#app.counters.snapshot();
  }

  /** Also forgets the list of requests. */
  resetCounters(): void {
    this.#app.counters.reset();
  }

  /** The requests since the last reset, oldest first (the last 10,000 to 20,000). */
  requests(): readonly RequestEntry[] {
    return this.#app.counters.requests();
  }

  /** A secret as stored, soft-deleted or not; undefined without one. Contains the value. */
  peek(path: string, tenantId?: string): StoredSecret | undefined {
    const owner = this.#owner(tenantId);
    const record = this.#app.store.getSecret(owner, path);
    const version = record && this.#app.store.getVersion(owner, path, record.version);
    if (record === undefined || version === undefined) return undefined;
    return {
      path,
      version: record.version,
      secretType: record.secretType,
      data: version.data,
      metadata: JSON.parse(record.metadata) as Record<string, unknown>,
      versions: this.#app.store.listVersions(owner, path).map((item) => item.version),
      deleted: record.recoverableUntil !== null,
      updatedAt: timestamp(record.updatedAt),
    };
  }

  /** Paths of all live secrets. */
  paths(tenantId?: string): string[] {
    return this.#all(this.#owner(tenantId)).map((record) => record.path);
  }

  /**
   * Writes as somebody else would: makes a version, checks the body like the API, needs no rights.
   * @param body as of a PUT; `data` may be JSON source text.
   * @returns the version. @throws ApiError
   */
  write(
    path: string,
    body: {
      readonly data: object | string;
      readonly secret_type?: string;
      readonly metadata?: object;
      readonly options?: object;
    },
    options: { readonly tenantId?: string; readonly identity?: string } = {},
  ): number {
    const data = new RawJson(typeof body.data === "string" ? body.data : JSON.stringify(body.data));
    return this.writeText(path, toJson({ ...body, data }), options);
  }

  /** Like `write`, with the JSON text of a whole PUT body. */
  writeText(
    path: string,
    text: string,
    options: { readonly tenantId?: string; readonly identity?: string } = {},
  ): number {
    const input = parseWrite(text);
    const identity = options.identity ?? "user:admin@local";
    return this.#app.secrets.write(this.#owner(options.tenantId), checkPath(path), input, { identityId: identity })
      .version;
  }

  /** Deletes as somebody else would. @throws ApiError `secret_not_found`. */
  remove(
    path: string,
    options: { readonly tenantId?: string; readonly permanent?: boolean; readonly identity?: string } = {},
  ): void {
    this.#app.secrets.remove(this.#owner(options.tenantId), path, options.permanent ?? false, {
      identityId: options.identity ?? "user:admin@local",
    });
  }

  /** The envelopes of a tenant's remembered events, oldest first. */
  events(tenantId?: string): readonly EventEnvelope[] {
    return this.#app.store.events
      .listEvents(this.#owner(tenantId), { limit: Number.MAX_SAFE_INTEGER })
      .map(({ body }) => JSON.parse(body) as EventEnvelope);
  }

  /** How federation backends are reached from now on; all connections are made anew. */
  setFederationNetwork(options: OutgoingOptions): Promise<void> {
    return this.#app.federation.setOutgoing(options);
  }

  /** Calls to the store of each backend since the server started, by backend name. */
  federationCalls(tenantId?: string): Record<string, CallCounts> {
    return this.#app.federation.calls(tenantId ?? this.#app.homeTenantId);
  }

  /**
   * Syncs a backend and waits for the end; one under way is waited for first.
   * @param name id or name
   * @returns what it came to, with `completed` false when it did not come to its end
   * @throws ApiError `backend_not_found`, `invalid_request` (proxy mode)
   */
  async syncNow(
    name: string,
    tenantId?: string,
  ): Promise<({ completed: true } & SyncReport) | { completed: false; lastError: string | null }> {
    const backend = this.#backend(name, tenantId);
    await this.#app.sync.running(backend)?.done;
    const report = await this.#app.sync.start(backend).done;
    return report === undefined
      ? { completed: false, lastError: backend.record.lastError }
      : { completed: true, ...report };
  }

  /** Resolves when no backend is being synced. */
  syncsIdle(): Promise<void> {
    return this.#app.sync.idle();
  }

  #backend(name: string, tenantId: string | undefined): LiveBackend {
    const backends = this.#app.federation.list(tenantId ?? this.#app.homeTenantId);
    const found = backends.find(({ record }) => record.name === name || record.id === name);
    if (found === undefined) throw new ApiError("backend_not_found", "no such federation backend");
    return found;
  }

  /** Everything that is kept as one text, for `restore`. Holds all values. */
  backup(): string {
    return backupOf(this.#app.store, this.#app.clock.now());
  }

  /**
   * Goes back to a backup, as a ScaiVault that was restored: versions, events, subscriptions, backends and all else that is
   * kept are what they were; syncs under way are ended. Tokens, clients, bindings, limits, faults and counters stay. @throws ApiError, then nothing changed.
   */
  restore(text: string): Promise<void> {
    return this.#app.sync.around(() => {
      restoreInto(this.#app.store, text);
      this.#app.reload();
    });
  }

  #owner(tenantId: string | undefined): Owner {
    return `tenant:${tenantId ?? this.#app.homeTenantId}`;
  }

  #all(owner: Owner): SecretRecord[] {
    return this.#app.store.listSecrets(owner, { prefix: "", limit: Number.MAX_SAFE_INTEGER });
  }

  #partnerOf(tenantId: string): string {
    const partnerId = this.#app.tenants.partnerOf(tenantId);
    if (partnerId === undefined) throw new Error(`no tenant is called ${tenantId}; add it first`);
    return partnerId;
  }

  #principal(spec: IdentitySpec): Principal {
    const unknown = spec.scopes.find((scope) => !(knownScopes as readonly string[]).includes(scope));
    if (unknown !== undefined) throw new Error(`no scope is called ${unknown}`);
    const tenantId = spec.tenantId ?? this.#app.homeTenantId;
    const partnerId = this.#partnerOf(tenantId);
    if (spec.rules !== undefined) this.#app.policies.bind(tenantId, spec.identity, spec.rules);
    return {
      identityId: spec.identity,
      displayName: spec.displayName ?? spec.identity,
      tenantId,
      partnerId,
      scopes: spec.scopes,
      groups: spec.groups ?? [],
      roles: spec.roles ?? [],
      mfaVerifiedAt: spec.mfaVerifiedAt ?? null,
    };
  }
}
