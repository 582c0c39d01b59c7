// `status`, `doctor` and `support-bundle` as people start them, against real parts.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuthority } from "../../../local/certificates.ts";
import type { DoctorReport } from "../../../src/cli/doctor.ts";
import type { StatusReport } from "../../../src/cli/status-report.ts";
import { Canaries } from "../../support/canary.ts";
import { backend, credential, Harness, REGION, sync, VAULT_HOST } from "../../support/operator.ts";
import { Program, type Ran } from "./support.ts";

let op: Harness<"team" | "shop">;
let ns: string;
let program: Program;
let mount: string;
const texts: string[] = [];

beforeAll(async () => {
  [op, program] = await Promise.all([Harness.prepare({ namespaces: ["team", "shop"] }), Program.build()]);
  ns = op.ns.team;
  mount = `day-two-${ns}`;
  op.otherTexts.push(() => [["commands", texts.join("\n")]]);
  await op.start();
  await op.env.vault.enableKv(mount, 2);
  await op.env.vault.put(mount, "app", { password: op.canaries.value("vault") });
  await op.aws.put("prod/app", JSON.stringify({ password: op.canaries.value("aws") }));
  await op.awsBackend(ns);
  await op.vaultBackend(ns, "vault", [mount]);
  await op.cluster.apply(
    copy("from-aws", "aws", "prod/app"),
    copy("from-vault", "vault", `${mount}/app`),
    copy("missing", "aws", "prod/missing"),
  );
  await Promise.all([
    op.ready(ns, "from-aws"),
    op.ready(ns, "from-vault"),
    op.verdict("SecretSync", ns, "missing", "False SourceNotFound"),
  ]);
  // Counts of backends follow.
  await op.advance(5_000);
}, 300_000);
afterAll(async () => {
  op?.asm.setKeys(null);
  await op?.stop();
  await program?.close();
});

const copy = (name: string, from: string, path: string) =>
  sync(ns, name, {
    source: { backendRef: { name: from }, path },
    targets: { scaivault: { path: `environments/day-two/${name}` }, kubernetesSecret: {} },
  });

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const ran = await program.run(args, { env });
  texts.push(ran.stdout, ran.stderr);
  return ran;
}
const configFile = (more: object = {}) => program.write("config.json", { ...op.file, ...more });

describe("status", () => {
  /** A login that may list the two kinds in one namespace, and nothing else. */
  async function viewer(): Promise<string> {
    const objects = [
      { kind: "Role", rules: [{ apiGroups: ["scaivault.scailabs.ai"], resources: ["*"], verbs: ["list"] }] },
      {
        kind: "RoleBinding",
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "viewer" },
        subjects: [{ kind: "ServiceAccount", name: "default", namespace: ns }],
      },
    ].map((object) => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      metadata: { name: "viewer", namespace: ns },
      ...object,
    }));
    for (const object of objects)
      expect((await op.env.kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) })).code).toBe(0);
    return op.env.kube.kubeconfigFor(await op.env.kube.serviceAccountToken(ns, "default", 600), { namespace: ns });
  }

  it("shows with a reader's login what is not fine and why; others' namespaces are refused in one line", async () => {
    const kubeconfig = await viewer();
    const ran = await run(["status", "--kubeconfig", kubeconfig]);
    expect(ran).toMatchObject({ code: 2, stderr: "" });
    expect(ran.stdout).toMatch(
      new RegExp(`^FederationBackend ${ns}/aws: InSync, 1 of 2 in sync, last poll \\d+s ago$`, "m"),
    );
    expect(ran.stdout).toContain("  SourceNotFound: 1 SecretSync\n");
    expect(ran.stdout).toContain(`    ${ns}/missing (`);
    expect(ran.stdout).toContain("3 SecretSyncs: 2 fine, 1 not, 0 suspended, 0 held");
    expect(ran.stdout).not.toContain("\u001b");
    const json = await run(["status", "-o", "json"], { KUBECONFIG: kubeconfig });
    const report = JSON.parse(json.stdout) as StatusReport;
    expect(report.syncs.map(({ name, standing }) => [name, standing])).toEqual([
      ["from-aws", "Fine"],
      ["from-vault", "Fine"],
      ["missing", "NotFine"],
    ]);
    for (const args of [["-A"], ["-n", op.ns.shop]]) {
      const refused = await run(["status", "--kubeconfig", kubeconfig, ...args]);
      expect(refused.code).toBe(1);
      expect(refused.stdout).toMatch(/^cannot list federationbackends in [\w -]+: this login may not do it \(403\)\n$/);
    }
  });
});

