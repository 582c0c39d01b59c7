import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "./config/index.ts";
import { followConfigFile } from "./reload.ts";
import { createLogger } from "./telemetry/index.ts";
import { VirtualClock } from "./time/clock.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "reload-"))));
afterEach(() => rmSync(folder, { recursive: true }));

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
