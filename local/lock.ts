/** A lock between processes, made of a file that names its owner. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { randomUUID } from "node:crypto";
import { systemClock } from "../src/time/clock.ts";

interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly id: string;
}

/** Whether a process of this machine is alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Owner;
  } catch {
    return undefined;
  }
}

/**
 * Runs `work` while holding the lock at `path`; waits for others, takes over the lock of a dead process of this machine.
 * @param onWait called once when another process holds the lock, with its process id.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, onWait?: (pid: number) => void): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const own: Owner = { pid: process.pid, host: hostname(), id: randomUUID() };
  let told = false;
  let unreadable = 0;
  for (;;) {
    try {
      writeFileSync(path, JSON.stringify(own), { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const owner = readOwner(path);
    // Between creating and writing the file is empty for a moment; one that stays so was left by a crash.
    unreadable = owner === undefined ? unreadable + 1 : 0;
    if (unreadable > 20 || (owner?.host === own.host && !isAlive(owner.pid))) {
      rmSync(path, { force: true });
      continue;
    }
    if (!told && owner !== undefined) {
      told = true;
      onWait?.(owner.pid);
    }
    await systemClock.sleep(200);
  }
  try {
    return await work();
  } finally {
    if (readOwner(path)?.id === own.id) rmSync(path, { force: true });
  }
}
