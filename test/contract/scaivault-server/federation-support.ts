/** A reference server of a test's own beside the real Vault and the AWS emulator, asked as curl would ask it. */
import type { AsmProxy } from "../../../local/asm-proxy.ts";
import { call as httpCall } from "../../../local/http.ts";
import { federationNetwork } from "../../../local/scaivault.ts";
import { startServer } from "../../../scaivault-server/server.ts";
import type { ScaiVaultServer, ServerOptions } from "../../../scaivault-server/server.ts";
import { VirtualClock } from "../../../src/time/clock.ts";
import { testEnvironment, type TestEnvironment } from "../../support/environment.ts";

export interface Reply {
  readonly status: number;
  readonly code: string | undefined;
  readonly json: Record<string, unknown>;
  readonly text: string;
}

export interface Stage {
  readonly environment: TestEnvironment;
  readonly asm: AsmProxy;
  readonly clock: VirtualClock;
  server: ScaiVaultServer;
  /** Options for a restart of the server. */
  readonly options: ServerOptions;
  call(method: string, path: string, body?: unknown, token?: string): Promise<Reply>;
  /** Calls AWS as an administrator would. */
  aws(action: string, body: object): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** A server, an AWS account and a clock of the test's own. */
export async function openStage(options: ServerOptions = {}): Promise<Stage> {
  const environment = testEnvironment();
  const asm = await environment.ownAsm();
  const clock = new VirtualClock(Date.now());
  const settings: ServerOptions = {
    clock,
    jwtAlgorithm: "ES256",
    limits: { federation: Infinity, write: Infinity, list: Infinity },
    ...options,
    federation: {
      ...federationNetwork({ vault: environment.vault.facts.url, asm: asm.tlsUrl }, environment.authority.cert),
      ...options.federation,
    },
  };
  const stage: Stage = {
    environment,
    asm,
    clock,
    options: settings,
    server: await startServer(settings),
    async call(method, path, body, token) {
      const response = await fetch(stage.server.url + path, {
        method,
        headers: {
          authorization: `Bearer ${token ?? stage.server.token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
      return { status: response.status, code: (json["error"] as { code?: string } | undefined)?.code, json, text };
    },
    async aws(action, body) {
      const answer = await httpCall({
        method: "POST",
        url: asm.url,
        body,
        headers: {
          "content-type": "application/x-amz-json-1.1",
          "x-amz-target": `secretsmanager.${action}`,
          authorization:
            "AWS4-HMAC-SHA256 Credential=admin/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0",
        },
      });
      if (answer.status !== 200) throw new Error(`${action}: ${answer.status} ${answer.text}`);
      return answer.json();
    },
    async stop() {
      await stage.server.stop();
      await asm.stop();
    },
  };
  return stage;
}

/** Writes Vault credentials (AppRole) with rights on a mount to a ScaiVault path. */
export async function storeAppRole(stage: Stage, mount: string, path: string): Promise<void> {
  const { vault } = stage.environment;
  const name = `federation-${mount}`;
  await vault.writePolicy(
    name,
    ["data/", "metadata/", ""].map((part) => `path "${mount}/${part}*" { capabilities = ["read", "list"] }`).join("\n"),
  );
  const { roleId, secretId } = await vault.createAppRole({ name, policies: [name] });
  stage.server.admin.write(path, { data: { role_id: roleId, secret_id: secretId }, secret_type: "json" });
}
