/** Statuses that the real operator wrote, read from the real API server, before Argo CD's Lua, kstatus and `kubectl wait`. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyOf } from "../faults/support.ts";
import { Harness, pathTo } from "../support/operator.ts";
import { judged } from "./judge.ts";

const INTERVAL = 300_000;
let op: Harness<"team">;
let ns: string;

beforeAll(async () => {
  op = await Harness.prepare({ namespaces: ["team"] });
  ns = op.ns.team;
});
afterAll(() => op?.stop());

type Kind = "SecretSync" | "FederationBackend";

/** Health and kstatus of what the API server has now. */
const now = async (name: string, kind: Kind = "SecretSync"): Promise<string> =>
  judged(await op.cluster.get(kind, ns, name));

/** Exit code of `kubectl wait`. */
async function waitCode(object: string, condition: string, timeout = "1s"): Promise<number | null> {
  const args = ["-n", ns, "wait", object, `--for=condition=${condition}`, `--timeout=${timeout}`];
  return (await op.env.kube.kubectl(args)).code;
}

const spec = (name: string, patch: object) => op.cluster.patch("SecretSync", ns, name, { spec: patch });
const copy = (name: string, more: object = {}, backend = "aws") =>
  op.cluster.apply(copyOf(ns, name, { backend, path: `prod/${name}` }, more));

describe("an object that the operator has not looked at", () => {
  it("is neither healthy nor current: not when it is new", async () => {
    await op.aws.put("prod/good", '{"password":"x"}');
    await op.awsBackend(ns);
    await copy("good");
    expect(await now("good")).toBe("Progressing InProgress");
    expect(await now("aws", "FederationBackend")).toBe("Progressing InProgress");
    expect(await waitCode("secretsync/good", "Ready")).not.toBe(0);
  });

  it("becomes so when all is in sync, and kubectl wait sees it", async () => {
    const waited = waitCode("secretsync/good", "Ready", "60s");
    await op.start();
    await op.ready(ns, "good");
    expect(await now("good")).toBe("Healthy Current");
    expect(await now("aws", "FederationBackend")).toBe("Healthy Current");
    expect(await waited).toBe(0);
    expect(await waitCode("federationbackend/aws", "Ready")).toBe(0);
  });

  it("not after an edit either", async () => {
    await op.end();
    await spec("good", { syncInterval: "5m" });
    expect(await now("good")).toBe("Progressing InProgress");
    expect(await waitCode("secretsync/good", "Ready")).not.toBe(0);
    await op.start();
    await op.ready(ns, "good");
    expect(await now("good")).toBe("Healthy Current");
  });
});

describe("an object that is not in sync", () => {
  it.each([
    { name: "no-source", wanted: "False SourceNotFound", says: "Degraded InProgress" },
    { name: "no-backend", backend: "later", wanted: "False BackendNotFound", says: "Progressing InProgress" },
    { name: "bad-key", value: '{"bad key":"x"}', wanted: "False InvalidKey", says: "Degraded Failed" },
    { name: "theirs", value: "x", secret: true, wanted: "False NotOwned", says: "Degraded InProgress" },
    {
      name: "asks",
      value: "x",
      more: { apply: "OnApproval" },
      wanted: "False ApprovalNeeded",
      says: "Degraded InProgress",
    },
    { name: "sees", value: "x", more: { apply: "Never" }, wanted: "False Differs", says: "Degraded InProgress" },
    { name: "rests", value: "x", more: { suspend: true }, wanted: "Unknown Suspended", says: "Suspended InProgress" },
  ])("$wanted: $says", async ({ name, backend, value, secret, more, wanted, says }) => {
    if (value !== undefined) await op.aws.put(`prod/${name}`, value);
    if (secret === true) {
      const metadata = { name, namespace: ns };
      await op.cluster.apply({ apiVersion: "v1", kind: "Secret", metadata, stringData: { password: "theirs" } });
    }
    await copy(name, more, backend);
    await op.verdict("SecretSync", ns, name, wanted);
    expect(await now(name)).toBe(says);
    expect(await waitCode(`secretsync/${name}`, "Ready", "0s")).not.toBe(0);
    expect((await waitCode(`secretsync/${name}`, "Stalled", "0s")) === 0).toBe(says.endsWith("Failed"));
    await op.cluster.delete("SecretSync", ns, name);
  });
});

describe("a store", () => {
  it("that is suspended: the backend and what depends on it are Suspended", async () => {
    await op.cluster.patch("FederationBackend", ns, "aws", { spec: { suspend: true } });
    await op.verdict("SecretSync", ns, "good", "False BackendSuspended");
    expect(await now("good")).toBe("Suspended InProgress");
    expect(await now("aws", "FederationBackend")).toBe("Suspended InProgress");
    await op.cluster.patch("FederationBackend", ns, "aws", { spec: { suspend: false } });
    await op.ready(ns, "good");
  });

  it("that is away for a moment changes nothing; past the bound the copies are Degraded", async () => {
    op.asm.addFault({ kind: "error", status: 503, code: "ServiceUnavailable" });
    await op.advance(INTERVAL + 5_000);
    await op.verdict("FederationBackend", ns, "aws", "False SourceUnavailable");
    expect(await now("aws", "FederationBackend")).toBe("Progressing InProgress");
    expect(await now("good")).toBe("Healthy Current");
    for (let passed = 0; passed < 4; passed += 1) await op.advance(INTERVAL + 60_000);
    await op.verdict("SecretSync", ns, "good", "False Stale");
    expect(await now("good")).toBe("Degraded InProgress");
    op.asm.clearFaults();
    await op.advance(INTERVAL);
    await op.ready(ns, "good");
    expect(await now("good")).toBe("Healthy Current");
  });
});

describe("an object that is being deleted", () => {
  it("is Terminating until the operator has let it go", async () => {
    await spec("good", { cleanupPolicy: "Delete" });
    const finalizers = async () => (await op.cluster.sync(ns, "good"))?.metadata.finalizers ?? [];
    await op.eventually("the finalizer", async () => (await finalizers()).length === 1);
    await op.end();
    await op.cluster.delete("SecretSync", ns, "good");
    expect(await now("good")).toBe("Progressing Terminating");
    await op.start();
    // What could not be looked at yet is tried again after half a minute.
    const gone = async () => (await op.cluster.sync(ns, "good")) === undefined;
    await op.eventually("it is gone", gone, { virtualMs: 90_000 });
    const answer = await op.env.kube.request({ path: pathTo("SecretSync", ns, "good") });
    expect(answer.status).toBe(404);
  });
});
