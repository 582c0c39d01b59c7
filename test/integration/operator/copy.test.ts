import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Harness, startOperator, sync } from "../../support/operator.ts";

let op: Harness<"team" | "shop">;
let ns: string;
let kv1: string;
let kv2: string;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team", "shop"] });
  ns = op.ns.team;
  kv1 = `kv1-${ns}`;
  kv2 = `kv2-${ns}`;
  await op.env.vault.enableKv(kv1, 1);
  await op.env.vault.enableKv(kv2, 2);
  await op.awsBackend(ns);
  await op.vaultBackend(ns, "vault", [kv1, kv2]);
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(kv1);
  await op?.env.vault.disableMount(kv2);
});

/** A SecretSync to both targets with the same name. */
const both = (name: string, source: object, more: { secret?: object; scaivault?: object; spec?: object } = {}) =>
  sync(ns, name, {
    source,
    targets: {
      scaivault: { path: `environments/test/${name}`, ...more.scaivault },
      kubernetesSecret: { ...more.secret },
    },
    ...more.spec,
  });
const aws = (path: string) => ({ backendRef: { name: "aws" }, path });
const vault = (path: string) => ({ backendRef: { name: "vault" }, path });

describe("one secret to both targets", () => {
  it("arrives from ASM, byte for byte, written exactly once to each", async () => {
    const [user, password] = [op.canaries.value("asm user"), op.canaries.value("asm password")];
    const text = `{"username": "${user}",\n "password":"${password}"}`;
    await op.aws.put("prod/db", text);
    await op.mark();
    await op.cluster.apply(both("db", aws("prod/db")));
    const ready = await op.ready(ns, "db");
    expect(await op.cluster.secretData(ns, "db")).toEqual({ username: user, password });
    expect(JSON.parse(op.stored("environments/test/db")?.data ?? "")).toEqual({ username: user, password });
    await op.idle();
    const seen = await op.seen();
    expect(seen.aws.valueReads).toBe(1);
    expect(seen.scaivault.versionsWritten).toBe(1);
    expect(seen.kubeWrites.filter(({ resource }) => resource === "secrets")).toHaveLength(1);
    expect(ready.status?.targets?.map(({ kind, state }) => [kind, state])).toEqual([
      ["ScaiVault", "InSync"],
      ["KubernetesSecret", "InSync"],
    ]);
  });

  it.each([1, 2] as const)("arrives from Vault KV v%i", async (version) => {
    const mount = version === 1 ? kv1 : kv2;
    const value = op.canaries.value(`kv${version}`);
    await op.env.vault.put(mount, "app/api", { token: value, note: "x" });
    await op.cluster.apply(both(`kv${version}`, vault(`${mount}/app/api`)));
    await op.ready(ns, `kv${version}`);
    expect(await op.cluster.secretData(ns, `kv${version}`)).toEqual({ token: value, note: "x" });
    expect(JSON.parse(op.stored(`environments/test/kv${version}`)?.data ?? "")).toEqual({ token: value, note: "x" });
  });
});

