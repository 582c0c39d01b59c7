import { randomBytes } from "node:crypto";
import { customResourceDefinitions, GROUP, type SecretSync, VERSION } from "../api/index.ts";
import type { Config } from "../config/index.ts";
import { SyncError } from "../errors/index.ts";
import { ApiConnectionError, ApiStatusError, type KubeClient, type KubeObject, resources } from "../runtime/index.ts";
import type { Clock } from "../time/clock.ts";
import { type Check, Checklist, type Found, skewFound, StepError } from "./checklist.ts";
import { type Right, rightName, rightsNeeded } from "./rights.ts";

/** What the checks are made with. */
export interface ClusterParts {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly syncs: readonly SecretSync[];
  tell(about: string, step: string): void;
}

/** Rights are asked for in so many namespaces of a long list. */
const NAMESPACES_ASKED = 25;

/** API server, login, clock, kinds, rights, guards. */
export async function checkCluster(config: Config, parts: ClusterParts, signal: AbortSignal): Promise<Check[]> {
  const { client, clock } = parts;
  const list = new Checklist("cluster", (about, step) => parts.tell(about, step));
  const ask = async <T>(request: { method: "GET" | "POST"; path: string; body?: object }): Promise<T> => {
    try {
      return await client.transport.request<T>({
        verb: "get",
        resource: "doctor",
        signal,
        idempotent: true,
        ...request,
      });
    } catch (error) {
      throw failedAs(error);
    }
  };
  await list.step("api-server", [], async (): Promise<Found> => {
    const { gitVersion = "" } = await ask<{ gitVersion?: string }>({ method: "GET", path: "/version" });
    return { message: `Kubernetes ${gitVersion}` };
  });
  const review = await list.step("identity", ["api-server"], async () => {
    const found = await ask<Review>({
      method: "POST",
      path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
      body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
    });
    return { message: `logged in as ${found.status?.userInfo?.username ?? ""}`, value: found };
  });
  await list.step("clock", ["identity"], (): Found => {
    const at = Date.parse(review?.metadata?.creationTimestamp ?? "");
    if (Number.isNaN(at)) return { message: "the answer has no date", as: "Skipped" };
    return skewFound(at, clock.now(), "the API server");
  });
  await list.step("kinds", ["api-server"], async () =>
    kindsFound(await ask<OpenAPI>({ method: "GET", path: `/openapi/v3/apis/${GROUP}/${VERSION}` })),
  );
  const allowed = async (right: Right): Promise<boolean> => {
    const { status } = await ask<{ status?: { allowed?: boolean } }>({
      method: "POST",
      path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: right },
      },
    });
    return status?.allowed === true;
  };
  await list.step("rights", ["identity"], () => rightsFound(config, parts.syncs, allowed));
  const user = review?.status?.userInfo?.username ?? "";
  await list.step("guards", ["rights"], () => guardsFound(config, user, client, signal));
  return list.checks;
}

interface Review {
  readonly metadata?: { readonly creationTimestamp?: string };
  readonly status?: { readonly userInfo?: { readonly username?: string } };
}

function failedAs(error: unknown): unknown {
  if (error instanceof ApiConnectionError)
    return new StepError({
      message: `the API server cannot be reached (${error.kind})`,
      hint: "Check NetworkPolicy egress (chart value networkPolicy.egress.apiServer), or kubernetes.kubeconfig.",
    });
  if (!(error instanceof ApiStatusError)) return error;
  return new StepError({
    message: `the API server refuses (${error.code} ${error.reason})`,
    hint: error.code === 404 ? "Install the CRDs (chart value crds.install)." : "Check the login and its rights.",
  });
}

