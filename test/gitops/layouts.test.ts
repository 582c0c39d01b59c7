/** The layout for one cluster in examples/gitops: rendered by kustomize, checked by `validate`, applied to a real API server. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import { findingLine } from "../../src/cli/findings.ts";
import { validateManifests } from "../../src/cli/validate.ts";
import { at, type Manifest, one } from "../chart/support.ts";
import { testEnvironment } from "../support/environment.ts";
import { Harness } from "../support/operator.ts";

const examples = join(import.meta.dirname, "../../examples/gitops");
const WAVE = "argocd.argoproj.io/sync-wave";

async function kustomize(folder: string): Promise<{ text: string; objects: Manifest[] }> {
  const built = await testEnvironment().kube.kubectl(["kustomize", join(examples, folder)]);
  expect(built.stderr).toBe("");
  const objects = parseAllDocuments(built.stdout).map((document) => document.toJS() as Manifest);
  return { text: built.stdout, objects };
}

const read = (file: string): Manifest[] =>
  parseAllDocuments(readFileSync(join(examples, file), "utf8")).map((document) => document.toJS() as Manifest);

describe("every folder", () => {
  it.each(["one-cluster", "one-cluster/platform", "one-cluster/secrets"])(
    "%s renders, and passes validate",
    async (folder) => {
      const { text } = await kustomize(folder);
      const { findings, objects } = validateManifests([{ file: folder, text }]);
      expect(findings.map((finding) => findingLine(finding))).toEqual([]);
      expect(objects).toBeGreaterThan(0);
    },
  );
});

describe("one cluster", () => {
  it("has the stores in waves before the SecretSyncs, and these before what uses their Secrets", async () => {
    const { objects } = await kustomize("one-cluster");
    const wave = ({ metadata }: Manifest): number => Number(metadata.annotations?.[WAVE] ?? "0");
    const of = (kind: string): Manifest[] => objects.filter((object) => object.kind === kind);
    const last = (kind: string): number => Math.max(...of(kind).map(wave));
    const first = (kind: string): number => Math.min(...of(kind).map(wave));
    expect(last("Namespace")).toBeLessThan(first("FederationBackend"));
    expect(last("FederationBackend")).toBeLessThan(first("SecretSync"));
    expect(last("SecretSync")).toBeLessThan(first("Deployment"));
    // What the app mounts is what the SecretSyncs make.
    const pod = at(one(objects, "Deployment"), "spec.template.spec");
    const used = [at(pod, "containers.0.envFrom.0.secretRef.name"), at(pod, "volumes.0.secret.secretName")];
    expect(of("SecretSync").map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(used));
  });

  it("by Flux: each Kustomization comes after the one before, and asks for every SecretSync", async () => {
    const steps = read("flux/kustomizations.yaml");
    const names = steps.map(({ metadata }) => metadata.name);
    expect(steps.map((step) => at(step, "spec.dependsOn.0.name"))).toEqual([undefined, names[0], names[1]]);
    for (const step of steps) {
      const path = String(at(step, "spec.path"));
      expect(existsSync(join(examples, "../..", path, "kustomization.yaml")), path).toBe(true);
      expect(at(step, "spec.wait") === true || at(step, "spec.healthChecks") !== undefined).toBe(true);
    }
    const { objects } = await kustomize("one-cluster/secrets");
    const checks = at(steps[1], "spec.healthChecks") as object[];
    const wanted = objects.map(({ apiVersion, kind, metadata: { name, namespace } }) => ({
      apiVersion,
      kind,
      name,
      namespace,
    }));
    expect(checks).toEqual(expect.arrayContaining(wanted));
  });

  it("by Argo CD: the Application names a folder that is there", () => {
    const [application] = read("argocd/application.yaml");
    const path = String(at(application, "spec.source.path"));
    expect(existsSync(join(examples, "../..", path, "kustomization.yaml")), path).toBe(true);
  });
});

describe("kubectl apply -k", () => {
  let op: Harness<"payments">;
  let folder: string;
  beforeAll(async () => {
    op = await Harness.prepare({ namespaces: ["payments"] });
    folder = join(import.meta.dirname, "../../.local", op.ns.payments);
    await op.start();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await op?.stop();
  });

  /** Applies a folder of the examples in the test's own namespace. */
  async function apply(name: string): Promise<void> {
    const own = join(folder, name);
    mkdirSync(own, { recursive: true });
    const resources = [relative(own, join(examples, "one-cluster", name))];
    writeFileSync(join(own, "kustomization.yaml"), stringify({ namespace: op.ns.payments, resources }));
    const applied = await op.env.kube.kubectl(["apply", "-k", own]);
    expect(applied.code, applied.stderr).toBe(0);
  }

  it("of the stores, then of the SecretSyncs: ready in this order, as a pipeline would wait for it", async () => {
    const ns = op.ns.payments;
    for (const name of ["stripe", "database"])
      await op.aws.put(`prod/payments/${name}`, JSON.stringify({ api_key: op.canaries.value(name) }));
    await apply("platform");
    await op.verdict("FederationBackend", ns, "aws-prod", "False CredentialNotFound");
    await op.awsCredential(ns, "aws-reader");
    const wait = (kind: string) =>
      op.env.kube.kubectl(["-n", ns, "wait", kind, "--all", "--for=condition=Ready", "--timeout=60s"]);
    const backends = wait("federationbackends");
    await op.verdict("FederationBackend", ns, "aws-prod", "True InSync");
    expect((await backends).code).toBe(0);
    await apply("secrets");
    const syncs = wait("secretsyncs");
    for (const name of ["stripe", "database"]) await op.ready(ns, name);
    expect((await syncs).code).toBe(0);
    expect(Object.keys((await op.cluster.secretData(ns, "stripe")) ?? {})).toEqual(["STRIPE_API_KEY"]);
    // Once more changes nothing.
    await op.mark();
    await apply("secrets");
    await op.idle();
    expect((await op.seen()).kubeWrites).toEqual([]);
  });
});
