// `plan` as people start it, against a real kube-apiserver, an AWS account, a ScaiVault and Vault.
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PlanReport } from "../../../src/cli/plan-report.ts";
import {
  backend,
  condition,
  credential,
  Harness,
  type Manifest,
  operatorKey,
  REGION,
  sync,
} from "../../support/operator.ts";
import { Program, type Ran } from "./support.ts";

let op: Harness<"team" | "shop">;
let ns: string;
let program: Program;

beforeAll(async () => {
  [op, program] = await Promise.all([Harness.prepare({ namespaces: ["team", "shop"] }), Program.build()]);
  ns = op.ns.team;
  await op.start();
  await op.awsBackend(ns);
  // The operator's own first writes are not the plan's.
  await op.waitFor("the backend's status", async () => condition(await op.cluster.backend(ns, "aws"), "Ready"));
}, 300_000);
afterAll(async () => {
  await op?.stop();
  await program?.close();
});
beforeEach(async () => {
  await op.idle();
  await op.mark();
});

const both = (name: string, path: string, spec: object = {}) =>
  sync(ns, name, {
    source: { backendRef: { name: "aws" }, path },
    targets: { scaivault: { path: `environments/plan/${name}` }, kubernetesSecret: {} },
    ...spec,
  });
const yaml = (...manifests: readonly object[]) => manifests.map((one) => JSON.stringify(one)).join("\n---\n");

/** Runs `plan` on manifests with the configuration of the running operator. */
async function plan(manifests: readonly object[], options: { args?: string[]; file?: object } = {}): Promise<Ran> {
  const config = program.write("config.yaml", { ...op.file, ...options.file });
  const ran = await program.run(["plan", "-f", "-", "--config", config, ...(options.args ?? [])], {
    stdin: yaml(...manifests),
  });
  texts.push(ran.stdout, ran.stderr);
  return ran;
}
const texts: string[] = [];

/** On a busy machine a plan may take its two seconds. */
const progress = /^(?:[\w -]+: \d+ of \d+ \.\.\.\n|[\w -]+ \.\.\.\n)*$/;

async function report(manifests: readonly object[], file?: object): Promise<PlanReport & { code: number | null }> {
  const ran = await plan(manifests, { args: ["-o", "json"], ...(file === undefined ? {} : { file }) });
  expect(ran.stderr).toMatch(progress);
  return { ...(JSON.parse(ran.stdout) as PlanReport), code: ran.code };
}

/** Nothing was written to any store or to the API server since the test began. */
async function expectNothingWritten(): Promise<void> {
  const seen = await op.seen();
  expect(Harness.describe(seen.kubeWrites)).toEqual([]);
  expect(seen.scaivault.versionsWritten).toBe(0);
  expect(Object.keys(seen.scaivault.byRoute).filter((route) => /^(?:PUT|PATCH|DELETE)/.test(route))).toEqual([]);
  const reads = ["ListSecrets", "BatchGetSecretValue", "DescribeSecret", "GetSecretValue", "ListSecretVersionIds"];
  expect(Object.keys(seen.aws.byAction).filter((action) => !reads.includes(action))).toEqual([]);
}

