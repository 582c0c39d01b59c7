// What helm makes of the chart, without a cluster: rights, pod, refusals.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Config, loadConfig } from "../../src/config/index.ts";
import { forChart, syncChartCrds } from "../../scripts/sync-chart-crds.ts";
import { helmBinary } from "./cluster.ts";
import { type Manifest, at, chart, documents, kubeVersions, one, render, renderRaw, root, run } from "./support.ts";

const base = { cluster: { name: "one" } };
let helm: string;

beforeAll(async () => {
  helm = await helmBinary();
});

interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** One line per rule: `Kind namespace/name: group/resource[names] verbs`. */
function rights(objects: readonly Manifest[]): string[] {
  return objects
    .filter(({ kind }) => kind === "Role" || kind === "ClusterRole")
    .flatMap((role) =>
      (role["rules"] as Rule[]).map((rule) => {
        const where =
          role.metadata.namespace === undefined
            ? role.metadata.name
            : `${role.metadata.namespace}/${role.metadata.name}`;
        const names = rule.resourceNames === undefined ? "" : `[${rule.resourceNames.join(",")}]`;
        return `${role.kind} ${where}: ${rule.apiGroups.map((group) => group || "core").join(",")} ${rule.resources.join(",")}${names}: ${rule.verbs.join(",")}`;
      }),
    );
}

const leaderRights = [
  "Role scaivault/scaivault-operator-leader: coordination.k8s.io leases: create",
  "Role scaivault/scaivault-operator-leader: coordination.k8s.io leases[scaivault-operator]: get,update",
];
const peopleRights = [
  "ClusterRole scaivault-view: scaivault.scailabs.ai federationbackends,secretsyncs: get,list,watch",
  "ClusterRole scaivault-edit: scaivault.scailabs.ai federationbackends,secretsyncs: get,list,watch,create,update,patch,delete",
  "ClusterRole scaivault-approver: scaivault.scailabs.ai federationbackends,secretsyncs: get,list,watch,patch,approve,grant",
];
const watched = (role: string): string[] => [
  `${role}: scaivault.scailabs.ai federationbackends,secretsyncs: get,list,watch,patch`,
  `${role}: scaivault.scailabs.ai federationbackends/status,secretsyncs/status: patch`,
  `${role}: events.k8s.io events: create,patch`,
  `${role}: core secrets: get,list,watch,create,patch`,
];

