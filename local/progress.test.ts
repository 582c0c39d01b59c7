import { describe, expect, it } from "vitest";
import { VirtualClock } from "../src/time/clock.ts";
import { elapsedText, streamProgress, type ProgressStream } from "./progress.ts";

function sink(terminal: boolean): ProgressStream & { text: string } {
  return {
    text: "",
    isTTY: terminal,
    columns: 60,
    write(chunk: string) {
      this.text += chunk;
    },
  };
}

describe("progress", () => {
  it("gives plain lines every 15 seconds where there is no terminal", async () => {
    const clock = new VirtualClock();
    const out = sink(false);
    const step = streamProgress(out, clock).step("2/6 kube-apiserver");
    step.update("building");
    await clock.advance(31_000);
    step.done("built");
    await clock.advance(60_000);
    expect(out.text.split("\n")).toEqual([
      "  … 2/6 kube-apiserver: building (15s)",
      "  … 2/6 kube-apiserver: building (30s)",
      "✓ 2/6 kube-apiserver: built (31s)",
      "",
    ]);
    expect(clock.pending).toBe(0);
  });

  it("rewrites one line on a terminal, cut to its width", async () => {
    const clock = new VirtualClock();
    const out = sink(true);
    const progress = streamProgress(out, clock);
    const step = progress.step("vault");
    step.update("x".repeat(200));
    await clock.advance(1_000);
    progress.note("a note");
    step.fail("failed");
    const lines = out.text.split("\n");
    expect(lines.at(-1)).toBe("");
    expect(lines.at(-2)).toContain("✗ vault: failed (1s)");
    for (const drawn of out.text.split("\r\u001b[2K")) expect(drawn.split("\n")[0]?.length).toBeLessThan(60);
  });

  it("shows time as people say it", () => {
    expect([elapsedText(900), elapsedText(61_000), elapsedText(3_725_000)]).toEqual(["0s", "1m01s", "62m05s"]);
  });
});