describe("values", () => {
  it.each([
    ["numbers above 2^53 and odd spellings", '{"big":12345678901234567890,"e":1e400,"neg":-0,"frac":1.10}', undefined],
    ["unicode", '{"ключ":"значение","emoji":"🔑 \\u0007"}', "InvalidKey"],
    ["a text that is no JSON", "plain text with ünïcode\nand a second line\n", undefined],
    ["a JSON array", "[1, 2, 3]", undefined],
  ])("of %s stay as they are", async (name, text, refused) => {
    const id = `v${name.length}`;
    await op.aws.put(`values/${id}`, text);
    await op.cluster.apply(both(id, aws(`values/${id}`)));
    if (refused === undefined) {
      await op.ready(ns, id);
      const data = await op.cluster.secretData(ns, id);
      if (text.startsWith('{"big')) {
        expect(data).toEqual({ big: "12345678901234567890", e: "1e400", neg: "-0", frac: "1.10" });
        expect(op.stored(`environments/test/${id}`)?.data).toContain('"big":12345678901234567890');
        expect(op.stored(`environments/test/${id}`)?.data).toContain("1.10");
      } else {
        expect(data).toEqual({ value: text });
        expect(JSON.parse(op.stored(`environments/test/${id}`)?.data ?? "")).toEqual({ value: text });
      }
    } else {
      // The Secret cannot have such keys; ScaiVault has them.
      const object = await op.verdict("SecretSync", ns, id, `False ${refused}`);
      expect(object.status?.targets?.map(({ state }) => state)).toEqual(["InSync", "Failed"]);
      expect(JSON.parse(op.stored(`environments/test/${id}`)?.data ?? "")).toEqual(JSON.parse(text));
      expect(await op.cluster.secretData(ns, id)).toBeUndefined();
    }
  });

  it("of bytes that are no text arrive as these bytes", async () => {
    const bytes = Buffer.from([0, 1, 2, 0xff, 0xfe, 0x80, 10, 13]);
    await op.aws.put("values/bytes", bytes);
    await op.cluster.apply(both("bytes", aws("values/bytes")));
    await op.ready(ns, "bytes");
    const secret = await op.cluster.get("Secret", ns, "bytes");
    expect(secret?.data).toEqual({ value: bytes.toString("base64") });
    expect(JSON.parse(op.stored("environments/test/bytes")?.data ?? "")).toEqual({
      value_base64: bytes.toString("base64"),
    });
  });

  it("are picked by field and decoded for the Secret only", async () => {
    const inner = op.canaries.value("inner");
    const text = JSON.stringify({ db: { password: inner }, "tls.crt": Buffer.from("PEM").toString("base64"), n: 1 });
    await op.aws.put("values/shaped", text);
    const data = [
      { key: "PASSWORD", field: ".db.password" },
      { key: "ca.pem", field: '."tls.crt"', decode: "Base64" },
      { key: "all.json" },
    ];
    await op.cluster.apply(both("shaped", aws("values/shaped"), { secret: { data } }));
    await op.ready(ns, "shaped");
    expect(await op.cluster.secretData(ns, "shaped")).toEqual({ PASSWORD: inner, "ca.pem": "PEM", "all.json": text });
    expect(JSON.parse(op.stored("environments/test/shaped")?.data ?? "")).toEqual(JSON.parse(text));
  });
});

describe("versions", () => {
  it("follow a stage, or stay at a pinned version", async () => {
    const one = await op.aws.put("staged", "one");
    await op.aws.put("staged", "two");
    await op.aws.stage("staged", "green value", "green");
    await op.cluster.apply(
      both("previous", { ...aws("staged"), stage: "AWSPREVIOUS" }),
      both("green", { ...aws("staged"), stage: "green" }),
      both("pinned", { ...aws("staged"), version: one }),
      both("current", aws("staged")),
      both("nowhere", { ...aws("staged"), stage: "blue" }),
    );
    for (const name of ["previous", "green", "pinned", "current"]) await op.ready(ns, name);
    const value = async (name: string) => (await op.cluster.secretData(ns, name))?.["value"];
    expect(await Promise.all(["previous", "green", "pinned", "current"].map(value))).toEqual([
      "one",
      "green value",
      "one",
      "two",
    ]);
    await op.verdict("SecretSync", ns, "nowhere", "False VersionNotFound");
    await op.aws.put("staged", "three");
    await op.interval();
    await op.eventually("the stages moved", async () => (await value("current")) === "three");
    await op.eventually("the stages moved", async () => (await value("previous")) === "two");
    expect([await value("pinned"), await value("green")]).toEqual(["one", "green value"]);
  });

  it("of KV v2 can be pinned by number", async () => {
    await op.env.vault.put(kv2, "pin", { v: "one" });
    await op.env.vault.put(kv2, "pin", { v: "two" });
    await op.cluster.apply(both("pin1", { ...vault(`${kv2}/pin`), version: 1 }), both("pin", vault(`${kv2}/pin`)));
    await op.ready(ns, "pin1");
    await op.ready(ns, "pin");
    expect([await op.cluster.secretData(ns, "pin1"), await op.cluster.secretData(ns, "pin")]).toEqual([
      { v: "one" },
      { v: "two" },
    ]);
  });
});

