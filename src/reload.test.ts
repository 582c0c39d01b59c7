import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "./config/index.ts";
import { Network } from "./net/index.ts";
import { followConfigFile, followNetworkFiles } from "./reload.ts";
import { createLogger } from "./telemetry/index.ts";
import { VirtualClock } from "./time/clock.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "reload-"))));
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true });
});

const base = {
  cluster: { name: "prod-1" },
  operatorNamespace: "scaivault",
  marks: { keyFiles: ["/keys/1"] },
  scaivault: { url: "https://scaivault.scailabs.ai", auth: { tokenFile: "/token" } },
  tenancy: [{ namespaces: ["billing"], endpoints: ["vault.example.com"] }],
  log: { level: "info" },
};

function setup(environment: Record<string, string> = {}) {
  const file = join(folder, "config.yaml");
  const write = (config: object | string) =>
    writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config));
  write(base);
  const loaded = loadConfig({ file, text: JSON.stringify(base) }, environment);
  if (!loaded.ok) throw new Error("not valid");
  const clock = new VirtualClock();
  const lines: string[] = [];
  const { level } = loaded.config.log;
  const log = createLogger({ level, destination: { write: (line) => void lines.push(line) } });
  const end = followConfigFile(loaded.config, { file, environment, log, clock });
  const events = () => lines.splice(0).map((line) => JSON.parse(line) as { event: string; message?: string });
  return { write, clock, log, events, end };
}

describe("followNetworkFiles", () => {
  it("goes through the proxy that the file names now; what is no URL is left", async () => {
    const asked: string[] = [];
    const proxy = async (name: string): Promise<string> => {
      const server = createServer();
      server.on("connect", (_request, socket) => {
        asked.push(name);
        socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      closers.push(() => void server.close());
      return `http://user:password@127.0.0.1:${(server.address() as AddressInfo).port}`;
    };
    const [one, two] = [await proxy("one"), await proxy("two")];
    const urlFile = join(folder, "proxy");
    writeFileSync(urlFile, one);
    const text = JSON.stringify({ ...base, proxy: { urlFile } });
    const loaded = loadConfig({ file: "x", text }, {});
    if (!loaded.ok) throw new Error("not valid");
    const clock = new VirtualClock();
    const lines: string[] = [];
    const log = createLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } });
    const network = new Network({ userAgent: "test/1", proxy: { url: one } });
    closers.push(() => network.close());
    const end = followNetworkFiles(loaded.config, { extraCA: undefined, proxyURL: one }, { network, log, clock });
    const http = network.open({ url: new URL("https://vault.example.com") });
    const ask = () => http.send({ method: "GET", path: "/" }).catch(() => undefined);
    await ask();
    writeFileSync(urlFile, `${two}\n`);
    await clock.advance(10_000);
    await ask();
    writeFileSync(urlFile, "canary");
    await clock.advance(10_000);
    await ask();
    expect(asked).toEqual(["one", "two", "two"]);
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
      "file taken in",
      "file not taken in",
    ]);
    expect(lines.join("")).not.toMatch(/password|canary/);
    end();
  });
});

describe("followConfigFile", () => {
  it("sets a new log level within ten seconds, and back", async () => {
    const { write, clock, log, events, end } = setup();
    await clock.advance(60_000);
    expect(events()).toEqual([]);
    write({ ...base, log: { level: "debug" } });
    await clock.advance(10_000);
    expect(events()).toMatchObject([{ event: "log level changed", message: "info to debug" }]);
    log.debug("seen");
    expect(events()).toMatchObject([{ event: "seen" }]);
    write({ ...base, log: { level: "error" } });
    await clock.advance(10_000);
    expect(events()).toMatchObject([{ message: "debug to error" }]);
    log.warn("unseen");
    expect(events()).toEqual([]);
    write(base);
    await clock.advance(10_000);
    log.info("seen again");
    expect(events()).toMatchObject([{ event: "seen again" }]);
    end();
    expect(clock.pending).toBe(0);
  });

  it("names what takes effect at the next start only, without what it holds", async () => {
    const { write, clock, events } = setup();
    const tenancy = [{ namespaces: ["canary"], endpoints: ["vault.example.com"] }];
    write({ ...base, tenancy, scaivault: { ...base.scaivault, tenantID: "canary" }, workers: 3 });
    await clock.advance(10_000);
    const told = events();
    expect(told).toMatchObject([
      {
        event: "configuration changed",
        message: "takes effect at the next start: scaivault.tenantID, tenancy, workers",
      },
    ]);
    expect(JSON.stringify(told)).not.toContain("canary");
  });

  it("leaves everything as it is while the file is not valid, and says where", async () => {
    const { write, clock, log, events } = setup();
    write({ ...base, log: { level: "verbose" } });
    await clock.advance(10_000);
    expect(events()).toMatchObject([
      { event: "configuration not valid", message: expect.stringContaining("log.level") as string },
    ]);
    log.info("still info");
    expect(events()).toHaveLength(1);
    write("");
    await clock.advance(10_000);
    expect(events()).toEqual([]);
  });

  it("does not follow the file where the environment sets the level", async () => {
    const { write, clock, events } = setup({ SCAIVAULT_OPERATOR_LOG_LEVEL: "warn" });
    write({ ...base, log: { level: "debug" } });
    await clock.advance(20_000);
    expect(events()).toEqual([]);
  });
});
