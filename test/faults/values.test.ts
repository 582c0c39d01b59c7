/** Values and names that cannot go everywhere: what fits goes, what does not is said, nothing is damaged. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Harness, startOperator, sync, verdict } from "../support/operator.ts";
import { below, copies, copyOf, during, statusWrites } from "./support.ts";

let op: Harness<"team">;
let ns: string;
let kv1: string;
let kv2: string;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"] });
  ns = op.ns.team;
  [kv1, kv2] = [`odd1-${ns}`, `odd2-${ns}`];
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

it("keys that are no keys of a Secret: InvalidKey there, ScaiVault has them, nothing is tried again", async () => {
  const value = op.canaries.value("key");
  await op.aws.put("odd/keys", JSON.stringify({ "a key/with spaces": value, ok: "1" }));
  await op.cluster.apply(copyOf(ns, "keys", { backend: "aws", path: "odd/keys" }));
  const object = await op.verdict("SecretSync", ns, "keys", "False InvalidKey");
  expect(verdict(object, "TargetsDiverged")).toBe("True InvalidKey");
  expect(verdict(object, "Stalled")).toBe("True InvalidKey");
  expect((await copies(op, ns, "keys")).secret).toBeUndefined();
  expect((await copies(op, ns, "keys")).scaivault).toEqual({ "a key/with spaces": value, ok: "1" });
  const seen = await during(op, 10);
  expect(statusWrites(seen, "keys")).toBe(0);
  expect(seen.scaivault.versionsWritten).toBe(0);
  expect(seen.aws.valueReads).toBeLessThanOrEqual(3);
  // Naming the keys mends it.
  await op.cluster.apply(
    copyOf(
      ns,
      "keys",
      { backend: "aws", path: "odd/keys" },
      {
        targets: {
          scaivault: { path: `${below}/${ns}/keys` },
          kubernetesSecret: { data: [{ key: "named", field: '."a key/with spaces"' }] },
        },
      },
    ),
  );
  await op.ready(ns, "keys");
  expect((await copies(op, ns, "keys")).secret).toEqual({ named: value });
});

it("names below a subtree that are no ScaiVault paths: problems by name, the others are copied", async () => {
  const value = op.canaries.value("tree");
  for (const name of ["good", "deep/good", "Upper", "with space", "ümlaut", "dot.ted"])
    await op.env.vault.put(kv2, `tree/${name}`, { token: value });
  await op.cluster.apply(
    sync(ns, "tree", {
      source: { backendRef: { name: "vault" }, subtree: `${kv2}/tree/**` },
      targets: { scaivault: { path: `${below}/${ns}/tree/**` } },
    }),
  );
  const object = await op.verdict("SecretSync", ns, "tree", "False InvalidPath");
  expect(object.status?.counts).toMatchObject({ found: 6, inSync: 2, failed: 4 });
  expect(object.status?.problems?.map(({ path, reason }) => [path, reason])).toEqual(
    ["Upper", "dot.ted", "with space", "ümlaut"].map((name) => [`${kv2}/tree/${name}`, "InvalidPath"]),
  );
  const paths = op.scaivault.server.admin.paths().filter((path) => path.startsWith(`${below}/${ns}/tree`));
  expect(paths.sort()).toEqual([`${below}/${ns}/tree/deep/good`, `${below}/${ns}/tree/good`]);
  const seen = await during(op, 10);
  expect(statusWrites(seen, "tree")).toBe(0);
  expect(seen.scaivault.versionsWritten).toBe(0);
});

it("bytes that are no text arrive as these bytes", async () => {
  const bytes = Buffer.from([0, 255, 254, 128, 10, 13, 195, 40]);
  await op.aws.put("odd/bytes", bytes);
  await op.cluster.apply(copyOf(ns, "bytes", { backend: "aws", path: "odd/bytes" }));
  await op.ready(ns, "bytes");
  expect((await op.cluster.get("Secret", ns, "bytes"))?.data).toEqual({ value: bytes.toString("base64") });
  expect((await copies(op, ns, "bytes")).scaivault).toEqual({ value_base64: bytes.toString("base64") });
});

const big = "12345678901234567890";

it("numbers above 2^53 keep their digits from ASM", async () => {
  await op.aws.put("odd/numbers", `{"n": ${big}, "f": 0.10, "e": 1E400}`);
  await op.cluster.apply(copyOf(ns, "numbers", { backend: "aws", path: "odd/numbers" }));
  await op.ready(ns, "numbers");
  expect((await copies(op, ns, "numbers")).secret).toEqual({ n: big, f: "0.10", e: "1E400" });
  expect(op.stored(`${below}/${ns}/numbers`)?.data).toContain(`"n": ${big}`);
});

/** Writes JSON source text, which no client library could. */
async function vaultText(path: string, text: string): Promise<void> {
  const { facts, ca } = op.env.vault;
  const { call } = await import("../../local/http.ts");
  const answer = await call({
    method: "POST",
    url: `${facts.url}/v1/${path}`,
    ca,
    headers: { "x-vault-token": facts.rootToken, "content-type": "application/json" },
    body: text,
  });
  expect(answer.status).toBeLessThan(300);
}

it("numbers above 2^53 keep their digits from KV v1", async () => {
  await vaultText(`${kv1}/numbers`, `{"n": ${big}}`);
  await op.cluster.apply(copyOf(ns, "numbers-1", { backend: "vault", path: `${kv1}/numbers` }));
  await op.ready(ns, "numbers-1");
  expect((await copies(op, ns, "numbers-1")).secret).toEqual({ n: big });
  expect(op.stored(`${below}/${ns}/numbers-1`)?.data).toContain(`"n":${big}`);
});

it("numbers of KV v2 are what Vault answers: it stores floats, so the digits are lost before anybody reads them", async () => {
  await vaultText(`${kv2}/data/numbers`, `{"data": {"n": ${big}}}`);
  const { text } = await op.env.vault.request("GET", `${kv2}/data/numbers`);
  const answered = /"n":\s*([0-9.e+]+)/.exec(text)?.[1] ?? "";
  expect(answered).not.toBe(big);
  expect(answered.startsWith("1234567890123456")).toBe(true);
  await op.cluster.apply(copyOf(ns, "numbers-2", { backend: "vault", path: `${kv2}/numbers` }));
  await op.ready(ns, "numbers-2");
  expect((await copies(op, ns, "numbers-2")).secret).toEqual({ n: answered });
  expect(op.stored(`${below}/${ns}/numbers-2`)?.data).toContain(`"n":${answered}`);
});