describe("rights, rule by rule", () => {
  test.each(kubeVersions)("whole cluster, Kubernetes %s", async (version) => {
    expect(rights(await render(helm, base, "scaivault", version)).toSorted()).toEqual(
      [
        ...leaderRights,
        ...watched("ClusterRole scaivault-operator.scaivault"),
        "ClusterRole scaivault-operator.scaivault: core namespaces: get,list,watch",
        ...peopleRights,
      ].toSorted(),
    );
  });

  test("listed namespaces: Roles only, no ClusterRole of the operator's own", async () => {
    const objects = await render(helm, { ...base, watchNamespaces: ["billing", "shop"], people: { install: false } });
    expect(rights(objects).toSorted()).toEqual(
      [
        ...leaderRights,
        ...["billing", "shop"].flatMap((namespace) => [
          ...watched(`Role ${namespace}/scaivault-operator.scaivault`),
          `Role ${namespace}/scaivault-operator.scaivault: core namespaces[${namespace}]: get`,
        ]),
      ].toSorted(),
    );
    expect(objects.filter(({ kind }) => kind.startsWith("ClusterRole"))).toEqual([]);
    const cluster = objects.filter(({ metadata }) => metadata.namespace === undefined).map(({ kind }) => kind);
    expect(new Set(cluster)).toEqual(
      new Set(["CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]),
    );
  });

  test("a namespaced installer without cluster rights installs nothing of the cluster's", async () => {
    const objects = await render(helm, {
      ...base,
      watchNamespaces: ["billing"],
      people: { install: false },
      crds: { install: false },
      guards: { install: false },
    });
    expect(objects.filter(({ metadata }) => metadata.namespace === undefined)).toEqual([]);
  });

  test("people's roles are the same whatever is watched", async () => {
    expect(rights(await render(helm, { ...base, watchNamespaces: ["billing"] }))).toEqual(
      expect.arrayContaining(peopleRights),
    );
  });

  test("the verb delete on Secrets only by value", async () => {
    const line = "ClusterRole scaivault-operator.scaivault: core secrets: get,list,watch,create,patch";
    expect(rights(await render(helm, base))).toContain(line);
    expect(rights(await render(helm, { ...base, secrets: { delete: true } }))).toContain(`${line},delete`);
  });

  test("credentials: get by name in the listed namespaces, ConfigMaps only by name", async () => {
    const objects = await render(helm, {
      ...base,
      credentialNamespaces: [
        { namespace: "platform", secretNames: ["aws-reader"], configMapNames: ["vault-ca"] },
        { namespace: "billing" },
      ],
    });
    expect(rights(objects).filter((line) => line.includes("-credentials"))).toEqual([
      "Role platform/scaivault-operator.scaivault-credentials: core secrets[aws-reader]: get",
      "Role platform/scaivault-operator.scaivault-credentials: core configmaps[vault-ca]: get",
      "Role billing/scaivault-operator.scaivault-credentials: core secrets: get",
    ]);
  });

  test("every binding names the operator's ServiceAccount and nobody else", async () => {
    const objects = await render(helm, {
      ...base,
      watchNamespaces: ["billing"],
      credentialNamespaces: [{ namespace: "billing" }],
    });
    const bindings = objects.filter(({ kind }) => kind.endsWith("RoleBinding"));
    expect(bindings).toHaveLength(3);
    for (const binding of bindings) {
      expect(binding["subjects"]).toEqual([
        { kind: "ServiceAccount", name: "scaivault-operator", namespace: "scaivault" },
      ]);
    }
  });

  test("no right that R24 forbids, with every value on", async () => {
    const objects = await render(helm, {
      ...base,
      secrets: { delete: true },
      credentialNamespaces: [{ namespace: "billing", configMapNames: ["ca"] }],
    });
    const text = rights(objects).join("\n");
    expect(text).not.toMatch(
      /\*|pods|nodes|escalate|bind|impersonate|deletecollection|webhook|rbac|serviceaccounts|token/,
    );
    expect(rights(objects).filter((line) => / secrets/.test(line) && /update/.test(line))).toEqual([]);
  });

  test("edit is aggregated to admin, never to edit; view to view", async () => {
    const objects = await render(helm, base);
    const aggregates = (name: string): string[] =>
      Object.keys(one(objects, "ClusterRole", name).metadata.labels ?? {}).filter((label) =>
        label.includes("aggregate"),
      );
    expect(aggregates("scaivault-view")).toEqual(["rbac.authorization.k8s.io/aggregate-to-view"]);
    expect(aggregates("scaivault-edit")).toEqual(["rbac.authorization.k8s.io/aggregate-to-admin"]);
    expect(aggregates("scaivault-approver")).toEqual([]);
  });
});

describe("the pod", () => {
  let objects: Manifest[];
  let deployment: Manifest;
  const pod = (path: string): unknown => at(deployment, `spec.template.spec.${path}`);

  beforeAll(async () => {
    objects = await render(helm, base);
    deployment = one(objects, "Deployment");
  });

  test("two replicas, spread, with a disruption budget", () => {
    expect(at(deployment, "spec.replicas")).toBe(2);
    expect(at(one(objects, "PodDisruptionBudget"), "spec.maxUnavailable")).toBe(1);
    expect(pod("topologySpreadConstraints")).toHaveLength(2);
  });

  test("is confined", () => {
    expect(pod("securityContext")).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65532,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(pod("containers.0.securityContext")).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(pod("automountServiceAccountToken")).toBe(false);
    expect(pod("enableServiceLinks")).toBe(false);
    expect(at(one(objects, "ServiceAccount"), "automountServiceAccountToken")).toBe(false);
    expect(pod("containers.0.resources")).toMatchObject({ requests: { cpu: "50m" }, limits: { memory: "512Mi" } });
    expect(pod("containers")).toHaveLength(1);
    expect(pod("initContainers")).toBeUndefined();
  });

  test("starts Node with its rights named", () => {
    expect(pod("containers.0.command")).toEqual(["/usr/local/bin/node"]);
    const args = pod("containers.0.args") as string[];
    expect(args.slice(0, 2)).toEqual(["--max-semi-space-size=4", "--heap-growing-percent=25"]);
    expect(args.slice(2, 5)).toEqual(["--disable-sigusr1", "--disable-proto=delete", "--permission"]);
    expect(args.filter((arg) => arg.startsWith("--allow-")).map((arg) => arg.split("=")[0])).not.toEqual(
      expect.arrayContaining(["--allow-child-process", "--allow-addons", "--allow-worker", "--allow-wasi"]),
    );
    expect(args.filter((arg) => arg.startsWith("--allow-fs-write"))).toEqual([
      "--allow-fs-write=/var/cache/scaivault-operator/*",
    ]);
    expect(args.slice(-4)).toEqual(["/app/operator.mjs", "run", "--config", "/etc/scaivault-operator/config.yaml"]);
  });

  test("its mounts are volumes that exist, and the writable one is the compile cache alone", () => {
    const mounts = pod("containers.0.volumeMounts") as { name: string; readOnly?: boolean }[];
    const volumes = pod("volumes") as { name: string }[];
    expect(mounts.map(({ name }) => name).toSorted()).toEqual(volumes.map(({ name }) => name).toSorted());
    expect(mounts.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name)).toEqual(["compile-cache"]);
  });

  test("probes ask the health port", () => {
    for (const [probe, path] of [
      ["livenessProbe", "/livez"],
      ["readinessProbe", "/readyz"],
      ["startupProbe", "/livez"],
    ] as const) {
      expect(pod(`containers.0.${probe}.httpGet`)).toEqual({ path, port: "health" });
    }
    expect(pod("terminationGracePeriodSeconds")).toBeGreaterThanOrEqual(45);
  });

  test("a change of the configuration rolls it", async () => {
    const other = one(await render(helm, { ...base, cluster: { name: "two" } }), "Deployment");
    const sum = "spec.template.metadata.annotations.checksum/config";
    expect(at(other, sum)).not.toBe(at(deployment, sum));
    expect(at(one(await render(helm, base), "Deployment"), sum)).toBe(at(deployment, sum));
    // The log level is taken in while the pods run.
    const debug = { ...base, config: { log: { level: "debug" } } };
    expect(at(one(await render(helm, debug), "Deployment"), sum)).toBe(at(deployment, sum));
  });

  test("the image by digest, from a mirror, with pull secrets", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const image = {
      registry: "mirror.example.com:5000",
      repository: "x/scaivault-operator",
      digest,
      pullSecrets: ["mirror"],
    };
    const mirrored = one(await render(helm, { ...base, image }), "Deployment");
    expect(at(mirrored, "spec.template.spec.containers.0.image")).toBe(
      `mirror.example.com:5000/x/scaivault-operator@${digest}`,
    );
    expect(at(mirrored, "spec.template.spec.imagePullSecrets")).toEqual([{ name: "mirror" }]);
  });
});

