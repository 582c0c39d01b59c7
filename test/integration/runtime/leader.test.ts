import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  KubeClient,
  KubeTransport,
  LeaderElector,
  NotLeaderError,
  loadClusterConfig,
  resources,
  type KubeObject,
  type Leadership,
} from "../../../src/runtime/index.ts";
import { systemClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";
import { connect, ownNamespace, until } from "./support.ts";

interface ConfigMap extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

interface Lease extends KubeObject {
  readonly spec: { readonly holderIdentity: string; readonly leaseTransitions: number; readonly renewTime: string };
}

const times = { leaseDurationMs: 3000, renewDeadlineMs: 2000, retryPeriodMs: 300, requestTimeoutMs: 500 };
let namespace: string;
let admin: ReturnType<typeof connect>;
const transports: KubeTransport[] = [];
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  admin = connect();
  namespace = await ownNamespace();
});

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
  await Promise.all(transports.splice(0).map((transport) => transport.close()));
});

afterAll(() => admin.transport.close());

interface Candidate {
  readonly elector: LeaderElector;
  readonly transport: KubeTransport;
  readonly reigns: Leadership[];
  /** When it held the lease, by the clock of this test. */
  readonly held: { from: number; to: number }[];
  readonly stop: () => Promise<void>;
}

function candidate(name: string, identity: string): Candidate {
  const transport = new KubeTransport({
    config: loadClusterConfig({ kubeconfig: testEnvironment().kube.facts.adminKubeconfig }),
    clock: systemClock,
    userAgent: identity,
  });
  transports.push(transport);
  const client = new KubeClient(transport, { fieldManager: identity });
  const elector = new LeaderElector({ client, clock: systemClock, namespace, name, identity, ...times });
  const abort = new AbortController();
  const reigns: Leadership[] = [];
  const held: Candidate["held"] = [];
  const ended = elector.run((leadership) => {
    reigns.push(leadership);
    const reign = { from: performance.now(), to: Number.POSITIVE_INFINITY };
    held.push(reign);
    return new Promise((resolve) => {
      leadership.signal.addEventListener("abort", () => {
        reign.to = performance.now();
        resolve();
      });
    });
  }, abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort();
    await ended;
  };
  stops.push(stop);
  return { elector, transport, reigns, held, stop };
}

const lease = (name: string): Promise<Lease> => admin.client.get<Lease>(resources.leases, { namespace, name });

describe("leader election on a real API server", () => {
  it("has one leader of two; the other begins at once when it goes", async () => {
    const [a, b] = [candidate("handover", "a"), candidate("handover", "b")];
    await until("a leader", () => a.reigns.length + b.reigns.length === 1);
    const [leader, other] = a.reigns.length === 1 ? [a, b] : [b, a];
    const before = (await lease("handover")).spec;
    await until("a renewal", async () => (await lease("handover")).spec.renewTime !== before.renewTime);
    expect(before.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(other.reigns).toHaveLength(0);
    await leader.stop();
    const released = performance.now();
    await until("the other", () => other.reigns.length === 1);
    expect(performance.now() - released).toBeLessThan(times.leaseDurationMs);
    expect((await lease("handover")).spec).toMatchObject({
      holderIdentity: other === b ? "b" : "a",
      leaseTransitions: 1,
    });
  });

  it("aborts before the lease ends when the leader is cut off; reigns never overlap", async () => {
    const a = candidate("cut", "a");
    await until("a leader", () => a.reigns.length === 1);
    const b = candidate("cut", "b");
    await until("b to have looked", () => b.elector.holder === "a");
    await a.transport.close();
    await until("the loss", () => a.reigns[0]?.signal.aborted === true);
    expect(() => a.reigns[0]?.assertHeld()).toThrow(NotLeaderError);
    await until("the next", () => b.reigns.length === 1);
    expect(b.reigns[0]?.takeover).toBe(true);
    expect(b.held[0]?.from).toBeGreaterThan((a.held[0]?.to ?? Number.POSITIVE_INFINITY) + times.requestTimeoutMs);
  });

  it("loses the lease while the API server is stopped, writes nothing, and leads again after it", async () => {
    const a = candidate("outage", "a");
    await until("a leader", () => a.reigns.length === 1);
    const { programs } = testEnvironment().remote;
    await programs.pause("kube-apiserver");
    try {
      await until("the loss", () => a.reigns[0]?.signal.aborted === true, 10_000);
    } finally {
      await programs.resume("kube-apiserver");
    }
    await until("a second reign", () => a.reigns.length === 2, 60_000);
    a.reigns[1]?.assertHeld();
  });

  it("writes nothing after it was stopped (SIGSTOP) across its lease and resumed", async () => {
    const program = fileURLToPath(new URL("./elector-process.ts", import.meta.url));
    const { adminKubeconfig } = testEnvironment().kube.facts;
    const child = spawn(process.execPath, [program, adminKubeconfig, namespace, "sleeper", JSON.stringify(times)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const gone = new Promise((resolve) => child.once("exit", resolve));
    stops.push(async () => {
      child.kill("SIGCONT");
      child.kill("SIGKILL");
      await gone;
    });
    const written = () => admin.client.get<ConfigMap>(resources.configMaps, { namespace, name: "written" });
    await until("the first write", () => said.includes("written"));
    const b = candidate("fenced", "b");
    await until("b to have looked", () => b.elector.holder === "sleeper");
    child.kill("SIGSTOP");
    await until("the takeover", () => b.reigns.length === 1);
    expect((await written()).data.by).toBe("sleeper");
    // What a new leader does first: look at everything and repair it.
    const repaired = { metadata: { namespace, name: "written" }, data: { by: "b" } };
    await admin.client.apply(resources.configMaps, repaired as KubeObject, { force: true, fieldManager: "b" });
    const left = await written();
    child.kill("SIGCONT");
    await until("the sleeper to notice", () => said.includes("fenced"));
    expect((await written()).metadata.resourceVersion).toBe(left.metadata.resourceVersion);
    expect(left.data.by).toBe("b");
    b.reigns[0]?.assertHeld();
  });

  it("ends at once when somebody takes the lease away", async () => {
    const a = candidate("taken", "a");
    await until("a leader", () => a.reigns.length === 1);
    const patch = { spec: { holderIdentity: "thief", leaseDurationSeconds: 2 } };
    await admin.client.mergePatch(resources.leases, { namespace, name: "taken" }, patch);
    await until("the loss", () => a.reigns[0]?.held === false);
    expect(a.elector.holder).toBe("thief");
    await until("a second reign", () => a.reigns.length === 2);
    expect(a.reigns[1]?.takeover).toBe(true);
  });
});
