import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import { watchFile } from "./watch-file.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "watch-file-"))));
afterEach(() => rmSync(folder, { recursive: true }));

/** A volume as kubelet makes it: the file is a link through `..data`, which is replaced as a whole. */
function publish(generation: number, text: string): void {
  mkdirSync(join(folder, `..${generation}`));
  writeFileSync(join(folder, `..${generation}`, "config.yaml"), text);
  symlinkSync(`..${generation}`, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

it("tells of each new content once, over a replaced link, and of nothing that is away, empty or the same", async () => {
  const clock = new VirtualClock();
  publish(1, "one\n");
  symlinkSync("..data/config.yaml", join(folder, "config.yaml"));
  const told: string[] = [];
  const path = join(folder, "config.yaml");
  const end = watchFile({ path, known: "one", clock, onChange: (text) => void told.push(text) });
  await clock.advance(30_000);
  expect(told).toEqual([]);
  publish(2, "two\n");
  await clock.advance(9_999);
  await clock.advance(20_000);
  expect(told).toEqual(["two\n"]);
  publish(3, "\n");
  await clock.advance(20_000);
  rmSync(join(folder, "..data"));
  await clock.advance(20_000);
  publish(4, "two\n");
  await clock.advance(20_000);
  expect(told).toEqual(["two\n"]);
  publish(5, "five\n");
  await clock.advance(20_000);
  expect(told).toEqual(["two\n", "five\n"]);
  end();
  expect(clock.pending).toBe(0);
});
