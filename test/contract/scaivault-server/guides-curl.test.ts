// The curl commands of ScaiVault's two migration guides as they are written there, sent by curl to the reference server.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { federationNetwork, type ScaiVaultPart } from "../../../local/scaivault.ts";
import { openStage, type Stage } from "./federation-support.ts";

let stage: Stage;
let scaivault: ScaiVaultPart;
beforeAll(async () => {
  stage = await openStage();
  const { environment, asm } = stage;
  scaivault = await environment.ownScaiVault({
    federation: federationNetwork({ vault: environment.vault.facts.url, asm: asm.tlsUrl }, environment.authority.cert),
  });
});
afterAll(async () => {
  await scaivault.stop();
  await stage.environment.vault.disableMount("kv");
  await stage.stop();
});

/** Runs commands in bash, where curl finds scaivault.scailabs.ai on this machine. @returns what they print */
async function bash(commands: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { facts } = stage.environment;
  const port = new URL(scaivault.facts.url).port;
  const curl = `curl() { command curl -sS --noproxy '*' --cacert '${facts.caFile}' --connect-to scaivault.scailabs.ai:443:127.0.0.1:${port} "$@"; }`;
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", `${curl}\n${commands}`], {
    env: { PATH: process.env["PATH"] ?? "", SCAIVAULT_TOKEN: scaivault.facts.token, ...env },
  });
  return stdout;
}

const json = (text: string): unknown => JSON.parse(text);

it("from HashiCorp Vault: credentials, backend, read, audit, flip", async () => {
  const { vault } = stage.environment;
  await vault.enableKv("kv", 2);
  await vault.put("kv", "apps/billing/db", { password: "canary-curl" });
  await vault.writePolicy(
    "scaivault-reader",
    'path "kv/data/*" { capabilities = ["read", "list"] }\npath "kv/metadata/*" { capabilities = ["read", "list"] }',
  );
  const role = await vault.createAppRole({ name: "scaivault-federation", policies: ["scaivault-reader"] });
  await bash(
    `curl -X PUT https://scaivault.scailabs.ai/v1/secrets/infra/hashicorp/approle \\
  -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d "{
    \\"data\\": {\\"role_id\\": \\"$ROLE_ID\\", \\"secret_id\\": \\"$SECRET_ID\\"},
    \\"secret_type\\": \\"json\\"
  }"`,
    { ROLE_ID: role.roleId, SECRET_ID: role.secretId },
  );
  const created = json(
    await bash(`curl -X POST https://scaivault.scailabs.ai/v1/federation/backends \\
  -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
  -H "Content-Type: application/json" \\
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
  }'`),
  );
  expect(created).toMatchObject({ status: "healthy" });
  const read = await bash(`curl -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
     https://scaivault.scailabs.ai/v1/secrets/external/hashicorp/apps/billing/db`);
  expect(json(read)).toMatchObject({ data: { password: "canary-curl" } });
  const logs = await bash(`curl -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
     "https://scaivault.scailabs.ai/v1/audit/logs?identity_id=sa:local-admin&from=1+hour+ago"`);
  expect((json(logs) as { logs: unknown[] }).logs[0]).toMatchObject({
    action: "read",
    secret_path: "external/hashicorp/apps/billing/db",
  });
  const flipped = await bash(
    `curl -X PATCH https://scaivault.scailabs.ai/v1/federation/backends/$FED \\
  -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"mode": "sync", "sync_interval": "1h", "conflict_resolution": "local_wins"}'`,
    { FED: (created as { id: string }).id },
  );
  expect(json(flipped)).toMatchObject({ mode: "sync", sync_interval: "1h", conflict_resolution: "local_wins" });
});

it("from AWS Secrets Manager: credentials, backend, read, copy to the new path", async () => {
  await stage.aws("CreateSecret", { Name: "prod/billing/stripe", SecretString: '{"api_key":"canary-curl-aws"}' });
  await bash(`curl -X PUT https://scaivault.scailabs.ai/v1/secrets/infra/aws/sm-reader \\
  -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{
    "data": {"access_key_id": "AKIA...", "secret_access_key": "..."},
    "secret_type": "json"
  }'`);
  const created = await bash(`curl -X POST https://scaivault.scailabs.ai/v1/federation/backends \\
  -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
  -H "Content-Type: application/json" \\
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
  expect(json(created)).toMatchObject({ id: expect.stringMatching(/^fed_/), mode: "sync" });
  await scaivault.server.admin.syncsIdle();
  const read = json(
    await bash(`curl -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
     https://scaivault.scailabs.ai/v1/secrets/external/aws/billing/stripe`),
  ) as { data: unknown };
  expect(read.data).toEqual({ api_key: "canary-curl-aws" });
  const written = await bash(
    `curl -X PUT https://scaivault.scailabs.ai/v1/secrets/environments/production/billing/stripe \\
  -H "Authorization: Bearer $SCAIVAULT_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d "{
    \\"data\\": $value,
    \\"secret_type\\": \\"json\\",
    \\"metadata\\": {
      \\"tags\\": [\\"billing\\", \\"stripe\\", \\"migrated-from-asm\\"],
      \\"owner\\": \\"team:billing\\"
    },
    \\"options\\": {\\"max_versions\\": 10}
  }"`,
    { value: JSON.stringify(read.data) },
  );
  expect(json(written)).toMatchObject({ version: 1, metadata: { owner: "team:billing" } });
});
