import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CommandIO } from "./command.ts";
import { findingLine } from "./findings.ts";
import { validateCommand, validateManifests } from "./validate.ts";

const lines = (text: string): readonly string[] =>
  validateManifests([{ file: "x.yaml", text }]).findings.map((finding) => findingLine(finding));

const GOOD = `apiVersion: scaivault.scailabs.ai/v1alpha1
kind: FederationBackend
metadata: { name: aws-prod, namespace: billing }
spec: { type: aws-secrets-manager, awsSecretsManager: { region: us-east-1, auth: { secretRef: { name: aws-reader } } } }
---
apiVersion: scaivault.scailabs.ai/v1alpha1
kind: SecretSync
metadata: { name: stripe, namespace: billing }
spec:
  source: { backendRef: { name: aws-prod }, path: prod/billing/stripe }
  targets: { scaivault: { path: environments/production/billing/stripe }, kubernetesSecret: {} }
`;

function io(files: Record<string, string>, stdin = ""): CommandIO {
  return {
    environment: {},
    readStdin: () => Promise.resolve(stdin),
    readFile: (path) => {
      const text = files[path];
      return text === undefined
        ? Promise.reject(Object.assign(new Error("x"), { code: "ENOENT" }))
        : Promise.resolve(text);
    },
    listFolder: (path) => {
      const below = Object.keys(files).filter((name) => name.startsWith(`${path}/`));
      if (below.length === 0) return Promise.resolve(undefined);
      const names = new Map(
        below.map((name) => name.slice(path.length + 1)).map((rest) => [rest.split("/")[0] ?? "", rest.includes("/")]),
      );
      return Promise.resolve([...names].map(([name, isFolder]) => ({ name, isFolder })));
    },
    progress: () => undefined,
    signal: new AbortController().signal,
  };
}

