/** Real processes of `run`: killed between two writes, paused across their lease, the leader of two killed. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { call } from "../../local/http.ts";
import { freePort } from "../../local/ports.ts";
import { createProgram, type Program } from "../../local/process.ts";
import { type Relay, startRelay } from "../../local/relay.ts";
import { systemClock } from "../../src/time/clock.ts";
import { testEnvironment } from "../support/environment.ts";
import { LEASE_NAME, OPERATOR_NAMESPACE } from "../support/operator-account.ts";
import { Harness } from "../support/operator.ts";
import { copies, copyOf, expectCopies } from "./support.ts";

let relay: Relay;
let op: Harness<"team">;
let ns: string;
const running: Program[] = [];

beforeAll(async () => {
  const { controlPlane } = testEnvironment().facts;
  if (controlPlane === undefined) throw new Error("no control plane");
  relay = await startRelay(controlPlane.url);
  op = await Harness.prepare({ namespaces: ["team"], apiServer: relay.url });
  ns = op.ns.team;
  await op.awsBackend(ns);
});
afterEach(async () => {
  op.asm.clearFaults();
  relay.speak();
  await Promise.all(running.splice(0).map((program) => program.kill()));
  // The next test's first replica does not wait for the lease of this one's last.
  await op.env.kube.request({ method: "DELETE", path: leasePath });
});
afterAll(async () => {
  await op?.stop();
  await relay?.stop();
});

const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/${LEASE_NAME}`;
/** Everything here runs on the machine's time. */
const real = { virtualMs: 0, timeoutMs: 40_000 };

/** A replica, as the container runs it. */
async function replica(name: string): Promise<Program> {
  const [health, metrics] = [await freePort(), await freePort()];
  const address = "127.0.0.1";
  const file = join(op.folder, `${name}.json`);
  const config = { ...op.file, health: { address, port: health }, metrics: { address, port: metrics } };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const logFile = join(op.folder, `${name}.log`);
  const program = createProgram({
    name,
    file: process.execPath,
    args: ["src/main.ts", "run", "--config", file],
    env: { POD_NAME: name, NODE_OPTIONS: undefined },
    logFile,
    ready: async () => (await call({ url: `http://${address}:${health}/readyz`, timeoutMs: 1_000 })).status === 200,
  });
  op.otherTexts.push(() => [[`log of ${name}`, readFileSync(logFile, "utf8")]]);
  running.push(program);
  await program.start();
  return program;
}

/** Name of the replica that holds the lease. */
async function leader(): Promise<string> {
  const answer = await op.env.kube.request({ path: leasePath });
  if (answer.status !== 200) return "";
  const { spec } = answer.json<{ spec: { holderIdentity?: string | null } }>();
  return (spec.holderIdentity ?? "").replace(/_[0-9a-f]+$/, "");
}

async function led(name?: string): Promise<string> {
  let found = "";
  await op.eventually(
    `${name ?? "somebody"} leads`,
    async () => {
      found = await leader();
      return name === undefined ? found !== "" : found === name;
    },
    real,
  );
  return found;
}

async function copied(name: string): Promise<{ path: string; value: string }> {
  const path = `prod/${name}`;
  const value = op.canaries.value(name);
  await op.aws.put(path, JSON.stringify({ password: value }));
  await op.cluster.apply(copyOf(ns, name, { backend: "aws", path }));
  await op.ready(ns, name, real);
  await expectCopies(op, ns, name, { password: value });
  return { path, value };
}

async function rotate(path: string, label: string): Promise<string> {
  const value = op.canaries.value(label);
  await op.aws.put(path, JSON.stringify({ password: value }));
  return value;
}

const syncNow = (name: string, kind: "SecretSync" | "FederationBackend" = "SecretSync") =>
  op.cluster.patch(kind, ns, name, {
    metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": new Date().toISOString() } },
  });

const secretIs = (name: string, value: string) =>
  op.eventually(`Secret ${name}`, async () => (await op.cluster.secretData(ns, name))?.["password"] === value, real);

