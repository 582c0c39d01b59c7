import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";
import { type Listening, startHealthServer, startMetricsServer } from "./server.ts";

const open: Listening[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

function ask(port: number, path: string, method = "GET"): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("startHealthServer", () => {
  it("answers live and ready by themselves, with what fails one a line", async () => {
    let [live, ready]: string[][] = [[], ["cache not synced (a)", "cache not synced (b)"]];
    const server = await startHealthServer({ live: () => live ?? [], ready: () => ready ?? [] }, "127.0.0.1", 0);
    open.push(server);
    expect(await ask(server.port, "/livez")).toEqual({ status: 200, text: "ok\n" });
    expect(await ask(server.port, "/readyz?verbose")).toEqual({
      status: 503,
      text: "cache not synced (a)\ncache not synced (b)\n",
    });
    [live, ready] = [["loop"], []];
    expect(await ask(server.port, "/livez")).toEqual({ status: 503, text: "loop\n" });
    expect(await ask(server.port, "/readyz")).toEqual({ status: 200, text: "ok\n" });
    for (const path of ["/", "/metrics", "/livez/x", "/%2e%2e/livez"])
      expect((await ask(server.port, path)).status).toBe(404);
  });

  it("says when its port is taken, and closes while a client stays connected", async () => {
    const first = await startHealthServer({ live: () => [], ready: () => [] }, "127.0.0.1", 0);
    await expect(startHealthServer({ live: () => [], ready: () => [] }, "127.0.0.1", first.port)).rejects.toMatchObject(
      { code: "EADDRINUSE" },
    );
    expect((await fetch(`http://127.0.0.1:${first.port}/livez`)).status).toBe(200);
    await first.close();
    await expect(ask(first.port, "/livez")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});

describe("startMetricsServer", () => {
  it("gives the metrics and nothing else", async () => {
    const { registry, valueRead } = createMetrics({ defaults: false, objects: false, version: "1" });
    valueRead({ namespace: "billing", backend: "billing/aws" });
    const server = await startMetricsServer(registry, "127.0.0.1", 0);
    open.push(server);
    const answer = await ask(server.port, "/metrics");
    expect(answer.status).toBe(200);
    expect(answer.text).toContain("scaivault_operator_source_value_reads_total{");
    expect((await ask(server.port, "/livez")).status).toBe(404);
  });

  it("tells nothing of why metrics could not be made", async () => {
    const { registry, setSources } = createMetrics({ defaults: false, objects: false, version: "1" });
    setSources({
      objects: () => {
        throw new Error("canary");
      },
      each: () => [],
      queues: () => [],
      leader: () => false,
      polls: () => [],
      scaivaultFailing: () => undefined,
      news: () => undefined,
    });
    const server = await startMetricsServer(registry, "127.0.0.1", 0);
    open.push(server);
    const answer = await ask(server.port, "/metrics");
    expect(answer).toEqual({ status: 500, text: "metrics could not be collected\n" });
  });
});
