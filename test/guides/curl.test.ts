// ScaiVault's two migration guides with real curl, vault and jq: the requests as the guides write them, against real stores and the
// reference server. What the operator puts in their place is in the other files of this folder.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AsmProxy } from "../../local/asm-proxy.ts";
import { federationNetwork, type ScaiVaultPart } from "../../local/scaivault.ts";
import { VirtualClock } from "../../src/time/clock.ts";
import { type TestEnvironment, testEnvironment } from "../support/environment.ts";
import { AwsTeam } from "../support/operator.ts";
import { GuideShell } from "./shell.ts";

const quarter = 15 * 60_000;
let env: TestEnvironment;
let asm: AsmProxy;
let aws: AwsTeam;
let scaivault: ScaiVaultPart;
let clock: VirtualClock;
let shell: GuideShell;

beforeAll(async () => {
  env = testEnvironment();
  clock = new VirtualClock(Date.now());
  asm = await env.ownAsm({ clock });
  aws = new AwsTeam(asm);
  const federation = federationNetwork({ vault: env.vault.facts.url, asm: asm.tlsUrl }, env.authority.cert);
  scaivault = await env.ownScaiVault({ clock, federation });
  shell = await GuideShell.open({ env, scaivault: scaivault.facts.url, token: scaivault.server.token });
  await env.vault.disableMount("kv");
});
afterAll(async () => {
  shell?.close();
  aws?.close();
  await Promise.all([scaivault?.stop(), asm?.stop()]);
  await env?.vault.disableMount("kv");
});

const auth = '-H "Authorization: Bearer $SCAIVAULT_TOKEN"';
const typed = '-H "Content-Type: application/json"';
const api = "https://scaivault.scailabs.ai/v1";
/** Reads a secret as the guides do. */
const read = (path: string): Promise<Record<string, unknown>> =>
  shell.json(`curl ${auth} \\\n  ${api}/secrets/${path}`);
/** What has to be printed when two documents are the same, whatever the order of their members. */
const same = (a: string, b: string): Promise<string> =>
  shell.bash(`jq -n --argjson a "$(${a})" --argjson b "$(${b})" 'if $a == $b then empty else "DIFF" end'`);
const dataOf = (path: string): string => `curl -s ${auth} ${api}/secrets/${path} | jq -c .data`;
const synced = async (ms: number): Promise<void> => {
  await clock.advance(ms);
  await scaivault.server.admin.syncsIdle();
};
const now = (): string => new Date(clock.now()).toISOString();
/** Reads below a prefix since a time, as the audit log has them. */
async function readsOf(prefix: string, since: string): Promise<{ secret_path: string; identity_id: string }[]> {
  const { logs } = await shell.json(`curl ${auth} "${api}/audit/logs?action=read&path_prefix=${prefix}&from=${since}"`);
  return logs as { secret_path: string; identity_id: string }[];
}