/** The configuration that the pod would read, as the operator resolves it, and its problems. */
async function configOf(values: object): Promise<{ config: Config | undefined; problems: readonly unknown[] }> {
  const map = one(await render(helm, { ...base, ...values }), "ConfigMap")["data"] as Record<string, string>;
  const loaded = loadConfig({ file: "config.yaml", text: map["config.yaml"] ?? "" }, {});
  return loaded.ok ? { config: loaded.config, problems: [] } : { config: undefined, problems: loaded.problems };
}

describe("configuration file", () => {
  const connection = { url: "https://scaivault.scailabs.ai" };
  const run = "/var/run/secrets/scaivault-operator";

  test("the operator takes what the chart writes by itself", async () => {
    const { config, problems } = await configOf({});
    expect(problems).toEqual([]);
    expect(config).toMatchObject({
      cluster: { name: "one" },
      operatorNamespace: "scaivault",
      marks: { keyFiles: [`${run}/marks/key-1`] },
      leaderElection: { leaseName: "scaivault-operator" },
      health: { port: 8081 },
      metrics: { address: "0.0.0.0", port: 8080 },
    });
    expect(config?.watchNamespaces).toBeUndefined();
  });

  test.each<[string, object, object]>([
    [
      "token",
      { scaivault: { auth: { method: "token", existingSecret: "s" } } },
      { scaivault: { auth: { method: "TokenFile", tokenFile: `${run}/scaivault/token` } } },
    ],
    [
      "a reader of a fleet",
      {
        config: { scaivault: { ...connection, role: "Reader", rateShare: 0.2, limits: { write: 500 } } },
        scaivault: { auth: { method: "token", existingSecret: "s" } },
      },
      { scaivault: { role: "Reader", rateShare: 0.2, limits: { write: 500 } } },
    ],
    [
      "clientCredentials",
      {
        config: {
          scaivault: { ...connection, auth: { clientCredentials: { tokenURL: "https://scaikey.scailabs.ai/token" } } },
        },
        scaivault: { auth: { method: "clientCredentials", existingSecret: "s" } },
      },
      {
        scaivault: {
          auth: {
            method: "ClientCredentials",
            tokenURL: "https://scaikey.scailabs.ai/token",
            clientIDFile: `${run}/scaivault/client_id`,
          },
        },
      },
    ],
    [
      "tokenExchange",
      { scaivault: { auth: { method: "tokenExchange", audience: "scaivault" } } },
      { scaivault: { auth: { method: "TokenExchange", subjectTokenFile: `${run}/scaivault/subject-token` } } },
    ],
    ["extraCa", { extraCa: { configMapName: "ca" } }, { caFile: `${run}/ca/ca.crt` }],
    [
      "proxy",
      {
        config: { scaivault: { ...connection, auth: { tokenFile: "/x" } }, proxy: { noProxy: [".internal"] } },
        proxy: { existingSecret: "p" },
      },
      { proxy: { urlFile: `${run}/proxy/url`, noProxy: [".internal"] } },
    ],
    ["watchNamespaces", { watchNamespaces: ["a", "b", "a"] }, { watchNamespaces: ["a", "b"] }],
    ["metrics off", { metrics: { enabled: false } }, { metrics: { address: "127.0.0.1" } }],
    [
      "a shared key",
      { marks: { existingSecret: { name: "fleet", keys: ["new", "old"] } } },
      { marks: { keyFiles: [`${run}/marks/new`, `${run}/marks/old`] } },
    ],
    [
      "tenancy",
      { config: { tenancy: [{ namespaces: ["billing"], scaivault: { write: ["environments/**"] } }] } },
      { tenancy: [{ namespaces: ["billing"] }] },
    ],
    [
      "leader election's times",
      { config: { leaderElection: { leaseDuration: "30s" } } },
      { leaderElection: { leaseDurationMs: 30_000, leaseName: "scaivault-operator" } },
    ],
  ])("%s", async (what, values, expected) => {
    const needsUrl = ["token", "tokenExchange"].includes(what);
    const { config, problems } = await configOf({
      ...(needsUrl ? { config: { scaivault: connection } } : {}),
      ...values,
    });
    expect(problems).toEqual([]);
    expect(config).toMatchObject(expected);
  });

  test("every file that it names is below a mount of the pod", async () => {
    const objects = await render(helm, {
      ...base,
      config: { scaivault: connection },
      scaivault: { auth: { method: "token", existingSecret: "s" } },
      extraCa: { secretName: "ca" },
      proxy: { existingSecret: "p" },
    });
    const text = (one(objects, "ConfigMap")["data"] as Record<string, string>)["config.yaml"] ?? "";
    const mounts = at(one(objects, "Deployment"), "spec.template.spec.containers.0.volumeMounts") as {
      mountPath: string;
    }[];
    const files = [...text.matchAll(/\/var\/\S+/g)].map(([file]) => file);
    expect(files).toHaveLength(4);
    for (const file of files)
      expect(mounts.filter(({ mountPath }) => file.startsWith(`${mountPath}/`))).toHaveLength(1);
  });
});

