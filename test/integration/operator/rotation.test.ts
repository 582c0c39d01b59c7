/**
 * The operator's own credentials are replaced while it works, as teams do it: the new one is made, both are good for a
 * while, the old one is withdrawn. No sync fails, values go on arriving, and the old one is not used any more.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createAuthority } from "../../../local/certificates.ts";
import { copyOf, expectCopies } from "../../faults/support.ts";
import { backend, credential, Harness, REGION, VAULT_HOST, verdict } from "../../support/operator.ts";
import { OPERATOR_USER } from "../../support/operator-account.ts";
import { startTlsFront, type TlsFront } from "../../support/tls-front.ts";

const MOUNT = "rotation";
const AWS_HOST = `secretsmanager.${REGION}.amazonaws.com`;
const scopes = ["secrets:read", "secrets:write", "secrets:delete", "secrets:list"];
const rules = [{ path_pattern: "**", permissions: ["read", "write", "delete", "list"] as const }];
const another = createAuthority("another");

let op: Harness<"team">;
let ns: string;
let aws: TlsFront;
let vault: TlsFront;
let mount: string;

beforeAll(async () => {
  op = await Harness.prepare({ namespaces: ["team"] });
  ns = op.ns.team;
  mount = `${MOUNT}-${ns}`;
  const { authority } = op.env;
  aws = await startTlsFront(op.asm.url, authority.issue({ commonName: "aws", names: ["127.0.0.1", AWS_HOST] }));
  vault = await startTlsFront(
    op.env.vault.facts.url,
    authority.issue({ commonName: "vault", names: ["127.0.0.1", "vault.example.com"] }),
    authority.cert,
  );
  const overrides = op.file["endpointOverrides"] as Record<string, string>;
  op.file = {
    ...op.file,
    caFile: join(op.folder, "ca.crt"),
    endpointOverrides: { ...overrides, [AWS_HOST]: aws.url, [VAULT_HOST]: vault.url },
  };
  writeFileSync(join(op.folder, "ca.crt"), authority.cert);
  await op.start();
  await op.awsBackend(ns);
  await op.env.vault.enableKv(mount, 2);
  await op.env.vault.put(mount, "app", { password: op.canaries.value("vault first") });
  await op.vaultBackend(ns, "vault", [mount]);
  await op.aws.put("prod/app", JSON.stringify({ password: op.canaries.value("aws first") }));
  await op.cluster.apply(
    copyOf(ns, "from-aws", { backend: "aws", path: "prod/app" }),
    copyOf(ns, "from-vault", { backend: "vault", path: `${mount}/app` }),
  );
  await Promise.all([op.ready(ns, "from-aws"), op.ready(ns, "from-vault")]);
}, 300_000);
afterAll(async () => {
  await op?.stop();
  await Promise.all([aws?.stop(), vault?.stop()]);
});

/** New values at both sources; @returns looks at the copies. */
async function change(label: string): Promise<() => Promise<void>> {
  const [a, v] = [op.canaries.value(`aws ${label}`), op.canaries.value(`vault ${label}`)];
  await op.aws.put("prod/app", JSON.stringify({ password: a }));
  await op.env.vault.put(mount, "app", { password: v });
  return async () => {
    await expectCopies(op, ns, "from-aws", { password: a });
    await expectCopies(op, ns, "from-vault", { password: v });
  };
}

async function failures(): Promise<number> {
  const metric = await op.operator.metrics.registry.getSingleMetric("scaivault_operator_failures_total")?.get();
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
}

/** A poll on a busy machine may have missed the change: then the next one has it. */
const nextPoll = { virtualMs: 310_000 };

