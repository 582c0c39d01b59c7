import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "../../../local/http.ts";
import { testEnvironment, type TestEnvironment } from "../../support/environment.ts";

describe("Vault", () => {
  let env: TestEnvironment;
  beforeAll(async () => {
    env = testEnvironment();
    await env.vault.enableKv("local-v2", 2);
    await env.vault.enableKv("local-v1", 1);
  });
  afterAll(async () => {
    await env.vault.disableMount("local-v2");
    await env.vault.disableMount("local-v1");
  });

  it("is trusted by the environment's authority alone", async () => {
    await expect(call({ url: `${env.vault.facts.url}/v1/sys/health` })).rejects.toThrow();
    expect((await call({ url: `${env.vault.facts.url}/v1/sys/health`, ca: env.vault.ca })).status).toBe(200);
    expect((await call({ url: `${env.vault.facts.plainUrl}/v1/sys/health` })).status).toBe(200);
  });

  it("keeps versions in KV v2 and none in v1", async () => {
    expect(await env.vault.put("local-v2", "app/db", { password: "one" })).toBe(1);
    expect(await env.vault.put("local-v2", "app/db", { password: "two" })).toBe(2);
    await expect(env.vault.put("local-v2", "app/db", { password: "three" }, { cas: 1 })).rejects.toThrow(
      "check-and-set",
    );
    expect(await env.vault.put("local-v1", "app/db", { password: "one" })).toBe(0);
    const old = await env.vault.request("GET", "local-v2/data/app/db?version=1");
    expect(old.json()["data"]).toMatchObject({ data: { password: "one" } });
    await env.vault.delete("local-v2", "app/db");
    expect((await env.vault.request("GET", "local-v2/data/app/db")).status).toBe(404);
    await env.vault.undelete("local-v2", "app/db", [2]);
    expect((await env.vault.request("GET", "local-v2/data/app/db")).status).toBe(200);
  });

  it("holds an AppRole to its policy and shows in the audit log what it did, without values", async () => {
    await env.vault.writePolicy("local-app", 'path "local-v2/data/app/*" { capabilities = ["read"] }');
    const role = await env.vault.createAppRole({ name: "local-app", policies: ["local-app"], tokenTtl: "20s" });
    const body = { role_id: role.roleId, secret_id: role.secretId };
    const login = await env.vault.request("POST", `auth/${role.mount}/login`, body, { token: "" });
    const { client_token: token, lease_duration: seconds } = login.json<{
      auth: { client_token: string; lease_duration: number };
    }>().auth;
    expect(seconds).toBe(20);
    await env.vault.put("local-v2", "app/seen", { password: "canary-vault" });
    const mark = env.vault.auditMark();
    expect((await env.vault.request("GET", "local-v2/data/app/seen", undefined, { token })).status).toBe(200);
    expect((await env.vault.request("GET", "local-v2/data/other", undefined, { token })).status).toBe(403);
    const seen = env.vault.readAudit({ since: mark, path: "local-v2/" });
    expect(seen.map(({ displayName, operation, path, error }) => [displayName, operation, path, error !== ""])).toEqual(
      [
        ["approle", "read", "local-v2/data/app/seen", false],
        ["approle", "read", "local-v2/data/other", true],
      ],
    );
    expect(JSON.stringify(seen)).not.toContain("canary-vault");
  });

  it("answers 503 while it is sealed, and is as before after unsealing and after a kill", async () => {
    await env.vault.put("local-v2", "kept", { a: "1" });
    await env.vault.seal();
    expect((await env.vault.request("GET", "local-v2/data/kept")).status).toBe(503);
    await env.vault.unseal();
    expect((await env.vault.request("GET", "local-v2/data/kept")).status).toBe(200);
    await env.remote.programs.restart("vault");
    expect(await env.vault.sealed()).toBe(true);
    await env.vault.unseal();
    expect((await env.vault.request("GET", "local-v2/data/kept")).json()["data"]).toMatchObject({ data: { a: "1" } });
  });
});
