/** Objects of tests: made short, read from the real API server. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import {
  API_VERSION,
  type Condition,
  type FederationBackendStatus,
  type SecretSyncStatus,
} from "../../src/api/index.ts";
import type { ControlPlaneClient } from "../../local/control-plane-client.ts";

/** A Kubernetes object as read. */
export interface KubeThing {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly generation?: number;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly object[];
    readonly deletionTimestamp?: string;
    readonly managedFields?: readonly object[];
  };
  readonly spec?: unknown;
  readonly type?: string;
  /** Of Secrets: base64. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface SyncThing extends KubeThing {
  readonly status?: SecretSyncStatus;
}
export interface BackendThing extends KubeThing {
  readonly status?: FederationBackendStatus;
}

/** Kinds that tests touch. */
export type Kind = "SecretSync" | "FederationBackend" | "Secret";

const collections: Record<Kind, (namespace: string) => string> = {
  SecretSync: (namespace) => `/apis/${API_VERSION}/namespaces/${namespace}/secretsyncs`,
  FederationBackend: (namespace) => `/apis/${API_VERSION}/namespaces/${namespace}/federationbackends`,
  Secret: (namespace) => `/api/v1/namespaces/${namespace}/secrets`,
};

/** REST path of an object, or of all of a kind in a namespace. */
export function pathTo(kind: Kind, namespace: string, name?: string): string {
  const collection = collections[kind](namespace);
  return name === undefined ? collection : `${collection}/${name}`;
}

/** A manifest of one of the two kinds. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** A SecretSync. */
export function sync(namespace: string, name: string, spec: object, annotations?: Record<string, string>): Manifest {
  const metadata = { name, namespace, ...(annotations === undefined ? {} : { annotations }) };
  return { apiVersion: API_VERSION, kind: "SecretSync", metadata, spec };
}

/** A FederationBackend. */
export function backend(namespace: string, name: string, spec: object): Manifest {
  return { apiVersion: API_VERSION, kind: "FederationBackend", metadata: { name, namespace }, spec };
}

/** A Secret; released to the operator as a credential unless told otherwise. */
export function credential(
  namespace: string,
  name: string,
  data: Readonly<Record<string, string>>,
  released = true,
): Manifest {
  const labels = released ? { labels: { "scaivault.scailabs.ai/credential": "true" } } : {};
  return { apiVersion: "v1", kind: "Secret", metadata: { name, namespace, ...labels }, stringData: data };
}

function post(agent: Agent, url: string, body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers: { "content-type": "application/json" } }, (answer) => {
      answer.resume();
      answer.on("end", () => {
        const code = answer.statusCode ?? 0;
        if (code < 300) resolve();
        else reject(new Error(`POST ${url}: ${code}`));
      });
      answer.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(body));
  });
}

/** What people do with kubectl, as administrator. */
export class Cluster {
  readonly kube: ControlPlaneClient;

  constructor(kube: ControlPlaneClient) {
    this.kube = kube;
  }

  /** Server-side apply, forced. @throws with the API server's message */
  async apply(...manifests: readonly Manifest[]): Promise<void> {
    for (const manifest of manifests) {
      const { name, namespace } = manifest.metadata;
      await this.kube.apply(pathTo(manifest.kind, namespace, name), manifest);
    }
  }

  /** Makes many new objects over a few kept connections. @throws when one is refused */
  async createMany(manifests: readonly Manifest[]): Promise<void> {
    const { url, adminCertFile, adminKeyFile } = this.kube.facts;
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 8,
      ca: this.kube.ca,
      cert: readFileSync(adminCertFile),
      key: readFileSync(adminKeyFile),
    });
    try {
      await Promise.all(
        manifests.map((manifest) =>
          post(agent, `${url}${pathTo(manifest.kind, manifest.metadata.namespace)}`, manifest),
        ),
      );
    } finally {
      agent.destroy();
    }
  }

  /** Merge patch as somebody else; null removes. */
  async patch(kind: Kind, namespace: string, name: string, patch: object, manager = "kubectl-edit"): Promise<void> {
    const answer = await this.kube.request({
      method: "PATCH",
      path: `${pathTo(kind, namespace, name)}?fieldManager=${manager}`,
      contentType: "application/merge-patch+json",
      body: patch,
    });
    if (answer.status >= 300) throw new Error(`patch ${kind} ${name}: ${answer.status} ${answer.text}`);
  }

  async get<T extends KubeThing = KubeThing>(kind: Kind, namespace: string, name: string): Promise<T | undefined> {
    const answer = await this.kube.request({ path: pathTo(kind, namespace, name) });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`get ${kind} ${namespace}/${name}: ${answer.status} ${answer.text}`);
    return answer.json<T>();
  }

  sync(namespace: string, name: string): Promise<SyncThing | undefined> {
    return this.get<SyncThing>("SecretSync", namespace, name);
  }

  backend(namespace: string, name: string): Promise<BackendThing | undefined> {
    return this.get<BackendThing>("FederationBackend", namespace, name);
  }

  /** Decoded data of a Secret; undefined when there is none. */
  async secretData(namespace: string, name: string): Promise<Record<string, string> | undefined> {
    const found = await this.get("Secret", namespace, name);
    if (found === undefined) return undefined;
    const entries = Object.entries(found.data ?? {});
    return Object.fromEntries(entries.map(([key, text]) => [key, Buffer.from(text, "base64").toString("utf8")]));
  }

  async list<T extends KubeThing = KubeThing>(kind: Kind, namespace: string): Promise<T[]> {
    const answer = await this.kube.request({ path: pathTo(kind, namespace) });
    return answer.status === 200 ? answer.json<{ items: T[] }>().items : [];
  }

  async delete(kind: Kind, namespace: string, name: string): Promise<void> {
    const answer = await this.kube.request({ method: "DELETE", path: pathTo(kind, namespace, name) });
    if (answer.status >= 300 && answer.status !== 404)
      throw new Error(`delete ${kind} ${name}: ${answer.status} ${answer.text}`);
  }

  /** Removes every object of our kinds and every Secret of a namespace, finalizers or not. */
  async clear(namespace: string): Promise<void> {
    for (const kind of ["SecretSync", "FederationBackend", "Secret"] as const) {
      for (const { metadata } of await this.list(kind, namespace)) {
        if ((metadata.finalizers ?? []).length > 0)
          await this.patch(kind, namespace, metadata.name, { metadata: { finalizers: null } });
      }
      await this.kube.request({ method: "DELETE", path: pathTo(kind, namespace) });
    }
  }
}

/** A condition by its type. */
export function condition(thing: SyncThing | BackendThing | undefined, type: string): Condition | undefined {
  return thing?.status?.conditions?.find((one) => one.type === type);
}

/** `True InSync`, `False NotOwned`, `none`. */
export function verdict(thing: SyncThing | BackendThing | undefined, type = "Ready"): string {
  const found = condition(thing, type);
  return found === undefined ? "none" : `${found.status} ${found.reason}`;
}
