import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAlive, withLock } from "./lock.ts";
import { run } from "./run.ts";

describe("the lock between processes", () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "local-lock-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("lets one in at a time and is gone afterwards, also after a failure", async () => {
    const path = join(folder, "deep", "lock");
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)]);
    expect(most).toBe(1);
    await expect(withLock(path, () => Promise.reject(new Error("work")))).rejects.toThrow("work");
    expect(existsSync(path)).toBe(false);
  });

  it("takes over the lock of a dead process", async () => {
    const path = join(folder, "lock");
    const dead = Number((await run("/bin/sh", ["-c", "echo $$"])).stdout);
    expect(isAlive(dead)).toBe(false);
    writeFileSync(path, JSON.stringify({ pid: dead, host: hostname(), id: "x" }));
    expect(await withLock(path, () => Promise.resolve("in"))).toBe("in");
  });

  it("takes over an empty file that a crash left", async () => {
    const path = join(folder, "lock");
    writeFileSync(path, "");
    expect(await withLock(path, () => Promise.resolve("in"))).toBe("in");
  });
});
