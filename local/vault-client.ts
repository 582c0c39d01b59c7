/** What tests and the quickstart do to a running Vault, from any process. */
import { readFileSync } from "node:fs";
import { auditPosition, auditText } from "./audit.ts";
import { call, type HttpAnswer } from "./http.ts";

/** Where a Vault is and with what one gets in. Serialisable. */
export interface VaultFacts {
  /** `https://127.0.0.1:PORT`, certificate of the environment's authority. */
  readonly url: string;
  /** The same server without TLS. */
  readonly plainUrl: string;
  readonly caFile: string;
  readonly rootToken: string;
  readonly unsealKey: string;
  readonly auditFile: string;
}

/** One request in Vault's audit log; values in it are hashed by Vault. */
export interface VaultAuditEntry {
  readonly at: string;
  /** `read`, `list`, `create`, `update`, `delete`, `patch` */
  readonly operation: string;
  /** With the mount, e.g. `kv/data/app/db`. */
  readonly path: string;
  readonly namespace: string;
  /** Name that the login gave, e.g. `approle`, `root`. */
  readonly displayName: string;
  readonly policies: readonly string[];
  /** Vault's error text, empty when the request was answered. */
  readonly error: string;
}

/** Credentials of an AppRole. */
export interface AppRole {
  /** Mount of the auth method, `approle` by default. */
  readonly mount: string;
  readonly roleId: string;
  readonly secretId: string;
}

/** Options of {@link VaultClient.createAppRole}; durations as Vault takes them (`20s`, `1h`). */
export interface AppRoleOptions {
  readonly name: string;
  readonly policies: readonly string[];
  readonly mount?: string;
  readonly tokenTtl?: string;
  readonly tokenMaxTtl?: string;
  readonly tokenType?: "service" | "batch";
  readonly secretIdTtl?: string;
}

/** Helpers on a running Vault. They act with the root token. */
export interface VaultClient {
  readonly facts: VaultFacts;
  readonly ca: string;
  /** @param path after `/v1/`, taken as it is */
  request(
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string; namespace?: string },
  ): Promise<HttpAnswer>;
  /** Mounts a KV engine; nothing happens when it is mounted with this version. */
  enableKv(mount: string, version: 1 | 2): Promise<void>;
  disableMount(mount: string): Promise<void>;
  /** Writes a secret. @returns the version (0 on KV v1) */
  put(
    mount: string,
    path: string,
    data: Readonly<Record<string, unknown>>,
    options?: { cas?: number },
  ): Promise<number>;
  /** Soft delete of the newest version (KV v2) or removal (KV v1). */
  delete(mount: string, path: string): Promise<void>;
  /** Undoes a soft delete (KV v2). */
  undelete(mount: string, path: string, versions: readonly number[]): Promise<void>;
  /** Removes a secret with all versions and metadata (KV v2). */
  destroy(mount: string, path: string): Promise<void>;
  writePolicy(name: string, hcl: string): Promise<void>;
  /** Creates an AppRole (and mounts the method when needed) with a new secret id. */
  createAppRole(options: AppRoleOptions): Promise<AppRole>;
  createToken(options: {
    policies: readonly string[];
    ttl?: string;
    period?: string;
    renewable?: boolean;
    explicitMaxTtl?: string;
  }): Promise<string>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  sealed(): Promise<boolean>;
  auditMark(): number;
  /** Requests since a mark, each once. With `path`: those whose path starts with it. */
  readAudit(filter?: { since?: number; path?: string; operation?: string }): VaultAuditEntry[];
}

interface RawAudit {
  time?: string;
  type?: string;
  error?: string;
  auth?: { display_name?: string; policies?: string[] };
  request?: { operation?: string; path?: string; namespace?: { path?: string } };
}

/** Parses Vault's file audit log: the `response` lines, which come once for each request, also for refused ones. */
export function parseVaultAudit(text: string): VaultAuditEntry[] {
  const entries: VaultAuditEntry[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    let raw: RawAudit;
    try {
      raw = JSON.parse(line) as RawAudit;
    } catch {
      continue;
    }
    if (raw.type !== "response") continue;
    entries.push({
      at: raw.time ?? "",
      operation: raw.request?.operation ?? "",
      path: raw.request?.path ?? "",
      namespace: raw.request?.namespace?.path ?? "",
      displayName: raw.auth?.display_name ?? "",
      policies: raw.auth?.policies ?? [],
      error: raw.error ?? "",
    });
  }
  return entries;
}

/** Escapes each segment of a path and keeps the slashes. */
export function vaultPath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

class Client implements VaultClient {
  readonly facts: VaultFacts;
  readonly ca: string;
  readonly #versions = new Map<string, 1 | 2>();

  constructor(facts: VaultFacts) {
    this.facts = facts;
    this.ca = readFileSync(facts.caFile, "utf8");
  }

  request(
    method: string,
    path: string,
    body?: unknown,
    options: { token?: string; namespace?: string } = {},
  ): Promise<HttpAnswer> {
    return call({
      method,
      url: `${this.facts.url}/v1/${path}`,
      ca: this.ca,
      ...(body === undefined ? {} : { body }),
      headers: {
        "x-vault-token": options.token ?? this.facts.rootToken,
        "x-vault-request": "true",
        ...(options.namespace === undefined ? {} : { "x-vault-namespace": options.namespace }),
      },
    });
  }

