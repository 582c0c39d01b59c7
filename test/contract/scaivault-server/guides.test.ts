// ScaiVault's two migration guides, step by step, with the requests that their curl commands send, against real stores.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStage, type Stage } from "./federation-support.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.stop());

describe("from HashiCorp Vault", () => {
  const mount = "kv-guide";
  let id = "";
  let source: Record<string, unknown> = {};

  it("steps 2 and 3: an AppRole for ScaiVault, its credentials stored in ScaiVault", async () => {
    const { vault } = stage.environment;
    await vault.enableKv(mount, 2);
    await vault.put(mount, "apps/billing/db", { username: "billing", password: "canary-vault-db" });
    await vault.put(mount, "apps/billing/stripe", { api_key: "canary-vault-stripe" });
    await vault.writePolicy(
      "scaivault-reader",
      `path "${mount}/data/*" { capabilities = ["read", "list"] }\npath "${mount}/metadata/*" { capabilities = ["read", "list"] }`,
    );
    const { roleId, secretId } = await vault.createAppRole({
      name: "scaivault-federation",
      policies: ["scaivault-reader"],
      tokenTtl: "1h",
      tokenMaxTtl: "24h",
    });
    const stored = await stage.call("PUT", "/v1/secrets/infra/hashicorp/approle", {
      data: { role_id: roleId, secret_id: secretId },
      secret_type: "json",
    });
    expect(stored.status).toBe(201);
  });

  it("step 4: the backend in proxy mode is healthy, and a read shows what Vault holds, in both audit logs", async () => {
    const { vault } = stage.environment;
    const created = await stage.call("POST", "/v1/federation/backends", {
      name: "hashicorp-production",
      type: "hashicorp-vault",
      config: {
        endpoint: "https://vault.internal:8200",
        auth_method: "approle",
        auth_config_path: "infra/hashicorp/approle",
        tls_verify: true,
      },
      path_mapping: { "external/hashicorp/**": `${mount}/data/**` },
      mode: "proxy",
    });
    expect(created).toMatchObject({ status: 201, json: { status: "healthy", id: expect.stringMatching(/^fed_/) } });
    id = String(created.json["id"]);

    const mark = vault.auditMark();
    const read = await stage.call("GET", "/v1/secrets/external/hashicorp/apps/billing/db");
    expect(read).toMatchObject({
      status: 200,
      json: { data: { username: "billing", password: "canary-vault-db" }, secret_type: "json", version: 1 },
    });
    expect(vault.readAudit({ since: mark, path: `${mount}/data/` })).toMatchObject([
      { operation: "read", path: `${mount}/data/apps/billing/db`, displayName: "approle" },
    ]);
    const logs = await stage.call("GET", "/v1/audit/logs?action=read&path_prefix=external/hashicorp/");
    expect(logs.json["logs"]).toMatchObject([
      { secret_path: "external/hashicorp/apps/billing/db", success: true, identity_id: "sa:local-admin" },
    ]);
    expect(stage.server.admin.paths()).toEqual(["infra/hashicorp/approle"]);
  });

  it("step 5: a subtree is copied; both sides are deeply equal", async () => {
    const { vault } = stage.environment;
    const mapping = {
      "apps/billing/db": "environments/production/billing/database",
      "apps/billing/stripe": "environments/production/billing/stripe",
    };
    for (const [from, to] of Object.entries(mapping)) {
      const answer = (await vault.request("GET", `${mount}/data/${from}`)).json() as {
        data: { data: Record<string, unknown> };
      };
      source = answer.data.data;
      const written = await stage.call("PUT", `/v1/secrets/${to}`, {
        data: source,
        secret_type: "json",
        metadata: { tags: ["migrated-from-vault"], description: `Migrated from vault: ${mount}/data/${from}` },
        options: { max_versions: 10 },
      });
      expect(written.status).toBe(201);
      expect((await stage.call("GET", `/v1/secrets/${to}`)).json["data"]).toEqual(source);
    }
  });

  it("step 6: the audit log of one consumer, with the time as the guide writes it", async () => {
    const logs = await stage.call("GET", "/v1/audit/logs?identity_id=sa:local-admin&from=1+hour+ago");
    expect(logs.status).toBe(200);
    expect((logs.json["logs"] as unknown[]).length).toBeGreaterThan(3);
  });

  it("step 8: authority flipped; ScaiVault is primary, Vault a backup that changes nothing here", async () => {
    const { vault } = stage.environment;
    const changed = await stage.call("PATCH", `/v1/federation/backends/${id}`, {
      mode: "sync",
      sync_interval: "1h",
      conflict_resolution: "local_wins",
    });
    expect(changed).toMatchObject({
      status: 200,
      json: { id, mode: "sync", sync_interval: "1h", conflict_resolution: "local_wins" },
    });
    await stage.server.admin.syncsIdle();
    const path = "/v1/secrets/external/hashicorp/apps/billing/db";
    expect((await stage.call("GET", path)).json["data"]).toEqual({ username: "billing", password: "canary-vault-db" });

    const local = { username: "billing", password: "canary-new" };
    expect((await stage.call("PUT", path, { data: local, secret_type: "json" })).status).toBe(200);
    await vault.put(mount, "apps/billing/db", { username: "billing", password: "canary-old-store" });
    await stage.clock.advance(3_600_000);
    await stage.server.admin.syncsIdle();
    expect((await stage.call("GET", path)).json).toMatchObject({ data: local, version: 2 });
    expect((await stage.call("GET", `/v1/federation/backends/${id}/conflicts`)).json["conflicts"]).toMatchObject([
      { path: "external/hashicorp/apps/billing/db", local_version: 2, resolution: "local_wins" },
    ]);
  });
});

