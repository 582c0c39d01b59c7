import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { download, SumMismatch, tarMember } from "./download.ts";
import type { PinnedDownload } from "./recipes.ts";

function tarEntry(name: string, content: string): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(Buffer.byteLength(content).toString(8).padStart(11, "0"), 124);
  header.write("ustar", 257);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body]);
}

const archive = gzipSync(
  Buffer.concat([tarEntry("a/other", "x".repeat(700)), tarEntry("a/etcd", "program"), Buffer.alloc(1024)]),
);
const pin: PinnedDownload = {
  version: "1.0.0",
  url: "https://downloads.example/etcd.tar.gz",
  sha512: createHash("sha512").update(archive).digest("hex"),
  member: "a/etcd",
};
const answering =
  (body: Buffer, status = 200): typeof fetch =>
  () =>
    Promise.resolve(new Response(new Uint8Array(body), { status }));

describe("downloads", () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "local-download-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("takes one file out of an archive with the pinned sum", async () => {
    const target = join(folder, "etcd-1.0.0", "etcd");
    expect(await download(pin, target, answering(archive))).toBe(true);
    expect(readFileSync(target, "utf8")).toBe("program");
    expect(statSync(target).mode & 0o777).toBe(0o755);
  });

  it("refuses an archive whose sum changed, loudly and without leaving a file", async () => {
    const target = join(folder, "etcd");
    const changed = Buffer.concat([archive, Buffer.from("!")]);
    await expect(download(pin, target, answering(changed))).rejects.toThrow(SumMismatch);
    expect(existsSync(target)).toBe(false);
  });

  it("says false when there is no way there, so that the build follows", async () => {
    const target = join(folder, "etcd");
    expect(await download(pin, target, answering(archive, 404))).toBe(false);
    expect(await download(pin, target, () => Promise.reject(new TypeError("fetch failed")))).toBe(false);
    expect(await download({ ...pin, member: "a/none" }, target, answering(archive))).toBe(false);
    expect(existsSync(target)).toBe(false);
  });

  it("finds nothing in what is no archive", () => {
    expect(tarMember(Buffer.from("short"), "a")).toBeUndefined();
    expect(tarMember(Buffer.alloc(2048), "a")).toBeUndefined();
  });
});
