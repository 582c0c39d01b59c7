/** What the stores hold at the beginning, and who may read and write what there. */
import { randomBytes } from "node:crypto";
import {
  CreateSecretCommand,
  DescribeSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { scaivaultPaths, type ScaiVaultRights, vaultMount, type Stores } from "./world.ts";

/** One secret of a source. */
export interface Seed {
  readonly store: "ASM" | "Vault";
  /** Name in ASM; mount and key in Vault. */
  readonly path: string;
  readonly data: Readonly<Record<string, string>>;
  /** Version id or number, as the store gave it. */
  version: string;
}

/** Logins that the quickstart makes, each with the rights that the guide asks for and no more. */
export interface Logins {
  readonly aws: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly vault: { readonly roleId: string; readonly secretId: string } | undefined;
  readonly scaivault: { readonly clientId: string; readonly clientSecret: string };
}

/** Seeded stores. */
export interface Seeded {
  readonly seeds: readonly Seed[];
  readonly logins: Logins;
  /** Gives an ASM secret a new version. */
  rotate(seed: Seed, data: Seed["data"]): Promise<void>;
  close(): void;
}

/** A made-up value. Nothing about it looks like a real token. */
export const madeUp = (what: string): string => `local-${what}-${randomBytes(12).toString("hex")}`;

const region = "us-east-1";
const seederKey = { accessKeyId: "AKIALOCALSEEDER00000", secretAccessKey: randomBytes(20).toString("hex") };

const asmSecrets = (): Readonly<Record<string, Seed["data"]>> => ({
  "prod/billing/stripe": { api_key: madeUp("key"), webhook_secret: madeUp("webhook"), account: "acct-local" },
  "prod/billing/workers/invoices": { username: "invoices", password: madeUp("password") },
  "prod/billing/workers/mailer": { username: "mailer", password: madeUp("password") },
  // Another team's: the key below may not read it, and nothing asks for it.
  "prod/shop/checkout": { api_key: madeUp("key") },
});

const vaultSecrets = (): Readonly<Record<string, Seed["data"]>> => ({
  "apps/billing/database": { host: "db.billing.internal", username: "billing", password: madeUp("password") },
});

/** The guide's policy for a KV v2 mount: read and list, nothing else. */
const vaultPolicy = [
  `path "${vaultMount}/data/*" { capabilities = ["read", "list"] }`,
  `path "${vaultMount}/metadata/*" { capabilities = ["read", "list"] }`,
].join("\n");

function seederClient(stores: Stores): SecretsManagerClient {
  return new SecretsManagerClient({ region, endpoint: stores.asm.url, credentials: seederKey, maxAttempts: 2 });
}

/** Limits the account to two keys: one that seeds, and one as a person would make it for the operator. */
function limitAccount(stores: Stores): Logins["aws"] {
  const login = {
    accessKeyId: `AKIA${randomBytes(8).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString("hex"),
  };
  stores.asm.setKeys([
    { ...seederKey, principalArn: "arn:aws:iam::123456789012:user/quickstart" },
    {
      ...login,
      principalArn: "arn:aws:iam::123456789012:user/scaivault-operator",
      statements: [
        // These two know no resources in AWS; what a batch gives is still decided by GetSecretValue for each secret.
        { actions: ["ListSecrets", "BatchGetSecretValue"] },
        { actions: ["GetSecretValue", "DescribeSecret", "ListSecretVersionIds"], names: ["prod/billing/*"] },
      ],
    },
  ]);
  return login;
}

async function seedAsm(client: SecretsManagerClient): Promise<Seed[]> {
  const made = Object.entries(asmSecrets()).map(async ([path, data]) => {
    const { VersionId } = await client.send(
      new CreateSecretCommand({ Name: path, SecretString: JSON.stringify(data) }),
    );
    return { store: "ASM" as const, path, data, version: VersionId ?? "" };
  });
  return await Promise.all(made);
}

async function seedVault(vault: NonNullable<Stores["vault"]>): Promise<{ seeds: Seed[]; login: Logins["vault"] }> {
  await vault.enableKv(vaultMount, 2);
  const seeds: Seed[] = [];
  for (const [key, data] of Object.entries(vaultSecrets())) {
    const version = await vault.put(vaultMount, key, data);
    seeds.push({ store: "Vault", path: `${vaultMount}/${key}`, data, version: String(version) });
  }
  await vault.writePolicy("scaivault-operator", vaultPolicy);
  return { seeds, login: await vault.createAppRole({ name: "scaivault-operator", policies: ["scaivault-operator"] }) };
}

function scaivaultClient(stores: Stores, more: ScaiVaultRights | undefined): Logins["scaivault"] {
  const scopes = ["secrets:read", "secrets:list", "secrets:write", "subscriptions:read", "subscriptions:write"];
  const paths = [scaivaultPaths, ...(more?.paths ?? [])];
  return stores.scaivault.admin.createClient({
    identity: "sa:scaivault-operator",
    scopes: [...scopes, ...(more?.scopes ?? [])],
    rules: paths.map((path_pattern) => ({ path_pattern, permissions: ["read", "list", "write"] })),
  });
}

/** Fills the stores and makes the logins; `rights`: more for the operator in ScaiVault. */
export async function seedStores(stores: Stores, rights?: ScaiVaultRights): Promise<Seeded> {
  const client = seederClient(stores);
  const aws = limitAccount(stores);
  const seeds = await seedAsm(client);
  const vault = stores.vault === undefined ? undefined : await seedVault(stores.vault);
  seeds.push(...(vault?.seeds ?? []));
  return {
    seeds,
    logins: { aws, vault: vault?.login, scaivault: scaivaultClient(stores, rights) },
    async rotate(seed, data) {
      await client.send(new PutSecretValueCommand({ SecretId: seed.path, SecretString: JSON.stringify(data) }));
      const now = await client.send(new DescribeSecretCommand({ SecretId: seed.path }));
      const current = Object.entries(now.VersionIdsToStages ?? {}).find(([, stages]) => stages.includes("AWSCURRENT"));
      seed.version = current?.[0] ?? "";
    },
    close: () => client.destroy(),
  };
}
