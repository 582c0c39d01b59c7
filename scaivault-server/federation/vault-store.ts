import { contentOfJson, objectAt } from "./content.ts";
import { vaultConfig } from "./config.ts";
import type { VaultConfig } from "./config.ts";
import type { Credentials } from "./credentials.ts";
import { StoreFailure } from "./failure.ts";
import type { RemoteRange } from "./mapping.ts";
import { Outgoing } from "./outgoing.ts";
import type { OutgoingAnswer, OutgoingOptions } from "./outgoing.ts";
import type { BackendConfig } from "./record.ts";
import { eachOf } from "./remote.ts";
import type { CallCounts, RemoteEntry, RemoteInfo, RemoteSecret, RemoteStore } from "./remote.ts";

/** Where a template's name lies in Vault. */
interface Place {
  readonly mount: string;
  readonly path: string;
  readonly kv: 1 | 2;
}

/** `kv/data/a/b` is `a/b` of a KV v2 at `kv`; without a `data` segment the first segment is the mount of a KV v1. */
export function placeOf(name: string): Place {
  const segments = name.split("/");
  const data = segments.indexOf("data", 1);
  if (data > 0) return { mount: segments.slice(0, data).join("/"), path: segments.slice(data + 1).join("/"), kv: 2 };
  return { mount: segments[0] ?? "", path: segments.slice(1).join("/"), kv: 1 };
}

/** All that KV v1 can say about a secret without its value. */
const plain: RemoteInfo = {
  version: 1,
  versions: [{ version: 1, createdAt: null }],
  tags: [],
  createdAt: null,
  updatedAt: null,
};
const escaped = (path: string): string => path.split("/").map(encodeURIComponent).join("/");
/** Folders that are listed at a time. */
const width = 6;
/** Deeper trees than a ScaiVault path has levels for are of no use; the bound also ends a store that has no end. */
const deepest = 32;

/** HashiCorp Vault, KV v1 and v2, by AppRole or token. */
export class VaultStore implements RemoteStore {
  readonly calls: CallCounts = { login: 0, list: 0, read: 0, metadata: 0 };
  readonly #config: VaultConfig;
  readonly #outgoing: Outgoing;
  readonly #credentials: () => Credentials;
  #session: { readonly token: string; readonly version: number } | undefined;
  #entering: Promise<string> | undefined;

