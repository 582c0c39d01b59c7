import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call } from "../../../local/http.ts";
import {
  backend,
  type BackendThing,
  condition,
  credential,
  type Harness,
  operatorKey,
  REGION,
  startOperator,
  VAULT_HOST,
  verdict,
} from "../../support/operator.ts";

let op: Harness<"team" | "shop">;
let ns: string;
let mount: string;
let login: { roleId: string; secretId: string };

beforeAll(async () => {
  op = await startOperator({
    namespaces: ["team", "shop"],
    federation: true,
    tenancy: (names) => [
      {
        namespaces: [names.team],
        scaivault: { read: ["external/**"], write: ["external/**", "infra/team/*"], credentials: ["infra/team/*"] },
        endpoints: [VAULT_HOST],
        federation: true,
      },
      {
        namespaces: [names.shop],
        scaivault: { write: ["external/shop/**", "infra/shop/*"], credentials: ["infra/shop/*"] },
        endpoints: [VAULT_HOST],
      },
    ],
  });
  ns = op.ns.team;
  mount = `kv-${ns}`;
  await op.env.vault.enableKv(mount, 2);
  await op.env.vault.writePolicy(ns, `path "${mount}/*" { capabilities = ["read", "list"] }`);
  login = await op.env.vault.createAppRole({ name: ns, policies: [ns] });
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(mount);
});
afterEach(async () => {
  for (const one of await op.cluster.list<BackendThing>("FederationBackend", ns)) {
    await op.cluster.patch("FederationBackend", ns, one.metadata.name, { metadata: { finalizers: null } });
    await op.cluster.delete("FederationBackend", ns, one.metadata.name);
  }
  await op.idle();
  for (const one of await registered()) await api("DELETE", `/${one.id}`);
});

interface Registered {
  readonly id: string;
  readonly name: string;
  readonly mode: string;
  readonly sync_interval: string | null;
  readonly conflict_resolution: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly path_mapping: Readonly<Record<string, string>>;
}

