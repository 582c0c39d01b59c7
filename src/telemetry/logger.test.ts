import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";
import { createLogger, errorFields, type LogFields, silentLogger } from "./logger.ts";

function logger(level: "debug" | "info" = "debug") {
  const lines: string[] = [];
  const log = createLogger({ level, cluster: "prod-1", destination: { write: (line) => void lines.push(line) } });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? "{}") as Record<string, unknown> };
}

describe("standard output", () => {
  const run = (script: string): string => {
    const code = `import { createLogger } from ${JSON.stringify(join(import.meta.dirname, "logger.ts"))};
      const log = createLogger({ level: "info" });
      ${script}`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
    return stdout
      .trim()
      .split("\n")
      .map((line) => (line.startsWith("{") ? (JSON.parse(line) as { event: string }).event : line))
      .join(" ");
  };

  it("has all lines in order, however the process ends", () => {
    const lines = 'for (let n = 0; n < 300; n++) log.info("l" + n);';
    const all = Array.from({ length: 300 }, (_, n) => `l${n}`).join(" ");
    expect(run(lines)).toBe(all);
    expect(run(`${lines} process.exit(0)`)).toBe(all);
    expect(run(`${lines} throw new Error("x")`)).toBe(all);
  });

  it("has a warning at once, with all before it", () => {
    const both = 'log.info("a"); log.warn("b"); log.info("later"); process.kill(process.pid, "SIGKILL")';
    expect(run(both)).toBe("a b");
  });
});

describe("createLogger", () => {
  it("writes one JSON line with time, level, event, cluster and the fields", () => {
    const { log, lines, last } = logger();
    log.info("target written", { namespace: "billing", count: 2, leader: true });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith("\n")).toBe(true);
    expect(last()).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      cluster: "prod-1",
      event: "target written",
      namespace: "billing",
      count: 2,
      leader: true,
    });
  });

  it("drops every field that is not on the list, whatever it holds", () => {
    const { log, lines } = logger();
    const foreign = {
      value: "canary",
      data: { a: "canary" },
      err: new Error("canary"),
      headers: "canary",
      token: "canary",
    };
    log.error("x", { ...foreign, reason: "Unexpected" } as LogFields);
    log.error("x", new Error("canary") as unknown as LogFields);
    expect(lines.join("")).not.toContain("canary");
    expect(lines.join("")).not.toContain("stack");
  });

  it("takes no objects in known fields, so no value and no error", () => {
    const { log, lines, last } = logger();
    const value = SecretValue.fromText("canary");
    log.info("x", {
      message: value,
      path: { toString: () => "canary" },
      code: new Error("canary"),
      name: ["canary"],
    } as unknown as LogFields);
    expect(lines.join("")).not.toContain("canary");
    expect(Object.keys(last()).sort()).toEqual(["cluster", "event", "level", "time"]);
    expect(`${value} ${JSON.stringify({ value })}`).not.toContain("canary");
  });

  it("escapes what a terminal obeys, in events and fields, and cuts at 256 characters", () => {
    const { log, lines, last } = logger();
    log.warn("a\u001b[31m\nb", { message: "x\u202e\u2028y", path: "p".repeat(1000) });
    expect(last()).toMatchObject({ event: "a\\u{1b}[31m\\u{a}b", message: "x\\u{202e}\\u{2028}y" });
    expect(last()["path"]).toHaveLength(256);
    expect(lines[0]?.trim()).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });

  it("keeps to its level, and takes another one while it runs", () => {
    const { log, lines } = logger("info");
    log.debug("a");
    expect(lines).toHaveLength(0);
    log.setLevel("debug");
    log.debug("b");
    expect(lines).toHaveLength(1);
    silentLogger.error("c");
  });
});

describe("errorFields", () => {
  it("gives what may be logged of an error", () => {
    const error = new SyncError("AccessDenied", "denied", {
      action: "read a",
      right: "x:Get",
      retryAfterMs: 5,
      code: "C",
      detail: "D",
    });
    expect(errorFields(error)).toEqual({
      reason: "AccessDenied",
      message: "denied",
      action: "read a",
      right: "x:Get",
      retryInMs: 5,
      code: "C",
      detail: "D",
    });
    expect(errorFields(new SyncError("InSync", "m"))).toEqual({ reason: "InSync", message: "m" });
  });
});