describe("ScaiVault login", () => {
  const config = { scaivault: { url: "https://scaivault.scailabs.ai" } };

  test.each(["token", "clientCredentials"])("%s mounts the named Secret", async (method) => {
    const deployment = one(
      await render(helm, { ...base, config, scaivault: { auth: { method, existingSecret: "login" } } }),
      "Deployment",
    );
    expect(at(deployment, "spec.template.spec.volumes")).toContainEqual({
      name: "scaivault-login",
      secret: { secretName: "login", defaultMode: 0o440 },
    });
  });

  test("tokenExchange projects a token for one audience", async () => {
    const auth = { method: "tokenExchange", audience: "https://scaivault.example.com" };
    const deployment = one(await render(helm, { ...base, config, scaivault: { auth } }), "Deployment");
    expect(at(deployment, "spec.template.spec.volumes")).toContainEqual({
      name: "scaivault-login",
      projected: {
        defaultMode: 0o440,
        sources: [{ serviceAccountToken: { path: "subject-token", audience: auth.audience, expirationSeconds: 3600 } }],
      },
    });
  });

  const awsSecretOf = async (auth: object, config?: object) => {
    const values = {
      ...base,
      ...(config === undefined ? {} : { config }),
      scaivault: { auth: { method: "awsSecret", ...auth } },
    };
    const objects = await render(helm, values);
    const text = (one(objects, "ConfigMap")["data"] as Record<string, string>)["config.yaml"] ?? "";
    const loaded = loadConfig({ file: "config.yaml", text }, {});
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    return {
      scaivault: loaded.config.scaivault,
      volumes: at(one(objects, "Deployment"), "spec.template.spec.volumes"),
    };
  };

  test("awsSecret names the secret, and mounts an AWS login only where one is named", async () => {
    const least = await awsSecretOf({}, { scaivault: { role: "Reader" } });
    expect(least.scaivault).toMatchObject({
      role: "Reader",
      auth: {
        method: "AwsSecret",
        secret: { name: "scaivault-operator-config", intervalMs: 300_000, credentials: { mode: "Default" } },
      },
    });
    expect(JSON.stringify(least.volumes)).not.toContain("-login");
    const credentials = { mode: "Explicit", existingSecret: "aws-key" };
    const whole = await awsSecretOf({ awsSecret: { name: "ops/x", region: "eu-west-1", interval: "1m", credentials } });
    const files = "/var/run/secrets/scaivault-operator/aws";
    expect(whole.scaivault?.auth).toEqual({
      method: "AwsSecret",
      secret: {
        name: "ops/x",
        region: "eu-west-1",
        intervalMs: 60_000,
        credentials: {
          mode: "Explicit",
          files: { accessKeyID: `${files}/access_key_id`, secretAccessKey: `${files}/secret_access_key` },
        },
      },
    });
    expect(whole.volumes).toContainEqual({ name: "aws-login", secret: { secretName: "aws-key", defaultMode: 0o440 } });
    const profile = await awsSecretOf({
      awsSecret: { credentials: { mode: "Profile", profile: "ops", existingSecret: "aws-profile" } },
    });
    expect(profile.scaivault?.auth).toMatchObject({
      secret: { credentials: { mode: "Profile", profile: "ops", profileFile: `${files}/credentials` } },
    });
  });

  test.each([
    [{ method: "awsSecret" }, "config.scaivault.url: the chart sets this field itself"],
    [
      { method: "awsSecret", awsSecret: { credentials: { mode: "Explicit" } } },
      "existingSecret: needed with mode Explicit",
    ],
    [
      { method: "awsSecret", awsSecret: { credentials: { existingSecret: "x" } } },
      "existingSecret: for mode Profile or Explicit",
    ],
    [
      { method: "awsSecret", awsSecret: { credentials: { mode: "Profile", existingSecret: "x" } } },
      "profile: needed with mode Profile",
    ],
  ])("%o is refused as well", async (auth, message) => {
    const own = "awsSecret" in auth ? {} : { config };
    const ran = await renderRaw(helm, { ...base, ...own, scaivault: { auth } });
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toContain(message);
  });

  test.each([
    [{ method: "token" }, "scaivault.auth.existingSecret: needed with method token"],
    [{ method: "tokenExchange" }, "scaivault.auth.audience: needed with method tokenExchange"],
    [{ method: "none" }, "scaivault.auth.method: say how to log in"],
  ])("%o is refused", async (auth, message) => {
    const ran = await renderRaw(helm, { ...base, config, scaivault: { auth } });
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toContain(message);
  });
});