async function rightsFound(
  config: Config,
  syncs: readonly SecretSync[],
  allowed: (right: Right) => Promise<boolean>,
): Promise<Found> {
  const scopes = config.watchNamespaces?.slice(0, NAMESPACES_ASKED) ?? [""];
  const missing: string[] = [];
  const deletes = syncs.some(
    ({ spec }) =>
      spec.targets.kubernetesSecret !== undefined &&
      (spec.deletionPolicy === "Delete" || spec.cleanupPolicy === "Delete"),
  );
  const wanted = rightsNeeded({
    scopes,
    deletes,
    operatorNamespace: config.operatorNamespace,
    leaseName: config.leaderElection.leaseName,
  });
  for (const right of wanted) if (!(await allowed(right))) missing.push(rightName(right));
  if (missing.length > 0)
    throw new StepError({
      message: `missing: ${missing.slice(0, 8).join("; ")}${missing.length > 8 ? ` and ${missing.length - 8} more` : ""}`,
      hint: "Install the chart's roles (rbac.create), with secrets.delete for the right to delete.",
    });
  const more = (config.watchNamespaces?.length ?? 0) - scopes.length;
  return {
    message: `all ${wanted.length} rights are there${more > 0 ? `; ${more} namespaces were not asked for` : ""}`,
  };
}

/**
 * The guards are not readable with the operator's rights, so it is asked for what they must refuse: a Secret without our
 * label. The API server checks and stores nothing (dry run).
 */
async function guardsFound(config: Config, user: string, client: KubeClient, signal: AbortSignal): Promise<Found> {
  if (!user.startsWith(`system:serviceaccount:${config.operatorNamespace}:`))
    return { message: `the guards hold the operator's account, and this is ${user}`, as: "Skipped" };
  const namespace = config.watchNamespaces?.[0] ?? config.operatorNamespace;
  const secret: KubeObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace, name: `scaivault-doctor-${randomBytes(4).toString("hex")}` },
  };
  try {
    await client.create(resources.secrets, secret, { dryRun: true, signal });
  } catch (error) {
    if (error instanceof ApiStatusError && (error.code === 403 || error.code === 422))
      return { message: "a Secret without the operator's label is refused (dry run)" };
    throw failedAs(error);
  }
  return {
    message: "nothing keeps the operator's account from writing any Secret (dry run)",
    as: "Warning",
    hint: "Install the admission guards (chart value guards.install).",
  };
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly "x-kubernetes-group-version-kind"?: readonly { readonly kind?: string }[];
}
interface OpenAPI {
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

/** Fields that this program knows and the served kinds do not. */
function kindsFound({ components }: OpenAPI): Found {
  const served = Object.values(components?.schemas ?? {});
  const lacking: string[] = [];
  for (const crd of customResourceDefinitions().values()) {
    const { spec } = crd as { spec: { names: { kind: string }; versions: { schema: { openAPIV3Schema: Schema } }[] } };
    const { kind } = spec.names;
    const found = served.find((schema) => schema["x-kubernetes-group-version-kind"]?.some((one) => one.kind === kind));
    if (found === undefined) throw new SyncError("KubernetesUnavailable", `the API server does not serve ${kind}`);
    const own = spec.versions[0]?.schema.openAPIV3Schema.properties ?? {};
    for (const part of ["spec", "status"])
      lacking.push(...lackingFields(own[part], found.properties?.[part], `${kind}.${part}`));
  }
  if (lacking.length === 0) return { message: `${VERSION}, with all fields of this version` };
  return {
    message: `the installed kinds lack ${lacking.slice(0, 5).join(", ")}`,
    as: "Warning",
    hint: "Upgrade the CRDs to those of this version (chart value crds.install, or charts/**/files/crds).",
  };
}

function lackingFields(own: Schema | undefined, served: Schema | undefined, at: string): string[] {
  if (own === undefined) return [];
  if (served === undefined) return [at];
  return [
    ...Object.entries(own.properties ?? {}).flatMap(([name, inner]) =>
      lackingFields(inner, served.properties?.[name], `${at}.${name}`),
    ),
    ...(own.items === undefined ? [] : lackingFields(own.items, served.items, `${at}[]`)),
  ];
}
