import { ApiConnectionError } from "./errors.ts";

/** etcd takes no object above about 1.5 MB; a line above this is not from an API server. */
const maxLineBytes = 16 * 1024 * 1024;
const newline = 0x0a;

/**
 * Cuts a stream of bytes into lines, empty ones left out. A last line without an end is dropped: it is half an event.
 * @param onChunk called for each chunk, before its lines
 * @throws ApiConnectionError `tooLarge`
 */
export async function* lines(chunks: AsyncIterable<Uint8Array>, onChunk: () => void): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    onChunk();
    let rest = chunk;
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      parts.push(rest.subarray(0, end));
      const line = Buffer.concat(parts).toString("utf8");
      parts = [];
      size = 0;
      rest = rest.subarray(end + 1);
      if (line.trim() !== "") yield line;
    }
    if (rest.length === 0) continue;
    parts.push(rest);
    size += rest.length;
    if (size > maxLineBytes) throw new ApiConnectionError("tooLarge", false);
  }
}