/** Carries a rotation out: nothing fails, no Ready moves, values that change before, between and after it arrive. */
async function rotated(steps: {
  /** The new credential is made known; both are good. */
  readonly begin: () => Promise<void> | void;
  /** The old one is withdrawn. */
  readonly end: () => Promise<void> | void;
  /** The stores' records of what came after the end. */
  readonly after?: () => Promise<void> | void;
}): Promise<void> {
  const failed = await failures();
  const line = op.lines.length;
  await steps.begin();
  let arrived = await change("between");
  await op.interval();
  await op.eventually("values arrive while both are good", async () => (await arrived(), true), nextPoll);
  await steps.end();
  await op.mark();
  for (let round = 0; round < 2; round += 1) {
    arrived = await change(`after ${round}`);
    await op.interval();
    await op.eventually("values arrive when the old one is gone", async () => (await arrived(), true), nextPoll);
  }
  await steps.after?.();
  const events = op.lines.slice(line).map((text) => JSON.parse(text) as { event: string; level: string });
  expect(
    events.filter(({ event, level }) => event === "status changed" || level === "warn" || level === "error"),
  ).toEqual([]);
  expect(await failures()).toBe(failed);
  for (const name of ["from-aws", "from-vault"]) expect(verdict(await op.cluster.sync(ns, name))).toBe("True InSync");
  for (const name of ["aws", "vault"]) expect(verdict(await op.cluster.backend(ns, name))).toBe("True InSync");
}

const admin = () => op.scaivault.server.admin;
const identitiesAsking = () =>
  new Set(
    admin()
      .requests()
      .map(({ identity }) => identity),
  );
const refusals = () =>
  admin()
    .requests()
    .filter(({ status }) => status === 401 || status === 403);
const file = (name: string, content: string): string => {
  const path = join(op.folder, name);
  writeFileSync(path, content);
  return path;
};
async function logInWith(auth: object): Promise<void> {
  op.file = { ...op.file, scaivault: { url: "https://scaivault.scailabs.ai", auth, news: "Polling" } };
  await op.restart();
  await op.interval();
}

it("ScaiVault token file", async () => {
  const [old, next] = ["sa:token-one", "sa:token-two"].map((identity) =>
    admin().createToken({ identity, scopes, rules }),
  ) as [string, string];
  const tokenFile = file("token", old);
  await logInWith({ tokenFile });
  await rotated({
    begin: () => void file("token", `${next}\n`),
    end: async () => void (await admin().revokeToken(old)),
    after: () => {
      expect([...identitiesAsking()]).toEqual(["sa:token-two"]);
      expect(refusals()).toEqual([]);
    },
  });
});

it("client id and client secret", async () => {
  const [old, next] = ["sa:client-one", "sa:client-two"].map((identity) =>
    admin().createClient({ identity, scopes, rules }),
  );
  if (old === undefined || next === undefined) throw new Error("no clients");
  await logInWith({
    clientCredentials: {
      tokenURL: "https://scaivault.scailabs.ai/oauth/token",
      clientIDFile: file("client-id", old.clientId),
      clientSecretFile: file("client-secret", old.clientSecret),
    },
  });
  await rotated({
    begin: () => {
      file("client-id", next.clientId);
      file("client-secret", next.clientSecret);
    },
    end: () => void admin().removeClient(old.clientId),
    after: async () => {
      expect([...identitiesAsking()]).toEqual(["sa:client-two"]);
      // The token of the login ends as well: one new login, with the new client.
      await op.mark();
      for (let passed = 0; passed < 14; passed += 1) await op.interval();
      expect(admin().counters().byRoute["POST /oauth/token"]).toBeLessThanOrEqual(2);
      expect([...identitiesAsking()].filter((identity) => identity !== undefined)).toEqual(["sa:client-two"]);
      expect(refusals()).toEqual([]);
    },
  });
});

