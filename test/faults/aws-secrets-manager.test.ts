/** Faults of AWS Secrets Manager: the right condition and reason, copies as they were, recovery without help, no hot loop. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { condition, type Harness, startOperator, verdict } from "../support/operator.ts";
import { copyOf, during, expectCopies, statusWrites } from "./support.ts";

let op: Harness<"team">;
let ns: string;
const mount = () => `faults-${ns}`;
const source = (path: string) => ({ backend: "aws", path });
/** Calls in ten minutes of an undisturbed store with so few secrets: a poll each five minutes. */
const FEW = 16;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"] });
  ns = op.ns.team;
  await op.awsBackend(ns);
  await op.env.vault.enableKv(mount(), 2);
  await op.vaultBackend(ns, "vault", [mount()]);
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(mount());
});
beforeEach(() => {
  op.asm.clearFaults();
  op.asm.setKeys(null);
});

/** A secret in AWS that is copied to both targets. */
async function copied(name: string): Promise<{ path: string; value: string }> {
  const path = `prod/${name}`;
  const value = op.canaries.value(name);
  await op.aws.put(path, JSON.stringify({ password: value }));
  await op.cluster.apply(copyOf(ns, name, source(path)));
  await op.ready(ns, name);
  await expectCopies(op, ns, name, { password: value });
  return { path, value };
}

const get = (name: string) => op.cluster.sync(ns, name);

describe("one secret", () => {
  it("missing: SourceNotFound until it is there", async () => {
    await op.cluster.apply(copyOf(ns, "missing", source("prod/missing")));
    await op.verdict("SecretSync", ns, "missing", "False SourceNotFound");
    const seen = await during(op, 10);
    expect(seen.aws.total).toBeLessThanOrEqual(FEW);
    expect(statusWrites(seen, "missing")).toBeLessThanOrEqual(1);
    expect(await op.cluster.secretData(ns, "missing")).toBeUndefined();
    const value = op.canaries.value("late");
    await op.aws.put("prod/missing", JSON.stringify({ password: value }));
    await op.interval();
    await op.ready(ns, "missing");
    await expectCopies(op, ns, "missing", { password: value });
  });

  it("removed after it was copied: not believed at once, then kept; back again: copied", async () => {
    const { path, value } = await copied("removed");
    await op.aws.remove(path);
    // One poll falls into an interval, and not two.
    await op.advance(300_000);
    await op.verdict("SecretSync", ns, "removed", "False DeletionUnconfirmed");
    await expectCopies(op, ns, "removed", { password: value });
    await op.interval();
    await op.verdict("SecretSync", ns, "removed", "True SourceGoneRetained");
    const seen = await during(op, 10);
    expect(seen.aws.total).toBeLessThanOrEqual(FEW);
    expect(statusWrites(seen, "removed")).toBe(0);
    await expectCopies(op, ns, "removed", { password: value });
    const back = op.canaries.value("back");
    await op.aws.put(path, JSON.stringify({ password: back }));
    await op.interval();
    await op.ready(ns, "removed");
    await expectCopies(op, ns, "removed", { password: back });
  });

  it("pending deletion: SourcePendingDeletion before a copy, SourceGoneRetained after one; restored: InSync", async () => {
    const { path, value } = await copied("pending");
    await op.aws.put("prod/never", JSON.stringify({ password: op.canaries.value("never") }));
    await op.aws.schedule("prod/never");
    await op.aws.schedule(path);
    await op.cluster.apply(copyOf(ns, "never", source("prod/never")));
    await op.verdict("SecretSync", ns, "never", "False SourcePendingDeletion");
    await op.interval();
    await op.interval();
    await op.verdict("SecretSync", ns, "pending", "True SourceGoneRetained");
    await expectCopies(op, ns, "pending", { password: value });
    const seen = await during(op, 10);
    expect(seen.aws.total).toBeLessThanOrEqual(FEW);
    expect(seen.aws.valueReads).toBe(0);
    await op.aws.restore(path);
    await op.aws.restore("prod/never");
    await op.interval();
    await op.ready(ns, "pending");
    await op.ready(ns, "never");
    await expectCopies(op, ns, "pending", { password: value });
  });

  it("denied: AccessDenied with the right that is missing, the others go on", async () => {
    const { path, value } = await copied("denied");
    const other = await copied("beside");
    op.asm.addFault({ kind: "deny", names: [path], actions: ["GetSecretValue", "BatchGetSecretValue"] });
    const [next, nextOther] = [op.canaries.value("denied next"), op.canaries.value("beside next")];
    await op.aws.put(path, JSON.stringify({ password: next }));
    await op.aws.put(other.path, JSON.stringify({ password: nextOther }));
    await op.interval();
    const object = await op.verdict("SecretSync", ns, "denied", "False AccessDenied");
    expect(condition(object, "Ready")?.message).toContain("secretsmanager:GetSecretValue");
    await op.ready(ns, "beside");
    await expectCopies(op, ns, "beside", { password: nextOther });
    await expectCopies(op, ns, "denied", { password: value });
    expect(verdict(await op.cluster.backend(ns, "aws"))).toBe("True InSync");
    const seen = await during(op, 10);
    // Each attempt is two calls at most; they come farther and farther apart.
    expect(seen.aws.total).toBeLessThanOrEqual(FEW + 2 * 10);
    expect(statusWrites(seen, "denied")).toBe(0);
    op.asm.clearFaults();
    await op.interval();
    await op.ready(ns, "denied");
    await expectCopies(op, ns, "denied", { password: next });
  });

  it("emptied: SourceEmpty, copies keep the last value", async () => {
    const { path, value } = await copied("emptied");
    await op.aws.put(path, "{}");
    await op.interval();
    await op.verdict("SecretSync", ns, "emptied", "False SourceEmpty");
    await expectCopies(op, ns, "emptied", { password: value });
    const seen = await during(op, 10);
    expect(seen.aws.total).toBeLessThanOrEqual(FEW + 4);
    expect(statusWrites(seen, "emptied")).toBe(0);
    const full = op.canaries.value("filled");
    await op.aws.put(path, JSON.stringify({ password: full }));
    await op.interval();
    await op.ready(ns, "emptied");
    await expectCopies(op, ns, "emptied", { password: full });
  });

  it("without any version yet: no value is made up", async () => {
    await op.aws.putEmpty("prod/valueless");
    await op.cluster.apply(copyOf(ns, "valueless", source("prod/valueless")));
    await op.verdict("SecretSync", ns, "valueless", "False VersionNotFound");
    expect(await op.cluster.secretData(ns, "valueless")).toBeUndefined();
    const value = op.canaries.value("first");
    await op.aws.put("prod/valueless", JSON.stringify({ password: value }));
    await op.interval();
    await op.ready(ns, "valueless");
    await expectCopies(op, ns, "valueless", { password: value });
  });
});