  /** @param credentials reads the credential secret as it is now */
  constructor(config: BackendConfig, options: OutgoingOptions, credentials: () => Credentials) {
    this.#config = vaultConfig(config);
    this.#credentials = credentials;
    this.#outgoing = new Outgoing(this.#config.endpoint, options, {
      verify: this.#config.tls_verify,
      ca: this.#config.ca_cert_pem,
    });
  }

  async check(signal?: AbortSignal): Promise<void> {
    this.calls.metadata++;
    await this.#get("/v1/auth/token/lookup-self", signal);
  }

  async read(name: string, version?: number, signal?: AbortSignal): Promise<RemoteSecret | undefined> {
    const { mount, path, kv } = placeOf(name);
    if (kv === 1 && version !== undefined && version !== 1) return undefined;
    this.calls.read++;
    const query = kv === 2 && version !== undefined ? `?version=${version}` : "";
    const answer = await this.#get(`/v1/${escaped(mount)}/${kv === 2 ? "data/" : ""}${escaped(path)}${query}`, signal);
    const text = textOf(answer, kv === 2);
    if (text === undefined) return undefined;
    const data = kv === 2 ? objectAt(text, "data", "data") : objectAt(text, "data");
    if (data === undefined) {
      // A deleted version has no data.
      if (kv === 2 && objectAt(text, "data", "metadata") !== undefined) return undefined;
      throw new StoreFailure("bad_answer");
    }
    if (kv === 1) return { ...contentOfJson(data), version: 1, mark: "", createdAt: null };
    const metadata = parsed<{ version?: number; created_time?: string }>(objectAt(text, "data", "metadata") ?? "{}");
    const number = metadata.version ?? 1;
    // A secret that was removed and made again counts from 1 again, so the time belongs to the mark.
    const mark = `${number} ${metadata.created_time ?? ""}`;
    return { ...contentOfJson(data), version: number, mark, createdAt: moment(metadata.created_time) };
  }

  async describe(name: string, signal?: AbortSignal): Promise<RemoteInfo | undefined> {
    const { mount, path, kv } = placeOf(name);
    if (kv === 1) {
      const found = await this.read(name, undefined, signal);
      if (found === undefined) return undefined;
      return plain;
    }
    this.calls.metadata++;
    const text = textOf(await this.#get(`/v1/${escaped(mount)}/metadata/${escaped(path)}`, signal), false);
    if (text === undefined) return undefined;
    const { data } = parsed<{ data?: KvMetadata }>(text);
    if (data?.current_version === undefined) throw new StoreFailure("bad_answer");
    const current = data.versions?.[String(data.current_version)];
    // Metadata can be there before the first version.
    if (current === undefined || isGone(current)) return undefined;
    const versions = Object.entries(data.versions ?? {})
      .filter(([, item]) => !isGone(item))
      .map(([number, item]) => ({ version: Number(number), createdAt: moment(item.created_time) }))
      .sort((a, b) => b.version - a.version);
    return {
      version: data.current_version,
      versions,
      tags: [],
      createdAt: moment(data.created_time),
      updatedAt: moment(current.created_time),
    };
  }

  async list(range: RemoteRange, signal?: AbortSignal): Promise<readonly RemoteEntry[]> {
    if (!range.wild) {
      const found = await this.describe(range.remote, signal);
      return found === undefined ? [] : [{ name: range.remote, mark: undefined, info: found }];
    }
    const entries: RemoteEntry[] = [];
    const info = placeOf(range.remote).kv === 1 ? plain : undefined;
    let folders: readonly string[] = [range.remote];
    for (let depth = 0; folders.length > 0; depth++) {
      if (depth > deepest) throw new StoreFailure("bad_answer");
      const below: string[] = [];
      await eachOf(folders, width, async (folder) => {
        for (const key of await this.#keys(folder, signal)) {
          if (key.endsWith("/")) below.push(folder + key);
          else entries.push({ name: folder + key, mark: undefined, info });
        }
      });
      folders = below;
    }
    return entries;
  }

  close(): Promise<void> {
    return this.#outgoing.close();
  }

  async #keys(folder: string, signal?: AbortSignal): Promise<readonly string[]> {
    const { mount, path, kv } = placeOf(folder);
    this.calls.list++;
    const at = `/v1/${escaped(mount)}/${kv === 2 ? "metadata/" : ""}${escaped(path)}`;
    const text = textOf(await this.#get(`${at}?list=true`, signal), false);
    if (text === undefined) return [];
    const keys = parsed<{ data?: { keys?: unknown } }>(text).data?.keys;
    if (!Array.isArray(keys) || keys.some((key) => typeof key !== "string" || key === ""))
      throw new StoreFailure("bad_answer");
    return keys as string[];
  }

  /** GET with a token; a token that has ended is replaced once. */
  async #get(path: string, signal?: AbortSignal): Promise<OutgoingAnswer> {
    const token = await this.#token();
    const answer = await this.#send("GET", path, token, undefined, signal);
    if (answer.status !== 403) return usable(answer);
    if ((await this.#send("GET", "/v1/auth/token/lookup-self", token, undefined, signal)).status === 200)
      throw new StoreFailure("access_denied");
    this.#session = undefined;
    const again = await this.#send("GET", path, await this.#token(), undefined, signal);
    if (again.status === 403)
      throw new StoreFailure(this.#config.auth_method === "token" ? "credentials_refused" : "access_denied");
    return usable(again);
  }

  /** The token of now; logins that are asked for at the same time are one. Not ended by a caller that leaves. */
  async #token(): Promise<string> {
    const credentials = this.#credentials();
    if (this.#session?.version === credentials.version) return this.#session.token;
    this.#entering ??= this.#login(credentials).finally(() => {
      this.#entering = undefined;
    });
    return this.#entering;
  }

  async #login({ fields, version }: Credentials): Promise<string> {
    if (this.#config.auth_method === "token") {
      this.#session = { token: String(fields["token"]), version };
      return this.#session.token;
    }
    this.calls.login++;
    const mount = fields["mount_path"] ?? "approle";
    const body = JSON.stringify({ role_id: fields["role_id"], secret_id: fields["secret_id"] });
    const answer = await this.#send("POST", `/v1/auth/${escaped(mount)}/login`, undefined, body);
    if (answer.status === 400 || answer.status === 403 || answer.status === 404)
      throw new StoreFailure("credentials_refused");
    const { auth } = parsed<{ auth?: { client_token?: unknown } }>(usable(answer).body.toString("utf8"));
    if (typeof auth?.client_token !== "string" || auth.client_token === "") throw new StoreFailure("bad_answer");
    this.#session = { token: auth.client_token, version };
    return auth.client_token;
  }

  #send(
    method: string,
    path: string,
    token: string | undefined,
    body?: string,
    signal?: AbortSignal,
  ): Promise<OutgoingAnswer> {
    const { namespace } = this.#config;
    const headers = {
      "x-vault-request": "true",
      ...(token === undefined ? {} : { "x-vault-token": token }),
      ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    return this.#outgoing.send({ method, path, headers, ...(body === undefined ? {} : { body, once: true }) }, signal);
  }
}

interface KvVersion {
  readonly created_time?: string;
  readonly deletion_time?: string;
  readonly destroyed?: boolean;
}

interface KvMetadata {
  readonly current_version?: number;
  readonly created_time?: string;
  readonly versions?: Readonly<Record<string, KvVersion>>;
}

/** A deletion time in the future is a plan (`delete_version_after`), not a deletion. */
function isGone({ destroyed, deletion_time }: KvVersion): boolean {
  const deleted = moment(deletion_time);
  return destroyed === true || (deleted !== null && deleted <= Date.now());
}

/** Statuses that say nothing about a secret become failures. */
function usable(answer: OutgoingAnswer): OutgoingAnswer {
  const { status } = answer;
  if (status === 200 || status === 404) return answer;
  if (status === 429) throw new StoreFailure("throttled");
  if (status >= 500 || status === 412 || status === 472 || status === 473) throw new StoreFailure("unavailable");
  if (status === 403) throw new StoreFailure("access_denied");
  // Redirects are not followed; 400 is also a KV engine that is being upgraded, and a malformed request.
  throw new StoreFailure("bad_answer");
}

/**
 * The body, undefined when Vault says that there is no such secret: 404 with an empty list of errors, or (KV v2) with
 * the metadata of a deleted version. 404 with errors is something else, such as a mount that is not there.
 */
function textOf(answer: OutgoingAnswer, kvData: boolean): string | undefined {
  const text = answer.body.toString("utf8");
  const body = parsed<{ errors?: unknown; data?: unknown }>(text);
  if (answer.status === 200) return text;
  if (kvData && objectAt(text, "data", "metadata") !== undefined) return undefined;
  if (Array.isArray(body.errors) && body.errors.length === 0) return undefined;
  throw new StoreFailure("not_found");
}

/** The parser's message quotes the text, so it is dropped. */
function parsed<T extends object>(text: string): T {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
  } catch {
    // Below.
  }
  throw new StoreFailure("bad_answer");
}

function moment(text: string | undefined): number | null {
  const ms = text === undefined || text === "" ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