it("subject token of the exchange", async () => {
  const subject = (name: string): string => {
    const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
    const at = Math.floor(op.clock.now() / 1000);
    const claims = { iss: "https://cluster", aud: "scaivault", sub: name, iat: at, exp: at + 86_400 };
    return `${encode({ alg: "none" })}.${encode(claims)}.x`;
  };
  const trust = (...names: string[]): void =>
    admin().setExchangeTrust([
      {
        issuer: "https://cluster",
        acceptUnsigned: true,
        mappings: names.map((name) => ({ subject: name, identity: `sa:${name}`, scopes })),
      },
    ]);
  for (const name of ["subject-one", "subject-two"]) admin().bindPolicy(`sa:${name}`, rules);
  trust("subject-one");
  await logInWith({
    tokenExchange: { subjectTokenFile: file("subject", subject("subject-one")), audience: "scaivault" },
  });
  expect(identitiesAsking()).toContain("sa:subject-one");
  await rotated({
    begin: () => {
      trust("subject-one", "subject-two");
      file("subject", subject("subject-two"));
    },
    end: async () => {
      trust("subject-two");
      // The token of the last login ends after an hour.
      for (let passed = 0; passed < 12; passed += 1) await op.interval();
    },
    after: () => {
      expect([...identitiesAsking()]).toEqual(["sa:subject-two"]);
      expect(refusals()).toEqual([]);
    },
  });
});

it("AppRole secret id", async () => {
  const role = `vault-${ns}`;
  const call = (path: string, body: object) => op.env.vault.request("POST", `auth/approle/role/${role}/${path}`, body);
  const ids = (await op.env.vault.request("LIST", `auth/approle/role/${role}/secret-id`)).json<{
    data: { keys: string[] };
  }>().data.keys;
  const roleID = (await op.env.vault.request("GET", `auth/approle/role/${role}/role-id`)).json<{
    data: { role_id: string };
  }>().data.role_id;
  const made = (await call("secret-id", {})).json<{ data: { secret_id: string } }>().data.secret_id;
  await rotated({
    begin: () => op.cluster.apply(credential(ns, "vault-approle", { role_id: roleID, secret_id: made })),
    // Destroying a secret id ends the tokens that were made with it, too.
    end: async () => {
      for (const accessor of ids) await call("secret-id-accessor/destroy", { secret_id_accessor: accessor });
    },
    after: async () => {
      const { vault: asked } = await op.seen();
      expect(asked.filter(({ error }) => error !== "")).toEqual([]);
    },
  });
});

it("static AWS keys; a read that is under way with the old one is made anew and fails nothing", async () => {
  const key = (id: string) => ({
    accessKeyId: id,
    secretAccessKey: `secret-of-${id}`,
    principalArn: `arn:aws:iam::123456789012:user/${id}`,
  });
  const [old, next] = [key("AKIAROTATIONFIRST000"), key("AKIAROTATIONSECOND00")];
  const seed = { accessKeyId: "AKIASEEDSEEDSEEDSEED", principalArn: "arn:aws:iam::123456789012:user/seed" };
  const give = ({ accessKeyId, secretAccessKey }: typeof old) =>
    op.cluster.apply(credential(ns, "aws-key", { access_key_id: accessKeyId, secret_access_key: secretAccessKey }));
  const mine = () => op.asm.calls().filter(({ accessKeyId }) => accessKeyId !== seed.accessKeyId);
  await give(old);
  await op.interval();
  await rotated({
    begin: async () => {
      const arrived = await change("under way");
      op.hungMs = 100;
      op.asm.addFault({ kind: "hang", actions: ["GetSecretValue", "BatchGetSecretValue"], times: 1 });
      // Not until everything rests: the read hangs.
      await op.clock.advance(305_000);
      await op.eventually("a read hangs", () => Promise.resolve(op.asm.hanging() > 0));
      await give(next);
      await op.eventually("the new key is used", () =>
        Promise.resolve(mine().some(({ accessKeyId }) => accessKeyId === next.accessKeyId)),
      );
      op.asm.clearFaults();
      op.hungMs = 1_500;
      await op.eventually("the value arrives", async () => (await arrived(), true), nextPoll);
    },
    end: () => op.asm.setKeys([next, seed]),
    after: () => {
      expect([...new Set(mine().map(({ accessKeyId }) => accessKeyId))]).toEqual([next.accessKeyId]);
    },
  });
  op.asm.setKeys(null);
});

