/** etcd, kube-apiserver and kube-controller-manager on loopback, with an own authority, RBAC and an audit log. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Binary, BinaryName } from "./binaries.ts";
import { signingKey, writePair, type CertificateAuthority } from "./certificates.ts";
import {
  adminUser,
  controlPlaneClient,
  kubeconfigText,
  type ControlPlaneClient,
  type ControlPlaneFacts,
} from "./control-plane-client.ts";
import { call } from "./http.ts";
import { freePort, loopback } from "./ports.ts";
import { createProgram, waitFor, type Program } from "./process.ts";

/** A running control plane. */
export interface ControlPlane {
  readonly facts: ControlPlaneFacts;
  readonly client: ControlPlaneClient;
  readonly etcd: Program;
  readonly apiserver: Program;
  readonly controllerManager: Program;
  /** Ends all three, in order. */
  stop(): Promise<void>;
}

/** What a control plane is started with. */
export interface ControlPlaneOptions {
  /** Data, certificates and logs go below it. */
  readonly folder: string;
  readonly binaries: ReadonlyMap<BinaryName, Binary>;
  readonly authority: CertificateAuthority;
  /** Feature gates as `Name=true`, for tests. */
  readonly featureGates?: readonly string[];
  /** Which API server and controller manager run; the newest that is tested is the default. */
  readonly kubernetes?: KubernetesChoice;
}

/** The two ends of what is supported. */
export const kubernetesChoices = ["newest", "oldest"] as const;
/** One of {@link kubernetesChoices}. */
export type KubernetesChoice = (typeof kubernetesChoices)[number];

/** The binaries of a control plane, helm and kubectl of the newest for both. */
export function controlPlaneBinaries(kubernetes: KubernetesChoice = "newest"): BinaryName[] {
  const suffix = kubernetes === "oldest" ? "-oldest" : "";
  return ["etcd", `kube-apiserver${suffix}`, `kube-controller-manager${suffix}`, "kubectl", "helm"];
}

const audience = "https://kubernetes.default.svc.cluster.local";

// What the tests of an operator need of the controller manager: namespaces die, owners collect, ServiceAccounts and their
// CA bundles appear, roles aggregate. The others would only cost.
const controllers = [
  "namespace-controller",
  "garbage-collector-controller",
  "serviceaccount-controller",
  "serviceaccount-token-controller",
  "root-ca-certificate-publisher-controller",
  "clusterrole-aggregation-controller",
  "validatingadmissionpolicy-status-controller",
  "resourcequota-controller",
];

const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata" }],
};

interface Layout {
  readonly folder: string;
  readonly ca: string;
  readonly caFile: string;
  readonly logs: string;
}

function binary(
  options: ControlPlaneOptions,
  program: "etcd" | "kubectl" | "kube-apiserver" | "kube-controller-manager",
) {
  const ofKubernetes = program === "kube-apiserver" || program === "kube-controller-manager";
  const name: BinaryName = ofKubernetes && options.kubernetes === "oldest" ? `${program}-oldest` : program;
  const found = options.binaries.get(name);
  if (found === undefined) throw new Error(`The control plane needs ${name}.`);
  return found.path;
}

function pairFor(
  options: ControlPlaneOptions,
  layout: Layout,
  name: string,
  organizations: readonly string[] = [],
): {
  certFile: string;
  keyFile: string;
  cert: string;
  key: string;
} {
  const pair = options.authority.issue({
    commonName: name,
    organizations,
    names: [
      loopback,
      "::1",
      "localhost",
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      "kubernetes.default.svc.cluster.local",
      "10.0.0.1",
    ],
  });
  return { ...pair, ...writePair(join(layout.folder, "certificates"), name.replaceAll(":", "-"), pair) };
}

async function createEtcd(
  options: ControlPlaneOptions,
  layout: Layout,
): Promise<{ program: Program; url: string; certFile: string; keyFile: string }> {
  const server = pairFor(options, layout, "etcd");
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const url = `https://${loopback}:${clientPort}`;
  const peer = `http://${loopback}:${peerPort}`;
  const program = createProgram({
    name: "etcd",
    file: binary(options, "etcd"),
    logFile: join(layout.logs, "etcd.log"),
    args: [
      "--name=local",
      `--data-dir=${join(layout.folder, "etcd")}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=local=${peer}`,
      `--cert-file=${server.certFile}`,
      `--key-file=${server.keyFile}`,
      `--trusted-ca-file=${layout.caFile}`,
      "--client-cert-auth",
      // Nobody keeps this data beyond a crash of the machine; it is still there after a crash of the process.
      "--unsafe-no-fsync",
      "--log-level=warn",
    ],
    ready: async () => {
      const health = await call({
        url: `${url}/health`,
        ca: layout.ca,
        cert: server.cert,
        key: server.key,
        timeoutMs: 1_000,
      });
      return health.text.includes('"health":"true"');
    },
  });
  return { program, url, certFile: server.certFile, keyFile: server.keyFile };
}

