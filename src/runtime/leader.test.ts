import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock, systemClock } from "../time/clock.ts";
import { KubeClient } from "./client.ts";
import { LeaderElector, NotLeaderError, type Leadership, type LeaderElectorOptions } from "./leader.ts";
import { FakeApiServer, answer, refuse, type SeenRequest } from "./testing/fake-api-server.ts";
import { KubeTransport } from "./transport.ts";
import type { KubeObject } from "./types.ts";

interface StoredLease extends KubeObject {
  spec: {
    holderIdentity: string;
    leaseDurationSeconds: number;
    renewTime: string;
    acquireTime: string;
    leaseTransitions: number;
  };
}

/** One Lease with create, get and versioned update. */
class LeaseApi {
  lease: StoredLease | undefined;
  version = 0;
  writes: string[] = [];
  /** Requests by which User-Agent fail. */
  down = new Set<string>();

  respond(request: SeenRequest, response: Parameters<typeof answer>[0]): void {
    if (this.down.has(request.headers["user-agent"] ?? "")) {
      response.socket?.resetAndDestroy();
      return;
    }
    const sent = request.body as StoredLease | undefined;
    if (request.method === "GET") {
      if (this.lease === undefined) refuse(response, 404, "NotFound");
      else answer(response, 200, this.lease);
      return;
    }
    const stale =
      request.method === "POST"
        ? this.lease !== undefined
        : this.lease === undefined || sent?.metadata.resourceVersion !== this.lease.metadata.resourceVersion;
    if (stale || sent === undefined) {
      refuse(response, 409, request.method === "POST" ? "AlreadyExists" : "Conflict");
      return;
    }
    this.version += 1;
    this.lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(this.version) } };
    this.writes.push(sent.spec.holderIdentity);
    answer(response, 200, this.lease);
  }
}

let server: FakeApiServer;
let api: LeaseApi;
let transports: KubeTransport[];
let running: { stop: AbortController; ended: Promise<void> }[];
let clocks: VirtualClock[];

beforeEach(async () => {
  server = await FakeApiServer.start();
  api = new LeaseApi();
  server.respond = (request, response) => api.respond(request, response);
  transports = [];
  running = [];
  clocks = [];
});

afterEach(async () => {
  for (const { stop } of running) stop.abort();
  await Promise.all([...clocks.map((clock) => clock.advance(1000)), ...running.map(({ ended }) => ended)]);
  await Promise.all(transports.map((transport) => transport.close()));
  await server.close();
});

/** The clock waits for the calls that its timers began. */
function makeClock(start: number): VirtualClock {
  const clock = new VirtualClock(start, {
    settle: async () => void (await Promise.all(transports.map((transport) => transport.idle()))),
  });
  clocks.push(clock);
  return clock;
}

function candidate(identity: string, clock: VirtualClock, options: Partial<LeaderElectorOptions> = {}) {
  const transport = new KubeTransport({
    config: { server: server.url },
    clock: systemClock,
    userAgent: identity,
    random: () => 0,
  });
  transports.push(transport);
  const log: string[] = [];
  const elector = new LeaderElector({
    client: new KubeClient(transport, { fieldManager: identity }),
    clock,
    namespace: "ns",
    name: "lease",
    identity,
    random: () => 0.5,
    onTransition: (transition) => log.push(`${transition}@${clock.monotonic() / 1000}`),
    ...options,
  });
  const stop = new AbortController();
  const held: Leadership[] = [];
  const start = (work?: (leadership: Leadership) => Promise<void>): Promise<void> => {
    const ended = elector.run(
      work ??
        ((leadership) => {
          held.push(leadership);
          return new Promise((resolve) => leadership.signal.addEventListener("abort", () => resolve()));
        }),
      stop.signal,
    );
    running.push({ stop, ended });
    return ended;
  };
  return { elector, log, stop, held, start };
}