it("extra CA file", async () => {
  const { authority } = op.env;
  const names = ["127.0.0.1", AWS_HOST];
  await rotated({
    begin: () => void file("ca.crt", `${authority.cert}\n${another.cert}`),
    end: () => aws.replace(another.issue({ commonName: "aws", names })),
    after: () => expect(aws.connections()).toBeGreaterThan(0),
  });
  // A file that is no CA changes nothing, and says so.
  file("ca.crt", "-----BEGIN CERTIFICATE-----\nnot one\n");
  await op.advance(20_000);
  expect(op.lines.some((text) => text.includes("file not taken in"))).toBe(true);
  const arrived = await change("after a bad file");
  await op.interval();
  await op.eventually("values arrive", async () => (await arrived(), true), nextPoll);
  file("ca.crt", `${authority.cert}\n${another.cert}`);
  await op.advance(20_000);
});

it.each(["Secret", "ConfigMap"] as const)("CA of a Vault backend in a %s", async (kind) => {
  const { authority } = op.env;
  const names = ["127.0.0.1", "vault.example.com"];
  const ca = (pem: string): object => ({
    apiVersion: "v1",
    kind,
    metadata: { name: "vault-ca", namespace: ns, labels: { "scaivault.scailabs.ai/credential": "true" } },
    ...(kind === "Secret" ? { stringData: { "ca.crt": pem } } : { data: { "ca.crt": pem } }),
  });
  const put = async (pem: string): Promise<void> => {
    const flags = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    const applied = await op.env.kube.kubectl(flags, { input: JSON.stringify(ca(pem)) });
    expect(applied.code, applied.stderr).toBe(0);
  };
  vault.replace(authority.issue({ commonName: "vault", names }));
  if (kind === "ConfigMap") await allowConfigMap("vault-ca");
  await put(authority.cert);
  const appRole = { secretRef: { name: "vault-approle" } };
  await op.cluster.apply(
    backend(ns, "vault", {
      type: "hashicorp-vault",
      hashicorpVault: {
        address: `https://${VAULT_HOST}`,
        auth: { appRole },
        caRef: { kind, name: "vault-ca", key: "ca.crt" },
      },
      syncInterval: "5m",
    }),
  );
  await op.verdict("FederationBackend", ns, "vault", "True InSync");
  await op.interval();
  await rotated({
    begin: async () => {
      await put(`${authority.cert}\n${another.cert}`);
      // Nobody watches a ConfigMap: it is looked at after each poll.
      await op.interval();
    },
    end: () => vault.replace(another.issue({ commonName: "vault", names })),
    after: () => expect(vault.connections()).toBeGreaterThan(0),
  });
  if (kind === "Secret") return;
  // What it costs while nothing changes: one look at its metadata a poll.
  await op.mark();
  await op.interval();
  await op.interval();
  const { kube } = await op.seen();
  expect(kube.filter(({ resource }) => resource.endsWith("configmaps")).length).toBeLessThanOrEqual(3);
  // The server changed first: it mends itself once the ConfigMap follows.
  vault.replace(createAuthority("third").issue({ commonName: "vault", names }));
  await op.interval();
  await op.verdict("FederationBackend", ns, "vault", "False SourceUnavailable", { virtualMs: 60_000 });
  vault.replace(another.issue({ commonName: "vault", names }));
  await put(another.cert);
  await op.verdict("FederationBackend", ns, "vault", "True InSync", { virtualMs: 90_000 });
});

/** The right that the chart gives with `credentialNamespaces`. */
async function allowConfigMap(name: string): Promise<void> {
  const [, , namespace = "", account = ""] = OPERATOR_USER.split(":");
  const metadata = { name: "vault-ca", namespace: ns };
  const objects = [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata,
      rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: [name], verbs: ["get"] }],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "vault-ca" },
      subjects: [{ kind: "ServiceAccount", name: account, namespace }],
    },
  ];
  for (const object of objects) {
    const applied = await op.env.kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) });
    expect(applied.code, applied.stderr).toBe(0);
  }
}
