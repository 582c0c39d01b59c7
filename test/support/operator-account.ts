/** The operator's ServiceAccount with the rights that the chart renders, and the kinds, in the shared control plane. */
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { run } from "../../local/run.ts";
import { waitFor } from "../../local/process.ts";
import { API_VERSION, GROUP } from "../../src/api/index.ts";
import type { TestEnvironment } from "./environment.ts";

/** Namespace of the operators of tests. */
export const OPERATOR_NAMESPACE = "operator-tests";
/** The name that the API server knows it by. */
export const OPERATOR_USER = `system:serviceaccount:${OPERATOR_NAMESPACE}:scaivault-operator`;
/** Name of its Lease; the chart's Role knows no other. */
export const LEASE_NAME = "scaivault-operator";

/** What of the chart is installed; its guards have tests of their own. */
const templates = ["serviceaccount", "rbac-operator", "rbac-watched"];

let prepared: Promise<void> | undefined;

async function installKinds(env: TestEnvironment): Promise<void> {
  for (const file of readdirSync("crds")) {
    const crd = parse(readFileSync(`crds/${file}`, "utf8")) as { metadata: { name: string } };
    await env.kube.apply(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.metadata.name}`, crd);
  }
  for (const plural of ["secretsyncs", "federationbackends"]) {
    const served = async () => (await env.kube.request({ path: `/apis/${API_VERSION}/${plural}` })).status === 200;
    if (!(await waitFor(served, 30_000))) throw new Error(`${plural}.${GROUP} is not served`);
  }
}

async function installRights(env: TestEnvironment): Promise<void> {
  const { helm } = env.facts.binaries;
  if (helm === undefined) throw new Error("the environment has no helm");
  const values = JSON.stringify({ cluster: { name: "tests" }, secrets: { delete: true } });
  const shown = templates.flatMap((name) => ["-s", `templates/${name}.yaml`]);
  const args = ["template", "scaivault-operator", "charts/scaivault-operator", "-n", OPERATOR_NAMESPACE];
  const rendered = await run(helm, [...args, "--kube-version", "1.35.4", "-f", "-", ...shown], { input: values });
  if (rendered.code !== 0) throw new Error(`helm template: ${rendered.stderr}`);
  const flags = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
  const applied = await env.kube.kubectl(flags, { input: rendered.stdout });
  if (applied.code !== 0) throw new Error(`kubectl apply: ${applied.stderr}`);
}

/** Installs kinds, ServiceAccount and rights; once for each test file. */
export function prepareAccount(env: TestEnvironment): Promise<void> {
  prepared ??= (async () => {
    await env.kube.ensureNamespace(OPERATOR_NAMESPACE);
    await Promise.all([installKinds(env), installRights(env)]);
  })();
  return prepared;
}

/** A token of the operator's ServiceAccount. */
export function operatorToken(env: TestEnvironment): Promise<string> {
  return env.kube.serviceAccountToken(OPERATOR_NAMESPACE, "scaivault-operator", 7200);
}
