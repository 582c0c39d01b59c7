import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock, settle, systemClock } from "../time/clock.ts";
import { KubeClient } from "./client.ts";
import { EventRecorder, type EventInput } from "./events.ts";
import { FakeApiServer, answer, refuse } from "./testing/fake-api-server.ts";
import { KubeTransport } from "./transport.ts";

interface SentEvent {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly note: string;
  readonly reason: string;
  readonly regarding: unknown;
  readonly eventTime: string;
}

let server: FakeApiServer;
let transport: KubeTransport;
let clock: VirtualClock;
let recorder: EventRecorder;

beforeEach(async () => {
  server = await FakeApiServer.start();
  server.respond = (_request, response) => answer(response, 201, {});
  clock = new VirtualClock(0, { settle: () => transport.idle() });
  transport = new KubeTransport({ config: { server: server.url }, clock: systemClock, userAgent: "test" });
  recorder = new EventRecorder({
    client: new KubeClient(transport, { fieldManager: "test" }),
    clock,
    controller: "example.com/operator",
    instance: "pod-1",
  });
});

afterEach(async () => {
  const stopped = recorder.stop();
  await clock.advance(5000);
  await stopped;
  await transport.close();
  await server.close();
});

const regarding = {
  apiVersion: "example.com/v1",
  kind: "Thing",
  metadata: { namespace: "ns", name: "thing", uid: "u1", resourceVersion: "5" },
};

function input(more: Partial<EventInput> = {}): EventInput {
  return { regarding, type: "Warning", reason: "SourceDenied", action: "Read", note: "denied", ...more };
}

async function sent(count: number): Promise<SentEvent[]> {
  for (let i = 0; i < 200 && server.requests.length < count; i++) {
    await settle();
    await transport.idle();
  }
  return server.requests.map((request) => request.body as SentEvent);
}

describe("EventRecorder", () => {
  it("writes what the API asks for", async () => {
    recorder.record(input());
    const [event] = await sent(1);
    expect(server.requests[0]).toMatchObject({ method: "POST", path: "/apis/events.k8s.io/v1/namespaces/ns/events" });
    expect(event).toMatchObject({
      type: "Warning",
      reason: "SourceDenied",
      action: "Read",
      note: "denied",
      reportingController: "example.com/operator",
      reportingInstance: "pod-1",
      eventTime: "1970-01-01T00:00:00.000000Z",
      regarding: { kind: "Thing", name: "thing", namespace: "ns", uid: "u1", apiVersion: "example.com/v1" },
    });
    expect(event?.metadata.name).toMatch(/^thing\.[0-9a-f]{16}$/);
  });

  it("makes repetitions one series, written at the second time and then every five minutes", async () => {
    recorder.record(input());
    await sent(1);
    for (let i = 0; i < 600; i++) {
      await clock.advance(1000);
      recorder.record(input());
    }
    await sent(4);
    expect(server.requests.map((request) => request.method)).toEqual(["POST", "PATCH", "PATCH"]);
    expect(server.requests[2]?.body).toMatchObject({ series: { count: 302 } });
    recorder.record(input({ note: "other" }));
    recorder.record(input({ regarding: { ...regarding, metadata: { ...regarding.metadata, uid: "u2" } } }));
    await sent(5);
    expect(server.requests.slice(3).map((request) => request.method)).toEqual(["POST", "POST"]);
  });

  it("begins anew after a quiet time, or when the server forgot the event", async () => {
    recorder.record(input());
    await sent(1);
    await clock.advance(7 * 60_000);
    recorder.record(input());
    await sent(2);
    expect(server.requests[1]?.method).toBe("POST");
    server.respond = (_request, response) => refuse(response, 404, "NotFound");
    recorder.record(input());
    await sent(3);
    await settle();
    server.respond = (_request, response) => answer(response, 201, {});
    recorder.record(input());
    await sent(4);
    expect(server.requests.map((request) => request.method)).toEqual(["POST", "POST", "PATCH", "POST"]);
  });

  it("sends a burst and then a few a second; the rest is dropped and counted", async () => {
    for (let i = 0; i < 200; i++) recorder.record(input({ note: `n${i}` }));
    await sent(50);
    expect(server.requests).toHaveLength(50);
    expect(recorder.dropped).toBe(150);
    await clock.advance(1000);
    for (let i = 0; i < 20; i++) recorder.record(input({ note: `m${i}` }));
    await sent(55);
    expect(server.requests).toHaveLength(55);
  });

  it("never throws when the server refuses or is gone", async () => {
    server.respond = (_request, response) => refuse(response, 403, "Forbidden");
    recorder.record(input());
    await sent(1);
    await settle();
    expect(recorder.dropped).toBe(1);
  });

  it("escapes what could rewrite a terminal, and cuts to 1 kB between characters", async () => {
    recorder.record(input({ note: "a\u001b[31mb\nc\u202ed" }));
    recorder.record(input({ note: "ü€😀".repeat(400) }));
    const [first, second] = await sent(2);
    expect(first?.note).toBe("a\\u{1b}[31mb\\u{a}c\\u{202e}d");
    const note = second?.note ?? "";
    expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
    expect(note.endsWith("...")).toBe(true);
    expect(note).not.toContain("\ufffd");
  });
});
