import { randomUUID } from "node:crypto";
import { secretMetadata } from "../../../src/api/index.ts";
import { SecretValue } from "../../../src/model/index.ts";
import type { RenderedContent, SecretTarget, TargetObservation } from "../../../src/ports/target.ts";
import {
  KubeClient,
  type KubeRequest,
  KubeTransport,
  loadClusterConfig,
  type PartialObjectMetadata,
  Reflector,
  type RequestObservation,
  resources,
  Store,
} from "../../../src/runtime/index.ts";
import { createKubernetesSecretTarget, type KubernetesSecretRef } from "../../../src/targets/index.ts";
import { systemClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";
import { testSeal } from "./support.ts";

export const MANAGER = "scaivault-operator";

/** A Secret as the API server answers it to an administrator. */
export interface StoredSecret {
  readonly metadata: PartialObjectMetadata["metadata"];
  readonly type: string;
  readonly data?: Record<string, string>;
}

/** The target with a ServiceAccount that has the operator's rights in one namespace, and an administrator beside it. */
export interface KubernetesParts {
  readonly namespace: string;
  readonly target: SecretTarget<KubernetesSecretRef>;
  readonly store: Store<PartialObjectMetadata>;
  /** Requests of the target and its watch. */
  readonly requests: RequestObservation[];
  /** Answers to the target, as text, by verb. */
  readonly answers: { readonly verb: string; readonly text: string }[];
  /** Runs once, right before the target's next request of this verb. */
  before(verb: string, act: () => Promise<void>): void;
  ref(name?: string): KubernetesSecretRef;
  observe(ref: KubernetesSecretRef): Promise<TargetObservation>;
  get(ref: KubernetesSecretRef): Promise<StoredSecret | undefined>;
  /** POST under a manager's name, as tools do that know no apply. */
  post(manager: string, secret: Record<string, unknown>): Promise<StoredSecret>;
  /** PUT under a manager's name. */
  put(manager: string, secret: object): Promise<StoredSecret>;
  patch(ref: KubernetesSecretRef, manager: string, patch: unknown): Promise<void>;
  apply(ref: KubernetesSecretRef, manager: string, secret: object, force?: boolean): Promise<number>;
  drop(ref: KubernetesSecretRef): Promise<void>;
  close(): Promise<void>;
}

export function content(values: Readonly<Record<string, string | Buffer>>, type = "Opaque"): RenderedContent {
  const keys = new Map(
    Object.entries(values).map(([key, value]) => [
      key,
      typeof value === "string" ? SecretValue.fromText(value) : SecretValue.fromBytes(Buffer.from(value)),
    ]),
  );
  return { keys, payload: { form: "Object", raw: SecretValue.fromText("{}"), keys }, type };
}

export function encoded(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")]));
}

export async function startKubernetes(verbs = "get list watch create patch delete"): Promise<KubernetesParts> {
  const { kube } = testEnvironment();
  const namespace = `targets-${randomUUID().slice(0, 8)}`;
  await kube.ensureNamespace(namespace);
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await kube.apply(`${rbac}/roles/operator`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: { name: "operator" },
    rules: [{ apiGroups: [""], resources: ["secrets"], verbs: verbs.split(" ") }],
  });
  await kube.apply(`${rbac}/rolebindings/operator`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: "operator" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "operator" },
    subjects: [{ kind: "ServiceAccount", name: "default", namespace }],
  });
  const kubeconfig = kube.kubeconfigFor(await kube.serviceAccountToken(namespace, "default"));
  const requests: RequestObservation[] = [];
  const transport = new KubeTransport({
    config: loadClusterConfig({ kubeconfig }),
    clock: systemClock,
    userAgent: "scaivault-operator/test",
    onRequest: (request) => requests.push(request),
  });
  const answers: KubernetesParts["answers"] = [];
  const request = transport.request.bind(transport);
  let hook: { readonly verb: string; readonly act: () => Promise<void> } | undefined;
  transport.request = async <T>(call: KubeRequest): Promise<T> => {
    if (hook?.verb === call.verb) {
      const { act } = hook;
      hook = undefined;
      await act();
    }
    const answer = await request<T>(call);
    answers.push({ verb: call.verb, text: JSON.stringify(answer) });
    return answer;
  };
  const client = new KubeClient(transport, { fieldManager: "not-for-secrets" });
  const store = new Store<PartialObjectMetadata>({});
  const reflector = new Reflector<PartialObjectMetadata>({
    client,
    clock: systemClock,
    resource: resources.secrets,
    store,
    namespace,
    labelSelector: `${secretMetadata.managedLabel}=true`,
    metadataOnly: true,
  });
  reflector.start();
  await reflector.synced(AbortSignal.timeout(20_000));
  const target = createKubernetesSecretTarget({
    client,
    store,
    seal: testSeal(),
    clock: systemClock,
    cluster: "eu-1",
    userAgent: "scaivault-operator/test",
  });
  const base = `/api/v1/namespaces/${namespace}/secrets`;
  const path = (ref: KubernetesSecretRef): string => `${base}/${ref.name}`;
  const send = async (method: string, at: string, body: unknown, contentType?: string): Promise<StoredSecret> => {
    const answer = await kube.request({
      method,
      path: at,
      body,
      ...(contentType === undefined ? {} : { contentType }),
    });
    if (answer.status >= 300) throw new Error(`${method} ${at}: ${answer.status}`);
    return answer.json() as unknown as StoredSecret;
  };
  return {
    namespace,
    target,
    store,
    requests,
    answers,
    before: (verb, act) => {
      hook = { verb, act };
    },
    ref: (name = `s-${randomUUID().slice(0, 8)}`) => ({ namespace, name, object: `${namespace}/${name}` }),
    observe: async (ref) => {
      const found = (await target.observe([ref], new AbortController().signal)).get(target.key(ref));
      if (found === undefined) throw new Error("not observed");
      return found;
    },
    get: async (ref) => {
      const answer = await kube.request({ path: path(ref) });
      return answer.status === 404 ? undefined : (answer.json() as unknown as StoredSecret);
    },
    post: (manager, secret) =>
      send("POST", `${base}?fieldManager=${manager}`, { apiVersion: "v1", kind: "Secret", ...secret }),
    put: (manager, secret) => {
      const { metadata } = secret as StoredSecret;
      return send("PUT", `${base}/${metadata.name}?fieldManager=${manager}`, {
        apiVersion: "v1",
        kind: "Secret",
        ...secret,
      });
    },
    patch: async (ref, manager, body) => {
      await send("PATCH", `${path(ref)}?fieldManager=${manager}`, body, "application/merge-patch+json");
    },
    apply: async (ref, manager, secret, force = false) => {
      const answer = await kube.request({
        method: "PATCH",
        path: `${path(ref)}?fieldManager=${manager}&force=${force}`,
        contentType: "application/apply-patch+yaml",
        body: { apiVersion: "v1", kind: "Secret", ...secret },
      });
      return answer.status;
    },
    drop: async (ref) => {
      await send("DELETE", path(ref), undefined);
    },
    close: async () => {
      await reflector.stop();
      await transport.close();
      await kube.request({ method: "DELETE", path: `/api/v1/namespaces/${namespace}` });
    },
  };
}