describe("a subtree", () => {
  const tree = (name: string, source: object) =>
    sync(ns, name, {
      source,
      targets: {
        scaivault: { path: `environments/${name}/**` },
        kubernetesSecret: { nameTemplate: `${name}-{path}` },
      },
    });
  const secrets = async (prefix: string): Promise<string[]> =>
    (await op.cluster.list("Secret", ns))
      .map(({ metadata }) => metadata.name)
      .filter((name) => name.startsWith(prefix))
      .sort();

  it.each([
    [
      "ASM",
      "tree",
      async (path: string, value: string): Promise<void> => void (await op.aws.put(`tree/${path}`, `{"k":"${value}"}`)),
    ],
    [
      "Vault",
      "vtree",
      async (path: string, value: string): Promise<void> =>
        void (await op.env.vault.put(kv2, `vtree/${path}`, { k: value })),
    ],
  ] as const)("of %s is copied whole, and new secrets arrive within an interval", async (_store, name, put) => {
    const first = op.canaries.value("in tree");
    await put("a", first);
    await put("b/c", "two");
    const source =
      name === "tree"
        ? { backendRef: { name: "aws" }, subtree: "tree/**" }
        : { backendRef: { name: "vault" }, subtree: `${kv2}/vtree/**` };
    await op.cluster.apply(tree(name, source));
    const ready = await op.ready(ns, name);
    expect(ready.status?.counts).toMatchObject({ found: 2, inSync: 2 });
    expect(ready.status?.targets).toBeUndefined();
    expect(await secrets(`${name}-`)).toEqual([`${name}-a`, `${name}-b-c`]);
    expect(await op.cluster.secretData(ns, `${name}-a`)).toEqual({ k: first });
    expect(JSON.parse(op.stored(`environments/${name}/b/c`)?.data ?? "")).toEqual({ k: "two" });
    await put("d", "three");
    await op.interval();
    await op.eventually("the new one is there", async () => (await secrets(`${name}-`)).length === 3);
    expect(JSON.parse(op.stored(`environments/${name}/d`)?.data ?? "")).toEqual({ k: "three" });
  });

  it("writes neither of two secrets that would have one name, and says both", async () => {
    await op.aws.put("clash/x/y", "1");
    await op.aws.put("clash/x-y", "2");
    await op.aws.put("clash/z", "3");
    await op.cluster.apply(tree("clash", { backendRef: { name: "aws" }, subtree: "clash/**" }));
    const object = await op.verdict("SecretSync", ns, "clash", ["False NameCollision", "False Partial"]);
    expect(object.status?.problems?.[0]?.message).toMatch(/clash\/x.y/);
    expect(await secrets("clash-")).toEqual(["clash-z"]);
  });
});

describe("the spec", () => {
  it("is byte-equal after apply and reconcile", async () => {
    await op.aws.put("spec", "x");
    const manifest = both("spec", aws("spec"));
    await op.cluster.apply(manifest);
    await op.ready(ns, "spec");
    expect((await op.cluster.sync(ns, "spec"))?.spec).toEqual(manifest["spec"]);
  });

  it("carries tags, owner, description and maxVersions to ScaiVault", async () => {
    await op.aws.put("meta", "x");
    await op.aws.tag("meta", { team: "billing" });
    const scaivault = { tags: ["billing", "env=test"], owner: "team:billing", description: "A test", maxVersions: 5 };
    await op.cluster.apply(both("meta", aws("meta"), { scaivault }));
    await op.ready(ns, "meta");
    const { metadata } = op.scaivault.server.admin.peek("environments/test/meta") ?? {};
    expect(metadata).toMatchObject({ owner: "team:billing", description: "A test" });
    expect([...((metadata?.["tags"] as string[] | undefined) ?? [])].sort()).toEqual([
      "billing",
      "env=test",
      "team=billing",
    ]);
  });
});