describe("NetworkPolicy", () => {
  test("closed by default but for DNS and the API server", async () => {
    const policy = one(await render(helm, base), "NetworkPolicy");
    expect(at(policy, "spec.policyTypes")).toEqual(["Ingress", "Egress"]);
    const egress = at(policy, "spec.egress") as { to: unknown[]; ports: { port: number }[] }[];
    expect(egress.map(({ ports }) => ports.map(({ port }) => port))).toEqual([
      [53, 53],
      [443, 6443],
    ]);
    expect(JSON.stringify(egress)).not.toContain("0.0.0.0/0");
    expect(egress.every(({ to }) => to.length > 0)).toBe(true);
  });

  test("stores, public https and the identity endpoints by value; metadata addresses stay out of the rest", async () => {
    const egress = {
      stores: [{ to: [{ ipBlock: { cidr: "10.20.0.0/16" } }], ports: [8200] }],
      publicHttps: { enabled: true },
      podIdentity: true,
      instanceMetadata: true,
    };
    const policy = one(await render(helm, { ...base, networkPolicy: { egress } }), "NetworkPolicy");
    const rules = at(policy, "spec.egress") as {
      to: { ipBlock: { cidr: string; except?: string[] } }[];
      ports: unknown[];
    }[];
    expect(rules.slice(2).map(({ to }) => to.map(({ ipBlock }) => ipBlock.cidr))).toEqual([
      ["10.20.0.0/16"],
      ["0.0.0.0/0", "::/0"],
      ["169.254.170.23/32"],
      ["169.254.169.254/32"],
    ]);
    expect(rules[3]?.to[0]?.ipBlock.except).toEqual(
      expect.arrayContaining(["169.254.0.0/16", "127.0.0.0/8", "10.0.0.0/8"]),
    );
    expect(rules[4]?.ports).toEqual([{ port: 80, protocol: "TCP" }]);
  });

  test("nobody comes in when metrics are off", async () => {
    const policy = one(await render(helm, { ...base, metrics: { enabled: false } }), "NetworkPolicy");
    expect(at(policy, "spec.ingress")).toEqual([]);
  });
});