describe("LeaderElector", () => {
  it("creates the lease and begins at once when nobody held it", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    expect(a.elector.isLeader).toBe(true);
    expect(a.held[0]?.takeover).toBe(false);
    expect(api.lease?.spec).toMatchObject({
      holderIdentity: "a",
      leaseDurationSeconds: 30,
      leaseTransitions: 0,
      renewTime: "1970-01-01T00:00:00.000000Z",
    });
    await clock.advance(60_000);
    expect(api.lease?.spec.renewTime).toBe("1970-01-01T00:01:00.000000Z");
    expect(api.lease?.spec.acquireTime).toBe("1970-01-01T00:00:00.000000Z");
    expect(a.held).toHaveLength(1);
  });

  it("gives the lease back on shutdown, so that the next begins at once", async () => {
    const clock = makeClock(0);
    const [a, b] = [candidate("a", clock), candidate("b", clock)];
    const ended = a.start();
    await clock.advance(0);
    void b.start();
    await clock.advance(12_000);
    expect(b.elector.isLeader).toBe(false);
    a.stop.abort();
    await ended;
    expect(api.lease?.spec.holderIdentity).toBe("");
    await clock.advance(6_000);
    expect(b.elector.isLeader).toBe(true);
    expect(b.held[0]?.takeover).toBe(false);
    expect(api.lease?.spec.leaseTransitions).toBe(1);
  });

  it("keeps the lease while work winds down, and releases it only then", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    let finish: () => void = () => undefined;
    let leadership: Leadership | undefined;
    const ended = a.start((given) => {
      leadership = given;
      return new Promise((resolve) => (finish = resolve));
    });
    await clock.advance(0);
    a.stop.abort();
    expect(leadership?.signal.aborted).toBe(true);
    await clock.advance(60_000);
    leadership?.assertHeld();
    expect(api.lease?.spec.holderIdentity).toBe("a");
    finish();
    await ended;
    expect(api.lease?.spec.holderIdentity).toBe("");
    expect(() => leadership?.assertHeld()).toThrow(NotLeaderError);
  });

  it("aborts before the lease ends when it cannot renew; another begins only after lease and last requests", async () => {
    const clock = makeClock(0);
    const [a, b] = [candidate("a", clock), candidate("b", clock)];
    void a.start();
    await clock.advance(0);
    void b.start();
    await clock.advance(10_000);
    const held = a.held[0];
    api.down.add("a");
    await clock.advance(19_000);
    expect(held?.held).toBe(true);
    await clock.advance(2_000);
    expect(held?.signal.aborted).toBe(true);
    expect(() => held?.assertHeld()).toThrow(NotLeaderError);
    const lostAt = clock.monotonic();
    while (!b.elector.isLeader && clock.monotonic() < 120_000) await clock.advance(1_000);
    expect(b.elector.isLeader).toBe(true);
    expect(api.lease?.spec.holderIdentity).toBe("b");
    while (b.held.length === 0 && clock.monotonic() < 120_000) await clock.advance(1_000);
    // Last renewal at 10 s, lease 30 s, requests 10 s.
    expect(clock.monotonic()).toBeGreaterThanOrEqual(50_000);
    expect(clock.monotonic() - lostAt).toBeGreaterThanOrEqual(10_000);
    expect(b.held[0]?.takeover).toBe(true);
    expect(a.log).toContain("lost@30");
  });

  it("does not trust the wall clock of others, however wrong", async () => {
    const [clockA, clockB] = [makeClock(Date.UTC(2026, 0, 1)), makeClock(Date.UTC(2031, 0, 1))];
    const [a, b] = [candidate("a", clockA), candidate("b", clockB)];
    void a.start();
    await clockA.advance(0);
    void b.start();
    for (let i = 0; i < 60; i++) {
      await clockA.advance(2_000);
      await clockB.advance(2_000);
      expect(b.elector.isLeader).toBe(false);
    }
    expect(a.held[0]?.held).toBe(true);
  });

  it("notices by itself that the process was stopped, before any timer fires", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    const held = a.held[0];
    let jumpMs = 0;
    const [now, monotonic] = [clock.now.bind(clock), clock.monotonic.bind(clock)];
    clock.now = () => now() + jumpMs;
    clock.monotonic = () => monotonic() + jumpMs;
    held?.assertHeld();
    jumpMs = 25_000;
    expect(() => held?.assertHeld()).toThrow(NotLeaderError);
    expect(held?.signal.aborted).toBe(true);
  });

  it("ends at the deadline also when its timer fires a little early", async () => {
    const clock = makeClock(0);
    const real = clock.setTimeout.bind(clock);
    clock.setTimeout = (fn, ms, options) => real(fn, ms > 1 ? ms - 0.4 : ms, options);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    api.down.add("a");
    await clock.advance(20_100);
    expect(a.held[0]?.signal.aborted).toBe(true);
  });

  it("ends at once when another process took the lease", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    const held = a.held[0];
    if (api.lease !== undefined) {
      api.lease = {
        ...api.lease,
        metadata: { ...api.lease.metadata, resourceVersion: "99" },
        spec: { ...api.lease.spec, holderIdentity: "thief" },
      };
    }
    await clock.advance(5_000);
    expect(held?.signal.aborted).toBe(true);
    expect(a.elector.holder).toBe("thief");
    expect(api.writes).toEqual(["a"]);
  });

  it("waits for the former holder also when the lease was deleted", async () => {
    const clock = makeClock(0);
    const [a, b] = [candidate("a", clock), candidate("b", clock, { retryPeriodMs: 4_000 })];
    void a.start();
    await clock.advance(0);
    void b.start();
    await clock.advance(9_000);
    api.lease = undefined;
    api.down.add("a");
    await clock.advance(6_000);
    expect(api.lease).toMatchObject({ spec: { holderIdentity: "b" } });
    expect(a.held[0]?.held).toBe(true);
    await clock.advance(11_000);
    expect(a.held[0]?.signal.aborted).toBe(true);
    expect(b.held).toHaveLength(0);
    // a renewed for the last time at 5 s and was seen to at 8 s: 30 s lease, 10 s requests.
    await clock.advance(18_000);
    expect(b.held).toHaveLength(0);
    await clock.advance(10_000);
    expect(b.held).toHaveLength(1);
    expect(b.held[0]?.takeover).toBe(true);
  });

  it("ends when the lease is deleted, and campaigns anew", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    api.lease = undefined;
    await clock.advance(10_000);
    expect(a.held.map((leadership) => leadership.held)).toEqual([false, true]);
    expect(api.lease).toMatchObject({ spec: { holderIdentity: "a" } });
  });

  it("survives a lost answer to its own renewal", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    let lose = 1;
    server.respond = (request, response) => {
      if (request.method === "PUT" && lose-- > 0) {
        // Stored, but nobody hears of it.
        const sent = request.body as StoredLease;
        api.version += 1;
        api.lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(api.version) } };
        response.socket?.resetAndDestroy();
        return;
      }
      api.respond(request, response);
    };
    await clock.advance(60_000);
    expect(a.held).toHaveLength(1);
    expect(a.held[0]?.held).toBe(true);
  });

  it("campaigns anew after a loss", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    void a.start();
    await clock.advance(0);
    api.down.add("a");
    await clock.advance(25_000);
    expect(a.held[0]?.held).toBe(false);
    api.down.clear();
    await clock.advance(20_000);
    expect(a.held).toHaveLength(2);
    expect(a.held[1]?.held).toBe(true);
  });

  it("passes on what the work throws, and gives the lease back", async () => {
    const clock = makeClock(0);
    const a = candidate("a", clock);
    const outcome = expect(a.start(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    running = [];
    await clock.advance(0);
    await outcome;
    expect(api.lease?.spec.holderIdentity).toBe("");
  });

  it("refuses times that do not fence", () => {
    expect(() => candidate("a", makeClock(0), { renewDeadlineMs: 30_000 })).toThrow(RangeError);
    expect(() => candidate("a", makeClock(0), { retryPeriodMs: 20_000 })).toThrow(RangeError);
  });
});
