/** Fetches a published archive, checks its sum and takes one file out of it. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { PinnedDownload } from "./recipes.ts";

/** Until the first byte of the answer; a network that refuses or drops is left for the build quickly. */
const connectMs = 5_000;
const wholeMs = 300_000;
const mostBytes = 300 * 1024 * 1024;

/** An archive's sum is not the pinned one. This is never passed over: somebody changed what we take. */
export class SumMismatch extends Error {
  override readonly name = "SumMismatch";
}

/** The content of `member` in a tar archive (ustar; long names of other formats are not needed here). */
export function tarMember(archive: Buffer, member: string): Buffer | undefined {
  for (let at = 0; at + 512 <= archive.length;) {
    const header = archive.subarray(at, at + 512);
    const text = (from: number, length: number): string =>
      header
        .subarray(from, from + length)
        .toString("utf8")
        .split("\0", 1)[0] ?? "";
    const name = text(0, 100);
    if (name === "") return undefined;
    const prefix = text(257, 5) === "ustar" ? text(345, 155) : "";
    const size = Number.parseInt(text(124, 12).trim(), 8);
    if (!Number.isFinite(size)) return undefined;
    const whole = (prefix === "" ? name : `${prefix}/${name}`).replace(/^\.\//, "");
    if (whole === member) return archive.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return undefined;
}

/** Checks the sum and takes the file out. @throws SumMismatch */
export function unpackPinned(archive: Buffer, pin: PinnedDownload): Buffer | undefined {
  const sum = createHash("sha512").update(archive).digest("hex");
  if (sum !== pin.sha512) {
    throw new SumMismatch(
      `${pin.url} has the SHA-512 sum ${sum}, pinned is ${pin.sha512}. Nothing was installed. Somebody changed the file, or the pin is wrong.`,
    );
  }
  return tarMember(gunzipSync(archive), pin.member);
}

/**
 * Downloads to `target`, in one step.
 * @returns false when it cannot be had (no network, refused, not found), so that the caller goes on to the build.
 * @throws SumMismatch
 */
export async function download(pin: PinnedDownload, target: string, fetcher: typeof fetch = fetch): Promise<boolean> {
  const abort = new AbortController();
  const first = setTimeout(() => abort.abort(), connectMs);
  const whole = setTimeout(() => abort.abort(), wholeMs);
  let archive: Buffer;
  try {
    const answer = await fetcher(pin.url, { signal: abort.signal, redirect: "follow" });
    clearTimeout(first);
    if (!answer.ok || answer.body === null) return false;
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of answer.body) {
      size += part.byteLength;
      if (size > mostBytes) return false;
      parts.push(part);
    }
    archive = Buffer.concat(parts);
  } catch {
    return false;
  } finally {
    clearTimeout(first);
    clearTimeout(whole);
  }
  const file = unpackPinned(archive, pin);
  if (file === undefined) return false;
  mkdirSync(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.download-${process.pid}`);
  try {
    writeFileSync(temporary, file);
    chmodSync(temporary, 0o755);
    renameSync(temporary, target);
  } finally {
    rmSync(temporary, { force: true });
  }
  return true;
}