describe("objects that are not in the cluster yet", () => {
  it("are planned with what would be written, from which version, and why; nothing is written and no value is shown", async () => {
    const password = op.canaries.value("plan password");
    const version = await op.aws.put("plan/new", JSON.stringify({ password }));
    const manifest = both("new", "plan/new");
    const ran = await plan([manifest]);
    expect(ran.code).toBe(2);
    expect(ran.stdout).toBe(
      [
        `SecretSync ${ns}/new`,
        `  create  ScaiVault         environments/plan/new  from plan/new version ${version}: it is not there yet`,
        `  create  KubernetesSecret  new                    from plan/new version ${version}: it is not there yet`,
        "2 to create, 0 to change, 0 to delete, 0 held",
        "",
      ].join("\n"),
    );
    const { code, ...made } = await report([manifest]);
    expect(code).toBe(2);
    const common = { action: "Create", path: "plan/new", from: "Source", version, why: "NewTarget", held: false };
    const target = { path: "plan/new", state: "Pending", reason: "Progressing", message: expect.any(String) as string };
    expect(made).toEqual({
      objects: [
        {
          kind: "SecretSync",
          namespace: ns,
          name: "new",
          origin: "Manifest",
          result: "Changes",
          actions: [
            { ...common, target: "ScaiVault", ref: "environments/plan/new" },
            { ...common, target: "KubernetesSecret", ref: "new" },
          ],
          targets: [
            { ...target, target: "ScaiVault", ref: "environments/plan/new" },
            { ...target, target: "KubernetesSecret", ref: "new" },
          ],
          problems: [],
        },
      ],
      summary: { create: 2, change: 0, delete: 0, held: 0, failed: 0 },
      findings: [],
    });
    expect(await op.cluster.sync(ns, "new")).toBeUndefined();
    await expectNothingWritten();
  });

  it("are planned with a FederationBackend that stands in the same file, and in the namespace of the kubeconfig", async () => {
    await op.aws.put("plan/together", '{"a":"1"}');
    const { accessKeyId, secretAccessKey } = operatorKey;
    await op.cluster.apply(
      credential(ns, "own-key", { access_key_id: accessKeyId, secret_access_key: secretAccessKey }),
    );
    const own = backend(ns, "own", {
      type: "aws-secrets-manager",
      awsSecretsManager: { region: REGION, auth: { secretRef: { name: "own-key" } } },
    });
    const object = both("together", "plan/together", {
      source: { backendRef: { name: "own" }, path: "plan/together" },
    });
    const made = await report([object, own]);
    expect(made).toMatchObject({ code: 2, summary: { create: 2, failed: 0 } });
    const { namespace: _, ...metadata } = object.metadata;
    const nowhere = await report([{ ...object, metadata }]);
    expect(nowhere.objects).toMatchObject([{ namespace: "default", result: "Ignored", ignored: "NotWatched" }]);
    expect(nowhere.code).toBe(0);
    await op.cluster.delete("Secret", ns, "own-key");
  });

  it("has a plan like what `run` then does, and an empty one afterwards", async () => {
    await op.aws.put("plan/executed", '{"a":"1","b":"2"}');
    const manifest = both("executed", "plan/executed");
    const before = await report([manifest]);
    expect(before.summary).toEqual({ create: 2, change: 0, delete: 0, held: 0, failed: 0 });
    await op.cluster.apply(manifest);
    await op.ready(ns, "executed");
    await op.idle();
    await op.mark();
    const after = await plan([manifest]);
    expect(after.code).toBe(0);
    expect(after.stdout).toContain("in sync  KubernetesSecret  executed");
    expect(after.stdout).toContain("0 to create, 0 to change, 0 to delete, 0 held");
    await expectNothingWritten();
    expect((await op.seen()).aws.valueReads).toBe(0);
  });
});

describe("objects that are edited", () => {
  it("are planned with the new spec: another source, other keys, another name with its clean-up", async () => {
    await op.aws.put("plan/one", '{"a":"1","b":"2"}');
    await op.aws.put("plan/two", '{"a":"3","b":"4"}');
    const base = { cleanupPolicy: "Delete" };
    await op.cluster.apply(both("edited", "plan/one", base));
    await op.ready(ns, "edited");
    await op.mark();
    const moved = await report([both("edited", "plan/two", base)]);
    expect(moved.objects[0]?.actions.map(({ action, target, why }) => [action, target, why])).toEqual([
      ["Update", "ScaiVault", "SourceMoved"],
      ["Update", "KubernetesSecret", "SourceMoved"],
    ]);
    const shaped = await report([
      both("edited", "plan/one", {
        ...base,
        targets: {
          scaivault: { path: "environments/plan/edited" },
          kubernetesSecret: { data: [{ key: "only", field: ".a" }] },
        },
      }),
    ]);
    expect(shaped.objects[0]?.actions.map(({ action, target, why }) => [action, target, why])).toEqual([
      ["Update", "KubernetesSecret", "ShapeChanged"],
    ]);
    const renamed = await report([
      both("edited", "plan/one", {
        ...base,
        targets: { scaivault: { path: "environments/plan/edited" }, kubernetesSecret: { name: "renamed" } },
      }),
    ]);
    expect(renamed.objects[0]?.actions.map(({ action, target, ref, why }) => [action, target, ref, why])).toEqual([
      ["Create", "KubernetesSecret", "renamed", "NewTarget"],
      ["Delete", "KubernetesSecret", "edited", "TargetRemoved"],
    ]);
    expect(renamed.summary).toMatchObject({ create: 1, delete: 1 });
    await expectNothingWritten();
  });

  it("include SecretSyncs of the cluster that read a changed backend", async () => {
    await op.awsBackend(ns, "shared");
    await op.aws.put("plan/dependant", '{"a":"1"}');
    const manifest = both("dependant", "plan/dependant", {
      source: { backendRef: { name: "shared" }, path: "plan/dependant" },
    });
    await op.cluster.apply(manifest);
    await op.ready(ns, "dependant");
    const other = backend(ns, "shared", {
      type: "aws-secrets-manager",
      awsSecretsManager: { region: REGION, auth: { secretRef: { name: "not-there" } } },
      syncInterval: "5m",
    });
    const made = await report([other]);
    expect(made.code).toBe(1);
    expect(made.objects.map(({ kind, name, origin, problems }) => [kind, name, origin, problems[0]?.reason])).toEqual([
      ["FederationBackend", "shared", "Manifest", "CredentialNotFound"],
      ["SecretSync", "dependant", "Cluster", "BackendNotReady"],
    ]);
  });
});