describe("values are refused with a clear line", () => {
  test.each<[string, object, RegExp]>([
    ["no cluster name", {}, /\/cluster\/name/],
    ["a cluster name with capitals", { cluster: { name: "Prod" } }, /\/cluster\/name.*'Prod' does not match/],
    ["an unknown value", { ...base, replicaCount: 3 }, /'replicaCount' not allowed/],
    ["an unknown inner value", { ...base, image: { repo: "x" } }, /'repo' not allowed/],
    ["a digest that is none", { ...base, image: { digest: "latest" } }, /\/image\/digest/],
    ["no replicas", { ...base, replicas: 0 }, /\/replicas.*minimum/],
    ["text for a switch", { ...base, secrets: { delete: "yes" } }, /\/secrets\/delete.*want boolean/],
    ["namespaces that are no names", { ...base, watchNamespaces: ["team-*"] }, /\/watchNamespaces\/0/],
    ["a privileged port", { ...base, ports: { health: 80 } }, /\/ports\/health.*want 1,024/],
    ["an open store rule", { ...base, networkPolicy: { egress: { stores: [{ to: [] }] } } }, /stores\/0\/to/],
    ["an API server nowhere", { ...base, networkPolicy: { egress: { apiServer: { cidrs: [] } } } }, /apiServer\/cidrs/],
    [
      "a login that does not exist",
      { ...base, scaivault: { auth: { method: "password" } } },
      /\/scaivault\/auth\/method/,
    ],
    [
      "two CAs",
      { ...base, extraCa: { secretName: "a", configMapName: "b" } },
      /set secretName or configMapName, not both/,
    ],
    [
      "the cluster name at two places",
      { ...base, config: { cluster: { name: "two" } } },
      /config\.cluster\.name: the chart sets this/,
    ],
    [
      "the Lease's name",
      { ...base, config: { leaderElection: { leaseName: "x" } } },
      /config\.leaderElection\.leaseName: the chart sets/,
    ],
    [
      "a login without a place",
      { ...base, scaivault: { auth: { method: "token", existingSecret: "s" } } },
      /config\.scaivault\.url: needed/,
    ],
    [
      "a bound of freshness that no bucket has",
      { ...base, metrics: { rules: { freshness: { seconds: 1000 } } } },
      /\/metrics\/rules\/freshness\/seconds/,
    ],
    ["a role that does not exist", { ...base, config: { scaivault: { role: "reader" } } }, /\/config\/scaivault\/role/],
    ["a share above one", { ...base, config: { scaivault: { rateShare: 2 } } }, /\/config\/scaivault\/rateShare/],
    ["marks at two places", { ...base, config: { marks: {} } }, /config\.marks: the chart sets this/],
  ])("%s", async (_what, values, message) => {
    const ran = await renderRaw(helm, values);
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toMatch(message);
  });
});

