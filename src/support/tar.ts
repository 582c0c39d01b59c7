import { gzipSync } from "node:zlib";

/** One file of an archive. */
export interface TarEntry {
  /** At most 100 characters of ASCII. */
  readonly name: string;
  readonly text: string;
}

const BLOCK = 512;

/**
 * A gzipped tar archive (POSIX ustar) of some small text files, all with mode 0600. Writing this one form is forty lines; a library
 * would bring links, extended headers and extraction.
 */
export function tarGz(entries: readonly TarEntry[], mtimeMs: number): Buffer {
  const blocks = entries.flatMap(({ name, text }) => {
    const content = Buffer.from(text, "utf8");
    return [header(name, content.length, mtimeMs), content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

function header(name: string, size: number, mtimeMs: number): Buffer {
  if (!/^[\w./-]{1,100}$/.test(name)) throw new TypeError("a name that does not fit into a header");
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void =>
    void block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  block.write(name, 0, "latin1");
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(Math.floor(mtimeMs / 1000), 136, 12);
  // The sum is taken with spaces in its own place.
  block.write("        0", 148, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