describe("what waits for people", () => {
  it("OnApproval: is shown as held with the hash that approves it, also for an edit that is not applied yet", async () => {
    await op.aws.put("plan/approved", '{"a":"1"}');
    const manifest = both("approved", "plan/approved", { apply: "OnApproval" });
    const fresh = await plan([manifest]);
    expect(fresh.code).toBe(2);
    expect(fresh.stdout).toContain("held: create  ScaiVault");
    expect(fresh.stdout).toContain("to approve what is held: apply it, then use the hash in status.plan.hash");
    await op.cluster.apply(manifest);
    const object = await op.verdict("SecretSync", ns, "approved", "False ApprovalNeeded");
    const made = await report([manifest]);
    expect(made.summary).toEqual({ create: 0, change: 0, delete: 0, held: 2, failed: 0 });
    expect(made.objects[0]?.approve).toBe(object.status?.plan?.hash);
    const edited = both("approved", "plan/approved", { apply: "OnApproval", syncInterval: "10m" });
    const { approve = "" } = (await report([edited])).objects[0] ?? {};
    expect(approve).not.toBe(object.status?.plan?.hash);
    await op.cluster.apply(edited);
    await op.cluster.patch("SecretSync", ns, "approved", {
      metadata: { annotations: { "scaivault.scailabs.ai/approve": approve } },
    });
    await op.ready(ns, "approved");
    const text = await plan([edited]);
    expect(text.code).toBe(0);
  });

  it("a source that is gone: deletions are shown, and those that the brakes hold as held", async () => {
    const names = ["gone-1", "gone-2", "gone-3"];
    const manifests = names.map((name) => both(name, `plan/${name}`, { deletionPolicy: "Delete" }));
    for (const name of names) await op.aws.put(`plan/${name}`, '{"a":"1"}');
    await op.cluster.apply(...manifests);
    for (const name of names) await op.ready(ns, name);
    await op.aws.remove("plan/gone-1");
    await op.mark();
    const one = await report(manifests);
    expect(one).toMatchObject({ code: 2, summary: { delete: 2, held: 0, failed: 0 } });
    for (const name of names) await op.aws.remove(`plan/${name}`).catch(() => undefined);
    const all = await report(manifests);
    expect(all).toMatchObject({ code: 2, summary: { delete: 0, held: 6, failed: 0 } });
    expect(all.objects.every(({ approve }) => approve !== undefined)).toBe(true);
    await expectNothingWritten();
    // The operator comes to the same, after its two looks.
    for (let turn = 0; turn < 3; turn += 1) await op.interval();
    const held = await op.verdict("SecretSync", ns, "gone-2", "False DeletionBraked");
    expect(condition(held, "DeletionHeld")?.status).toBe("True");
    expect((await report(manifests)).objects.find(({ name }) => name === "gone-2")?.approve).toBe(
      held.status?.plan?.hash,
    );
    for (const name of names) await op.cluster.delete("SecretSync", ns, name);
  });

  it("apply Never: says which keys differ, plans nothing", async () => {
    await op.aws.put("plan/observed", '{"same":"1","other":"2"}');
    await op.cluster.apply(credential(ns, "observed", { same: "1", other: "3", more: "4" }, false));
    const ran = await plan([
      sync(ns, "observed", {
        source: { backendRef: { name: "aws" }, path: "plan/observed" },
        targets: { kubernetesSecret: {} },
        apply: "Never",
      }),
    ]);
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain("(keys: 1 equal, differs other, extra more)");
    expect(ran.stdout).toContain("0 to create, 0 to change, 0 to delete, 0 held");
  });

  it("adopt: equal Secrets of another tool are taken over, differing ones refused", async () => {
    await op.aws.put("plan/adopt", '{"a":"1"}');
    const spec = (name: string) =>
      sync(ns, name, {
        source: { backendRef: { name: "aws" }, path: "plan/adopt" },
        targets: { kubernetesSecret: {} },
        adopt: "IfEqual",
      });
    await op.cluster.apply(credential(ns, "equal", { a: "1" }, false), credential(ns, "differs", { a: "2" }, false));
    const made = await report([spec("equal"), spec("differs")]);
    expect(made.code).toBe(1);
    expect(made.objects.map(({ actions, targets }) => [actions[0]?.action, targets[0]?.reason])).toEqual([
      ["Adopt", "Progressing"],
      [undefined, "AdoptDiffers"],
    ]);
    await expectNothingWritten();
  });
});

