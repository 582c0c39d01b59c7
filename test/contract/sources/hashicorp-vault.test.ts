import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VaultClient } from "../../../local/vault-client.ts";
import { SyncError } from "../../../src/errors/index.ts";
import { SecretValue } from "../../../src/model/index.ts";
import { Network } from "../../../src/net/index.ts";
import type { PollDemand, SecretSource } from "../../../src/ports/index.ts";
import { createVaultSource, type VaultAuth } from "../../../src/sources/index.ts";
import { VirtualClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";
import { CANARY, describeSecretSource } from "./source-contract.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

const signal = new AbortController().signal;
const contentVersion = (bytes: Uint8Array): string =>
  createHmac("sha256", "test").update(bytes).digest("hex").slice(0, 32);

let sequence = 0;
const unique = (name: string): string => `${name}-${process.pid}-${++sequence}`;

/** A policy for everything in a mount but what lies below `denied/`. */
function policy(mount: string, version: 1 | 2): string {
  const base = version === 2 ? ["data/", "metadata/"] : [""];
  return base
    .map(
      (part) =>
        `path "${mount}/${part}*" { capabilities = ["read", "list"] }\npath "${mount}/${part}denied/*" { capabilities = ["deny"] }`,
    )
    .join("\n");
}

interface Made {
  readonly source: SecretSource;
  readonly clock: VirtualClock;
  close(): Promise<void>;
}

function open(
  vault: VaultClient,
  credential: VaultAuth,
  options: { port?: number; namespace?: string; ca?: string } = {},
): Made {
  const clock = new VirtualClock();
  const network = new Network({
    userAgent: "scaivault-operator/test",
    allowLoopback: true,
    timeouts: { totalMs: 1_500 },
  });
  const url = new URL(vault.facts.url);
  if (options.port !== undefined) url.port = String(options.port);
  const access = network.bind({
    service: "Vault",
    owner: { kind: "Namespace", namespace: "team" },
    credential,
    endpoint: url.origin,
    allowed: ["127.0.0.1"],
    ca: options.ca ?? readFileSync(vault.facts.caFile, "utf8"),
  });
  const source = createVaultSource({
    access,
    network,
    clock,
    contentVersion,
    namespace: options.namespace,
    random: () => 0,
  });
  return {
    source,
    clock,
    async close() {
      await source.close();
      await network.close();
    },
  };
}

async function appRole(
  vault: VaultClient,
  name: string,
  hcl: string,
  options: { tokenTtl?: string; tokenMaxTtl?: string; tokenType?: "service" | "batch" } = {},
): Promise<VaultAuth> {
  await vault.writePolicy(name, hcl);
  const role = await vault.createAppRole({ name, policies: [name], ...options });
  return {
    kind: "AppRole",
    mount: role.mount,
    roleID: SecretValue.fromText(role.roleId),
    secretID: SecretValue.fromText(role.secretId),
  };
}

const logins = /^(?:auth\/|sys\/internal\/)/;

for (const version of [2, 1] as const) {
  describeSecretSource(
    `HashiCorp Vault KV v${version}`,
    {
      binary: false,
      versions: version === 2,
      exactNumbers: version === 1,
      defaultStage: "latest",
      ...(version === 2 ? { softDeleted: "Deleted" as const } : {}),
      badPaths: [
        "",
        "kv",
        "/kv/a",
        "kv//a",
        "kv/../sys/seal",
        "kv/%2e%2e/x",
        "kv/a\u0000",
        "kv/a\u202eb",
        "sys/seal",
        "auth/token/lookup-self",
        "identity/entity",
        "cubbyhole/a",
        `kv/${"x".repeat(600)}`,
      ].filter((path) => path !== "kv"),
    },
    async () => {
      const { vault } = testEnvironment();
      const mount = `team/${unique("kv")}`;
      await vault.enableKv(mount, version);
      const credential = await appRole(vault, unique("contract"), policy(mount, version));
      const way = await startTcpProxy(Number(new URL(vault.facts.url).port));
      const made = open(vault, credential, { port: way.port });
      let since = vault.auditMark();
      const versions = new Map<string, number>();
      return {
        source: made.source,
        clock: made.clock,
        path: (name) => `${mount}/${name}`,
        async put(name, value) {
          // The text goes as it is: JavaScript's numbers would lose digits.
          const data = String(value);
          const path = `${mount}/${version === 2 ? "data/" : ""}${name}`;
          const text = version === 2 ? `{"data":${data}}` : data;
          const { rootToken, url } = vault.facts;
          const network = new Network({ userAgent: "test", allowLoopback: true });
          const answer = await network
            .open({ url: new URL(url), ca: vault.ca })
            .send({ method: "POST", path: `/v1/${path}`, headers: { "x-vault-token": rootToken }, body: text });
          await network.close();
          if (answer.status >= 300) throw new Error(`Vault: ${answer.status}`);
          versions.set(name, (versions.get(name) ?? 0) + 1);
          return version === 2 ? String(versions.get(name)) : undefined;
        },
        remove: (name) => (version === 2 ? vault.destroy(mount, name) : vault.delete(mount, name)),
        ...(version === 2
          ? {
              softDelete: (name: string) => vault.delete(mount, name),
              putEmpty: async (name: string) =>
                void (await vault.request("POST", `${mount}/metadata/${name}`, { max_versions: 3 })),
            }
          : {}),
        async throttle() {
          const quota = unique("quota");
          await vault.request("POST", `sys/quotas/rate-limit/${quota}`, {
            path: `${mount}/`,
            rate: 1,
            interval: "60s",
          });
          return async () => void (await vault.request("DELETE", `sys/quotas/rate-limit/${quota}`));
        },
        hang: way.hang,
        reset: way.reset,
        counts() {
          const entries = vault
            .readAudit({ since })
            .filter((entry) => entry.displayName === "approle" && !logins.test(entry.path));
          const values = entries.filter(
            (entry) => entry.operation === "read" && (version === 1 || entry.path.startsWith(`${mount}/data/`)),
          );
          return Promise.resolve({ calls: entries.length, values: values.length });
        },
        resetCounts() {
          since = vault.auditMark();
          return Promise.resolve();
        },
        async close() {
          await made.close();
          await way.close();
          await vault.disableMount(mount);
        },
      };
    },
  );
}

describe("HashiCorp Vault", () => {
  let vault: VaultClient;
  const closers: (() => Promise<void>)[] = [];
  const kv = unique("vault");
  const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
  const poll = (source: SecretSource, demand: Partial<PollDemand>) =>
    source.poll({ paths: [], subtrees: [], fresh: false, ...demand }, signal);
  function opened(...args: Parameters<typeof open>): Made {
    const made = open(...args);
    closers.push(() => made.close());
    return made;
  }
  const asked = (since: number): string[] =>
    vault
      .readAudit({ since })
      .filter((entry) => entry.displayName !== "root" && entry.policies.every((name) => name !== "root"))
      .map((entry) => `${entry.operation} ${entry.path}`);

  beforeAll(async () => {
    vault = testEnvironment().vault;
    await vault.enableKv(kv, 2);
    await vault.put(kv, "app/db", { password: CANARY });
  });
  afterAll(async () => {
    for (const close of closers) await close();
    await vault.disableMount(kv);
  });

  it("asks one login, one mount and one metadata read for a first poll, then one read a poll", async () => {
    const { source } = opened(vault, await appRole(vault, unique("cost"), policy(kv, 2)));
    const since = vault.auditMark();
    for (let n = 0; n < 3; n++) expect((await poll(source, { paths: [`${kv}/app/db`] })).method).toBe("Metadata");
    expect(asked(since)).toEqual([
      "update auth/approle/login",
      `read sys/internal/ui/mounts/${kv}/app/db`,
      ...Array.from({ length: 3 }, () => `read ${kv}/metadata/app/db`),
    ]);
  });

  it("learns the version from the value where metadata is denied, and remembers that", async () => {
    const { source } = opened(
      vault,
      await appRole(vault, unique("data-only"), `path "${kv}/data/*" { capabilities = ["read"] }`),
    );
    await vault.put(kv, "only/a", { v: CANARY });
    await vault.put(kv, "only/gone", { v: CANARY });
    await vault.delete(kv, "only/gone");
    const paths = ["only/a", "only/gone", "only/never"].map((name) => `${kv}/${name}`);
    const first = await poll(source, { paths, subtrees: [`${kv}/only`] });
    expect(first.facts.get(`${kv}/only/a`)).toMatchObject({
      state: "Present",
      stages: new Map([["latest", "1"]]),
      versionKind: "Number",
    });
    expect(first.facts.get(`${kv}/only/gone`)).toMatchObject({ state: "Gone", how: "Deleted" });
    expect(first.facts.get(`${kv}/only/never`)).toMatchObject({ state: "Gone", how: "NotFound" });
    expect(first.notes.join()).toContain("metadata/ is denied");
    expect(first.subtrees.get(`${kv}/only`)).toMatchObject({
      reason: "AccessDenied",
      right: `list on ${kv}/metadata/only`,
    });
    const since = vault.auditMark();
    expect((await poll(source, { paths: paths.slice(0, 1) })).method).toBe("Read");
    expect(asked(since)).toEqual([`read ${kv}/data/only/a`]);
  });

  it("does not take a mount that is gone, or came back as another version, for deleted secrets", async () => {
    const mount = unique("moving");
    await vault.enableKv(mount, 2);
    await vault.put(mount, "a", { v: "1" });
    const { source } = opened(
      vault,
      await appRole(vault, unique("moving"), `path "${mount}/*" { capabilities = ["read", "list"] }`),
    );
    const demand = { paths: [`${mount}/a`], subtrees: [mount] };
    expect((await poll(source, demand)).facts.get(`${mount}/a`)?.state).toBe("Present");
    await vault.disableMount(mount);
    const gone = await poll(source, demand);
    expect(gone.facts.size).toBe(0);
    expect(gone.failures.get(`${mount}/a`)).toBeInstanceOf(SyncError);
    expect(gone.subtrees.get(mount)).toBeInstanceOf(SyncError);
    await vault.enableKv(mount, 1);
    await vault.put(mount, "a", { v: "1" });
    expect((await poll(source, demand)).facts.get(`${mount}/a`)).toMatchObject({
      state: "Present",
      versionKind: "Content",
    });
    await vault.disableMount(mount);
  });

  it("reads KV mounts only", async () => {
    const mount = unique("transit");
    await vault.request("POST", `sys/mounts/${mount}`, { type: "transit" });
    const { source } = opened(
      vault,
      await appRole(vault, unique("transit"), `path "${mount}/*" { capabilities = ["read", "list", "update"] }`),
    );
    const since = vault.auditMark();
    expect(await failure(source.read({ path: `${mount}/keys/x` }, signal))).toMatchObject({
      reason: "UnsupportedMount",
    });
    expect(asked(since).every((line) => !line.includes(` ${mount}/`))).toBe(true);
    expect((await poll(source, { paths: ["no-such-mount/x"] })).failures.get("no-such-mount/x")).toMatchObject({
      reason: "AccessDenied",
    });
    await vault.disableMount(mount);
  });

  it("shows soft deletions, destroyed versions, undeletion and a secret that began anew", async () => {
    const { source } = opened(vault, await appRole(vault, unique("life"), policy(kv, 2)));
    const path = `${kv}/life`;
    const fact = async () => (await poll(source, { paths: [path] })).facts.get(path);
    await vault.put(kv, "life", { v: "1" });
    await vault.put(kv, "life", { v: "2" });
    expect(await fact()).toMatchObject({ stages: new Map([["latest", "2"]]), versions: new Set(["1", "2"]) });
    await vault.delete(kv, "life");
    expect(await fact()).toMatchObject({ state: "Gone", how: "Deleted" });
    expect(await failure(source.read({ path }, signal))).toMatchObject({ reason: "SourceNotFound" });
    expect(await failure(source.read({ path, version: "2" }, signal))).toMatchObject({ reason: "VersionNotFound" });
    expect((await source.read({ path, version: "1" }, signal)).payload.keys.get("v")?.text()).toBe("1");
    await vault.undelete(kv, "life", [2]);
    expect(await fact()).toMatchObject({ state: "Present" });
    await vault.request("POST", `${kv}/destroy/life`, { versions: [2] });
    expect(await fact()).toMatchObject({ state: "Gone", how: "Deleted" });
    await vault.destroy(kv, "life");
    expect(await fact()).toMatchObject({ state: "Gone", how: "NotFound" });
    await vault.put(kv, "life", { v: "new" });
    expect(await fact()).toMatchObject({ stages: new Map([["latest", "1"]]) });
    await vault.request("POST", `${kv}/data/life`, { data: {} });
    expect(await failure(source.read({ path }, signal))).toMatchObject({ reason: "SourceEmpty" });
    await vault.request("POST", `${kv}/metadata/life`, { custom_metadata: { team: "billing" } });
    expect(await fact()).toMatchObject({ tags: ["team=billing"] });
  });

  it("knows a sealed Vault and goes on after it is unsealed", async () => {
    const { source } = opened(vault, await appRole(vault, unique("seal"), policy(kv, 2)));
    await poll(source, { paths: [`${kv}/app/db`] });
    await vault.seal();
    try {
      expect(await failure(poll(source, { paths: [`${kv}/app/db`] }))).toMatchObject({ reason: "SourceSealed" });
      expect(await failure(source.read({ path: `${kv}/app/db` }, signal))).toMatchObject({ reason: "SourceSealed" });
      expect(await failure(source.probe(signal))).toMatchObject({ reason: "SourceSealed" });
    } finally {
      await vault.unseal();
    }
    expect((await source.read({ path: `${kv}/app/db` }, signal)).payload.keys.get("password")?.text()).toBe(CANARY);
  });

  it("logs in anew once when its token was revoked, and revokes it at the end", async () => {
    const role = await appRole(vault, unique("revoked"), policy(kv, 2));
    const made = open(vault, role);
    const paths = [`${kv}/app/db`];
    await poll(made.source, { paths });
    const accessors = (await vault.request("LIST", "auth/token/accessors")).json<{ data: { keys: string[] } }>().data
      .keys;
    for (const accessor of accessors) {
      const found = (await vault.request("POST", "auth/token/lookup-accessor", { accessor })).json<{
        data?: { policies: string[] };
      }>();
      if (found.data?.policies.some((name) => name.startsWith("revoked-")) === true)
        await vault.request("POST", "auth/token/revoke-accessor", { accessor });
    }
    const since = vault.auditMark();
    const reads = await Promise.all(
      Array.from({ length: 10 }, () => made.source.read({ path: `${kv}/app/db` }, signal)),
    );
    expect(reads).toHaveLength(10);
    await made.close();
    const lines = asked(since);
    expect(lines.filter((line) => line === "update auth/approle/login")).toHaveLength(1);
    expect(lines.at(-1)).toBe("update auth/token/revoke-self");
  });

  it("renews on time, uses batch tokens, and takes given tokens", async () => {
    const role = await appRole(vault, unique("renew"), policy(kv, 2), { tokenTtl: "60s", tokenMaxTtl: "1h" });
    const { source, clock } = opened(vault, role);
    await poll(source, { paths: [`${kv}/app/db`] });
    const since = vault.auditMark();
    await clock.advance(40_000);
    await expect.poll(() => asked(since)).toContain("update auth/token/renew-self");
    const batch = opened(
      vault,
      await appRole(vault, unique("batch"), policy(kv, 2), { tokenType: "batch", tokenTtl: "60s" }),
    );
    for (let n = 0; n < 2; n++) {
      expect((await poll(batch.source, { paths: [`${kv}/app/db`] })).facts.size).toBe(1);
      await batch.clock.advance(60_000);
    }
    const name = unique("given");
    await vault.writePolicy(name, policy(kv, 2));
    const token = SecretValue.fromText(await vault.createToken({ policies: [name] }));
    const given = open(vault, { kind: "Token", token });
    expect((await given.source.read({ path: `${kv}/app/db` }, signal)).version).toBe("1");
    await given.close();
    const again = opened(vault, { kind: "Token", token });
    expect((await again.source.read({ path: `${kv}/app/db` }, signal)).version).toBe("1");
  });

  it("refuses wrong credentials, without one login for each who waits", async () => {
    const good = await appRole(vault, unique("bad"), policy(kv, 2));
    if (good.kind !== "AppRole") return;
    const { source } = opened(vault, { ...good, secretID: SecretValue.fromText("wrong-canary") });
    const since = vault.auditMark();
    const errors = await Promise.all(
      Array.from({ length: 20 }, () => failure(source.read({ path: `${kv}/app/db` }, signal))),
    );
    for (const error of errors) {
      expect(error).toMatchObject({ reason: "LoginFailed" });
      expect(JSON.stringify(error) + String(error)).not.toContain("canary");
    }
    expect(asked(since)).toHaveLength(1);
    const wrong = opened(vault, { kind: "Token", token: SecretValue.fromText("hvs.wrong-canary") });
    expect(await failure(wrong.source.probe(signal))).toMatchObject({ reason: "LoginFailed" });
  });

  it("trusts only the configured authority", async () => {
    const other = (await import("../../../local/certificates.ts")).createAuthority("other");
    const { source } = opened(vault, await appRole(vault, unique("ca"), policy(kv, 2)), { ca: other.cert });
    expect(await failure(source.probe(signal))).toMatchObject({
      reason: "SourceUnavailable",
      message: "the store cannot be reached",
    });
  });

  it("reaches exactly the path that was asked for, or nothing (Vault's audit log)", async () => {
    const { source } = opened(
      vault,
      await appRole(vault, unique("paths"), `path "*" { capabilities = ["read", "list"] }`),
    );
    await poll(source, { paths: [`${kv}/app/db`] });
    const part = fc.oneof(
      fc.constantFrom(
        "..",
        ".",
        "%2e%2e",
        "%2f",
        "%",
        "\\",
        "..\\",
        ";",
        "#",
        "?",
        "?version=1",
        "@",
        "&#x2F;",
        "{{x}}",
        "+",
        "*",
        "~",
        "a b",
        " a",
        "ü",
        "日本",
        "\u0000",
        "\n",
        "\u202e",
        "sys",
        "data",
        "metadata",
        "list=true",
        "e\u0301",
      ),
      fc.string({ unit: "grapheme", maxLength: 8 }),
      fc.string({ unit: "binary", maxLength: 8 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 4 }), async (parts) => {
        const path = [kv, ...parts].join("/");
        const since = vault.auditMark();
        const error = await failure(source.read({ path }, signal));
        const lines = asked(since);
        if (error instanceof SyncError && error.reason === "InvalidPath" && error.code === undefined)
          expect(lines).toEqual([]);
        else
          for (const line of lines)
            expect([`read ${kv}/data/${parts.join("/")}`, `read ${kv}/metadata/${parts.join("/")}`]).toContain(line);
      }),
      { numRuns: 300 },
    );
  }, 120_000);
});
