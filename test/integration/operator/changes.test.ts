import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { credential, Harness, operatorKey, startOperator, sync } from "../../support/operator.ts";

const MINUTE = 60_000;
const REQUESTED = "scaivault.scailabs.ai/sync-requested-at";

let op: Harness<"team">;
let ns: string;
let kv: string;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"] });
  ns = op.ns.team;
  kv = `kv-${ns}`;
  await op.env.vault.enableKv(kv, 2);
  await op.awsBackend(ns);
  await op.vaultBackend(ns, "vault", [kv]);
});
afterEach(async () => {
  // Nobody is left behind: a later test must not wait for an earlier one's objects.
  for (const { metadata } of await op.cluster.list("SecretSync", ns))
    await op.cluster.delete("SecretSync", ns, metadata.name);
  await op.advance(3_000);
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(kv);
});

const path = (name: string) => `environments/changes/${name}`;
const both = (name: string, source: string, spec: object = {}) =>
  sync(ns, name, {
    source: { backendRef: { name: "aws" }, path: source },
    targets: { scaivault: { path: path(name) }, kubernetesSecret: {} },
    ...spec,
  });
const secret = async (name: string) => (await op.cluster.secretData(ns, name))?.["value"];
const stored = (name: string): unknown => {
  const text = op.stored(path(name))?.data;
  return text === undefined ? undefined : (JSON.parse(text) as { value?: unknown }).value;
};
/** A copy of a fresh secret in both targets. @returns its value */
async function copied(name: string, spec: object = {}): Promise<string> {
  const value = op.canaries.value(name);
  await op.aws.put(`changes/${name}`, value);
  await op.cluster.apply(both(name, `changes/${name}`, spec));
  await op.ready(ns, name);
  await op.idle();
  return value;
}
const secretWrites = (entries: readonly { resource: string; name: string }[], name: string) =>
  entries.filter((entry) => entry.resource === "secrets" && entry.name === name).length;

describe("a rotated value", () => {
  it.each(["aws", "vault"])(
    "of %s is in both targets within one interval and five seconds, written once to each",
    async (store) => {
      const name = `rotated-${store}`;
      const old = op.canaries.value("old");
      const next = op.canaries.value("next");
      const put = (value: string) =>
        store === "aws" ? op.aws.put(`changes/${name}`, value) : op.env.vault.put(kv, name, { value });
      await put(old);
      const source = { backendRef: { name: store }, path: store === "aws" ? `changes/${name}` : `${kv}/${name}` };
      await op.cluster.apply({ ...both(name, ""), spec: { ...(both(name, "")["spec"] as object), source } });
      await op.ready(ns, name);
      await op.interval();
      await put(next);
      await op.mark();
      const before = op.clock.now();
      await op.advance(5 * MINUTE + 5_000);
      expect([await secret(name), stored(name)]).toEqual([next, next]);
      expect(op.clock.now() - before).toBeLessThanOrEqual(5 * MINUTE + 5_000);
      const seen = await op.seen();
      expect(seen.scaivault.versionsWritten).toBe(1);
      expect(secretWrites(seen.kubeWrites, name)).toBe(1);
      if (store === "aws") expect(seen.aws.valueReads).toBe(1);
      await op.interval();
      expect((await op.seen()).scaivault.versionsWritten).toBe(1);
      const object = await op.ready(ns, name);
      expect(new Set(object.status?.targets?.map(({ sourceVersion }) => sourceVersion)).size).toBe(1);
      expect(object.status?.targets?.[0]?.sourceVersion).toBe(object.status?.sourceVersion);
    },
  );

  it("is not written when only the version moved and the value is the same", async () => {
    const value = await copied("same");
    await op.aws.put("changes/same", value);
    await op.mark();
    await op.interval();
    const seen = await op.seen();
    expect([seen.scaivault.versionsWritten, seen.aws.valueReads]).toEqual([0, 1]);
    expect(op.stored(path("same"))?.version).toBe(1);
    await op.ready(ns, "same");
    await op.mark();
    await op.interval();
    expect((await op.seen()).aws.valueReads).toBe(0);
  });

  it("reaches the target that can take it when the other is refused, and says that they diverged", async () => {
    await copied("diverge");
    const fault = op.scaivault.server.admin.inject({
      match: { method: "PUT", path: path("diverge") },
      action: { kind: "status", status: 403, code: "forbidden" },
    });
    await op.aws.put("changes/diverge", "v2");
    await op.interval();
    const object = await op.verdict("SecretSync", ns, "diverge", "False ScaiVaultDenied");
    expect(await secret("diverge")).toBe("v2");
    expect(object.status?.conditions?.map(({ type }) => type)).toContain("TargetsDiverged");
    fault.remove();
    await op.interval();
    await op.ready(ns, "diverge", { virtualMs: 10 * MINUTE });
    expect(stored("diverge")).toBe("v2");
  });
});

