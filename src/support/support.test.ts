import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { formsOf } from "../../test/support/canary.ts";
import { bundleEntries, cleanLog, deploymentFacts, ownObject, tarGz } from "./index.ts";
import { Redactor } from "./redact.ts";
import { scrub } from "./scrub.ts";

describe("tarGz", () => {
  it("is an archive that tar reads, each file for its owner alone", () => {
    const texts = { "a.json": "{}\n", "logs/1.json": "x".repeat(1_000), "empty.txt": "" };
    const archive = tarGz(
      Object.entries(texts).map(([name, text]) => ({ name, text })),
      Date.parse("2026-11-25T12:00:00Z"),
    );
    const tar = (...args: string[]): string => execFileSync("tar", args, { input: archive, encoding: "utf8" });
    const listed = tar("tvzf", "-").trim().split("\n");
    expect(listed).toHaveLength(3);
    for (const line of listed) expect(line).toMatch(/^-rw------- 0\/0/);
    for (const [name, text] of Object.entries(texts)) expect(tar("xOzf", "-", name)).toBe(text);
  });
});

describe("bundleEntries", () => {
  const options = { redactPaths: false, secrets: [] };

  it("names what could not be had", () => {
    const [readme] = bundleEntries([{ name: "pods.json", missing: "this login may not do it (403)" }], options);
    expect(readme?.text).toContain("Not in it:\n  pods.json: this login may not do it (403)");
  });

  it("is refused when a secret that could be read got in, in any form", () => {
    const secret = randomBytes(24).toString("base64url");
    const forms = formsOf(secret).filter(({ name }) => ["plain", "hex", "base64+0", "base64url+0"].includes(name));
    for (const { text } of forms)
      expect(() =>
        bundleEntries([{ name: "x.json", data: { text } }], { ...options, secrets: [Buffer.from(secret)] }),
      ).toThrow("would hold a credential");
  });

  it("takes out what looks like a credential, wherever it stands", () => {
    const canaries = [
      "AKIAIOSFODNN7EXAMPLE",
      "hvs.CAESIJ1234567890abcdefghij",
      `eyJhbGciOiJSUzI1NiJ9.${"a".repeat(20)}.${"b".repeat(20)}`,
      "Bearer abcdefghijklmnopqrstuvwxyz",
      "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----",
    ];
    const text = scrub(canaries.join("\n"));
    for (const canary of canaries) expect(text).not.toContain(canary);
    expect(scrub("us-east-1/AKIA...WXYZ")).toBe("us-east-1/AKIA...WXYZ");
  });
});

describe("what is taken of objects", () => {
  it("leaves out annotations and labels of others, managed fields and unknown fields", () => {
    const object = {
      kind: "SecretSync",
      metadata: {
        name: "a",
        namespace: "billing",
        annotations: {
          "kubectl.kubernetes.io/last-applied-configuration": "canary",
          "scaivault.scailabs.ai/sync-requested-at": "now",
        },
        labels: { team: "canary" },
        managedFields: [{ manager: "canary" }],
      },
      status: { conditions: [] },
      more: "canary",
    };
    const taken = ownObject(object, { source: {} });
    expect(JSON.stringify(taken)).not.toContain("canary");
    expect(taken["metadata"]).toEqual({
      name: "a",
      namespace: "billing",
      annotations: { "scaivault.scailabs.ai/sync-requested-at": "now" },
    });
  });

  it("takes names of environment variables, never what they hold", () => {
    const containers = [{ name: "operator", image: "x", env: [{ name: "TOKEN", value: "canary" }], args: ["canary"] }];
    const taken = deploymentFacts({ metadata: { name: "d" }, spec: { template: { spec: { containers } } } });
    expect(JSON.stringify(taken)).not.toContain("canary");
    expect(JSON.stringify(taken)).toContain("TOKEN");
  });
});

describe("cleanLog", () => {
  it("takes the operator's own fields of its own lines", () => {
    const line = { time: "t", level: "info", event: "target written", namespace: "billing", value: "canary", count: 2 };
    const { lines, left } = cleanLog(`${JSON.stringify(line)}\ncanary\n{"token":"canary"}\n\n`);
    expect(lines).toEqual([{ time: "t", level: "info", event: "target written", namespace: "billing", count: 2 }]);
    expect(left).toBe(2);
  });
});

describe("Redactor", () => {
  it("gives the same word the same id everywhere, and lets nothing through that it does not know", () => {
    const redactor = new Redactor();
    const shown = redactor.json({
      metadata: { namespace: "billing", name: "stripe", generation: 3 },
      spec: {
        source: { backendRef: { name: "aws" }, path: "prod/billing/stripe" },
        targets: { scaivault: { path: "environments/billing/stripe", tags: ["team-x"], description: "free text" } },
      },
      status: {
        conditions: [{ type: "Ready", status: "False", reason: "AccessDenied", message: "prod/billing/stripe" }],
      },
      backend: "billing/aws",
      about: "FederationBackend billing/aws",
      overrides: { "vault.example.com": "x" },
    });
    expect(shown).toEqual({
      metadata: { namespace: "namespace-1", name: "name-1", generation: 3 },
      spec: {
        source: { backendRef: { name: "name-2" }, path: "path-1" },
        targets: { scaivault: { path: "path-2", tags: ["name-3"] } },
      },
      status: { conditions: [{ type: "Ready", status: "False", reason: "AccessDenied" }] },
      backend: "namespace-1/name-2",
      about: "FederationBackend namespace-1/name-2",
      overrides: { "key-1": "name-4" },
    });
    expect(redactor.metrics('x{backend="billing/aws",store="us-east-1/AKIA...WXYZ",reason="InSync"} 1')).toBe(
      'x{backend="namespace-1/name-2",store="store-1",reason="InSync"} 1',
    );
  });
});
