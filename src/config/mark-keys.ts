import { readFileSync } from "node:fs";
import { errorCode } from "../errors/index.ts";
import type { ConfigProblem } from "./load.ts";

const KEY_BYTES = 32;
const BASE64 = /^[a-z0-9+/]{43}=$/i;

/** A key of 32 bytes: base64 text (with or without a newline at the end), or the bytes themselves. */
export function parseMarkKey(content: Buffer): Buffer | undefined {
  const text = content.length <= 64 ? content.toString("latin1").trim() : "";
  if (BASE64.test(text)) {
    const key = Buffer.from(text, "base64");
    return key.length === KEY_BYTES ? key : undefined;
  }
  return content.length === KEY_BYTES ? content : undefined;
}

/** The keys that `marks.keyFiles` names, in order; or what is wrong with the files, without their content. */
export function readMarkKeys(
  files: readonly string[],
):
  | { readonly ok: true; readonly keys: readonly Buffer[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] } {
  const keys: Buffer[] = [];
  const problems: ConfigProblem[] = [];
  for (const file of files) {
    try {
      const key = parseMarkKey(readFileSync(file));
      if (key === undefined)
        problems.push({
          file,
          field: "marks.keyFiles",
          message: "write 32 random bytes, raw or as base64 (openssl rand -base64 32)",
        });
      else keys.push(key);
    } catch (error) {
      problems.push({
        file,
        field: "marks.keyFiles",
        message: `the file cannot be read (${errorCode(error) ?? "unknown error"})`,
      });
    }
  }
  return problems.length === 0 ? { ok: true, keys } : { ok: false, problems };
}
