/**
 * What can be asked of a running control plane from any process: plain facts go in, so tests in other processes use it too.
 * Starting and killing its programs is in control-plane.ts.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { auditPosition, auditText, matchesAudit, parseAudit, type AuditEntry, type AuditFilter } from "./audit.ts";
import { call, type HttpAnswer } from "./http.ts";
import { waitFor } from "./process.ts";
import { run, type RunResult } from "./run.ts";

/** Where a control plane is and with what one gets in. Serialisable. */
export interface ControlPlaneFacts {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  readonly caFile: string;
  /** Kubeconfig of a cluster administrator. */
  readonly adminKubeconfig: string;
  readonly adminCertFile: string;
  readonly adminKeyFile: string;
  readonly auditFile: string;
  /** Audience that the API server accepts in tokens. */
  readonly audience: string;
  readonly etcdUrl: string;
  readonly kubectl: string;
  /** Folder for kubeconfigs that are made on the way. */
  readonly folder: string;
}

/** A request to the API server, as administrator unless a token is given. */
export interface KubeRequest {
  readonly method?: string;
  /** Path with query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly token?: string;
  readonly timeoutMs?: number;
}

/** Helpers on a running control plane. */
export interface ControlPlaneClient {
  readonly facts: ControlPlaneFacts;
  /** The authority's certificate, PEM. */
  readonly ca: string;
  request(request: KubeRequest): Promise<HttpAnswer>;
  /** Server-side apply of one object by its REST path, as administrator, forced. @throws when refused, with the server's message */
  apply(path: string, object: unknown, fieldManager?: string): Promise<Record<string, unknown>>;
  /** Runs kubectl as administrator or with another kubeconfig. */
  kubectl(args: readonly string[], options?: { input?: string; kubeconfig?: string }): Promise<RunResult>;
  /**
   * Writes a kubeconfig that uses a token.
   * @param options `server`: another URL that leads to the API server, e.g. a relay's
   * @returns its path
   */
  kubeconfigFor(token: string, options?: { name?: string; namespace?: string; server?: string }): string;
  /** A token of a ServiceAccount by the TokenRequest API. @param seconds at least 600 */
  serviceAccountToken(
    namespace: string,
    name: string,
    seconds?: number,
    audiences?: readonly string[],
  ): Promise<string>;
  /** Creates a namespace when it is missing and waits for its default ServiceAccount. */
  ensureNamespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  /**
   * Compacts etcd up to now, so that old resource versions are gone. The API server's watch cache still knows recent events:
   * a watch with an old version gets its 410 after `compact` and a restart of the API server.
   * @returns the revision
   */
  compact(): Promise<number>;
  /** The newest revision of etcd: each write of anybody makes one. */
  revision(): Promise<number>;
  /** Where the audit log ends now: a value for `since`. */
  auditMark(): Promise<number>;
  /** Requests that reached the API server, those of these helpers included (user `local-admin`). */
  readAudit(filter?: AuditFilter): Promise<AuditEntry[]>;
}

/** The administrator's user name, as in the audit log. */
export const adminUser = "local-admin";

/** Kubeconfig text. */
export function kubeconfigText(options: {
  url: string;
  ca: string;
  user: Readonly<Record<string, string>>;
  name?: string;
  namespace?: string;
}): string {
  const name = options.name ?? "local";
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "scaivault-local",
        cluster: {
          server: options.url,
          "certificate-authority-data": Buffer.from(options.ca).toString("base64"),
        },
      },
    ],
    users: [{ name, user: options.user }],
    contexts: [
      {
        name: "scaivault-local",
        context: {
          cluster: "scaivault-local",
          user: name,
          ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
        },
      },
    ],
    "current-context": "scaivault-local",
  });
}

class Client implements ControlPlaneClient {
  readonly facts: ControlPlaneFacts;
  readonly ca: string;
  readonly #cert: string;
  readonly #key: string;

  constructor(facts: ControlPlaneFacts) {
    this.facts = facts;
    this.ca = readFileSync(facts.caFile, "utf8");
    this.#cert = readFileSync(facts.adminCertFile, "utf8");
    this.#key = readFileSync(facts.adminKeyFile, "utf8");
  }