describe("errors", () => {
  it.each([
    [
      "a backend that is missing",
      () => both("x", "plan/x", { source: { backendRef: { name: "nope" }, path: "plan/x" } }),
      "BackendNotFound",
    ],
    ["a source that is missing", () => both("x", "plan/not-there"), "SourceNotFound"],
    ["a path that ScaiVault may not have", () => both("x", "plan/denied"), "AccessDenied"],
  ])("%s: exit 1, with what to do", async (what, make, reason) => {
    if (reason === "AccessDenied") {
      await op.aws.put("plan/denied", '{"a":"1"}');
      op.asm.addFault({
        kind: "deny",
        actions: ["ListSecrets", "BatchGetSecretValue", "DescribeSecret", "GetSecretValue"],
      });
    }
    const made = await report([make()]);
    op.asm.clearFaults();
    expect(made.code).toBe(1);
    const [object] = made.objects;
    const found = [...(object?.problems ?? []), ...(object?.targets ?? [])].map((one) => one.reason);
    expect(found, what).toContain(reason);
    await expectNothingWritten();
  });

  it("a store that is down: exit 1 for its objects, the others are planned", async () => {
    await op.aws.put("plan/up", '{"a":"1"}');
    await op.cluster.apply(credential(ns, "dead-token", { token: "x" }));
    const dead = backend(ns, "dead", {
      type: "hashicorp-vault",
      hashicorpVault: {
        address: "https://vault.example.com:1",
        auth: { token: { secretRef: { name: "dead-token" } } },
      },
    });
    const made = await report(
      [dead, both("down", "kv/x", { source: { backendRef: { name: "dead" }, path: "kv/x" } }), both("up", "plan/up")],
      {
        endpointOverrides: {
          ...(op.file["endpointOverrides"] as object),
          "vault.example.com:1": "https://127.0.0.1:1",
        },
      },
    );
    expect(made.code).toBe(1);
    expect(made.objects.map(({ name, result, targets }) => [name, result, targets[0]?.reason])).toEqual([
      ["down", "Failed", "SourceUnavailable"],
      ["up", "Changes", "Progressing"],
    ]);
    await op.cluster.delete("Secret", ns, "dead-token");
  });

  it("a configuration without ScaiVault: the manifest is refused where it asks for it", async () => {
    const { scaivault: _, ...file } = op.file;
    const config = program.write("without.yaml", file);
    const ran = await program.run(["plan", "-f", "-", "-c", config], { stdin: yaml(both("x", "plan/x")) });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(
      /^-:1:\d+: error: SecretSync \S+\/x spec\.targets\.scaivault: .*\[ScaiVaultUnavailable\]$/m,
    );
  });

  it("missing rights of the configuration", async () => {
    const ran = await plan([both("x", "plan/x")], {
      file: { tenancyMode: "Restricted", tenancy: [{ namespaces: [ns] }] },
    });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain("[NotGranted]");
  });

  it("no configuration, or one that is wrong: one line each", async () => {
    const none = await program.run(["plan", "-f", "-", "-c", "/nope.yaml"], { stdin: yaml(both("x", "plan/x")) });
    expect(none).toMatchObject({ code: 1, stdout: "/nope.yaml: the configuration file cannot be read (ENOENT)\n" });
  });

  it.each([
    [
      "an API server that cannot be reached",
      { server: "https://127.0.0.1:1" },
      "the API server cannot be reached (refused)",
      true,
    ],
    ["a login that it does not know", { token: "nobody" }, "the API server does not know this login (401)", false],
  ] as const)(
    "%s: a line that says so, progress after two seconds",
    async (_, { server, token }: { server?: string; token?: string }, said, slow) => {
      const kubeconfig = op.env.kube.kubeconfigFor(token ?? "x", server === undefined ? {} : { server });
      const ran = await plan([both("x", "plan/x")], { file: { kubernetes: { kubeconfig } } });
      expect(ran.code).toBe(1);
      expect(ran.stdout).toMatch(/^cannot list [\w ]+: .*\n$/);
      expect(ran.stdout).toContain(said);
      expect(ran.stderr !== "").toBe(slow);
    },
  );

  it("a login without rights", async () => {
    const token = await op.env.kube.serviceAccountToken(ns, "default", 600);
    const ran = await plan([both("x", "plan/x")], {
      file: { kubernetes: { kubeconfig: op.env.kube.kubeconfigFor(token) } },
    });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^cannot list [\w ]+: this login may not list it \(403\)\n$/);
  });
});

