import { describe, expect, it } from "vitest";
import { loadConfig } from "../config/index.ts";
import { findingLine } from "./findings.ts";
import { validateManifests } from "./validate.ts";

const config = (more: string) => {
  const text = `cluster: { name: c }
operatorNamespace: scaivault
marks: { keyFiles: [/key] }
scaivault: { url: "https://scaivault.scailabs.ai", auth: { tokenFile: /token } }
${more}`;
  const loaded = loadConfig({ file: "config.yaml", text }, {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
};

const RESTRICTED = config(`tenancy:
  - namespaces: [billing]
    scaivault: { write: ["environments/production/{namespace}/**"], read: ["shared/*"] }
    endpoints: [vault.example.com, "*.internal:8200"]
`);

const sync = (namespace: string, path: string, more = "") => `apiVersion: scaivault.scailabs.ai/v1alpha1
kind: SecretSync
metadata: { name: s, namespace: ${namespace} }
spec: { source: { backendRef: { name: b }, ${path.endsWith("**") ? "subtree: p/**" : "path: p"} }, targets: { scaivault: { path: "${path}" } }${more} }
`;
const vault = (namespace: string, address: string) => `apiVersion: scaivault.scailabs.ai/v1alpha1
kind: FederationBackend
metadata: { name: b, namespace: ${namespace} }
spec: { type: hashicorp-vault, hashicorpVault: { address: "${address}", auth: { token: { secretRef: { name: t } } } } }
`;
const aws = (namespace: string) => `apiVersion: scaivault.scailabs.ai/v1alpha1
kind: FederationBackend
metadata: { name: b, namespace: ${namespace} }
spec: { type: aws-secrets-manager, awsSecretsManager: { region: us-east-1, auth: { operator: {} } } }
`;

const said = (text: string, by = RESTRICTED) =>
  validateManifests([{ file: "x.yaml", text }], by).findings.map((finding) =>
    findingLine(finding).replace(/^x\.yaml:\d+:\d+: /, ""),
  );

describe("rights of the configuration", () => {
  it.each([
    ["a path that the namespace may write", sync("billing", "environments/production/billing/a/b"), []],
    ["a subtree that it may write as a whole", sync("billing", "environments/production/billing/**"), []],
    [
      "another namespace's path",
      sync("billing", "environments/production/shop/a"),
      [
        "error: SecretSync billing/s spec.targets.scaivault.path: namespace billing may not write environments/production/shop/a in ScaiVault (tenancy.scaivault.write) [NotGranted]",
      ],
    ],
    [
      "a subtree that is wider than the right",
      sync("billing", "environments/production/**"),
      [
        "error: SecretSync billing/s spec.targets.scaivault.path: namespace billing may not write environments/production/** in ScaiVault (tenancy.scaivault.write) [NotGranted]",
      ],
    ],
    ["reading, while nothing is written", sync("billing", "shared/a", ", apply: Never"), []],
    [
      "reading, where something is to be written",
      sync("billing", "shared/a"),
      [
        "error: SecretSync billing/s spec.targets.scaivault.path: namespace billing may not write shared/a in ScaiVault (tenancy.scaivault.write) [NotGranted]",
      ],
    ],
    [
      "a namespace without an entry",
      sync("shop", "environments/production/shop/a"),
      [
        "error: SecretSync shop/s spec.targets.scaivault.path: namespace shop may not write environments/production/shop/a in ScaiVault (tenancy.scaivault.write) [NotGranted]",
      ],
    ],
    [
      "a protected namespace",
      sync("kube-system", "a/b"),
      [
        "error: SecretSync kube-system/s metadata.namespace: objects in namespace kube-system are refused unless tenancy names it [NamespaceProtected]",
      ],
    ],
    ["a listed host, any port", vault("billing", "https://vault.example.com:8200"), []],
    ["a listed suffix and port", vault("billing", "https://a.internal:8200"), []],
    [
      "a listed suffix, another port",
      vault("billing", "https://a.internal"),
      [
        "error: FederationBackend billing/b spec.hashicorpVault.address: namespace billing may not send credentials to a.internal (tenancy.endpoints) [EndpointNotAllowed]",
      ],
    ],
    [
      "another host",
      vault("billing", "https://vault.example.com.evil.test"),
      [
        "error: FederationBackend billing/b spec.hashicorpVault.address: namespace billing may not send credentials to vault.example.com.evil.test (tenancy.endpoints) [EndpointNotAllowed]",
      ],
    ],
    [
      "the operator's own identity",
      aws("billing"),
      [
        "error: FederationBackend billing/b spec.awsSecretsManager.auth.operator: namespace billing may not use the operator's own identity (tenancy.ambientIdentity) [NotGranted]",
      ],
    ],
  ])("%s", (_, text, want) => {
    expect(said(text)).toEqual(want);
  });

  it("are all there with tenancyMode Open, but for protected namespaces", () => {
    const open = config("tenancyMode: Open");
    expect(said(sync("shop", "x/y"), open)).toEqual([]);
    expect(said(vault("shop", "https://anything.example"), open)).toEqual([]);
    expect(said(aws("shop"), open)).toEqual([]);
    expect(said(aws("scaivault"), open)).toEqual([expect.stringContaining("[NamespaceProtected]")]);
  });

  it("of a reader are rights to read", () => {
    const by = (read: string) => {
      const given = config(`tenancy: [{ namespaces: [billing], scaivault: { read: ["${read}"] } }]`);
      return { ...given, scaivault: { ...given.scaivault, role: "Reader" } as never };
    };
    expect(said(sync("billing", "shared/a"), by("shared/*"))).toEqual([]);
    expect(said(sync("billing", "shared/a"), by("other/*"))).toEqual([
      "error: SecretSync billing/s spec.targets.scaivault.path: namespace billing may not read shared/a in ScaiVault (tenancy.scaivault.read) [NotGranted]",
    ]);
  });

  it("are not spoken of without a configuration or without a namespace", () => {
    expect(validateManifests([{ file: "x.yaml", text: sync("shop", "x/y") }]).findings).toEqual([]);
    expect(said(sync("shop", "x/y").replace(", namespace: shop", ""))).toEqual([]);
  });

  it("say what the configuration lacks, and what it does not watch", () => {
    const narrow = config("watchNamespaces: [other]\ntenancyMode: Open");
    expect(said(sync("shop", "x/y"), { ...narrow, scaivault: undefined } as never)).toEqual([
      "warning: SecretSync shop/s metadata.namespace: the operator does not watch this namespace (watchNamespaces) [NotWatched]",
      "error: SecretSync shop/s spec.targets.scaivault: the operator's configuration has no ScaiVault connection [ScaiVaultUnavailable]",
    ]);
  });
});
