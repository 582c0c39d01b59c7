import { describe, expect, it } from "vitest";
import { configProblemLine, type ConfigResult, environmentOverrides, loadConfig } from "./index.ts";

const MINIMAL = `cluster: { name: prod-1 }
operatorNamespace: scaivault-system
marks: { keyFiles: [/keys/1] }
`;

const load = (text: string, environment: Record<string, string> = {}): ConfigResult =>
  loadConfig({ file: "config.yaml", text }, environment);
const lines = (result: ConfigResult): readonly string[] => (result.ok ? [] : result.problems.map(configProblemLine));

describe("loadConfig", () => {
  it("fills defaults in and freezes", () => {
    const result = load(MINIMAL);
    if (!result.ok) throw new Error(lines(result).join("\n"));
    expect(result.config).toMatchObject({
      cluster: { name: "prod-1" },
      tenancyMode: "Restricted",
      tenancy: [],
      budgets: { objects: 1000, matches: 1000, trees: 50_000 },
      leaderElection: {
        leaseName: "scaivault-operator",
        leaseDurationMs: 15_000,
        renewDeadlineMs: 10_000,
        retryPeriodMs: 2_000,
      },
      health: { address: "0.0.0.0", port: 8081 },
      log: { level: "info" },
      allowLoopback: false,
      endpointOverrides: {},
    });
    expect(result.config.scaivault).toBeUndefined();
    expect(Object.isFrozen(result.config.leaderElection)).toBe(true);
  });

  it("reads everything", () => {
    const result = load(`${MINIMAL}
scaivault:
  url: https://scaivault.scailabs.ai/
  tenantID: tnt_1
  tenantIn: Path
  role: Writer
  news: Polling
  rateShare: 0.2
  limits: { write: 500, batchMetadata: 200 }
  takeOverFrom: [prod-0]
  auth: { clientCredentials: { tokenURL: "https://scaikey.scailabs.ai/oauth/token", clientIDFile: /c/id, clientSecretFile: /c/secret } }
tenancy:
  - namespaces: [billing]
    scaivault: { write: ["environments/production/{namespace}/**"] }
    endpoints: ["vault.example.com:8200", "*.vault.example.com"]
    ambientIdentity: true
watchNamespaces: [billing]
proxy: { url: "http://proxy.example.com:3128", noProxy: [.example.com] }
leaderElection: { leaseDuration: 1m, renewDeadline: 40s, retryPeriod: 5s }
`);
    if (!result.ok) throw new Error(lines(result).join("\n"));
    expect(result.config.scaivault).toEqual({
      url: "https://scaivault.scailabs.ai",
      tenantID: "tnt_1",
      tenantIn: "Path",
      role: "Writer",
      news: "Polling",
      rateShare: 0.2,
      limits: { write: 500, batchMetadata: 200 },
      takeOverFrom: ["prod-0"],
      auth: {
        method: "ClientCredentials",
        tokenURL: "https://scaikey.scailabs.ai/oauth/token",
        clientIDFile: "/c/id",
        clientSecretFile: "/c/secret",
      },
    });
    expect(result.config.tenancy[0]).toEqual({
      namespaces: ["billing"],
      scaivault: { read: [], write: ["environments/production/{namespace}/**"], credentials: [] },
      endpoints: ["vault.example.com:8200", "*.vault.example.com"],
      ambientIdentity: true,
      federation: false,
    });
    expect(result.config.leaderElection.leaseDurationMs).toBe(60_000);
  });

  it("says all problems at once, each with its line and what to write instead", () => {
    const result = load(`cluster: { nam: prod }
operatorNamespace: scaivault-system
marks:
  keyFiles: [keys/1]
scaivault:
  url: http://scaivault.scailabs.ai
  auth: {}
tenacy: []
log: { level: verbose }
leaderElection:
  leaseDuration: 5m
  renewDeadline: 5m
endpointOverrides: { a.example.com: "http://127.0.0.1:1" }
proxy:
`);
    expect(lines(result)).toEqual([
      "config.yaml:1:1: cluster.name: name is missing: name of this cluster in marks, audit rows and User-Agent; unique in the fleet and never changed: marks are proved with it",
      "config.yaml:1:12: cluster.nam: there is no such field here; did you mean name?",
      "config.yaml:7:3: scaivault.auth: set exactly one of tokenFile, clientCredentials and tokenExchange",
      "config.yaml:4:14: marks.keyFiles.0: write an absolute path, such as /etc/scaivault-operator/token",
      "config.yaml:14:1: proxy: proxy is empty: write `proxy: {}` or remove the line",
      "config.yaml:12:18: leaderElection.renewDeadline: write less than leaseDuration: the leader must stop writing before its lease ends",
      "config.yaml:9:15: log.level: write error, warn, info or debug",
      "config.yaml:8:1: tenacy: there is no such field here; did you mean tenancy?",
      "config.yaml:13:1: endpointOverrides: remove it: endpointOverrides needs `localEnvironment: true`",
      "config.yaml:6:8: scaivault.url: write an https:// URL; plain http is for localEnvironment only",
    ]);
  });

  it("reads where the connection is kept, and what does not go with that", () => {
    const scaivault = (more: string, environment: Record<string, string> = {}) =>
      load(`${MINIMAL}scaivault: { ${more} }`, environment);
    const secret = (more: string, environment?: Record<string, string>) =>
      scaivault(`connectionFrom: { awsSecret: { ${more} } }`, environment);
    const auth = (result: ReturnType<typeof load>) => (result.ok ? result.config.scaivault?.auth : lines(result));
    const said = (result: ReturnType<typeof load>) =>
      lines(result).map((line) => line.replace(/^(?:config\.yaml:4:\d+|environment): /, ""));
    const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf";
    const variable = (name: string) => ({ SCAIVAULT_OPERATOR_AWS_SECRET: name });
    const found = { method: "AwsSecret", secret: { intervalMs: 300_000, credentials: { mode: "Default" } } };
    expect(auth(secret(""))).toMatchObject({
      ...found,
      secret: { ...found.secret, name: "scaivault-operator-config" },
    });
    expect(auth(secret("", variable(arn)))).toMatchObject({ secret: { name: arn, region: "eu-west-1" } });
    expect(auth(secret("name: a", variable("b")))).toMatchObject({ secret: { name: "a" } });
    expect(said(secret('name: "a b"'))).toEqual([
      expect.stringContaining("awsSecret.name: write the name of a secret"),
    ]);
    expect(said(secret(`name: "${arn}", region: eu-west-2`))).toEqual([
      "scaivault.connectionFrom.awsSecret.region: write the region of the ARN, or remove it",
    ]);
    expect(said(secret("region: eu-west-2", variable(arn)))).toEqual([expect.stringContaining("another region")]);
    expect(said(secret("credentials: { mode: Profile }"))).toEqual([
      "scaivault.connectionFrom.awsSecret.credentials.profile: name the profile: `mode: Profile` needs it",
    ]);
    expect(said(secret("credentials: { mode: Explicit, accessKeyIDFile: /k }"))).toEqual([
      expect.stringContaining("set both accessKeyIDFile and secretAccessKeyFile"),
    ]);
    expect(said(secret("credentials: { profile: ops }"))).toEqual([
      "scaivault.connectionFrom.awsSecret.credentials.profile: remove it: profile is for `mode: Profile`",
    ]);
    expect(said(scaivault('connectionFrom: { awsSecret: {} }, url: "https://s.example.com"'))).toEqual([
      "scaivault.url: remove it: with connectionFrom the url stands in the AWS secret",
    ]);
    expect(said(scaivault("role: Reader"))).toEqual([
      "scaivault.url: url is missing: write the base URL of ScaiVault, or connectionFrom",
      "scaivault.auth: auth is missing: say how to log in to ScaiVault, or write connectionFrom",
    ]);
  });

  it("says what does not go with the role, and which shares there are", () => {
    const scaivault = (more: string) =>
      lines(load(`${MINIMAL}scaivault: { url: "https://s.example.com", auth: { tokenFile: /t }, ${more} }`)).map(
        (line) => line.replace(/^config\.yaml:4:\d+: /, ""),
      );
    expect(scaivault("role: reader")).toEqual(["scaivault.role: write Writer or Reader (did you mean Reader?)"]);
    expect(scaivault("role: Reader, takeOverFrom: [a]")).toEqual([
      "scaivault.takeOverFrom: remove it: a Reader takes no marks over",
    ]);
    expect(scaivault("takeOverFrom: [prod-1]")).toEqual(["scaivault.takeOverFrom: remove this cluster's own name"]);
    expect(scaivault("tenantIn: Path")).toEqual(["scaivault.tenantIn: remove it, or name the tenant in tenantID"]);
    for (const share of ["0", "1.5", "-0.2", '"0.2"'])
      expect(scaivault(`rateShare: ${share}`)).toEqual([
        "scaivault.rateShare: write a number from 0.01 to 1, without quotes",
      ]);
    expect(scaivault("limits: { write: 0 }")).toEqual([
      "scaivault.limits.write: write a whole number from 1 to 1000000, without quotes",
    ]);
  });

  it("lets environment variables go before the file, and names the variable in problems", () => {
    const good = load(MINIMAL, {
      SCAIVAULT_OPERATOR_CLUSTER_NAME: "other",
      SCAIVAULT_OPERATOR_METRICS_LISTEN: "9090",
      SCAIVAULT_OPERATOR_METRICS_PORT: "tcp://10.0.0.1:8080",
      SCAIVAULT_OPERATOR_METRICS_SERVICE_HOST: "10.0.0.1",
      SCAIVAULT_OPERATOR_PORT_8080_TCP_ADDR: "10.0.0.1",
    });
    if (!good.ok) throw new Error(lines(good).join("\n"));
    expect(good.config.cluster.name).toBe("other");
    expect(good.config.metrics.port).toBe(9090);
    expect(lines(load(MINIMAL, { SCAIVAULT_OPERATOR_WORKERS: "many", SCAIVAULT_OPERATOR_LOG_LEVLE: "x" }))).toEqual([
      "environment: SCAIVAULT_OPERATOR_LOG_LEVLE: there is no such variable; did you mean SCAIVAULT_OPERATOR_LOG_LEVEL?",
      "environment: SCAIVAULT_OPERATOR_WORKERS: write a whole number from 1 to 64, without quotes",
    ]);
  });

  it("has no variable that Kubernetes sets for a Service", () => {
    for (const { name } of environmentOverrides) expect(name).not.toMatch(/_PORT$|_SERVICE_HOST$/);
  });

  it("never quotes what it could not parse", () => {
    for (const text of [
      "a: [canary-value",
      "canary-value: x\ncanary-value: y",
      "x: *canary-value",
      '"canary-value',
      "\tcanary-value: 1",
      "x: !canary-value 1",
    ]) {
      const result = load(text);
      expect(result.ok).toBe(false);
      expect(lines(result).join("\n")).not.toContain("canary-value");
      expect(lines(result)[0]).toMatch(/^config\.yaml:\d+:\d+: /);
    }
  });

  it("reads one document without aliases", () => {
    expect(lines(load(`${MINIMAL}---\n${MINIMAL}`))).toEqual([
      "config.yaml:4:1: only one document is read here; remove the `---` line",
    ]);
    expect(lines(load("cluster: &a { name: x }\nother: *a\n"))[0]).toContain("alias");
  });
});