describe("doctor", () => {
  async function doctor(
    args: readonly string[] = [],
    more: object = {},
  ): Promise<DoctorReport & { code: number | null }> {
    const ran = await run(["doctor", ...args, "-c", configFile(more), "-o", "json"]);
    return { ...(JSON.parse(ran.stdout) as DoctorReport), code: ran.code };
  }
  const outcomes = ({ checks }: DoctorReport, about: string) =>
    Object.fromEntries(checks.filter((check) => check.about === about).map(({ step, outcome }) => [step, outcome]));
  const found = ({ checks }: DoctorReport, step: string) => checks.find((check) => check.step === step);

  it("goes through cluster, ScaiVault and each backend; nothing is written", async () => {
    await op.idle();
    await op.mark();
    const report = await doctor();
    const all = (...steps: string[]) => Object.fromEntries(steps.map((step) => [step, "Ok"]));
    expect(outcomes(report, "cluster")).toEqual({
      ...all("api-server", "identity", "clock", "kinds", "rights"),
      // This cluster has the kinds and the rights of the chart, and not its guards.
      guards: "Warning",
    });
    expect(outcomes(report, "ScaiVault")).toEqual(
      all("configuration", "dns", "tls", "clock", "health", "credential", "whoami", "scopes", "path"),
    );
    const steps = all("object", "credential", "address", "dns", "tls", "clock", "login", "list", "metadata", "read");
    expect(outcomes(report, `FederationBackend ${ns}/aws`)).toEqual(steps);
    expect(outcomes(report, `FederationBackend ${ns}/vault`)).toEqual({ ...steps, list: "Skipped" });
    expect(report.code).toBe(2);
    expect(report.summary).toMatchObject({ failed: 0, warnings: 1 });
    const seen = await op.seen();
    expect(seen.kubeWrites.filter(({ resource }) => !resource.endsWith("reviews")).map(({ verb }) => verb)).toEqual([
      // Asked for as a dry run, to see whether a guard refuses it.
      "create",
    ]);
    expect(await op.cluster.list("Secret", ns)).not.toContainEqual(
      expect.objectContaining({ metadata: expect.objectContaining({ name: expect.stringContaining("doctor") }) }),
    );
    expect(seen.scaivault.versionsWritten).toBe(0);
  });

  it("is 0 for one backend that is well, as text", async () => {
    const ran = await run(["doctor", "backend", "vault", "-n", ns, "-c", configFile()]);
    expect(ran.code, ran.stdout).toBe(0);
    expect(ran.stdout).toMatch(/^ {2}ok +login +logged in as vault\.example\.com/m);
    expect(ran.stdout).toMatch(/^ {2}ok +read +\S+\/app: the value of version 1\S* can be read$/m);
  });

  const vaultWith = (more: object) =>
    backend(ns, "broken", {
      type: "hashicorp-vault",
      hashicorpVault: {
        address: `https://${VAULT_HOST}`,
        auth: { appRole: { secretRef: { name: "vault-approle" } } },
        ...more,
      },
    });
  const ca = createAuthority("not the one").cert;
  const broken: Readonly<Record<string, { make: () => Promise<void>; step: string; says: RegExp; hint: RegExp }>> = {
    "the credential Secret is not released": {
      make: () =>
        op.cluster.apply(
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { name: "closed", namespace: ns },
            stringData: { role_id: "x" },
          } as never,
          vaultWith({ auth: { appRole: { secretRef: { name: "closed" } } } }),
        ),
      step: "credential",
      says: /^CredentialNotReleased: Secret closed lacks the label/,
      hint: /Label the Secret/,
    },
    "the name does not resolve": {
      make: () => op.cluster.apply(vaultWith({ address: "https://nowhere.invalid:8200" })),
      step: "dns",
      says: /^DNS \((?:ENOTFOUND|EAI_AGAIN)\)$/,
      hint: /NetworkPolicy egress to DNS/,
    },
    "the CA is another": {
      make: () =>
        op.cluster.apply(
          credential(ns, "other-ca", { "ca.crt": ca }),
          vaultWith({ caRef: { kind: "Secret", name: "other-ca", key: "ca.crt" } }),
        ),
      step: "tls",
      says: /^TLS \(/,
      hint: /caRef/,
    },
    "the login is refused": {
      make: () =>
        op.cluster.apply(
          credential(ns, "bad-approle", { role_id: "nobody", secret_id: "nothing" }),
          vaultWith({ auth: { appRole: { secretRef: { name: "bad-approle" } } } }),
        ),
      step: "login",
      says: /^LoginFailed: Vault refuses the AppRole login$/,
      hint: /credential Secret/,
    },
  };

  it.each(Object.keys(broken))("%s: says at which step and what to do, and skips what rests on it", async (name) => {
    const { make, step, says, hint } = broken[name] as (typeof broken)[string];
    await make();
    const report = await doctor(["backend", "broken", "-n", ns]);
    expect(report.code).toBe(2);
    expect(found(report, step)).toMatchObject({ outcome: "Failed" });
    expect(found(report, step)?.message).toMatch(says);
    expect(found(report, step)?.hint).toMatch(hint);
    expect(found(report, "read")).toMatchObject({ outcome: "Skipped" });
    await op.cluster.delete("FederationBackend", ns, "broken");
  });

  it("a missing right: the text to add to the policy, for AWS, Vault and ScaiVault", async () => {
    const key = { accessKeyId: "AKIAOPERATOROPERATOR", principalArn: "arn:aws:iam::123456789012:user/operator" };
    op.asm.setKeys([{ ...key, statements: [{ actions: ["DescribeSecret"] }] }]);
    const aws = await doctor(["backend", "aws", "-n", ns]);
    op.asm.setKeys(null);
    expect(found(aws, "list")).toMatchObject({ outcome: "Warning" });
    expect(JSON.parse(found(aws, "list")?.policy ?? "{}")).toMatchObject({ Action: ["secretsmanager:ListSecrets"] });
    expect(found(aws, "metadata")).toMatchObject({ outcome: "Ok" });
    expect(JSON.parse(found(aws, "read")?.policy ?? "{}")).toEqual({
      Effect: "Allow",
      Action: ["secretsmanager:GetSecretValue"],
      Resource: [`arn:aws:secretsmanager:${REGION}:ACCOUNT_ID:secret:prod/app-??????`],
    });
    const policy = `vault-${ns}`;
    await op.env.vault.writePolicy(policy, `path "${mount}/metadata/*" { capabilities = ["read", "list"] }`);
    const vault = await doctor(["backend", "vault", "-n", ns]);
    await op.env.vault.writePolicy(policy, `path "${mount}/*" { capabilities = ["read", "list"] }`);
    expect(found(vault, "metadata")).toMatchObject({ outcome: "Ok" });
    expect(found(vault, "read")?.policy).toBe(`path "${mount}/data/app" {\n  capabilities = ["read"]\n}`);
    const token = op.scaivault.server.admin.createToken({ identity: "sa:weak", scopes: ["secrets:list"] });
    const tokenFile = join(op.folder, "weak");
    writeFileSync(tokenFile, token);
    const scaivault = await doctor(["scaivault"], {
      scaivault: { url: "https://scaivault.scailabs.ai", auth: { tokenFile } },
    });
    expect(found(scaivault, "scopes")).toMatchObject({ outcome: "Failed" });
    expect(found(scaivault, "scopes")?.message).toBe("the identity lacks secrets:read, secrets:write");
    expect(found(scaivault, "path")).toMatchObject({ outcome: "Failed" });
    expect(JSON.parse(found(scaivault, "path")?.policy ?? "{}")).toMatchObject({
      path_pattern: expect.any(String) as string,
    });
  });

  it("a login to the cluster without rights: says which are missing", async () => {
    const token = await op.env.kube.serviceAccountToken(op.ns.shop, "default", 600);
    const report = await doctor(["cluster"], { kubernetes: { kubeconfig: op.env.kube.kubeconfigFor(token) } });
    expect(report.code).toBe(2);
    expect(found(report, "rights")?.message).toContain(`list secretsyncs.scaivault.scailabs.ai in ${ns}`);
    expect(found(report, "guards")).toMatchObject({ outcome: "Skipped" });
  });
});