async function createApiserver(
  options: ControlPlaneOptions,
  layout: Layout,
  etcd: { url: string; certFile: string; keyFile: string },
  auditFile: string,
  ready: (url: string) => Promise<boolean>,
): Promise<{ program: Program; url: string; signingKeyFile: string }> {
  const server = pairFor(options, layout, "kube-apiserver");
  const keys = signingKey();
  const signingKeyFile = join(layout.folder, "certificates", "service-account.key");
  const verifyKeyFile = join(layout.folder, "certificates", "service-account.pub");
  const policyFile = join(layout.folder, "audit-policy.yaml");
  writeFileSync(signingKeyFile, keys.privateKey, { mode: 0o600 });
  writeFileSync(verifyKeyFile, keys.publicKey);
  writeFileSync(policyFile, stringify(auditPolicy));
  const port = await freePort();
  const url = `https://${loopback}:${port}`;
  const program = createProgram({
    name: "kube-apiserver",
    file: binary(options, "kube-apiserver"),
    logFile: join(layout.logs, "kube-apiserver.log"),
    readyMs: 120_000,
    args: [
      `--bind-address=${loopback}`,
      `--secure-port=${port}`,
      `--tls-cert-file=${server.certFile}`,
      `--tls-private-key-file=${server.keyFile}`,
      `--client-ca-file=${layout.caFile}`,
      `--etcd-servers=${etcd.url}`,
      `--etcd-cafile=${layout.caFile}`,
      `--etcd-certfile=${etcd.certFile}`,
      `--etcd-keyfile=${etcd.keyFile}`,
      // Compaction happens when a test asks for it.
      "--etcd-compaction-interval=0",
      "--authorization-mode=RBAC",
      "--service-cluster-ip-range=10.0.0.0/24",
      // No node could reach the `kubernetes` service; loopback is refused as its address anyway.
      "--endpoint-reconciler-type=none",
      `--service-account-issuer=${audience}`,
      `--api-audiences=${audience}`,
      `--service-account-key-file=${verifyKeyFile}`,
      `--service-account-signing-key-file=${signingKeyFile}`,
      "--service-account-extend-token-expiration=false",
      `--audit-policy-file=${policyFile}`,
      `--audit-log-path=${auditFile}`,
      "--audit-log-mode=blocking",
      "--audit-log-maxsize=4000",
      "--profiling=false",
      "--v=1",
      ...(options.featureGates === undefined ? [] : [`--feature-gates=${options.featureGates.join(",")}`]),
    ],
    ready: () => ready(url),
  });
  return { program, url, signingKeyFile };
}

async function createControllerManager(
  options: ControlPlaneOptions,
  layout: Layout,
  url: string,
  signingKeyFile: string,
): Promise<Program> {
  const pair = pairFor(options, layout, "system:kube-controller-manager");
  const kubeconfig = join(layout.folder, "controller-manager.kubeconfig");
  const user = { "client-certificate": pair.certFile, "client-key": pair.keyFile };
  writeFileSync(kubeconfig, kubeconfigText({ url, ca: layout.ca, user }), { mode: 0o600 });
  const port = await freePort();
  return createProgram({
    name: "kube-controller-manager",
    file: binary(options, "kube-controller-manager"),
    logFile: join(layout.logs, "kube-controller-manager.log"),
    args: [
      `--kubeconfig=${kubeconfig}`,
      `--bind-address=${loopback}`,
      `--secure-port=${port}`,
      `--tls-cert-file=${pair.certFile}`,
      `--tls-private-key-file=${pair.keyFile}`,
      `--controllers=${controllers.join(",")}`,
      `--service-account-private-key-file=${signingKeyFile}`,
      `--root-ca-file=${layout.caFile}`,
      // Each controller acts with the rights that RBAC gives it; the manager's own do not suffice to delete things.
      "--use-service-account-credentials",
      "--leader-elect=false",
      "--v=1",
    ],
    ready: async () =>
      (await call({ url: `https://${loopback}:${port}/healthz`, ca: layout.ca, timeoutMs: 1_000 })).status === 200,
  });
}

/** Starts a control plane and waits until it serves and namespaces get their ServiceAccount. @throws ProgramFailed */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folder } = options;
  mkdirSync(join(folder, "certificates"), { recursive: true, mode: 0o700 });
  const layout: Layout = {
    folder,
    ca: options.authority.cert,
    caFile: join(folder, "certificates", "ca.crt"),
    logs: join(folder, "logs"),
  };
  writeFileSync(layout.caFile, layout.ca);
  const auditFile = join(layout.logs, "audit.log");
  const admin = pairFor(options, layout, adminUser, ["system:masters"]);

  const etcd = await createEtcd(options, layout);
  const apiserver = await createApiserver(options, layout, etcd, auditFile, async (url) => {
    const answer = await call({
      url: `${url}/readyz`,
      ca: layout.ca,
      cert: admin.cert,
      key: admin.key,
      timeoutMs: 2_000,
    });
    return answer.status === 200;
  });
  const adminKubeconfig = join(folder, "admin.kubeconfig");
  const user = {
    "client-certificate-data": Buffer.from(admin.cert).toString("base64"),
    "client-key-data": Buffer.from(admin.key).toString("base64"),
  };
  writeFileSync(adminKubeconfig, kubeconfigText({ url: apiserver.url, ca: layout.ca, user, name: adminUser }), {
    mode: 0o600,
  });
  const controllerManager = await createControllerManager(options, layout, apiserver.url, apiserver.signingKeyFile);
  const facts: ControlPlaneFacts = {
    url: apiserver.url,
    caFile: layout.caFile,
    adminKubeconfig,
    adminCertFile: admin.certFile,
    adminKeyFile: admin.keyFile,
    auditFile,
    audience,
    etcdUrl: etcd.url,
    kubectl: binary(options, "kubectl"),
    folder: join(folder, "kubeconfigs"),
  };
  const stop = async (): Promise<void> => {
    await Promise.all([controllerManager.stop(), apiserver.program.stop()]);
    await etcd.program.stop();
  };
  try {
    await etcd.program.start();
    await apiserver.program.start();
    await controllerManager.start();
    const client = controlPlaneClient(facts);
    const path = "/api/v1/namespaces/default/serviceaccounts/default";
    if (!(await waitFor(async () => (await client.request({ path })).status === 200, 60_000)))
      throw new Error("The controller manager made no default ServiceAccount within a minute.");
    return { facts, client, etcd: etcd.program, apiserver: apiserver.program, controllerManager, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
