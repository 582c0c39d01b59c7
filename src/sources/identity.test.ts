import { createHmac } from "node:crypto";
import { expect, it } from "vitest";
import { SecretValue } from "../model/index.ts";
import { bindCredential, type CredentialOwner } from "../net/index.ts";
import type { AwsCredential } from "./aws-secrets-manager/credentials.ts";
import type { VaultAuth } from "./hashicorp-vault/token.ts";
import { sourceIdentityKey } from "./identity.ts";

const fingerprint = (bytes: Uint8Array): string => createHmac("sha256", "k").update(bytes).digest("hex");
const text = (value: string): SecretValue => SecretValue.fromText(value);

interface Vault {
  owner: CredentialOwner;
  credential: VaultAuth;
  endpoint: string;
  ca: string | undefined;
  namespace: string | undefined;
}
const vault: Vault = {
  owner: { kind: "Namespace", namespace: "a" },
  credential: { kind: "AppRole", mount: "approle", roleID: text("role"), secretID: text("secret") },
  endpoint: "https://vault.example.com:8200",
  ca: "PEM",
  namespace: "ns",
};
function vaultKey(change: Partial<Vault> = {}): string {
  const { namespace, ...rest } = { ...vault, ...change };
  return sourceIdentityKey(
    {
      type: "hashicorp-vault",
      access: bindCredential({ service: "Vault", allowed: ["*.example.com"], ...rest }, {}),
      namespace,
    },
    fingerprint,
  );
}

it("is equal exactly when owner, credential, endpoint, CA, namespace and role are", () => {
  expect(vaultKey()).toBe(vaultKey());
  const changes: Partial<Vault>[] = [
    { owner: { kind: "Namespace", namespace: "b" } },
    { owner: { kind: "ScaiVaultPath", path: "a" } },
    { owner: { kind: "Operator" } },
    { credential: { kind: "AppRole", mount: "approle", roleID: text("role"), secretID: text("other") } },
    { credential: { kind: "AppRole", mount: "approle", roleID: text("roles"), secretID: text("ecret") } },
    { credential: { kind: "AppRole", mount: "other", roleID: text("role"), secretID: text("secret") } },
    { credential: { kind: "Token", token: text("secret") } },
    { endpoint: "https://vault.example.com" },
    { endpoint: "https://vault2.example.com:8200" },
    { ca: undefined },
    { ca: "PEM2" },
    { namespace: undefined },
    { namespace: "ns2" },
  ];
  const keys = [vaultKey(), ...changes.map(vaultKey)];
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.join()).not.toContain("secret");
});

it("does so for AWS", () => {
  const key = (region: string, credential: AwsCredential): string =>
    sourceIdentityKey(
      {
        type: "aws-secrets-manager",
        region,
        access: bindCredential(
          {
            service: "AWS",
            owner: { kind: "Operator" },
            credential,
            endpoint: "https://secretsmanager.us-east-1.amazonaws.com",
            allowed: [],
          },
          {},
        ),
      },
      fingerprint,
    );
  const operator: AwsCredential = { kind: "Operator", provider: () => Promise.reject(new Error("unused")) };
  const fixed = (secret: string, session?: string): AwsCredential => ({
    kind: "Static",
    accessKeyID: "AKIA",
    secretAccessKey: text(secret),
    sessionToken: session === undefined ? undefined : text(session),
  });
  const keys = [
    key("us-east-1", operator),
    key("eu-west-1", operator),
    key("us-east-1", fixed("a")),
    key("us-east-1", fixed("b")),
    key("us-east-1", fixed("a", "s")),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(key("us-east-1", fixed("a"))).toBe(keys[2]);
});