  async #expect(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const answer = await this.request(method, path, body);
    if (answer.status >= 300) throw new Error(`Vault: ${method} ${path}: ${answer.status} ${answer.text.trim()}`);
    return answer.text === "" ? {} : answer.json();
  }

  async #kvVersion(mount: string): Promise<1 | 2> {
    const known = this.#versions.get(mount);
    if (known !== undefined) return known;
    const mounts = await this.#expect("GET", "sys/mounts");
    const entry = (mounts["data"] as Record<string, { options?: { version?: string } | null }>)[`${mount}/`];
    if (entry === undefined) throw new Error(`Vault: nothing is mounted at ${mount}/.`);
    const version = entry.options?.version === "2" ? 2 : 1;
    this.#versions.set(mount, version);
    return version;
  }

  async enableKv(mount: string, version: 1 | 2): Promise<void> {
    this.#versions.delete(mount);
    const made = await this.request("POST", `sys/mounts/${mount}`, {
      type: "kv",
      options: { version: String(version) },
    });
    if (made.status >= 300) {
      if (!made.text.includes("path is already in use")) throw new Error(`Vault: mount ${mount}: ${made.text.trim()}`);
      if ((await this.#kvVersion(mount)) !== version)
        throw new Error(`Vault: ${mount}/ is mounted with another version.`);
    }
    // A new KV v2 mount answers 400 ("upgrading") for a moment.
    for (let tries = 0; version === 2 && tries < 100; tries++) {
      const probe = await this.request("GET", `${mount}/config`);
      if (probe.status === 200) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async disableMount(mount: string): Promise<void> {
    this.#versions.delete(mount);
    await this.#expect("DELETE", `sys/mounts/${mount}`);
  }

  async put(
    mount: string,
    path: string,
    data: Readonly<Record<string, unknown>>,
    options: { cas?: number } = {},
  ): Promise<number> {
    if ((await this.#kvVersion(mount)) === 1) {
      await this.#expect("PUT", `${mount}/${vaultPath(path)}`, data);
      return 0;
    }
    const written = await this.#expect("POST", `${mount}/data/${vaultPath(path)}`, {
      data,
      ...(options.cas === undefined ? {} : { options: { cas: options.cas } }),
    });
    return (written["data"] as { version: number }).version;
  }

  async delete(mount: string, path: string): Promise<void> {
    const data = (await this.#kvVersion(mount)) === 2 ? "data/" : "";
    await this.#expect("DELETE", `${mount}/${data}${vaultPath(path)}`);
  }

  async undelete(mount: string, path: string, versions: readonly number[]): Promise<void> {
    await this.#expect("POST", `${mount}/undelete/${vaultPath(path)}`, { versions });
  }

  async destroy(mount: string, path: string): Promise<void> {
    await this.#expect("DELETE", `${mount}/metadata/${vaultPath(path)}`);
  }

  async writePolicy(name: string, hcl: string): Promise<void> {
    await this.#expect("PUT", `sys/policies/acl/${name}`, { policy: hcl });
  }

  async createAppRole(options: AppRoleOptions): Promise<AppRole> {
    const mount = options.mount ?? "approle";
    const enabled = await this.request("POST", `sys/auth/${mount}`, { type: "approle" });
    if (enabled.status >= 300 && !enabled.text.includes("path is already in use"))
      throw new Error(`Vault: auth ${mount}: ${enabled.text.trim()}`);
    const role = `auth/${mount}/role/${options.name}`;
    await this.#expect("POST", role, {
      token_policies: options.policies,
      token_ttl: options.tokenTtl ?? "1h",
      token_max_ttl: options.tokenMaxTtl ?? "4h",
      token_type: options.tokenType ?? "service",
      secret_id_ttl: options.secretIdTtl ?? "0",
    });
    const roleId = (await this.#expect("GET", `${role}/role-id`))["data"] as { role_id: string };
    const secretId = (await this.#expect("POST", `${role}/secret-id`, {}))["data"] as { secret_id: string };
    return { mount, roleId: roleId.role_id, secretId: secretId.secret_id };
  }

  async createToken(options: {
    policies: readonly string[];
    ttl?: string;
    period?: string;
    renewable?: boolean;
    explicitMaxTtl?: string;
  }): Promise<string> {
    const made = await this.#expect("POST", "auth/token/create", {
      policies: options.policies,
      no_parent: true,
      no_default_policy: false,
      ttl: options.ttl ?? "1h",
      renewable: options.renewable ?? true,
      ...(options.period === undefined ? {} : { period: options.period }),
      ...(options.explicitMaxTtl === undefined ? {} : { explicit_max_ttl: options.explicitMaxTtl }),
    });
    return (made["auth"] as { client_token: string }).client_token;
  }

  async seal(): Promise<void> {
    await this.#expect("PUT", "sys/seal");
  }

  async unseal(): Promise<void> {
    await this.#expect("PUT", "sys/unseal", { key: this.facts.unsealKey });
    // The core needs a moment after the key: it is usable when health says 200.
    for (let tries = 0; tries < 400; tries++) {
      if ((await this.request("GET", "sys/health")).status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error("Vault took the unseal key and did not become active.");
  }

  async sealed(): Promise<boolean> {
    return (await this.#expect("GET", "sys/seal-status"))["sealed"] === true;
  }

  auditMark(): number {
    return auditPosition(this.facts.auditFile);
  }

  readAudit(filter: { since?: number; path?: string; operation?: string } = {}): VaultAuditEntry[] {
    return parseVaultAudit(auditText(this.facts.auditFile, filter.since)).filter(
      (entry) =>
        (filter.path === undefined || entry.path.startsWith(filter.path)) &&
        (filter.operation === undefined || entry.operation === filter.operation),
    );
  }
}

/** Helpers for the Vault that `facts` describe. */
export function vaultClient(facts: VaultFacts): VaultClient {
  return new Client(facts);
}