describe("support-bundle", () => {
  const unpack = (archive: Buffer, name: string): string =>
    execFileSync("tar", ["xOf", "-", name], { input: gunzipSync(archive), encoding: "utf8" });
  const names = (archive: Buffer): string[] =>
    execFileSync("tar", ["tf", "-"], { input: gunzipSync(archive), encoding: "utf8" })
      .trim()
      .split("\n");

  it("holds objects, configuration, doctor and logs, and no canary of anywhere; its owner alone may read it", async () => {
    // Values where they belong, and where people leave them all the same.
    const theirs = new Canaries();
    const left = theirs.value("in an annotation of another tool");
    await op.cluster.patch("SecretSync", ns, "from-aws", {
      metadata: { annotations: { "example.com/note": left }, labels: { "example.com/label": left } },
    });
    const log = program.write(
      "operator.log",
      `${op.lines.join("")}${left}\n${JSON.stringify({ event: "x", level: "info", value: left })}\n`,
    );
    const token = readFileSync((op.file["scaivault"] as { auth: { tokenFile: string } }).auth.tokenFile, "utf8");
    const file = join(program.folder, "support.tar.gz");
    const args = ["support-bundle", "-f", file, "-c", configFile(), "--logs", log];
    const ran = await run(args);
    expect(ran.code, ran.stdout + ran.stderr).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const archive = readFileSync(file);
    const files = names(archive);
    expect(files).toEqual(
      expect.arrayContaining([
        "README.txt",
        "versions.json",
        "configuration.json",
        "federationbackends.json",
        "secretsyncs.json",
        "status.json",
        "doctor.json",
        "logs/1.json",
      ]),
    );
    // The operator's account may read neither events nor Deployments: that is said.
    expect(unpack(archive, "README.txt")).toMatch(
      /Not in it:\n(?: {2}.*\n)* {2}events\.json: cannot read events\.json: this login may not do it/,
    );
    const all = files.map((name) => [name, unpack(archive, name)] as const);
    const joined = all.map(([, text]) => text).join("\n");
    expect([...op.canaries.search(all), ...theirs.search(all)]).toEqual([]);
    const keys = ["operator-secret-access-key", token.trim(), readFileSync(join(op.folder, "mark-key"), "utf8")];
    for (const key of keys)
      for (const form of [key, Buffer.from(key).toString("base64").slice(0, -4), Buffer.from(key).toString("hex")])
        expect(joined.includes(form)).toBe(false);
    expect(unpack(archive, "secretsyncs.json")).toContain("environments/day-two/from-aws");
    expect(unpack(archive, "logs/1.json")).toContain('"linesLeftOut": 1');
    const again = await run(args);
    expect(again.code).toBe(1);
    expect(again.stdout).toContain("is there already, and nothing is overwritten");
  });

  it("puts ids in the place of names and paths when asked, the same ids everywhere", async () => {
    const file = join(program.folder, "redacted.tar.gz");
    const ran = await run(["support-bundle", "-f", file, "-c", configFile(), "--redact-paths"]);
    expect(ran.code, ran.stdout).toBe(0);
    const archive = readFileSync(file);
    const shown = names(archive).map((name) => [name, unpack(archive, name)] as const);
    for (const [name, text] of shown)
      for (const word of [ns, "day-two", "prod/app", "from-aws", "vault.example.com", "missing"])
        expect(`${name}: ${text.includes(word) ? word : ""}`).toBe(`${name}: `);
    const syncs = JSON.parse(unpack(archive, "secretsyncs.json")) as {
      metadata: { name: string; namespace: string };
    }[];
    const status = JSON.parse(unpack(archive, "status.json")) as StatusReport;
    expect(status.syncs.map(({ name }) => name).toSorted()).toEqual(
      syncs.map(({ metadata }) => metadata.name).toSorted(),
    );
    expect(status.syncs[0]?.backend).toMatch(/^namespace-\d+\/name-\d+$/);
  });

  it("is made without a configuration by whoever may read the cluster, to standard output", async () => {
    const kubeconfig = op.env.kube.facts.adminKubeconfig;
    const out = join(program.folder, "stdout.tar.gz");
    execFileSync("sh", [
      "-c",
      `"$0" "$1" support-bundle -f - --kubeconfig "$2" -n "$3" > "$4"`,
      process.execPath,
      program.file,
      kubeconfig,
      ns,
      out,
    ]);
    const archive = readFileSync(out);
    expect(names(archive)).toContain("secretsyncs.json");
    expect(unpack(archive, "README.txt")).toContain("doctor.json: needs --config");
  });
});
