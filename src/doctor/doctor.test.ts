import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import { doctorCommand, doctorReport, renderDoctor } from "../cli/doctor.ts";
import { runProgram } from "../cli/program.ts";
import { Checklist, skewFound } from "./checklist.ts";
import { awsStatement, scaivaultRule, vaultRule } from "./policies.ts";
import { rightName, rightsNeeded } from "./rights.ts";

describe("Checklist", () => {
  it("skips what rests on a step that failed, and says reason, hint and policy of the failure", async () => {
    const list = new Checklist("FederationBackend team/aws", () => undefined);
    await list.step("dns", [], () => ({ message: "fine" }));
    const denied = new SyncError("AccessDenied", "AWS denies kms:Decrypt", { right: "kms:Decrypt" });
    await list.step(
      "read",
      ["dns"],
      () => Promise.reject(denied),
      ({ right = "" }) => awsStatement(right, "eu-west-1", "a"),
    );
    await list.step("after", ["read"], () => ({ message: "never run" }));
    await list.step("soon", ["dns"], () => ({ message: "works", as: "Warning", hint: "renew" }));
    const report = doctorReport(list.checks);
    expect(report.summary).toEqual({ ok: 1, warnings: 1, failed: 1, skipped: 1 });
    expect(renderDoctor(report, false)).toBe(
      [
        "FederationBackend team/aws",
        "  ok       dns            fine",
        "  failed   read           AccessDenied: AWS denies kms:Decrypt",
        `           hint: ${denied.hint}`,
        "           add to the policy:",
        "             {",
        '               "Effect": "Allow",',
        '               "Action": [',
        '                 "kms:Decrypt"',
        "               ],",
        '               "Resource": [',
        '                 "arn:aws:kms:eu-west-1:ACCOUNT_ID:key/KEY_ID"',
        "               ]",
        "             }",
        "  skipped  after          needs read",
        "  warning  soon           works",
        "           hint: renew",
        "1 ok, 1 warning, 1 failed, 1 skipped",
      ].join("\n"),
    );
  });

  it("says nothing of an error that is not ours", async () => {
    const list = new Checklist("cluster", () => undefined);
    await list.step("x", [], () => Promise.reject(new Error("canary")));
    expect(JSON.stringify(list.checks)).not.toContain("canary");
  });
});

it.each([
  [10_000, undefined],
  [31_000, "Warning"],
  [-400_000, "Warning"],
])("clocks that differ by %i ms: %s", (ms, as) => {
  expect(skewFound(1_000_000 + ms, 1_000_000, "the store").as).toBe(as);
});

describe("policies", () => {
  it("name the action and the secret, in the partition of the region", () => {
    expect(awsStatement("secretsmanager:GetSecretValue", "cn-north-1", "prod/a")).toContain(
      "arn:aws-cn:secretsmanager:cn-north-1:ACCOUNT_ID:secret:prod/a-??????",
    );
    expect(JSON.parse(awsStatement("secretsmanager:ListSecrets", "us-east-1", "a"))).toMatchObject({ Resource: ["*"] });
    expect(vaultRule("read on kv/data/app")).toBe('path "kv/data/app" {\n  capabilities = ["read"]\n}');
    expect(vaultRule("a right below the mount of kv")).toBeUndefined();
    expect(JSON.parse(scaivaultRule("a/b", "reader"))).toEqual({ path_pattern: "a/b", permissions: ["read", "list"] });
  });
});

it("asks for the rights of the chart, for deletion only where an object wants it", () => {
  const where = { scopes: ["a", "b"], deletes: false, operatorNamespace: "op", leaseName: "scaivault-operator" };
  const names = rightsNeeded(where).map(rightName);
  expect(names).toContain("patch secretsyncs/status.scaivault.scailabs.ai in b");
  expect(names).toContain("update leases.coordination.k8s.io scaivault-operator in op");
  expect(names.some((name) => name.startsWith("delete "))).toBe(false);
  expect(rightsNeeded({ ...where, deletes: true }).map(rightName)).toContain("delete secrets in a");
});

it.each([
  [["backend"], "name the FederationBackend"],
  [["nothing"], "check one of cluster, scaivault and backend"],
  [["cluster", "x"], "go with: doctor backend NAME"],
  [["scaivault", "-n", "x"], "go with: doctor backend NAME"],
])("doctor %j: wrong usage, before anything is looked at", async (args, says) => {
  const out: string[] = [];
  const io = {
    environment: {},
    readStdin: () => Promise.resolve(""),
    readFile: () => Promise.resolve(""),
    listFolder: () => Promise.resolve(undefined),
    progress: () => undefined,
    signal: new AbortController().signal,
  };
  const command = doctorCommand(() => Promise.reject(new Error("not run")));
  const write = (text: string) => void out.push(text);
  expect(await runProgram(["doctor", ...args], [command], io, { write, error: write })).toBe(64);
  expect(out.join("")).toContain(says);
});