/** The next read of this value hangs; resolves when it does. */
async function hangRead(path: string, name: string): Promise<void> {
  op.asm.addFault({ kind: "hang", actions: ["GetSecretValue", "BatchGetSecretValue"], names: [path], times: 1 });
  await syncNow(name);
  await op.eventually("the read hangs", () => Promise.resolve(op.asm.hanging() > 0), real);
}

describe("a process", () => {
  it("killed (SIGKILL) after ScaiVault was written and before the Secret: the next one writes the Secret only", async () => {
    const first = await replica("first");
    const { path, value } = await copied("between");
    const next = await rotate(path, "between the writes");
    await hangRead(path, "between");
    // The API server hears nothing from here on; ScaiVault does.
    relay.silence();
    op.asm.release();
    const target = () => copies(op, ns, "between");
    await op.eventually("ScaiVault is written", async () => (await target()).version === 2, real);
    await first.kill();
    relay.cut();
    relay.speak();
    expect((await target()).secret).toEqual({ password: value });
    expect((await target()).scaivault).toEqual({ password: next });
    await op.mark();
    await replica("second");
    await secretIs("between", next);
    await op.ready(ns, "between", real);
    await expectCopies(op, ns, "between", { password: next });
    const seen = await op.seen();
    expect((await target()).version).toBe(2);
    expect(seen.scaivault.versionsWritten).toBe(0);
    expect(seen.aws.valueReads).toBe(1);
  });

  it("that leads two is killed: the other takes over, and what has not changed is neither read nor written", async () => {
    await Promise.all([replica("left"), replica("right")]);
    const { path } = await copied("take-over");
    const old = await led();
    const other = old === "left" ? "right" : "left";
    const next = await rotate(path, "after the leader");
    await op.mark();
    await running.find(({ name }) => name === old)?.kill();
    await led(other);
    await secretIs("take-over", next);
    await op.ready(ns, "take-over", real);
    await expectCopies(op, ns, "take-over", { password: next });
    expect((await copies(op, ns, "take-over")).version).toBe(2);
    const seen = await op.seen();
    expect(seen.aws.valueReads).toBe(1);
    expect(seen.scaivault.versionsWritten).toBe(1);
    const written = seen.kubeWrites.filter(({ resource }) => resource === "secrets").map(({ name }) => name);
    expect(written).toEqual(["take-over"]);
    expect(seen.kubeWrites.filter(({ name }) => name === "between")).toEqual([]);
  });

  it("paused (SIGSTOP) across its lease with an old value in hand: it writes nothing when it goes on", async () => {
    await Promise.all([replica("slow"), replica("quick")]);
    const { path } = await copied("paused");
    const old = await led();
    const other = old === "slow" ? "quick" : "slow";
    const paused = running.find(({ name }) => name === old);
    const second = await rotate(path, "second");
    await hangRead(path, "paused");
    paused?.pause();
    // The value comes while it cannot look; it will have it in hand when it wakes.
    op.asm.release();
    await led(other);
    await secretIs("paused", second);
    const third = await rotate(path, "third");
    // Of the backend: an object is asked for at most every thirty seconds.
    await syncNow("aws", "FederationBackend");
    await secretIs("paused", third);
    await op.ready(ns, "paused", real);
    await expectCopies(op, ns, "paused", { password: third });
    await op.mark();
    paused?.resume();
    await op.eventually(
      "it sees that it does not lead",
      () => Promise.resolve(/"action":"lost"/.test(paused?.logTail(40) ?? "")),
      real,
    );
    await systemClock.sleep(2_000);
    await expectCopies(op, ns, "paused", { password: third });
    expect((await copies(op, ns, "paused")).version).toBe(3);
    expect(await leader()).toBe(other);
    expect(paused?.running).toBe(true);
    const seen = await op.seen();
    expect(seen.scaivault.versionsWritten).toBe(0);
    expect(seen.kubeWrites.filter(({ resource }) => resource === "secrets")).toEqual([]);
  });
});
