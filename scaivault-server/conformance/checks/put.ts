import { prepared } from "../check.ts";
import type { CheckContext } from "../check.ts";
import type { Reply } from "../client.ts";

/** URL path of a secret. */
export const url = (path: string): string => `/v1/secrets/${path}`;

/** Writes and gives the answer back; a refusal means the check cannot go on. */
export async function put(
  { client }: CheckContext,
  path: string,
  body: object | string = { data: { a: "1" }, secret_type: "kv" },
): Promise<Reply> {
  return prepared(await client.put(url(path), body), "the write");
}