describe("the image's process", () => {
  it("plans with the flags of the image: no file but those listed, no prototypes by key", async () => {
    await op.aws.put("plan/flags", '{"a":"1","__proto__":"2"}');
    const { kubernetes, caFile } = op.file as { kubernetes: { kubeconfig: string }; caFile: string };
    const readable = [`${program.folder}/*`, `${op.folder}/*`, kubernetes.kubeconfig, caFile];
    const config = program.write("flags.yaml", op.file);
    const running = program.start(["plan", "-f", "-", "-c", config], {
      stdin: yaml(both("flags", "plan/flags")),
      flags: [
        "--disable-sigusr1",
        "--disable-proto=delete",
        "--permission",
        ...readable.map((path) => `--allow-fs-read=${path}`),
      ],
    });
    expect(await running.ended).toMatchObject({ code: 2, stdout: expect.stringContaining("2 to create") as string });
  });
});

describe("output", () => {
  it("leaves out paths when asked", async () => {
    await op.aws.put("plan/hidden-name", '{"a":"1"}');
    const made = both("redacted", "plan/hidden-name");
    for (const output of ["text", "json"]) {
      const ran = await plan([made], { args: ["--redact-paths", "-o", output] });
      expect(ran.code).toBe(2);
      expect(ran.stdout).not.toContain("hidden-name");
      expect(ran.stdout).not.toContain("environments/plan");
      expect(ran.stdout).toContain("path-1");
    }
  });

  it("shows no content hash of stores without versions", async () => {
    const mount = `kv1-${ns}`;
    await op.env.vault.enableKv(mount, 1);
    await op.vaultBackend(ns, "kv1", [mount]);
    const value = op.canaries.value("kv1 value");
    await op.env.vault.put(mount, "tree/od%d", { a: value });
    await op.env.vault.put(mount, "tree/plain", { a: randomBytes(4).toString("hex") });
    const tree = sync(ns, "tree", {
      source: { backendRef: { name: "kv1" }, subtree: `${mount}/tree/**` },
      targets: { kubernetesSecret: {} },
    });
    for (const output of ["text", "json"]) {
      const ran = await plan([tree], { args: ["-o", output] });
      expect(ran.stdout).toContain("unversioned");
      expect(ran.stdout).not.toContain("content-");
    }
    await op.env.vault.disableMount(mount);
  });

  it("never showed a value", () => {
    expect(op.canaries.search(texts.map((text, at) => [`output ${at}`, text] as const))).toEqual([]);
  });
});

export type { Manifest };