describe("a version that goes back", () => {
  it("is held as VersionWentBack and copied only when approved", async () => {
    const { path, value } = await copied("back");
    const first = await op.aws.put(path, JSON.stringify({ password: op.canaries.value("second") }));
    await op.interval();
    await op.ready(ns, "back");
    const newest = op.canaries.value("third");
    const second = await op.aws.put(path, JSON.stringify({ password: newest }));
    await op.interval();
    await op.ready(ns, "back");
    await expectCopies(op, ns, "back", { password: newest });
    await op.aws.moveCurrent(path, second, first);
    await op.interval();
    const held = await op.verdict("SecretSync", ns, "back", "False VersionWentBack");
    expect(verdict(held, "ChangeHeld")).toBe("True VersionWentBack");
    await expectCopies(op, ns, "back", { password: newest });
    const seen = await during(op, 10);
    expect(seen.aws.valueReads).toBe(0);
    expect(statusWrites(seen, "back")).toBe(0);
    const hash = (await get("back"))?.status?.plan?.hash ?? "";
    expect(hash).not.toBe("");
    await op.cluster.patch("SecretSync", ns, "back", {
      metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
    });
    await op.ready(ns, "back");
    expect((await op.cluster.secretData(ns, "back"))?.["password"]).not.toBe(newest);
    expect(value).not.toBe(newest);
  });

  it("is not noticed without secretsmanager:ListSecretVersionIds, and the backend says so", async () => {
    const { path } = await copied("blind");
    const first = op.canaries.value("blind first");
    const firstID = await op.aws.put(path, JSON.stringify({ password: first }));
    await op.interval();
    const secondID = await op.aws.put(path, JSON.stringify({ password: op.canaries.value("blind second") }));
    await op.interval();
    await op.ready(ns, "blind");
    op.asm.addFault({ kind: "deny", actions: ["ListSecretVersionIds"] });
    await op.aws.moveCurrent(path, secondID, firstID);
    await op.interval();
    await op.ready(ns, "blind");
    await expectCopies(op, ns, "blind", { password: first });
    const note = (await op.cluster.backend(ns, "aws"))?.status?.effective?.notes?.join("\n");
    expect(note).toContain("ListSecretVersionIds");
  });
});