describe("from AWS Secrets Manager", () => {
  const stripe = { api_key: "canary-aws-stripe", webhook: "canary-hook" };

  it("step 3: the credentials are stored in ScaiVault", async () => {
    await stage.aws("CreateSecret", {
      Name: "prod/billing/stripe",
      SecretString: JSON.stringify(stripe),
      Tags: [{ Key: "environment", Value: "production" }],
    });
    await stage.aws("CreateSecret", { Name: "prod/billing/database", SecretString: '{"password":"canary-db"}' });
    await stage.aws("CreateSecret", { Name: "staging/billing/stripe", SecretString: "{}" });
    const stored = await stage.call("PUT", "/v1/secrets/infra/aws/sm-reader", {
      data: { access_key_id: "AKIAGUIDE", secret_access_key: "canary-aws-key" },
      secret_type: "json",
    });
    expect(stored.status).toBe(201);
  });

  it("step 4: the backend in sync mode copies prod/ and nothing else; a read costs AWS nothing", async () => {
    const created = await stage.call("POST", "/v1/federation/backends", {
      name: "aws-prod-sm",
      type: "aws-secrets-manager",
      config: { region: "us-east-1", credentials_path: "infra/aws/sm-reader" },
      path_mapping: { "external/aws/**": "prod/**" },
      mode: "sync",
      sync_interval: "15m",
    });
    expect(created).toMatchObject({ status: 201, json: { mode: "sync", sync_interval: "15m" } });
    await stage.server.admin.syncsIdle();
    stage.asm.resetCounts();
    const read = await stage.call("GET", "/v1/secrets/external/aws/billing/stripe");
    expect(read.json).toMatchObject({
      data: stripe,
      secret_type: "json",
      version: 1,
      metadata: { tags: ["environment=production"] },
    });
    expect(stage.asm.calls()).toEqual([]);
    const listed = await stage.call("GET", "/v1/secrets?prefix=external/aws/");
    expect((listed.json["secrets"] as { path: string }[]).map(({ path }) => path)).toEqual([
      "external/aws/billing/database",
      "external/aws/billing/stripe",
    ]);
  });

  it("step 5: a batch of secrets is copied to its new paths", async () => {
    const mapping = {
      "external/aws/billing/stripe": "environments/production/billing/aws-stripe",
      "external/aws/billing/database": "environments/production/billing/aws-database",
    };
    for (const [from, to] of Object.entries(mapping)) {
      const value = (await stage.call("GET", `/v1/secrets/${from}`)).json;
      const body = {
        data: value["data"],
        secret_type: value["secret_type"],
        metadata: { tags: ["migrated-from-asm"] },
      };
      expect((await stage.call("PUT", `/v1/secrets/${to}`, body)).status).toBe(201);
    }
  });

  it("step 7 B: AWS rotates, and ScaiVault has the value one interval later", async () => {
    await stage.aws("PutSecretValue", { SecretId: "prod/billing/database", SecretString: '{"password":"canary-2"}' });
    const path = "/v1/secrets/external/aws/billing/database";
    expect((await stage.call("GET", path)).json).toMatchObject({ version: 1 });
    await stage.clock.advance(900_000);
    await stage.server.admin.syncsIdle();
    expect((await stage.call("GET", path)).json).toMatchObject({ version: 2, data: { password: "canary-2" } });
  });

  it("step 8: the audit log shows whether anybody still reads the federated paths", async () => {
    const from = new Date(stage.clock.now() - 1000).toISOString();
    await stage.clock.advance(60_000);
    const quiet = new Date(stage.clock.now() - 1000).toISOString();
    const at = (since: string): string => `/v1/audit/logs?action=read&path_prefix=external/aws/&from=${since}`;
    expect((await stage.call("GET", at(quiet))).json["logs"]).toEqual([]);
    expect((await stage.call("GET", at(from))).json["logs"]).toHaveLength(1);
  });
});
