import { describe, expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import type { CommandDefinition, CommandIO } from "./command.ts";
import { runProgram } from "./program.ts";
import { startProgress } from "./progress.ts";

const io: CommandIO = {
  environment: {},
  readStdin: () => Promise.resolve(""),
  readFile: () => Promise.resolve(""),
  listFolder: () => Promise.resolve(undefined),
  progress: () => undefined,
  signal: new AbortController().signal,
};

async function run(argv: readonly string[], handler: CommandDefinition["handler"]) {
  const [out, err]: string[][] = [[], []];
  const command: CommandDefinition = { name: "do", summary: "Does.", arguments: [], options: [], handler };
  const code = await runProgram(argv, [command], io, {
    write: (text) => void out?.push(text),
    error: (text) => void err?.push(text),
  });
  return { code, out: (out ?? []).join(""), err: (err ?? []).join("") };
}

describe("runProgram", () => {
  it("prints a result as text or as JSON, and ends with its code", async () => {
    const handler = () => Promise.resolve({ exitCode: 2, data: { a: 1 }, text: "words" });
    expect(await run(["do"], handler)).toEqual({ code: 2, out: "words\n", err: "" });
    expect(await run(["do", "-o", "json"], handler)).toEqual({ code: 2, out: '{\n  "a": 1\n}\n', err: "" });
  });

  it("escapes in JSON what a terminal obeys; what is read back is the same", async () => {
    const data = { text: "a\u001b[31m \u202e \u2028 \u009b \u{e0041} é 🔑" };
    const { out } = await run(["do", "-o", "json"], () => Promise.resolve({ exitCode: 0, data, text: "" }));
    expect(out.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(out)).toEqual(data);
  });

  it("says of what nobody foresaw where it was, never its message", async () => {
    const defect = Object.assign(new TypeError("canary\n    at canary"), { code: "ERR_X" });
    const ended = await run(["do"], () => Promise.reject(defect));
    expect(ended.code).toBe(1);
    expect(ended.err).toMatch(/^unexpected error TypeError \(ERR_X\); please report it:\n {4}at /);
    expect(ended.err.replace("    at canary\n", "")).not.toContain("canary");
    expect((await run(["do"], () => Promise.reject("canary" as unknown as Error))).err).not.toContain("canary");
  });

  it("refuses wrong usage with one line that is fit for a terminal", async () => {
    const ended = await run(["do", "--\u001b[31m\nx"], () => Promise.reject(new Error("not run")));
    expect(ended).toMatchObject({ code: 64, out: "" });
    expect(ended.err).toMatch(/^error: [^\n]+ \(--help says more\)\n$/);
    expect(ended.err).not.toContain("\u001b");
  });
});

describe("startProgress", () => {
  it("is silent for two seconds, then tells the current stage and each later one", async () => {
    const clock = new VirtualClock(0);
    const lines: string[] = [];
    const progress = startProgress({ progress: (line) => void lines.push(line) }, clock);
    progress.stage("one");
    progress.stage("two");
    await clock.advance(1_999);
    expect(lines).toEqual([]);
    await clock.advance(1);
    progress.stage("three");
    expect(lines).toEqual(["two", "three"]);
    progress.end();
  });

  it("says nothing of work that was quick", async () => {
    const clock = new VirtualClock(0);
    const lines: string[] = [];
    const progress = startProgress({ progress: (line) => void lines.push(line) }, clock);
    progress.stage("one");
    progress.end();
    await clock.advance(10_000);
    expect(lines).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