describe("validateManifests", () => {
  it("finds nothing in good objects and counts other kinds", () => {
    const report = validateManifests([
      { file: "x.yaml", text: `${GOOD}---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\n---\n# empty\n` },
    ]);
    expect(report).toEqual({ findings: [], objects: 2, ignored: 1 });
  });

  it("says all problems of several documents at once, with line and what to write instead", () => {
    expect(
      lines(`apiVersion: scaivault.scailabs.ai/v1alpha1
kind: FederationBackend
metadata: { name: aws_prod, namespace: billing }
spec:
  type: aws-secrets-manager
  awsSecretsManager:
    region: Ohio
    auth: {}
  syncInterval: 1d
  suspended: true
---
apiVersion: scaivault.scailabs.ai/v1alpha1
kind: SecretSync
metadata:
  name: stripe
spec:
  source:
    backendRef:
      name: aws-prod
    path: prod/billing/**
    verison: 3
  targets:
    kubernetesSecret:
  authority: Scaivault
  conflictResolution: local_wins
  suspend: "yes"
`),
    ).toEqual([
      "x.yaml:3:19: error: FederationBackend billing/aws_prod metadata.name: write a Kubernetes name: a-z, 0-9, `-` and `.`, with a letter or digit at both ends [dns-subdomain]",
      "x.yaml:7:13: error: FederationBackend billing/aws_prod spec.awsSecretsManager.region: write an AWS region, such as us-east-1 [aws-region]",
      "x.yaml:8:5: error: FederationBackend billing/aws_prod spec.awsSecretsManager.auth: set exactly one of `secretRef: { name: ... }` and `operator: {}` [aws-auth-one]",
      "x.yaml:9:17: error: FederationBackend billing/aws_prod spec.syncInterval: write one number and one unit (s, m or h), such as 15m [duration-grammar]",
      "x.yaml:10:3: error: FederationBackend billing/aws_prod spec.suspended: there is no such field here; did you mean suspend? [UnknownField]",
      "x.yaml:20:11: error: SecretSync stripe spec.source.path: path names one secret, without `*`, `{` or `}`; for everything below a path write `subtree: prod/billing/**` instead [path-no-glob]",
      "x.yaml:21:5: error: SecretSync stripe spec.source.verison: there is no such field here; did you mean version? [UnknownField]",
      "x.yaml:23:5: error: SecretSync stripe spec.targets.kubernetesSecret: kubernetesSecret is empty: write `kubernetesSecret: {}` or remove the line [Empty]",
      "x.yaml:24:14: error: SecretSync stripe spec.authority: write Source or ScaiVault (did you mean ScaiVault?) [NotAllowed]",
      "x.yaml:26:12: error: SecretSync stripe spec.suspend: write true or false, without quotes [WrongType]",
    ]);
  });

  it("reads YAML as kubectl does: yes is true, dates and 1:30 are texts, anchors and merges work", () => {
    const text = GOOD.replace("targets: {", "suspend: yes\n  targets: {").replace(
      "path: prod/billing/stripe",
      "path: 2026-01-01",
    );
    expect(lines(text)).toEqual([]);
    expect(lines(GOOD.replace("prod/billing/stripe }", "prod/billing/stripe, stage: 1:30 }"))).toEqual([
      "x.yaml:10:79: error: SecretSync billing/stripe spec.source.stage: write a staging label, such as AWSCURRENT or AWSPREVIOUS [stage]",
    ]);
  });

  it("finds misspelt groups, versions and kinds, and leaves other projects' kinds alone", () => {
    expect(
      lines("apiVersion: scaivault.scailab.ai/v1alpha1\nkind: SecretSync\nmetadata: {name: a}\nspec: {}\n")[0],
    ).toBe("x.yaml:1:13: error: SecretSync a apiVersion: write scaivault.scailabs.ai/v1alpha1 [NotAllowed]");
    expect(lines("apiVersion: scaivault.scailabs.ai/v1alpha1\nkind: SecretSyn\n")).toEqual([
      "x.yaml:2:7: error: SecretSyn (no name) kind: write kind: SecretSync [UnknownKind]",
    ]);
    expect(lines("apiVersion: secret-sync.x-k8s.io/v1alpha1\nkind: SecretSync\nmetadata: {name: a}\n")).toEqual([]);
  });

  it("opens lists", () => {
    const list = `apiVersion: v1\nkind: List\nitems:\n  - apiVersion: scaivault.scailabs.ai/v1alpha1\n    kind: SecretSync\n    metadata: { name: a }\n    spec: { sorce: {} }\n`;
    expect(lines(list)).toContain(
      "x.yaml:7:13: error: SecretSync a spec.sorce: there is no such field here; did you mean source? [UnknownField]",
    );
  });

  it("ignores status and what the API server sets", () => {
    const exported = GOOD.replaceAll(
      "namespace: billing }",
      "namespace: billing, uid: u, resourceVersion: '1', generation: 2, creationTimestamp: 2026-01-01T00:00:00Z, managedFields: [] }\nstatus: { anything: 1 }",
    );
    expect(lines(exported)).toEqual([]);
  });

  it("sees what objects do to each other", () => {
    const second = GOOD.split("---\n")[1] ?? "";
    expect(
      lines(
        `${GOOD}---\n${second}---\n${second.replace("name: stripe", "name: other").replace("kubernetesSecret: {}", "kubernetesSecret: { name: stripe }")}`,
      ),
    ).toEqual([
      "x.yaml:15:19: error: SecretSync billing/stripe metadata.name: SecretSync billing/stripe is there twice: remove one [DuplicateObject]",
      "x.yaml:25:33: error: SecretSync billing/other spec.targets.scaivault.path: SecretSync billing/stripe writes ScaiVault environments/production/billing/stripe already: use another target or remove one [Claimed]",
      "x.yaml:25:101: error: SecretSync billing/other spec.targets.kubernetesSecret.name: SecretSync billing/stripe writes Secret billing/stripe already: use another target or remove one [Claimed]",
    ]);
    const elsewhere = GOOD.replace("name: stripe, namespace: billing", "name: stripe, namespace: shop").replace(
      "backendRef: { name: aws-prod }",
      "backendRef: { name: aws-prod, namespace: billing }",
    );
    expect(lines(elsewhere)).toEqual([
      "x.yaml:10:13: error: SecretSync shop/stripe spec.source.backendRef: FederationBackend billing/aws-prod has no grant for namespace shop: add it there [NotGranted]",
    ]);
    const granting = (read: string) =>
      elsewhere.replace(
        "aws-reader } } } }",
        `aws-reader } } }, grants: [{ name: g, namespaces: { names: [shop] }, read: ["${read}"] }] }`,
      );
    expect(lines(granting("prod/billing/*"))).toEqual([]);
    expect(lines(granting("prod/other/**"))).toEqual([
      "x.yaml:10:71: error: SecretSync shop/stripe spec.source.path: FederationBackend billing/aws-prod grants namespace shop other paths than prod/billing/stripe: add it there [NotGranted]",
    ]);
  });

  it("never quotes what could not be parsed, nor the data of Secrets", () => {
    const secret = "apiVersion: v1\nkind: Secret\nstringData: { password: canary-value }\n";
    for (const text of [
      secret,
      `${secret}---\n- [canary-value`,
      "x: *canary-value",
      "canary-value: 1\ncanary-value: 2",
      "a: 'canary-value",
    ])
      expect(lines(text).join("\n")).not.toContain("canary-value");
  });
});

