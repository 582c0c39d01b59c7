/** Faults of ScaiVault: the Secret goes on, ScaiVault's copy stays, and both are right once it answers again. */
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { FaultAction } from "../../scaivault-server/admin/faults.ts";
import { condition, type Harness, startOperator, verdict } from "../support/operator.ts";
import { below, copies, copyOf, during, expectCopies, statusWrites } from "./support.ts";

let op: Harness<"team">;
let ns: string;
let rounds = 0;
let name = "";
let path = "";
let value = "";
const admin = () => op.scaivault.server.admin;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"] });
  ns = op.ns.team;
  await op.awsBackend(ns);
});
afterAll(() => op?.stop());
beforeEach(async () => {
  admin().clearFaults();
  op.hungMs = 1_500;
  // What the budget learned from one fault is forgotten before the next.
  await op.advance(120_000);
  rounds += 1;
  name = `copy-${rounds}`;
  path = `prod/${name}`;
  value = op.canaries.value(name);
  await op.aws.put(path, JSON.stringify({ password: value }));
  await op.cluster.apply(copyOf(ns, name, { backend: "aws", path }));
  await op.ready(ns, name);
  await expectCopies(op, ns, name, { password: value });
  // What was just learned of ScaiVault answers for ten seconds.
  await op.advance(11_000);
});

const newToken = () =>
  admin().createToken({
    identity: "sa:scaivault-operator",
    scopes: ["secrets:read", "secrets:write", "secrets:delete", "secrets:list"],
    rules: [{ path_pattern: "**", permissions: ["read", "write", "delete", "list"] }],
  });

/** Requests that ScaiVault saw; when it does not listen it sees none. */
const MOST_A_MINUTE = 6;

async function rotate(label: string): Promise<string> {
  const next = op.canaries.value(label);
  await op.aws.put(path, JSON.stringify({ password: next }));
  return next;
}

/** ScaiVault fails from now on: the Secret follows its source, the copy in ScaiVault stays. */
async function outage(): Promise<string> {
  const next = await rotate("meanwhile");
  await op.interval();
  const backend = await op.verdict("FederationBackend", ns, "aws", "False ScaiVaultUnavailable", {
    type: "ScaiVaultReachable",
    virtualMs: 60_000,
  });
  expect(verdict(backend, "SourceReachable")).toBe("True Ok");
  expect(verdict(await op.cluster.sync(ns, name))).toBe("True InSync");
  const seen = await during(op, 5);
  expect(seen.scaivault.total).toBeLessThanOrEqual(5 * MOST_A_MINUTE);
  expect(op.stored(`${below}/${ns}/${name}`)?.version).toBe(1);
  expect((await copies(op, ns, name)).scaivault).toEqual({ password: value });
  for (let passed = 0; passed < 11; passed += 1) await op.advance(60_000);
  await op.interval();
  const stale = await op.verdict("SecretSync", ns, name, "False Stale", { virtualMs: 30_000 });
  expect(condition(stale, "Ready")?.message).toContain("ScaiVaultUnavailable");
  return next;
}

/** It answers again: within an interval everything is right, and it was written once. */
async function recovered(next: string): Promise<void> {
  await op.interval();
  await op.ready(ns, name);
  await expectCopies(op, ns, name, { password: next });
  expect(op.stored(`${below}/${ns}/${name}`)?.version).toBe(2);
  await op.verdict("FederationBackend", ns, "aws", "True Ok", { type: "ScaiVaultReachable" });
}

describe("an outage", () => {
  it("down: ScaiVaultUnavailable, Stale after three intervals; up: right within one interval", async () => {
    await op.scaivault.server.stopListening();
    let next: string;
    try {
      next = await outage();
    } finally {
      await op.scaivault.server.listenAgain();
    }
    await recovered(next);
  });

  it("errors (503): ScaiVaultUnavailable, a few requests a minute", async () => {
    const fault = admin().inject({ action: { kind: "status", status: 503, code: "service_unavailable" } });
    const next = await outage();
    fault.remove();
    await recovered(next);
  });

  it("hanging: the time-out makes it ScaiVaultUnavailable, nothing else waits for it", async () => {
    op.hungMs = 200;
    const fault = admin().inject({ action: { kind: "hang" } });
    const next = await rotate("while it hangs");
    await op.interval();
    await op.verdict("FederationBackend", ns, "aws", "False ScaiVaultUnavailable", {
      type: "ScaiVaultReachable",
      virtualMs: 0,
      timeoutMs: 40_000,
    });
    expect((await copies(op, ns, name)).scaivault).toEqual({ password: value });
    fault.remove();
    op.hungMs = 1_500;
    await op.advance(10_000);
    await recovered(next);
  });
});

