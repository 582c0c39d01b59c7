import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Writes a file that only its owner can read, whole or not at all; an older file of the name is replaced. */
export function writePrivateFile(file: string, text: string): void {
  const fresh = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(fresh, text, { mode: 0o600, flag: "wx" });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