describe("validate", () => {
  const run = (
    files: Record<string, string>,
    options: Record<string, string | boolean | readonly string[]>,
    stdin?: string,
  ) => validateCommand.handler({ positionals: [], options }, io(files, stdin));

  it("reads files, folders and standard input", async () => {
    const files = { "m/a.yaml": GOOD, "m/README.md": "no", "m/sub/b.yml": "spec: [" };
    expect(await run(files, { filename: ["m"] })).toEqual({
      exitCode: 0,
      data: { findings: [], objects: 2, ignored: 0, rights: "Unknown" },
      text: "2 objects checked: 0 errors, 0 warnings; rights unknown without --config",
    });
    expect((await run(files, { filename: ["m"], recursive: true })).text).toBe(
      "m/sub/b.yml:1:8: error: the indentation is wrong here, or a bracket is not closed; all members of a mapping start in one column [BAD_INDENT]\n2 objects checked: 1 error, 0 warnings; rights unknown without --config",
    );
    expect((await run({}, { filename: ["-"] }, GOOD)).text).toBe(
      "2 objects checked: 0 errors, 0 warnings; rights unknown without --config",
    );
  });

  it("says what a reader is, with the reader's configuration", async () => {
    const folder = mkdtempSync(join(tmpdir(), "validate-"));
    const config = join(folder, "config.yaml");
    const text = (role: string) => `cluster: { name: prod-2 }
operatorNamespace: scaivault-system
marks: { keyFiles: [/keys/1] }
tenancyMode: Open
scaivault: { url: "https://scaivault.scailabs.ai", auth: { tokenFile: /t }, role: ${role} }
`;
    writeFileSync(config, text("Reader"));
    const reader = await run({ "a.yaml": GOOD }, { filename: ["a.yaml"], config });
    expect(reader.exitCode).toBe(0);
    expect(reader.text).toContain("scaivault.role is Reader: cluster prod-2 writes and deletes nothing in ScaiVault");
    writeFileSync(config, text("Writer"));
    expect((await run({ "a.yaml": GOOD }, { filename: ["a.yaml"], config })).text).toBe(
      "2 objects checked: 0 errors, 0 warnings",
    );
    rmSync(folder, { recursive: true });
  });

  it("ends with 1 for files that are not there", async () => {
    expect(await run({}, { filename: ["nope.yaml"] })).toMatchObject({
      exitCode: 1,
      text: "nope.yaml:1:1: error: the file cannot be read (ENOENT) [Unreadable]\n0 objects checked: 1 error, 0 warnings; rights unknown without --config",
    });
  });

  it("shows foreign text harmlessly", async () => {
    const text = GOOD.replace("name: stripe, namespace", 'name: "a\\e[31m\\u202e", namespace');
    const result = await run({ "a.yaml": text }, { filename: ["a.yaml"] });
    // eslint-disable-next-line no-control-regex
    expect(result.text).not.toMatch(/\u001b|\u202e/);
    expect(result.text).toContain("\\u{1b}");
  });
});