describe("an operator that starts while ScaiVault is away", () => {
  /** Ends the operator, changes something, and starts it without ScaiVault. */
  async function startBlind(change: () => Promise<void>): Promise<void> {
    await op.end();
    await change();
    await op.scaivault.server.stopListening();
    await op.start();
    await op.advance(2_000);
  }

  it("makes no Secret of the old store for a spec from before the flip: the fence may stand, and does", async () => {
    const flip = { authority: "ScaiVault" };
    await op.cluster.apply(copyOf(ns, name, { backend: "aws", path }, flip));
    await op.ready(ns, name);
    try {
      await startBlind(async () => {
        await rotate("in the old store only");
        await op.cluster.delete("Secret", ns, name);
        await op.cluster.apply(copyOf(ns, name, { backend: "aws", path }, { authority: "Source" }));
      });
      const held = await op.verdict("SecretSync", ns, name, "False AuthorityUnknown", { virtualMs: 60_000 });
      expect(verdict(held, "ChangeHeld")).toBe("True AuthorityUnknown");
      expect(condition(held, "Ready")?.message).toContain(`${below}/${ns}/${name}`);
      await op.interval();
      expect(await op.cluster.secretData(ns, name)).toBeUndefined();
    } finally {
      await op.scaivault.server.listenAgain();
    }
    await op.interval();
    await op.verdict("SecretSync", ns, name, "False AuthorityFenced", { virtualMs: 60_000 });
    expect(await op.cluster.secretData(ns, name)).toBeUndefined();
    expect((await copies(op, ns, name)).scaivault).toEqual({ password: value });
    await op.cluster.apply(copyOf(ns, name, { backend: "aws", path }, flip));
    await op.verdict("SecretSync", ns, name, "True SourceChanged");
    await expectCopies(op, ns, name, { password: value });
  });

  it("changes no Secret before ScaiVault was seen, but by approval; one write of status, no loop", async () => {
    let next = "";
    try {
      await startBlind(async () => void (next = await rotate("while both are away")));
      const held = await op.verdict("SecretSync", ns, name, "False AuthorityUnknown", { virtualMs: 60_000 });
      const seen = await during(op, 10);
      expect(statusWrites(seen, name)).toBe(0);
      expect(seen.aws.valueReads).toBe(0);
      expect((await copies(op, ns, name)).secret).toEqual({ password: value });
      const approve = { "scaivault.scailabs.ai/approve": held.status?.plan?.hash ?? "" };
      await op.cluster.patch("SecretSync", ns, name, { metadata: { annotations: approve } });
      await op.waitFor("the Secret", async () => (await op.cluster.secretData(ns, name))?.["password"] === next);
    } finally {
      await op.scaivault.server.listenAgain();
    }
    await op.interval();
    await op.ready(ns, name, { virtualMs: 60_000 });
    await expectCopies(op, ns, name, { password: next });
    expect(op.stored(`${below}/${ns}/${name}`)?.version).toBe(2);
  });
});