describe("the rest", () => {
  test("helm lint finds nothing", async () => {
    const ran = await run(helm, [
      "lint",
      "--strict",
      chart,
      "--set",
      "cluster.name=one",
      "--kube-version",
      kubeVersions[0],
    ]);
    expect(ran.stdout).toContain("0 chart(s) failed");
    expect(ran.code).toBe(0);
    expect(ran.stdout).not.toMatch(/\[(WARNING|ERROR)\]/);
  });

  test("the chart's CRDs are the generated ones, kept at an uninstall, and printed as they are", async () => {
    expect(syncChartCrds({ checkOnly: true })).toEqual([]);
    const rendered = (await render(helm, base)).filter(({ kind }) => kind === "CustomResourceDefinition");
    const files = readdirSync(join(root, "crds")).filter((name) => name.endsWith(".yaml"));
    expect(rendered).toEqual(
      expect.arrayContaining(
        files.map((name) => parse(forChart(readFileSync(join(root, "crds", name), "utf8"))) as unknown),
      ),
    );
    expect(rendered).toHaveLength(files.length);
    for (const crd of rendered) expect(crd.metadata.annotations).toEqual({ "helm.sh/resource-policy": "keep" });
  });

  test("guards, CRDs, people's roles and metrics go by value", async () => {
    const kinds = (
      await render(helm, {
        ...base,
        guards: { install: false },
        crds: { install: false },
        people: { install: false },
        metrics: { enabled: false },
      })
    ).map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual(
      [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Role",
        "RoleBinding",
        "Secret",
        "ServiceAccount",
      ].toSorted(),
    );
  });

  test("metrics of objects keep their own namespace, alerts and dashboard come when asked for", async () => {
    const objects = await render(helm, {
      ...base,
      metrics: {
        objects: true,
        serviceMonitor: { enabled: true },
        rules: {
          enabled: true,
          labels: { release: "kube-prometheus-stack" },
          alertLabels: { team: "platform" },
          severities: { critical: "page" },
          runbookURL: "https://runbooks.example.com/scaivault/",
          freshness: { seconds: 900, ratio: 0.95 },
        },
        dashboard: { enabled: true, namespace: "monitoring", annotations: { folder: "Secrets" } },
      },
    });
    expect(at(one(objects, "ServiceMonitor"), "spec.endpoints.0.honorLabels")).toBe(true);
    const rule = one(objects, "PrometheusRule");
    expect(rule.metadata).toMatchObject({ namespace: "scaivault", labels: { release: "kube-prometheus-stack" } });
    const alerts = at(rule, "spec.groups.0.rules") as {
      alert: string;
      expr: string;
      labels: Record<string, string>;
      annotations: Record<string, string>;
    }[];
    for (const { alert, labels, annotations } of alerts) {
      expect(["page", "warning"]).toContain(labels["severity"]);
      expect(labels["team"]).toBe("platform");
      expect(annotations["runbook_url"]).toBe(`https://runbooks.example.com/scaivault/${alert}.md`);
    }
    const late = alerts.find(({ alert }) => alert === "ScaiVaultFreshnessLow");
    expect(late?.expr).toContain('le=~"900([.]0)?"');
    expect(late?.expr).toMatch(/< 0\.95$/);
    expect(late?.annotations["description"]).toContain("within 900 seconds");
    const dashboard = one(objects, "ConfigMap", "scaivault-operator-dashboard");
    expect(dashboard.metadata).toMatchObject({
      namespace: "monitoring",
      labels: { grafana_dashboard: "1" },
      annotations: { folder: "Secrets" },
    });
    const json = at(dashboard, "data") as Record<string, string>;
    expect(JSON.parse(json["scaivault-operator.json"] ?? "")).toEqual(
      JSON.parse(readFileSync(join(chart, "files/monitoring/dashboard.json"), "utf8")),
    );
    const config = at(one(objects, "ConfigMap", "scaivault-operator"), "data") as Record<string, string>;
    expect(parse(config["config.yaml"] ?? "")).toMatchObject({ metrics: { objects: true } });
  });

  test("alerts and dashboard are not there by themselves, and not without metrics", async () => {
    const asked = { serviceMonitor: { enabled: true }, rules: { enabled: true }, dashboard: { enabled: true } };
    for (const metrics of [{}, { ...asked, enabled: false }]) {
      const objects = await render(helm, { ...base, metrics });
      const kinds = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      expect(kinds.filter((kind) => /ServiceMonitor|PrometheusRule|dashboard/.test(kind))).toEqual([]);
    }
  });

  test("two installs meet in no cluster-scoped name when the second leaves out what is shared", async () => {
    const names = (objects: readonly Manifest[]): string[] =>
      objects
        .filter(({ metadata }) => metadata.namespace === undefined)
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const first = names(await render(helm, base, "tenant-a"));
    const second = names(
      await render(helm, { ...base, crds: { install: false }, people: { install: false } }, "tenant-b"),
    );
    expect(first.filter((name) => second.includes(name))).toEqual([]);
  });

  test("a key of one's own is mounted and none is made", async () => {
    const marks = { existingSecret: { name: "fleet-key", keys: ["new", "old"] } };
    const objects = await render(helm, { ...base, marks });
    expect(objects.filter(({ kind }) => kind === "Secret")).toEqual([]);
    expect(at(one(objects, "Deployment"), "spec.template.spec.volumes")).toContainEqual({
      name: "mark-keys",
      secret: { secretName: "fleet-key", defaultMode: 0o440 },
    });
  });

  test("what renders is what the objects say they are: each document has a kind, a name and, when namespaced, the right namespace", async () => {
    const ran = await renderRaw(helm, { ...base, metrics: { serviceMonitor: { enabled: true } } }, "elsewhere");
    expect(ran.code).toBe(0);
    for (const object of documents(ran.stdout)) {
      expect(object.kind).toBeTruthy();
      expect(object.metadata.name).toBeTruthy();
      expect([undefined, "elsewhere"]).toContain(object.metadata.namespace);
    }
    expect(one(documents(ran.stdout), "ServiceMonitor").apiVersion).toBe("monitoring.coreos.com/v1");
  });

  test("README.md names every value, and no other", () => {
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === "" ? key : `${path}.${key}`))
        : [path];
    const values = parse(readFileSync(join(chart, "values.yaml"), "utf8")) as Record<string, unknown>;
    const whole = new Set([
      "resources",
      "metrics.dashboard.labels",
      "networkPolicy.scraper.podLabels",
      "networkPolicy.egress.dnsPodLabels",
    ]);
    const wanted = new Set(
      leaves(values, "").map((path) => [...whole].find((prefix) => path.startsWith(`${prefix}.`)) ?? path),
    );
    const named = [...readFileSync(join(chart, "README.md"), "utf8").matchAll(/^\| `([\w.]+)` +\|/gm)].map(
      ([, name]) => name,
    );
    expect(named.toSorted()).toEqual([...wanted].toSorted());
  });
});