describe("what people change", () => {
  it("in the spec is done at once", async () => {
    await copied("spec");
    await op.aws.put("changes/other", "other value");
    await op.cluster.apply(both("spec", "changes/other"));
    await op.ready(ns, "spec");
    await op.eventually("the other value", async () => (await secret("spec")) === "other value", { virtualMs: 1_000 });
    expect(stored("spec")).toBe("other value");
    const data = [{ key: "renamed" }];
    const spec = both("spec", "changes/other")["spec"] as { source: object };
    const targets = { scaivault: { path: path("spec") }, kubernetesSecret: { data } };
    await op.cluster.apply({ ...both("spec", ""), spec: { source: spec.source, targets } });
    await op.ready(ns, "spec");
    expect(await op.cluster.secretData(ns, "spec")).toEqual({ renamed: "other value" });
    expect(op.stored(path("spec"))?.version).toBe(2);
  });

  it("in the backend is done at once", async () => {
    await op.awsBackend(ns, "late", { suspend: true });
    await op.aws.put("changes/late", "x");
    await op.cluster.apply(
      both("late", "changes/late", { source: { backendRef: { name: "late" }, path: "changes/late" } }),
    );
    await op.verdict("SecretSync", ns, "late", "False BackendSuspended");
    await op.awsBackend(ns, "late", { suspend: false });
    await op.ready(ns, "late");
    await op.mark();
    await op.awsBackend(ns, "late", { suspend: true });
    await op.verdict("SecretSync", ns, "late", "False BackendSuspended");
    expect(await secret("late")).toBe("x");
    expect((await op.seen()).scaivault.versionsWritten).toBe(0);
    await op.cluster.delete("SecretSync", ns, "late");
    await op.cluster.delete("FederationBackend", ns, "late");
  });

  it("in the credential is taken up at once", async () => {
    const good = { access_key_id: operatorKey.accessKeyId, secret_access_key: operatorKey.secretAccessKey };
    op.asm.setKeys([
      { ...operatorKey, principalArn: "arn:aws:iam::123456789012:user/operator" },
      { accessKeyId: "AKIASEEDSEEDSEEDSEED", principalArn: "arn:aws:iam::123456789012:user/seed" },
    ]);
    await op.cluster.apply(credential(ns, "cred-key", { ...good, secret_access_key: "wrong" }));
    await op.awsBackend(ns, "cred");
    await op.cluster.apply(credential(ns, "cred-key", { ...good, secret_access_key: "wrong" }));
    await op.aws.put("changes/cred", "x");
    await op.cluster.apply(
      both("cred", "changes/cred", { source: { backendRef: { name: "cred" }, path: "changes/cred" } }),
    );
    await op.verdict("SecretSync", ns, "cred", "False LoginFailed");
    await op.verdict("FederationBackend", ns, "cred", "False LoginFailed");
    await op.cluster.apply(credential(ns, "cred-key", good));
    await op.ready(ns, "cred");
    await op.verdict("FederationBackend", ns, "cred", "True InSync");
    // Released no more: the backend says so and nothing is deleted.
    await op.cluster.patch("Secret", ns, "cred-key", { metadata: { labels: null } });
    await op.verdict("FederationBackend", ns, "cred", "False CredentialNotReleased");
    await op.verdict("SecretSync", ns, "cred", "False BackendNotReady");
    await op.cluster.delete("Secret", ns, "cred-key");
    await op.verdict("FederationBackend", ns, "cred", ["False CredentialNotFound", "False CredentialNotReleased"]);
    expect(await secret("cred")).toBe("x");
    op.asm.setKeys(null);
    await op.cluster.delete("FederationBackend", ns, "cred");
  });

  it("the backend comes after the SecretSync and goes before it", async () => {
    await op.aws.put("changes/order", "x");
    await op.cluster.apply(
      both("order", "changes/order", { source: { backendRef: { name: "later" }, path: "changes/order" } }),
    );
    await op.verdict("SecretSync", ns, "order", "False BackendNotFound");
    await op.awsBackend(ns, "later");
    await op.ready(ns, "order");
    await op.cluster.delete("FederationBackend", ns, "later");
    await op.verdict("SecretSync", ns, "order", "False BackendNotFound");
    expect([await secret("order"), stored("order")]).toEqual(["x", "x"]);
  });
});