  request(request: KubeRequest): Promise<HttpAnswer> {
    const identity = request.token === undefined ? { cert: this.#cert, key: this.#key } : {};
    return call({
      method: request.method ?? "GET",
      url: `${this.facts.url}${request.path}`,
      ca: this.ca,
      ...identity,
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
      headers: {
        accept: "application/json",
        "user-agent": "scaivault-local",
        ...(request.body === undefined ? {} : { "content-type": request.contentType ?? "application/json" }),
        ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
      },
    });
  }

  async #expect(request: KubeRequest): Promise<Record<string, unknown>> {
    const answer = await this.request(request);
    const body = answer.json();
    if (answer.status >= 300)
      throw new Error(`${request.method ?? "GET"} ${request.path}: ${answer.status} ${String(body["message"])}`);
    return body;
  }

  apply(path: string, object: unknown, fieldManager = adminUser): Promise<Record<string, unknown>> {
    return this.#expect({
      method: "PATCH",
      path: `${path}?fieldManager=${encodeURIComponent(fieldManager)}&force=true`,
      contentType: "application/apply-patch+yaml",
      body: object,
    });
  }

  kubectl(args: readonly string[], options: { input?: string; kubeconfig?: string } = {}): Promise<RunResult> {
    return run(this.facts.kubectl, args, {
      env: { ...process.env, KUBECONFIG: options.kubeconfig ?? this.facts.adminKubeconfig, HOME: this.facts.folder },
      timeoutMs: 120_000,
      ...(options.input === undefined ? {} : { input: options.input }),
    });
  }

  kubeconfigFor(token: string, options: { name?: string; namespace?: string; server?: string } = {}): string {
    mkdirSync(this.facts.folder, { recursive: true, mode: 0o700 });
    const file = join(this.facts.folder, `kubeconfig-${randomUUID()}`);
    const { server, ...rest } = options;
    const text = kubeconfigText({ url: server ?? this.facts.url, ca: this.ca, user: { token }, ...rest });
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  async serviceAccountToken(
    namespace: string,
    name: string,
    seconds = 3600,
    audiences: readonly string[] = [this.facts.audience],
  ): Promise<string> {
    const made = await this.#expect({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      body: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences, expirationSeconds: seconds },
      },
    });
    return String((made["status"] as { token?: string } | undefined)?.token);
  }

  async ensureNamespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.apply(`/api/v1/namespaces/${name}`, {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels },
    });
    const ready = await waitFor(async () => {
      const path = `/api/v1/namespaces/${name}/serviceaccounts/default`;
      return (await this.request({ path })).status === 200;
    }, 30_000);
    if (!ready) throw new Error(`Namespace ${name} got no default ServiceAccount: is the controller manager running?`);
  }

  #etcd(path: string, body: unknown): Promise<HttpAnswer> {
    return call({
      method: "POST",
      url: `${this.facts.etcdUrl}${path}`,
      ca: this.ca,
      cert: this.#cert,
      key: this.#key,
      body,
    });
  }

  async revision(): Promise<number> {
    const any = await this.#etcd("/v3/kv/range", { key: Buffer.from("\0").toString("base64"), limit: 1 });
    return Number(any.json<{ header?: { revision?: string } }>().header?.revision);
  }

  async compact(): Promise<number> {
    const revision = await this.revision();
    const done = await this.#etcd("/v3/kv/compaction", { revision, physical: true });
    // "already compacted" is what was asked for.
    if (done.status !== 200 && !done.text.includes("compacted"))
      throw new Error(`etcd refused to compact: ${done.status} ${done.text}`);
    return revision;
  }

  /** Waits until a request of now is in the log: then everything that was answered before is too. */
  async #settleAudit(): Promise<void> {
    const marker = randomUUID();
    const before = auditPosition(this.facts.auditFile);
    await this.request({ path: `/version?marker=${marker}` });
    const there = await waitFor(
      async () => Promise.resolve(auditText(this.facts.auditFile, before).includes(marker)),
      5_000,
      10,
    );
    if (!there) throw new Error("The API server wrote no audit line for a request.");
  }

  async auditMark(): Promise<number> {
    await this.#settleAudit();
    return auditPosition(this.facts.auditFile);
  }

  async readAudit(filter: AuditFilter = {}): Promise<AuditEntry[]> {
    await this.#settleAudit();
    const entries = parseAudit(auditText(this.facts.auditFile, filter.since));
    return entries.filter((entry) => !entry.uri.startsWith("/version?marker=") && matchesAudit(entry, filter));
  }
}

/** Helpers for the control plane that `facts` describe. */
export function controlPlaneClient(facts: ControlPlaneFacts): ControlPlaneClient {
  return new Client(facts);
}
