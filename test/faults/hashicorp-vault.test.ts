/** Faults of HashiCorp Vault, shown on a Vault of this file's own: it is sealed, killed, paused and restored. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, startOperator, verdict } from "../support/operator.ts";
import { copyOf, during, expectCopies, statusWrites, withOwnVault } from "./support.ts";

let own: Awaited<ReturnType<typeof withOwnVault>>;
let op: Harness<"team">;
let ns: string;
const mount = "kv";
const role = () => `vault-${ns}`;
const source = (path: string) => ({ backend: "vault", path: `${mount}/${path}` });
/** Requests in ten minutes of an undisturbed store: two polls, each a few for every secret. */
const polls = (secrets: number) => 3 * (3 * secrets + 4);

beforeAll(async () => {
  own = await withOwnVault();
  op = await startOperator({ namespaces: ["team"], env: own.env });
  ns = op.ns.team;
  await own.vault.client.enableKv(mount, 2);
  await op.vaultBackend(ns, "vault", [mount]);
});
afterAll(async () => {
  await op?.stop();
  await own?.stop();
});

let secrets = 0;
async function copied(name: string): Promise<{ path: string; value: string }> {
  secrets += 1;
  const value = op.canaries.value(name);
  await own.vault.client.put(mount, name, { token: value });
  await op.cluster.apply(copyOf(ns, name, source(name)));
  await op.ready(ns, name);
  await expectCopies(op, ns, name, { token: value });
  return { path: name, value };
}

describe("one secret", () => {
  it("missing: SourceNotFound until it is there", async () => {
    secrets += 1;
    await op.cluster.apply(copyOf(ns, "missing", source("missing")));
    await op.verdict("SecretSync", ns, "missing", "False SourceNotFound");
    const seen = await during(op, 10);
    expect(seen.vault.length).toBeLessThanOrEqual(polls(secrets));
    expect(statusWrites(seen, "missing")).toBeLessThanOrEqual(1);
    const value = op.canaries.value("late");
    await own.vault.client.put(mount, "missing", { token: value });
    await op.interval();
    await op.ready(ns, "missing");
    await expectCopies(op, ns, "missing", { token: value });
  });

  it("denied: AccessDenied names the path, the others go on", async () => {
    const { path, value } = await copied("denied");
    const beside = await copied("beside");
    const policy = (rules: string) => own.vault.client.writePolicy(role(), rules);
    const all = `path "${mount}/*" { capabilities = ["read", "list"] }`;
    const deny = ["data", "metadata"].map((part) => `path "${mount}/${part}/${path}" { capabilities = ["deny"] }`);
    await policy([all, ...deny].join("\n"));
    const next = op.canaries.value("beside next");
    await own.vault.client.put(mount, beside.path, { token: next });
    await op.interval();
    const object = await op.verdict("SecretSync", ns, "denied", "False AccessDenied");
    expect(condition(object, "Ready")?.message).toContain(`read on ${mount}/data/${path}`);
    await op.ready(ns, "beside");
    await expectCopies(op, ns, "beside", { token: next });
    await expectCopies(op, ns, "denied", { token: value });
    expect(verdict(await op.cluster.backend(ns, "vault"))).toBe("True InSync");
    const seen = await during(op, 10);
    expect(seen.vault.length).toBeLessThanOrEqual(polls(secrets));
    expect(statusWrites(seen, "denied")).toBe(0);
    await policy(all);
    await op.interval();
    await op.ready(ns, "denied");
  });

  it("newest version deleted: not believed at once, then kept; undeleted: InSync", async () => {
    const { path, value } = await copied("deleted");
    await own.vault.client.delete(mount, path);
    // One poll falls into an interval, and not two.
    await op.advance(300_000);
    await op.verdict("SecretSync", ns, "deleted", "False DeletionUnconfirmed");
    await op.interval();
    await op.verdict("SecretSync", ns, "deleted", "True SourceGoneRetained");
    await expectCopies(op, ns, "deleted", { token: value });
    await own.vault.client.undelete(mount, path, [1]);
    await op.interval();
    await op.ready(ns, "deleted");
    await expectCopies(op, ns, "deleted", { token: value });
  });

  it("went back in version (storage restored from a back-up): VersionWentBack until approved", async () => {
    const { path } = await copied("back");
    const restored = op.canaries.value("second");
    await own.vault.client.put(mount, path, { token: restored });
    await op.interval();
    await own.backUp();
    const newest = op.canaries.value("third");
    await own.vault.client.put(mount, path, { token: newest });
    await op.interval();
    await op.ready(ns, "back");
    await expectCopies(op, ns, "back", { token: newest });
    await own.restore();
    await op.interval();
    const held = await op.verdict("SecretSync", ns, "back", "False VersionWentBack", { virtualMs: 60_000 });
    expect(verdict(held, "ChangeHeld")).toBe("True VersionWentBack");
    await expectCopies(op, ns, "back", { token: newest });
    const seen = await during(op, 10);
    expect(seen.vault.length).toBeLessThanOrEqual(polls(secrets));
    expect(seen.vault.filter(({ path: asked }) => asked === `${mount}/data/${path}`)).toHaveLength(0);
    expect(statusWrites(seen, "back")).toBe(0);
    const annotations = { "scaivault.scailabs.ai/approve": held.status?.plan?.hash ?? "" };
    await op.cluster.patch("SecretSync", ns, "back", { metadata: { annotations } });
    await op.ready(ns, "back");
    await expectCopies(op, ns, "back", { token: restored });
  });

  it("destroyed and made anew with lower numbers: a newer secret, so it is copied", async () => {
    const { path } = await copied("anew");
    await own.vault.client.put(mount, path, { token: op.canaries.value("anew second") });
    await op.interval();
    await own.vault.client.destroy(mount, path);
    const anew = op.canaries.value("anew");
    await own.vault.client.put(mount, path, { token: anew });
    await op.interval();
    await op.ready(ns, "anew");
    await expectCopies(op, ns, "anew", { token: anew });
  });

  it("emptied: SourceEmpty, copies keep the last value", async () => {
    const { path, value } = await copied("emptied");
    await own.vault.client.put(mount, path, {});
    await op.interval();
    await op.verdict("SecretSync", ns, "emptied", "False SourceEmpty");
    await expectCopies(op, ns, "emptied", { token: value });
    const seen = await during(op, 10);
    expect(seen.vault.length).toBeLessThanOrEqual(polls(secrets));
    const full = op.canaries.value("filled");
    await own.vault.client.put(mount, path, { token: full });
    await op.interval();
    await op.ready(ns, "emptied");
    await expectCopies(op, ns, "emptied", { token: full });
  });

  it("over 1 MiB: ValueTooLarge, both copies keep the last value that fitted", async () => {
    const { path, value } = await copied("large");
    const half = op.canaries.value("large").repeat(20_000);
    await own.vault.client.put(mount, path, { token: half, more: half });
    await op.interval();
    const object = await op.verdict("SecretSync", ns, "large", "False ValueTooLarge");
    expect(object.status?.targets?.find(({ kind }) => kind === "KubernetesSecret")?.state).toBe("Failed");
    expect(await op.cluster.secretData(ns, "large")).toEqual({ token: value });
    const seen = await during(op, 10);
    expect(seen.kubeWrites.filter(({ resource }) => resource === "secrets")).toHaveLength(0);
    expect(seen.scaivault.versionsWritten).toBe(0);
    expect(statusWrites(seen, "large")).toBe(0);
    expect(seen.vault.length).toBeLessThanOrEqual(polls(secrets) + 4);
    const small = op.canaries.value("small");
    await own.vault.client.put(mount, path, { token: small });
    await op.interval();
    await op.ready(ns, "large");
    await expectCopies(op, ns, "large", { token: small });
  });
});