describe("from AWS Secrets Manager, with curl", () => {
  const stripe = { api_key: "made-up-key", webhook: "made-up-hook" };
  const canonical = "environments/production/billing/stripe";

  it("step 3: the login is stored in ScaiVault", async () => {
    await aws.put("prod/billing/stripe", JSON.stringify(stripe));
    await aws.tag("prod/billing/stripe", { environment: "production" });
    await aws.put("prod/billing/database", '{"username":"billing","password":"made-up-1"}');
    await aws.put("prod/reporting/salesforce", '{"client_id":"made-up","client_secret":"made-up"}');
    await aws.put("staging/billing/stripe", "{}");
    const stored = await shell.json(`curl -X PUT ${api}/secrets/infra/aws/sm-reader \\
      ${auth} \\
      ${typed} \\
      -d '{
        "data": {"access_key_id": "AKIAGUIDE", "secret_access_key": "made-up"},
        "secret_type": "json"
      }'`);
    expect(stored).toMatchObject({ path: "infra/aws/sm-reader", version: 1 });
  });

  it("step 4: a sync backend copies prod/ and nothing else; a read costs AWS nothing", async () => {
    const created = await shell.json(`curl -X POST ${api}/federation/backends \\
      ${auth} \\
      ${typed} \\
      -d '{
        "name": "aws-prod-sm",
        "type": "aws-secrets-manager",
        "config": {
          "region": "us-east-1",
          "credentials_path": "infra/aws/sm-reader"
        },
        "path_mapping": {
          "external/aws/**": "prod/**"
        },
        "mode": "sync",
        "sync_interval": "15m"
      }'`);
    expect(created).toMatchObject({ id: expect.stringMatching(/^fed_/), mode: "sync", sync_interval: "15m" });
    await scaivault.server.admin.syncsIdle();
    asm.resetCounts();
    expect(await read("external/aws/billing/stripe")).toMatchObject({
      data: stripe,
      secret_type: "json",
      version: 1,
      metadata: { tags: ["environment=production"] },
    });
    expect(asm.calls()).toEqual([]);
    expect(scaivault.server.admin.paths()).toEqual([
      "external/aws/billing/database",
      "external/aws/billing/stripe",
      "external/aws/reporting/salesforce",
      "infra/aws/sm-reader",
    ]);
  });

  it("step 5: one secret is moved to its canonical path", async () => {
    await shell.bash(`value=$(curl -s ${auth} \\
  ${api}/secrets/external/aws/billing/stripe | jq -c .data)
curl -X PUT ${api}/secrets/${canonical} \\
  ${auth} \\
  ${typed} \\
  -d "{
    \\"data\\": $value,
    \\"secret_type\\": \\"json\\",
    \\"metadata\\": {
      \\"tags\\": [\\"billing\\", \\"stripe\\", \\"migrated-from-asm\\"],
      \\"owner\\": \\"team:billing\\"
    },
    \\"options\\": {\\"max_versions\\": 10}
  }"`);
    expect(await read(canonical)).toMatchObject({
      data: stripe,
      metadata: { tags: ["billing", "stripe", "migrated-from-asm"], owner: "team:billing" },
    });
    expect(await same(dataOf("external/aws/billing/stripe"), dataOf(canonical))).toBe("");
  });

  const batch: Readonly<Record<string, string>> = {
    "external/aws/billing/stripe": canonical,
    "external/aws/billing/database": "environments/production/billing/database",
    "external/aws/reporting/salesforce": "shared/integrations/salesforce/oauth",
  };

  it("step 5: a batch is moved with the requests of the guide's script", async () => {
    for (const [from, to] of Object.entries(batch)) {
      await shell.bash(`curl -s ${auth} ${api}/secrets/${from} |
        jq -c '{data, secret_type: (.secret_type // "json"), metadata: {tags: ["migrated-from-asm"]}}' |
        curl -X PUT ${api}/secrets/${to} ${auth} ${typed} -d @-`);
      expect(await same(dataOf(from), dataOf(to))).toBe("");
    }
  });

  it("step 7 B: a rotation in AWS is in ScaiVault one interval later", async () => {
    const path = "external/aws/billing/database";
    await aws.put("prod/billing/database", '{"username":"billing","password":"made-up-2"}');
    expect(await read(path)).toMatchObject({ version: 1, data: { password: "made-up-1" } });
    await synced(quarter);
    expect(await read(path)).toMatchObject({ version: 2, data: { password: "made-up-2" } });
    expect(await shell.bash(dataOf("environments/production/billing/database"))).toContain("made-up-1");
  });

  it("step 8: when nobody reads the old paths, the AWS secret goes, and the canonical copy stays", async () => {
    await clock.advance(1_000);
    const busy = now();
    await read("external/aws/billing/stripe");
    await clock.advance(1_000);
    const quiet = now();
    await read(canonical);
    expect(await readsOf("external/aws/", busy)).toHaveLength(1);
    expect(await readsOf("external/aws/", quiet)).toEqual([]);
    await aws.schedule("prod/billing/stripe");
    await synced(quarter);
    await synced(quarter);
    expect(await read(canonical)).toMatchObject({ data: stripe });
    await expect(read("external/aws/billing/stripe")).rejects.toThrow("secret_not_found");
  });

  it("a second region is a second backend", async () => {
    await shell.bash(`curl -X POST ${api}/federation/backends \\
      ${auth} \\
      ${typed} \\
      -d '{
        "name": "aws-prod-sm-eu",
        "type": "aws-secrets-manager",
        "config": {"region": "eu-west-1", "credentials_path": "infra/aws/sm-reader"},
        "path_mapping": {"external/aws-eu/**": "prod/**"},
        "mode": "sync",
        "sync_interval": "15m"
      }'`);
    const { backends } = await shell.json(`curl ${auth} ${api}/federation/backends`);
    expect((backends as { name: string }[]).map(({ name }) => name).toSorted()).toEqual([
      "aws-prod-sm",
      "aws-prod-sm-eu",
    ]);
  });
});

