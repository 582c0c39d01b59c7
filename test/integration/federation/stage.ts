/** Federation backends of tests: made short, and what people see and do in ScaiVault itself. */
import { call } from "../../../local/http.ts";
import {
  backend,
  type BackendThing,
  credential,
  type Harness,
  operatorKey,
  REGION,
  VAULT_HOST,
} from "../../support/operator.ts";

/** A backend as ScaiVault tells it. */
export interface Registered {
  readonly id: string;
  readonly name: string;
  readonly mode: string;
  readonly sync_interval: string | null;
  readonly conflict_resolution: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly path_mapping: Readonly<Record<string, string>>;
}

/** One namespace with a KV mount and an AppRole of its own. */
export class FederationStage {
  readonly op: Harness<string>;
  readonly ns: string;
  /** First segment of ScaiVault paths of credentials, `infra/NAME`. */
  readonly infra: string;
  readonly mount: string;
  login: { readonly roleId: string; readonly secretId: string };

  private constructor(
    op: Harness<string>,
    ns: string,
    parts: { infra: string; mount: string; login: FederationStage["login"] },
  ) {
    this.op = op;
    this.ns = ns;
    this.infra = parts.infra;
    this.mount = parts.mount;
    this.login = parts.login;
  }

  static async prepare(op: Harness<string>, ns: string, infra: string): Promise<FederationStage> {
    const mount = `kv-${ns}`;
    await op.env.vault.enableKv(mount, 2);
    await op.env.vault.writePolicy(ns, `path "${mount}/*" { capabilities = ["read", "list"] }`);
    const login = await op.env.vault.createAppRole({ name: ns, policies: [ns] });
    return new FederationStage(op, ns, { infra, mount, login });
  }

  async close(): Promise<void> {
    await this.op.env.vault.disableMount(this.mount);
  }

  /** A call by a person with all rights. */
  async api(method: string, path: string, body?: object) {
    const { url, token } = this.op.scaivault.server;
    return call({
      method,
      url: `${url}/v1${path}`,
      ca: this.op.env.authority.cert,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  backends(method: string, path = "", body?: object) {
    return this.api(method, `/federation/backends${path}`, body);
  }

  /** All backends of the tenant. */
  async registered(): Promise<Registered[]> {
    return (JSON.parse((await this.backends("GET")).text) as { backends: Registered[] }).backends;
  }

  /** The one backend that there is. @throws when there is another number of them */
  async only(): Promise<Registered> {
    const [one, ...more] = await this.registered();
    if (one === undefined || more.length > 0) throw new Error(`${more.length + (one === undefined ? 0 : 1)} backends`);
    return one;
  }

  /** What a consumer reads at a path; the HTTP status when that fails. */
  async read(path: string): Promise<unknown> {
    const answer = await this.api("GET", `/secrets/${path}`);
    return answer.status === 200 ? (JSON.parse(answer.text) as { data: unknown }).data : answer.status;
  }

  /** A person's value at a path. */
  async write(path: string, data: object, metadata?: object): Promise<void> {
    const body = { data, secret_type: "json", ...(metadata === undefined ? {} : { metadata }) };
    const answer = await this.api("PUT", `/secrets/${path}`, body);
    if (answer.status >= 300) throw new Error(`PUT ${path}: ${answer.status} ${answer.text}`);
  }

  /** Calls about federation that ScaiVault saw, as `METHOD path`. */
  federationCalls(): string[] {
    return this.op.scaivault.server.admin
      .requests()
      .filter(({ path }) => path.startsWith("/v1/federation"))
      .map(({ method, path }) => `${method} ${path}`);
  }

  credentials(name: string): object {
    return { scaivaultPath: `${this.infra}/${name}`, secretRef: { name: `${name}-login` } };
  }

  vaultLogin(name: string, login = this.login) {
    return credential(this.ns, `${name}-login`, { role_id: login.roleId, secret_id: login.secretId });
  }

  /** A Vault that ScaiVault reads through, with its login in a Secret. */
  vault(name: string, federation: object = {}, spec: object = {}) {
    return backend(this.ns, name, {
      type: "hashicorp-vault",
      hashicorpVault: { address: `https://${VAULT_HOST}` },
      federation: {
        mode: "proxy",
        runsIn: "ScaiVault",
        pathMapping: [{ scaivaultPath: `external/${name}/**`, sourcePath: `${this.mount}/${name}/**` }],
        credentials: this.credentials(name),
        ...federation,
      },
      ...spec,
    });
  }

  async applyVault(name: string, federation: object = {}, spec: object = {}): Promise<void> {
    await this.op.cluster.apply(this.vaultLogin(name), this.vault(name, federation, spec));
  }

  awsLogin(name: string) {
    const { accessKeyId, secretAccessKey } = operatorKey;
    return credential(this.ns, `${name}-login`, { access_key_id: accessKeyId, secret_access_key: secretAccessKey });
  }

  /** An AWS account that ScaiVault copies, with its login in a Secret. */
  aws(name: string, federation: object = {}, spec: object = {}) {
    return backend(this.ns, name, {
      type: "aws-secrets-manager",
      awsSecretsManager: { region: REGION },
      syncInterval: "5m",
      federation: {
        mode: "sync",
        runsIn: "ScaiVault",
        pathMapping: [{ scaivaultPath: `external/${name}/**`, sourcePath: `${name}/**` }],
        credentials: this.credentials(name),
        ...federation,
      },
      ...spec,
    });
  }

  async applyAws(name: string, federation: object = {}, spec: object = {}): Promise<void> {
    await this.op.cluster.apply(this.awsLogin(name), this.aws(name, federation, spec));
  }

  ready(name: string): Promise<BackendThing> {
    return this.op.verdict("FederationBackend", this.ns, name, "True InSync", { virtualMs: 120_000 });
  }

  refused(name: string, reason: string, virtualMs = 10_000): Promise<BackendThing> {
    return this.op.verdict("FederationBackend", this.ns, name, `False ${reason}`, { virtualMs });
  }

  /** Objects and registrations of a test go. */
  async clear(): Promise<void> {
    for (const { metadata } of await this.op.cluster.list<BackendThing>("FederationBackend", this.ns)) {
      if ((metadata.finalizers ?? []).length > 0)
        await this.op.cluster.patch("FederationBackend", this.ns, metadata.name, { metadata: { finalizers: null } });
      await this.op.cluster.delete("FederationBackend", this.ns, metadata.name);
    }
    await this.op.idle();
    for (const { id } of await this.registered()) await this.backends("DELETE", `/${id}`);
  }
}