describe("hands on the targets", () => {
  it("a changed Secret is written back, the third time it is a Conflict", async () => {
    const value = await copied("edited");
    const edit = (text: string) =>
      op.cluster.patch("Secret", ns, "edited", { data: { value: Buffer.from(text).toString("base64") } }, "somebody");
    for (const times of [1, 2, 3]) {
      await edit(`by hand ${times}`);
      await op.eventually(`repair ${times}`, async () => (await secret("edited")) === value);
      await op.advance(5_000);
    }
    await op.mark();
    await edit("by hand 4");
    const object = await op.verdict("SecretSync", ns, "edited", "False Conflict");
    expect(object.status?.conditions?.find(({ type }) => type === "Conflict")?.message).toContain("somebody");
    expect(object.status?.targets?.find(({ kind }) => kind === "ScaiVault")?.state).toBe("InSync");
    await op.advance(MINUTE);
    expect(secretWrites((await op.seen()).kubeWrites, "edited")).toBe(0);
    // A new source version ends it.
    await op.aws.put("changes/edited", "v2");
    await op.interval();
    await op.ready(ns, "edited");
    expect(await secret("edited")).toBe("v2");
  });

  it("an added or a removed key is put right", async () => {
    await op.aws.put("changes/keys", '{"a":"1","b":"2"}');
    await op.cluster.apply(both("keys", "changes/keys"));
    await op.ready(ns, "keys");
    await op.cluster.patch("Secret", ns, "keys", { data: { b: null } });
    const whole = { a: "1", b: "2" };
    const data = async () => JSON.stringify(await op.cluster.secretData(ns, "keys"));
    await op.eventually("b is back", async () => (await data()) === JSON.stringify(whole));
    await op.cluster.patch("Secret", ns, "keys", { data: { c: "eA==" } });
    await op.idle();
    await op.advance(2_000);
    // Somebody else's key in our Secret is either refused by a Conflict or taken away, never kept in silence.
    const object = await op.cluster.sync(ns, "keys");
    const now = await op.cluster.secretData(ns, "keys");
    const ready = object?.status?.conditions?.find(({ type }) => type === "Ready");
    expect(now?.["c"] === undefined || ready?.status !== "True").toBe(true);
    expect(now).toMatchObject(whole);
  });

  it("a changed ScaiVault copy is written back within an interval, the old version kept, the third time a Conflict", async () => {
    const value = await copied("vaultedit");
    // An answer of the last second would do for anybody.
    await op.advance(2_000);
    for (const times of [1, 2, 3]) {
      op.scaivault.server.admin.write(path("vaultedit"), { data: { value: `by hand ${times}` } });
      await op.cluster.patch("SecretSync", ns, "vaultedit", {
        metadata: { annotations: { [REQUESTED]: `edit-${times}` } },
      });
      await op.eventually(`repair ${times}`, () => Promise.resolve(stored("vaultedit") === value), {
        virtualMs: 2_000,
      });
      await op.advance(31_000);
    }
    const before = op.stored(path("vaultedit"))?.version ?? 0;
    op.scaivault.server.admin.write(path("vaultedit"), { data: { value: "by hand 4" } });
    await op.cluster.patch("SecretSync", ns, "vaultedit", { metadata: { annotations: { [REQUESTED]: "edit-4" } } });
    await op.verdict("SecretSync", ns, "vaultedit", "False Conflict");
    await op.advance(MINUTE);
    expect(op.stored(path("vaultedit"))?.version).toBe(before + 1);
    // Every version of the others is still there to be looked at.
    expect(op.scaivault.server.admin.peek(path("vaultedit"))?.versions).toHaveLength(before + 1);
    expect(await secret("vaultedit")).toBe(value);
  });

  it("a deleted Secret comes back", async () => {
    const value = await copied("gone");
    await op.cluster.delete("Secret", ns, "gone");
    await op.eventually("it is back", async () => (await secret("gone")) === value);
    await op.ready(ns, "gone");
    expect(op.stored(path("gone"))?.version).toBe(1);
  });

  it("a ScaiVault path that is deleted by others is not fought over", async () => {
    const value = await copied("softly");
    op.scaivault.server.admin.remove(path("softly"));
    await op.interval();
    await op.verdict("SecretSync", ns, "softly", "False TargetSoftDeleted");
    expect(await secret("softly")).toBe(value);
  });

  it("a mark that is taken off is put back without a write of data", async () => {
    await copied("unmarked");
    const before = await op.cluster.get("Secret", ns, "unmarked");
    await op.cluster.patch("Secret", ns, "unmarked", {
      metadata: { annotations: { "scaivault.scailabs.ai/mark": null } },
    });
    await op.eventually("the mark is back", async () => {
      const now = await op.cluster.get("Secret", ns, "unmarked");
      return now?.metadata.annotations?.["scaivault.scailabs.ai/mark"] !== undefined;
    });
    await op.ready(ns, "unmarked");
    const after = await op.cluster.get("Secret", ns, "unmarked");
    expect([after?.metadata.uid, after?.data]).toEqual([before?.metadata.uid, before?.data]);
  });
});