describe("the whole store", () => {
  let name = "";
  let path = "";
  let value = "";
  let rounds = 0;
  beforeEach(async () => {
    rounds += 1;
    name = `store-${rounds}`;
    ({ path, value } = await copied(name));
  });

  /** During an outage: the backend says it within a minute, objects stay Ready for three intervals, then are Stale. */
  async function outage(reason: string, probesAMinute: number): Promise<void> {
    await op.interval();
    await op.verdict("FederationBackend", ns, "aws", `False ${reason}`);
    expect(verdict(await get(name))).toBe("True InSync");
    const next = op.canaries.value("during the outage");
    const seen = await during(op, 4);
    expect(seen.aws.total).toBeLessThanOrEqual(4 * probesAMinute);
    expect(seen.kubeWrites.filter(({ resource }) => resource === "secrets")).toHaveLength(0);
    for (let passed = 0; passed < 12; passed += 1) await op.advance(60_000);
    const stale = await op.verdict("SecretSync", ns, name, "False Stale");
    expect(condition(stale, "Ready")?.message).toContain(reason);
    await expectCopies(op, ns, name, { password: value });
    op.asm.clearFaults();
    op.asm.setKeys(null);
    await op.aws.put(path, JSON.stringify({ password: next }));
    await op.verdict("FederationBackend", ns, "aws", "True InSync", { virtualMs: 90_000 });
    await op.ready(ns, name);
    await expectCopies(op, ns, name, { password: next });
  }

  it("throttled: RateLimited", async () => {
    op.asm.addFault({ kind: "throttle" });
    await outage("RateLimited", 6);
  });

  it("fails before and after a restart of the operator: Stale all the same", async () => {
    op.asm.addFault({ kind: "error", status: 503, code: "ServiceUnavailable" });
    await op.restart();
    await op.verdict("FederationBackend", ns, "aws", "False SourceUnavailable");
    expect(verdict(await get(name))).toBe("True InSync");
    for (let passed = 0; passed < 16; passed += 1) await op.advance(60_000);
    await op.verdict("SecretSync", ns, name, "False Stale");
    await expectCopies(op, ns, name, { password: value });
    op.asm.clearFaults();
    await op.verdict("FederationBackend", ns, "aws", "True InSync", { virtualMs: 90_000 });
    await op.ready(ns, name);
  });

  it("answers errors: SourceUnavailable", async () => {
    op.asm.addFault({ kind: "error", status: 503, code: "ServiceUnavailable" });
    await outage("SourceUnavailable", 6);
  });

  it("does not know the key: LoginFailed", async () => {
    op.asm.setKeys([]);
    await outage("LoginFailed", 6);
  });

  it("denies everything: AccessDenied on every object, copies stay", async () => {
    op.asm.addFault({ kind: "deny", accessKeys: ["AKIAOPERATOROPERATOR"] });
    await op.interval();
    await op.verdict("SecretSync", ns, name, "False AccessDenied");
    await expectCopies(op, ns, name, { password: value });
    const seen = await during(op, 10);
    const objects = (await op.cluster.list("SecretSync", ns)).length;
    expect(seen.aws.total).toBeLessThanOrEqual(3 * (objects + 2));
    op.asm.clearFaults();
    await op.interval();
    await op.ready(ns, name);
  });

  it("hangs: SourceUnavailable, and objects of another store go on meanwhile", async () => {
    const [before, after] = [op.canaries.value("vault before"), op.canaries.value("vault after")];
    await op.env.vault.put(mount(), "app", { token: before });
    await op.cluster.apply(copyOf(ns, "vault-app", { backend: "vault", path: `${mount()}/app` }));
    await op.ready(ns, "vault-app");
    op.hungMs = 200;
    op.asm.addFault({ kind: "hang", accessKeys: ["AKIAOPERATOROPERATOR"] });
    // The poll of AWS hangs from here on.
    await op.interval();
    await op.waitFor("a call that hangs", () => Promise.resolve(op.asm.hanging() > 0));
    await op.env.vault.put(mount(), "app", { token: after });
    await op.interval();
    await op.ready(ns, "vault-app", { virtualMs: 5_000 });
    await expectCopies(op, ns, "vault-app", { token: after });
    await op.verdict("FederationBackend", ns, "aws", "False SourceUnavailable", { virtualMs: 60_000 });
    expect(verdict(await op.cluster.backend(ns, "vault"))).toBe("True InSync");
    await expectCopies(op, ns, name, { password: value });
    op.asm.clearFaults();
    op.hungMs = 1_500;
    await op.verdict("FederationBackend", ns, "aws", "True InSync", { virtualMs: 90_000 });
    await op.ready(ns, name);
  });
});