describe("writes that are answered by", () => {
  /** Only writes of this path fail; its metadata can be seen. */
  const refuse = (action: FaultAction) => admin().inject({ match: { method: "PUT" }, action });

  it.each([
    ["429", { kind: "status", status: 429, code: "rate_limit_exceeded", retryAfterSeconds: 1 }, "RateLimited"],
    ["500", { kind: "status", status: 500, code: "internal_error" }, "ScaiVaultUnavailable"],
    ["403", { kind: "status", status: 403, code: "insufficient_scope" }, "ScaiVaultDenied"],
    ["a reset connection", { kind: "reset", when: "before" }, "ScaiVaultUnavailable"],
  ] as const)(
    "%s: the Secret is written, ScaiVault is tried again, farther and farther apart",
    async (_, action, why) => {
      const fault = refuse(action);
      const next = await rotate("refused");
      await op.interval();
      await op.waitFor("the Secret", async () => (await op.cluster.secretData(ns, name))?.["password"] === next);
      const bad = await op.verdict("SecretSync", ns, name, `False ${why}`);
      expect(verdict(bad, "TargetsDiverged")).toBe(`True ${why}`);
      if (why === "ScaiVaultDenied") expect(condition(bad, "Ready")?.message).toContain("secrets:write");
      const before = fault.hits();
      const seen = await during(op, 10);
      expect(fault.hits() - before).toBeLessThanOrEqual(12);
      expect(seen.aws.valueReads).toBeLessThanOrEqual(14);
      expect(statusWrites(seen, name)).toBeLessThanOrEqual(1);
      expect((await copies(op, ns, name)).scaivault).toEqual({ password: value });
      fault.remove();
      await op.interval();
      await op.ready(ns, name);
      await expectCopies(op, ns, name, { password: next });
      expect(op.stored(`${below}/${ns}/${name}`)?.version).toBe(2);
    },
  );

  it("a reset after the write was carried out: seen by its mark, not written twice", async () => {
    const fault = admin().inject({ match: { method: "PUT" }, times: 1, action: { kind: "reset", when: "after" } });
    const next = await rotate("cut off");
    await op.interval();
    await op.ready(ns, name, { virtualMs: 60_000 });
    await op.interval();
    await op.ready(ns, name);
    expect(fault.hits()).toBe(1);
    await expectCopies(op, ns, name, { password: next });
    expect(op.stored(`${below}/${ns}/${name}`)?.version).toBe(2);
  });
});

it("an expired token: ScaiVaultDenied; a new one in the file is taken up without a restart", async () => {
  admin().revokeAllTokens();
  const next = await rotate("no token");
  await op.interval();
  await op.verdict("SecretSync", ns, name, "False ScaiVaultDenied");
  const seen = await during(op, 10);
  expect(seen.scaivault.total).toBeLessThanOrEqual(60);
  const { auth } = op.file["scaivault"] as { auth: { tokenFile: string } };
  writeFileSync(auth.tokenFile, newToken());
  await op.interval();
  await op.ready(ns, name, { virtualMs: 60_000 });
  await expectCopies(op, ns, name, { password: next });
});

it("metadata keys dropped: NoRoomForMark, and what cannot be marked is not written again", async () => {
  admin().inject({ action: { kind: "dropMetadata" } });
  const fresh = `${name}-fresh`;
  await op.aws.put("prod/fresh", JSON.stringify({ password: op.canaries.value("unmarked") }));
  await op.cluster.apply(copyOf(ns, fresh, { backend: "aws", path: "prod/fresh" }));
  await op.verdict("SecretSync", ns, fresh, "False NoRoomForMark");
  const seen = await during(op, 20);
  expect(seen.scaivault.versionsWritten).toBe(0);
  expect(op.stored(`${below}/${ns}/${fresh}`)?.version).toBe(1);
  expect(statusWrites(seen, fresh)).toBeLessThanOrEqual(1);
  // Another secret that is due is not written either: its copy would lose the mark that it has.
  const next = await rotate("not written");
  await op.interval();
  await op.verdict("SecretSync", ns, name, "False NoRoomForMark");
  expect((await copies(op, ns, name)).scaivault).toEqual({ password: value });
  expect((await copies(op, ns, name)).secret).toEqual({ password: next });
  // The tenant keeps marks again: what is ours goes on after an hour, what has no mark is adopted when asked for.
  admin().clearFaults();
  for (let passed = 0; passed < 66; passed += 1) await op.advance(60_000);
  await op.ready(ns, name);
  await expectCopies(op, ns, name, { password: next });
  await op.cluster.apply(copyOf(ns, fresh, { backend: "aws", path: "prod/fresh" }, { adopt: "IfEqual" }));
  await op.ready(ns, fresh);
  expect(op.stored(`${below}/${ns}/${fresh}`)?.version).toBe(1);
});