describe("sync-now", () => {
  const request = (name: string, value: string) =>
    op.cluster.patch("SecretSync", ns, name, { metadata: { annotations: { [REQUESTED]: value } } });
  const handled = async (name: string) => (await op.cluster.sync(ns, name))?.status?.lastHandledSyncRequest;

  it("looks at the store at once, echoes the request, and is limited to one in thirty seconds", async () => {
    await copied("now");
    await op.aws.put("changes/now", "v2");
    await request("now", "2026-11-24T10:00:00Z");
    await op.eventually("v2 is there", async () => (await secret("now")) === "v2", { virtualMs: 2_000 });
    await op.eventually("echo", async () => (await handled("now")) === "2026-11-24T10:00:00Z");
    await op.aws.put("changes/now", "v3");
    await op.mark();
    for (const value of ["a", "b", "c", "d"]) {
      await request("now", value);
      await op.idle();
      await op.advance(1_000);
    }
    expect((await op.seen()).aws.total).toBeLessThanOrEqual(2);
    await op.eventually("the last request is handled in the end", async () => (await handled("now")) === "d", {
      virtualMs: 40_000,
    });
    expect(await secret("now")).toBe("v3");
  });

  it("with a text that is none is ignored", async () => {
    await copied("bad");
    await op.mark();
    await request("bad", "a b\u001b[31m");
    await op.advance(2_000);
    expect([(await op.seen()).aws.total, await handled("bad")]).toEqual([0, undefined]);
  });

  it("does not read a value when nothing moved", async () => {
    await copied("still");
    await op.mark();
    await request("still", "x");
    await op.eventually("echo", async () => (await handled("still")) === "x");
    const seen = await op.seen();
    expect([seen.aws.valueReads, seen.scaivault.versionsWritten]).toEqual([0, 0]);
  });
});

describe("suspend", () => {
  it("stops all work and goes on where it was", async () => {
    const value = await copied("paused");
    await op.cluster.apply(both("paused", "changes/paused", { suspend: true }));
    await op.verdict("SecretSync", ns, "paused", "Unknown Suspended");
    await op.aws.put("changes/paused", "v2");
    await op.cluster.delete("Secret", ns, "paused");
    await op.mark();
    await op.interval();
    await op.interval();
    const seen = await op.seen();
    expect([seen.aws.valueReads, seen.scaivault.versionsWritten, secretWrites(seen.kubeWrites, "paused")]).toEqual([
      0, 0, 0,
    ]);
    expect(stored("paused")).toBe(value);
    await op.cluster.apply(both("paused", "changes/paused", { suspend: false }));
    await op.ready(ns, "paused");
    await op.eventually("v2", async () => (await secret("paused")) === "v2" && stored("paused") === "v2");
  });
});

describe("status", () => {
  it("does not move while nothing changes", async () => {
    await copied("calm");
    await op.interval();
    const before = await op.cluster.sync(ns, "calm");
    await op.mark();
    for (let times = 0; times < 3; times += 1) await op.interval();
    expect((await op.cluster.sync(ns, "calm"))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    const kinds = Harness.describe((await op.seen()).kubeWrites).filter(
      (line) => !line.includes("federationbackends/status"),
    );
    expect(kinds).toEqual([]);
  });

  it("of the backend counts its dependants", async () => {
    await copied("counted");
    await op.eventually("counts", async () => {
      const { counts, identity, effective } = (await op.cluster.backend(ns, "aws"))?.status ?? {};
      expect(counts).toMatchObject({ dependants: 1, inSync: 1, failed: 0 });
      expect(identity).toContain("us-east-1");
      expect(identity).not.toContain(operatorKey.accessKeyId);
      expect(effective).toMatchObject({ syncInterval: "5m" });
      expect(["List", "Describe"]).toContain(effective?.poll);
      return true;
    });
  });
});