describe("the whole store", () => {
  let rounds = 0;
  /** Breaks it, looks at what is said of it, mends it, and sees a value that came meanwhile arrive. */
  async function outage(reason: string, breakIt: () => Promise<void>, mend: () => Promise<void>): Promise<void> {
    rounds += 1;
    const name = `store-${rounds}`;
    const { path, value } = await copied(name);
    const next = op.canaries.value("meanwhile");
    await own.vault.client.put(mount, path, { token: next });
    await breakIt();
    await op.interval();
    await op.verdict("FederationBackend", ns, "vault", `False ${reason}`, { virtualMs: 60_000 });
    expect(verdict(await op.cluster.sync(ns, name))).toBe("True InSync");
    await expectCopies(op, ns, name, { token: value });
    for (let passed = 0; passed < 16; passed += 1) await op.advance(60_000);
    const stale = await op.verdict("SecretSync", ns, name, "False Stale");
    expect(condition(stale, "Ready")?.message).toContain(reason);
    await expectCopies(op, ns, name, { token: value });
    await mend();
    await op.verdict("FederationBackend", ns, "vault", "True InSync", { virtualMs: 90_000 });
    await op.ready(ns, name);
    await expectCopies(op, ns, name, { token: next });
  }

  it("sealed: SourceSealed; unsealed: goes on", async () => {
    await outage(
      "SourceSealed",
      () => own.vault.client.seal(),
      () => own.vault.client.unseal(),
    );
  });

  it("killed: SourceUnavailable; started and unsealed: goes on", async () => {
    await outage(
      "SourceUnavailable",
      () => own.vault.program.kill(),
      async () => {
        await own.vault.program.start();
        await own.vault.client.unseal();
      },
    );
  });

  it("hanging: SourceUnavailable within the time-out; answering again: goes on", async () => {
    const { value } = await copied("hanging");
    op.hungMs = 200;
    own.vault.program.pause();
    try {
      await op.interval();
      // The time-out of a call is machine time.
      await op.verdict("FederationBackend", ns, "vault", "False SourceUnavailable", { virtualMs: 0 });
      await expectCopies(op, ns, "hanging", { token: value });
    } finally {
      own.vault.program.resume();
      op.hungMs = 1_500;
    }
    await op.verdict("FederationBackend", ns, "vault", "True InSync", { virtualMs: 90_000 });
    await op.ready(ns, "hanging");
  });

  it("refuses the login: LoginFailed with few logins; a new credential is taken up at once", async () => {
    const { value } = await copied("login");
    await own.vault.client.request("DELETE", `auth/approle/role/${role()}`);
    await own.vault.client.request("POST", "sys/leases/revoke-prefix/auth/approle/login");
    const since = own.vault.client.auditMark();
    await op.interval();
    await op.verdict("FederationBackend", ns, "vault", "False LoginFailed", { virtualMs: 60_000 });
    for (let passed = 0; passed < 10; passed += 1) await op.advance(60_000);
    const logins = own.vault.client.readAudit({ since, path: "auth/approle/login" });
    expect(logins.length).toBeGreaterThan(0);
    expect(logins.length).toBeLessThanOrEqual(16 * 6);
    await expectCopies(op, ns, "login", { token: value });
    await op.vaultBackend(ns, "vault", [mount]);
    await op.verdict("FederationBackend", ns, "vault", "True InSync");
    await op.ready(ns, "login");
  });
});