describe("from HashiCorp Vault, with curl and vault", () => {
  const database = { username: "billing", password: "made-up-db", port: 5432, replicas: ["a", "b"] };
  const batch: Readonly<Record<string, string>> = {
    "apps/billing/db": "environments/production/billing/database",
    "apps/billing/stripe": "environments/production/billing/stripe",
  };
  const vaultData = (path: string): string =>
    `curl -s -H "X-Vault-Token: $VAULT_TOKEN" "$VAULT_ADDR/v1/kv/data/${path}" | jq -c .data.data`;

  it("step 1: mounts and keys are listed", async () => {
    await env.vault.enableKv("kv", 2);
    await env.vault.put("kv", "apps/billing/db", database);
    await env.vault.put("kv", "apps/billing/stripe", { api_key: "made-up" });
    const mounts = await shell.bash(
      String.raw`vault secrets list -format=json | jq -r 'to_entries[] | "\(.key) \(.value.type) \(.value.options.version)"'`,
    );
    expect(mounts.split("\n")).toContain("kv/ kv 2");
    expect(await shell.bash("vault kv list -format=json kv/ | jq -r '.[]'")).toBe("apps/");
  });

  it("steps 2 and 3: an AppRole that may only read, stored in ScaiVault", async () => {
    await shell.bash(`vault auth list -format=json | jq -e 'has("approle/")' >/dev/null || vault auth enable approle
vault write auth/approle/role/scaivault-federation \\
  token_policies="scaivault-reader" \\
  token_ttl=1h \\
  token_max_ttl=24h
vault policy write scaivault-reader -<<EOF
path "kv/data/*"     { capabilities = ["read", "list"] }
path "kv/metadata/*" { capabilities = ["read", "list"] }
EOF
ROLE_ID=$(vault read -field=role_id auth/approle/role/scaivault-federation/role-id)
SECRET_ID=$(vault write -f -field=secret_id auth/approle/role/scaivault-federation/secret-id)`);
    const stored = await shell.json(`curl -X PUT ${api}/secrets/infra/hashicorp/approle \\
  ${auth} \\
  ${typed} \\
  -d "{
    \\"data\\": {\\"role_id\\": \\"$ROLE_ID\\", \\"secret_id\\": \\"$SECRET_ID\\"},
    \\"secret_type\\": \\"json\\"
  }"`);
    expect(stored).toMatchObject({ version: 1 });
  });

  it("step 4: a proxy is healthy, and shows what Vault holds at that moment, in both audit logs", async () => {
    const created = await shell.bash(`created=$(curl -X POST ${api}/federation/backends \\
  ${auth} \\
  ${typed} \\
  -d '{
    "name": "hashicorp-production",
    "type": "hashicorp-vault",
    "config": {
      "endpoint": "https://vault.internal:8200",
      "auth_method": "approle",
      "auth_config_path": "infra/hashicorp/approle",
      "tls_verify": true
    },
    "path_mapping": {
      "external/hashicorp/**": "kv/data/**"
    },
    "mode": "proxy"
  }')
backend=$(jq -r .id <<<"$created")
jq -r .status <<<"$created"`);
    expect(created).toBe("healthy");
    const since = now();
    const mark = env.vault.auditMark();
    expect(await read("external/hashicorp/apps/billing/db")).toMatchObject({ data: database });
    expect(env.vault.readAudit({ since: mark, path: "kv/data/" })).toMatchObject([
      { operation: "read", path: "kv/data/apps/billing/db", displayName: "approle" },
    ]);
    expect(await readsOf("external/hashicorp/", since)).toMatchObject([
      { secret_path: "external/hashicorp/apps/billing/db" },
    ]);
    expect(scaivault.server.admin.paths().filter((path) => path.startsWith("external/hashicorp/"))).toEqual([]);
  });

  it("step 5: a subtree is copied with the requests of the guide's script, and both sides are deeply equal", async () => {
    for (const [from, to] of Object.entries(batch)) {
      await shell.bash(`${vaultData(from)} | jq -c '{
          data: .,
          secret_type: "json",
          metadata: {tags: ["migrated-from-vault"], description: "Migrated from vault: kv/data/${from}"},
          options: {max_versions: 10}
        }' |
        curl -X PUT ${api}/secrets/${to} ${auth} ${typed} -d @-`);
      expect(await same(vaultData(from), dataOf(to))).toBe("");
    }
    await shell.bash("vault kv patch kv/apps/billing/stripe api_key=made-up-later");
    expect(await same(vaultData("apps/billing/stripe"), dataOf(String(batch["apps/billing/stripe"])))).toContain(
      "DIFF",
    );
  });

  it("steps 6 and 7: the audit logs tell who reads the new path, and who still reads the old one", async () => {
    const reader = scaivault.server.admin.createToken({
      identity: "sa:billing-prod",
      scopes: ["secrets:read"],
      rules: [{ path_pattern: "environments/production/billing/*", permissions: ["read"] }],
    });
    await shell.bash(
      `curl -H "Authorization: Bearer ${reader}" ${api}/secrets/environments/production/billing/database`,
    );
    const { logs } = await shell.json(
      `curl ${auth} \\\n  "${api}/audit/logs?identity_id=sa:billing-prod&from=1+hour+ago"`,
    );
    expect(logs).toMatchObject([{ action: "read", secret_path: "environments/production/billing/database" }]);
    const still = await shell.bash(`grep '"path":"kv/data/apps/billing/db"' ${env.vault.facts.auditFile} \\
  | jq -r '.auth.display_name' \\
  | sort -u`);
    expect(still.split("\n")).toEqual(expect.arrayContaining(["approle", "root"]));
  });

  it("step 8: the path goes in Vault, and ScaiVault still has the value", async () => {
    await shell.bash("vault kv delete kv/apps/billing/stripe");
    expect(await read("environments/production/billing/stripe")).toMatchObject({ data: { api_key: "made-up" } });
    await expect(read("external/hashicorp/apps/billing/stripe")).rejects.toThrow("secret_not_found");
  });

  it("step 8: or Vault stays as a backup that changes nothing in ScaiVault", async () => {
    const changed = await shell.json(`curl -X PATCH ${api}/federation/backends/$backend \\
  ${auth} \\
  ${typed} \\
  -d '{"mode": "sync", "sync_interval": "1h", "conflict_resolution": "local_wins"}'`);
    expect(changed).toMatchObject({ mode: "sync", sync_interval: "1h", conflict_resolution: "local_wins" });
    await scaivault.server.admin.syncsIdle();
    const path = "external/hashicorp/apps/billing/db";
    await shell.bash(
      `curl -X PUT ${api}/secrets/${path} ${auth} ${typed} -d '{"data": {"password": "new"}, "secret_type": "json"}'`,
    );
    await shell.bash("vault kv patch kv/apps/billing/db password=old-store");
    await synced(3_600_000);
    expect(await read(path)).toMatchObject({ data: { password: "new" }, version: 2 });
    const { conflicts } = await shell.json(`curl ${auth} ${api}/federation/backends/$backend/conflicts`);
    expect(conflicts).toMatchObject([{ path, local_version: 2, resolution: "local_wins" }]);
  });

  it("a second Vault is a second backend with its own mapping", async () => {
    await env.vault.enableKv("kv-eu", 2);
    await env.vault.put("kv-eu", "apps/db", { region: "eu" });
    await shell.bash(`vault policy write scaivault-reader -<<EOF
path "kv-eu/data/*" { capabilities = ["read", "list"] }
EOF
curl -X POST ${api}/federation/backends ${auth} ${typed} -d '{
    "name": "hashicorp-eu",
    "type": "hashicorp-vault",
    "config": {
      "endpoint": "https://vault.internal:8200",
      "auth_method": "approle",
      "auth_config_path": "infra/hashicorp/approle",
      "tls_verify": true
    },
    "path_mapping": {"external/hashicorp-eu/**": "kv-eu/data/**"},
    "mode": "proxy"
  }'`);
    expect(await read("external/hashicorp-eu/apps/db")).toMatchObject({ data: { region: "eu" } });
    await env.vault.disableMount("kv-eu");
  });
});