/** What a person with all rights does in ScaiVault. */
async function api(method: string, path = "", body?: object, base = "/v1/federation/backends") {
  const { url, token } = op.scaivault.server;
  return call({
    method,
    url: `${url}${base}${path}`,
    ca: op.env.authority.cert,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function registered(): Promise<Registered[]> {
  return (JSON.parse((await api("GET")).text) as { backends: Registered[] }).backends;
}

/** The one registration that there is. */
async function only(): Promise<Registered> {
  const all = await registered();
  expect(all).toHaveLength(1);
  return all[0] as Registered;
}

/** What a consumer reads at a path. */
async function read(path: string): Promise<unknown> {
  const answer = await api("GET", `/${path}`, undefined, "/v1/secrets");
  return answer.status === 200 ? (JSON.parse(answer.text) as { data: unknown }).data : answer.status;
}

const credentials = (name: string) => ({ scaivaultPath: `infra/team/${name}`, secretRef: { name: `${name}-login` } });

/** A Vault that ScaiVault runs, with its login in a Secret. */
async function vaultBackend(name: string, federation: object = {}, spec: object = {}): Promise<void> {
  await op.cluster.apply(
    credential(ns, `${name}-login`, { role_id: login.roleId, secret_id: login.secretId }),
    backend(ns, name, {
      type: "hashicorp-vault",
      hashicorpVault: { address: `https://${VAULT_HOST}` },
      federation: {
        mode: "proxy",
        runsIn: "ScaiVault",
        pathMapping: [{ scaivaultPath: `external/${name}/**`, sourcePath: `${mount}/${name}/**` }],
        credentials: credentials(name),
        ...federation,
      },
      ...spec,
    }),
  );
}

async function awsBackend(name: string, federation: object = {}, spec: object = {}): Promise<void> {
  await op.cluster.apply(
    credential(ns, `${name}-login`, {
      access_key_id: operatorKey.accessKeyId,
      secret_access_key: operatorKey.secretAccessKey,
    }),
    backend(ns, name, {
      type: "aws-secrets-manager",
      awsSecretsManager: { region: REGION },
      syncInterval: "5m",
      federation: {
        mode: "sync",
        runsIn: "ScaiVault",
        pathMapping: [{ scaivaultPath: `external/${name}/**`, sourcePath: `${name}/**` }],
        credentials: credentials(name),
        ...federation,
      },
      ...spec,
    }),
  );
}

const ready = (name: string) => op.verdict("FederationBackend", ns, name, "True InSync", { virtualMs: 120_000 });

describe("a proxy of Vault", () => {
  it("is registered after its credentials, and reads what Vault holds at that moment", async () => {
    const [first, second] = [op.canaries.value("first"), op.canaries.value("second")];
    await op.env.vault.put(mount, "live/db", { password: first });
    await op.mark();
    await vaultBackend("live");
    const { status } = await ready("live");
    const one = await only();
    expect(one).toMatchObject({
      name: `k8s_${op.config().cluster.name}_${ns}_live`,
      mode: "proxy",
      config: {
        endpoint: `https://${VAULT_HOST}`,
        auth_method: "approle",
        auth_config_path: "infra/team/live",
        tls_verify: true,
      },
      path_mapping: { "external/live/**": `${mount}/data/live/**` },
    });
    expect(status?.federation).toMatchObject({
      id: one.id,
      name: one.name,
      mode: "proxy",
      connection: "Connected",
      health: "healthy",
    });
    expect(status?.effective?.federation).toEqual({ mode: "proxy", runsIn: "ScaiVault" });
    expect(await read("external/live/db")).toEqual({ password: first });
    await op.env.vault.put(mount, "live/db", { password: second });
    expect(await read("external/live/db")).toEqual({ password: second });
    // Credentials first, in the order that ScaiVault saw.
    const order = op.scaivault.server.admin
      .requests()
      .filter(({ method }) => method === "PUT" || method === "POST")
      .map(({ method, path }) => `${method} ${path}`);
    expect(order).toEqual(["PUT /v1/secrets/infra/team/live", "POST /v1/federation/backends"]);
    const metadata = JSON.stringify(op.scaivault.server.admin.peek("infra/team/live")?.metadata);
    expect(metadata).toContain(VAULT_HOST);
    expect(metadata).toContain("scaivault_operator_proof");
  });

  it("costs a listing and a look a minute when nothing changes, and no write anywhere", async () => {
    await vaultBackend("quiet");
    await ready("quiet");
    await op.advance(120_000);
    await op.mark();
    await op.advance(600_000);
    const { scaivault, kubeWrites } = await op.seen();
    expect(kubeWrites).toEqual([]);
    expect(scaivault.versionsWritten).toBe(0);
    const calls = op.scaivault.server.admin.requests();
    expect(calls.every(({ method }) => method === "GET")).toBe(true);
    expect(calls.length).toBeLessThanOrEqual(24);
  });
});

describe("what others do to a registration", () => {
  it("is put right, and given up as Conflict when they do not stop", async () => {
    await vaultBackend("drift");
    await ready("drift");
    const { id } = await only();
    for (let round = 0; round < 3; round += 1) {
      const changed = await api("PATCH", `/${id}`, {
        path_mapping: { "external/elsewhere/**": `${mount}/data/drift/**` },
      });
      expect(changed.status).toBe(200);
      await op.eventually(
        "the mapping is put right",
        async () => JSON.stringify((await only()).path_mapping).includes("external/drift"),
        { virtualMs: 120_000 },
      );
    }
    await api("PATCH", `/${id}`, { path_mapping: { "external/elsewhere/**": `${mount}/data/drift/**` } });
    const held = await op.verdict("FederationBackend", ns, "drift", "False Conflict", { virtualMs: 120_000 });
    expect(condition(held, "Ready")?.message).toContain("path_mapping");
    await op.mark();
    await op.advance(300_000);
    expect(op.scaivault.server.admin.requests().filter(({ method }) => method === "PATCH")).toEqual([]);
  });

  it("that took it away is made good", async () => {
    await vaultBackend("gone");
    await ready("gone");
    const before = await only();
    await api("DELETE", `/${before.id}`);
    await op.eventually("it is registered again", async () => (await registered()).length === 1, {
      virtualMs: 200_000,
    });
    const { status } = await ready("gone");
    expect(status?.federation?.id).toBe((await only()).id);
    expect(status?.federation?.id).not.toBe(before.id);
  });
});

describe("a registration of our name that is not recorded as ours", () => {
  const name = () => `k8s_${op.config().cluster.name}_${ns}_found`;
  async function foreign(more: object): Promise<void> {
    await api(
      "PUT",
      "/infra/team/found",
      {
        data: { role_id: login.roleId, secret_id: login.secretId },
        secret_type: "json",
        metadata: { allowed_hosts: [VAULT_HOST] },
      },
      "/v1/secrets",
    );
    const made = await api("POST", "", {
      name: name(),
      type: "hashicorp-vault",
      config: {
        endpoint: `https://${VAULT_HOST}`,
        auth_method: "approle",
        auth_config_path: "infra/team/found",
        tls_verify: true,
      },
      path_mapping: { "external/found/**": `${mount}/data/found/**` },
      mode: "proxy",
      ...more,
    });
    expect(made.status).toBe(201);
  }
  const person = { scaivaultPath: "infra/team/found" };

  it("is left alone, and adopted when that is asked for and both are equal", async () => {
    await foreign({});
    const { id } = await only();
    await vaultBackend("found", { credentials: person });
    await op.verdict("FederationBackend", ns, "found", "False NotOwned");
    await op.mark();
    await op.cluster.patch("FederationBackend", ns, "found", { spec: { federation: { adopt: "IfEqual" } } });
    const { status } = await ready("found");
    expect(status?.federation?.id).toBe(id);
    expect(op.scaivault.server.admin.requests().filter(({ method }) => method !== "GET")).toEqual([]);
  });

  it("is not adopted when it differs, and says where", async () => {
    await foreign({ mode: "sync", sync_interval: "1h" });
    await vaultBackend("found", { credentials: person, adopt: "IfEqual" });
    const refused = await op.verdict("FederationBackend", ns, "found", "False AdoptDiffers");
    expect(condition(refused, "Ready")?.message).toContain("mode");
    expect((await only()).mode).toBe("sync");
  });
});

describe("a sync of AWS", () => {
  it("copies by interval, mirrors counts, and syncs now when that is asked for", async () => {
    const [first, second] = [op.canaries.value("aws first"), op.canaries.value("aws second")];
    await op.aws.put("copies/stripe", JSON.stringify({ api_key: first }));
    await awsBackend("copies");
    const { status } = await ready("copies");
    expect(await read("external/copies/stripe")).toEqual({ api_key: first });
    expect(status?.federation).toMatchObject({ mode: "sync", counts: { found: 1, inSync: 1, conflicts: 0 } });
    const before = status?.federation?.lastSyncTime;
    expect(before).toBeDefined();
    await op.aws.put("copies/stripe", JSON.stringify({ api_key: second }));
    await op.cluster.patch("FederationBackend", ns, "copies", {
      metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": "now-1" } },
    });
    await op.eventually(
      "the request is echoed",
      async () => (await op.cluster.backend(ns, "copies"))?.status?.lastHandledSyncRequest === "now-1",
      { virtualMs: 60_000 },
    );
    expect(await read("external/copies/stripe")).toEqual({ api_key: second });
    const after = (await op.cluster.backend(ns, "copies"))?.status?.federation?.lastSyncTime;
    expect(Date.parse(after ?? "")).toBeGreaterThan(Date.parse(before ?? ""));
    const syncs = op.scaivault.server.admin.requests().filter(({ path }) => path.endsWith("/sync"));
    expect(syncs).toHaveLength(1);
  });

  it("shows conflicts by path, version and time, and nothing of their values", async () => {
    const [theirs, ours] = [op.canaries.value("theirs"), op.canaries.value("ours")];
    await op.aws.put("fought/db", JSON.stringify({ password: theirs }));
    await awsBackend("fought", { conflictResolution: "manual" });
    await ready("fought");
    await api("PUT", "/external/fought/db", { data: { password: ours }, secret_type: "json" }, "/v1/secrets");
    const newer = { password: op.canaries.value("newer") };
    await op.aws.put("fought/db", JSON.stringify(newer));
    const held = await op.verdict("FederationBackend", ns, "fought", "False BothChanged", { virtualMs: 900_000 });
    expect(verdict(held, "Conflict")).toBe("True BothChanged");
    expect(held.status?.federation?.counts?.conflicts).toBe(1);
    expect(held.status?.problems?.[0]).toMatchObject({ path: "external/fought/db", reason: "BothChanged" });
    expect(held.status?.problems?.[0]?.message).toMatch(/^ScaiVault v2 and fought\/db have different values, seen 20/);
    await api("PUT", "/external/fought/db", { data: newer, secret_type: "json" }, "/v1/secrets");
    await op.verdict("FederationBackend", ns, "fought", "True InSync", { virtualMs: 900_000 });
  });
});

describe("an edit", () => {
  it("changes only what differs, and a move to proxy last", async () => {
    await op.aws.put("moved/db", "{}");
    await awsBackend("moved");
    await ready("moved");
    await op.mark();
    await op.cluster.patch("FederationBackend", ns, "moved", { spec: { syncInterval: "10m" } });
    await op.eventually("the interval is changed", async () => (await only()).sync_interval === "10m");
    await op.cluster.patch("FederationBackend", ns, "moved", {
      spec: {
        syncInterval: null,
        federation: {
          mode: "proxy",
          conflictResolution: null,
          pathMapping: [{ scaivaultPath: "external/moved-on/**", sourcePath: "moved/**" }],
        },
      },
    });
    await op.eventually("it is a proxy", async () => (await only()).mode === "proxy", { virtualMs: 60_000 });
    await ready("moved");
    expect(await read("external/moved-on/db")).toEqual({});
    const patches = op.scaivault.server.admin.requests().filter(({ method }) => method === "PATCH");
    expect(patches).toHaveLength(3);
  });
});
