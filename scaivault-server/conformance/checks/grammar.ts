import { assumed, at, equal, fact, refused } from "../check.ts";
import type { Check } from "../check.ts";
import { put, url } from "./put.ts";

const write = ["secrets:write"] as const;
const readWrite = ["secrets:read", "secrets:write"] as const;

/** Grammars and limits of paths, types, durations, tags and sizes. */
export const grammarChecks: readonly Check[] = [
  fact(
    "secret-types",
    "1.2",
    "core-concepts/secrets",
    "secret_type is kv, json, certificate, ssh_key or api_key, a hint only; another answers 400 invalid_secret_type.",
    readWrite,
    async (context) => {
      for (const type of ["kv", "json", "certificate", "ssh_key", "api_key"]) {
        const path = context.path(`type-${type}`);
        await put(context, path, { data: { any: "thing" }, secret_type: type });
        equal(at((await context.client.get(url(path))).json, "secret_type"), type, "secret_type");
      }
      const bad = await context.client.put(url(context.path("type-none")), { data: {}, secret_type: "conformance" });
      refused(bad, 400, "invalid_secret_type", "an unknown type");
    },
  ),
  assumed("durations", write, async (context) => {
    for (const expires_in of ["30s", "15m", "24h", "7d"])
      await put(context, context.path("durations"), { data: {}, secret_type: "kv", options: { expires_in } });
    for (const expires_in of ["0d", "1h30m", "1w", "-1d", "1.5h", ""]) {
      const reply = await context.client.put(url(context.path("durations")), {
        data: {},
        secret_type: "kv",
        options: { expires_in },
      });
      refused(reply, 400, "invalid_duration", `"${expires_in}"`);
    }
  }),
  fact(
    "path-grammar",
    "5.1",
    "core-concepts/secrets",
    "A path has at most 10 levels and 512 characters of a-z, 0-9, -, _; otherwise 400 invalid_path.",
    write,
    async (context) => {
      const top = context.path("g");
      const depth = top.split("/").length;
      for (const bad of [
        `${top}/Upper`,
        `${top}/dot.ted`,
        `${top}/`,
        `${top}//x`,
        `${top}/a b`.replace(" ", "%20"),
        `${top}/a@b`,
        `${top}${"/x".repeat(11 - depth)}`,
      ])
        refused(
          await context.client.put(url(bad), { data: {}, secret_type: "kv" }),
          400,
          "invalid_path",
          `a path such as ${bad.slice(top.length, top.length + 8)}`,
        );
      const prefix = `${top}/`;
      const fill = 512 - prefix.length;
      await put(context, context.path(`g/${"x".repeat(fill)}`));
      const long = await context.client.put(url(`${prefix}${"x".repeat(fill + 1)}`), { data: {}, secret_type: "kv" });
      refused(long, 400, "invalid_path", "a path of 513 characters");
      await put(context, context.path(`g${"/x".repeat(10 - depth)}`));
      await put(context, context.path("g/a-b_c-0"));
    },
  ),
  assumed("reserved-words", write, async (context) => {
    for (const word of ["metadata", "versions", "rotate"]) {
      const path = context.path(`reserved/${word}`);
      refused(await context.client.put(url(path), { data: {}, secret_type: "kv" }), 400, "invalid_path", word);
    }
  }),
  assumed("tag-limits", write, async (context) => {
    const path = context.path("tags");
    await put(context, path, {
      data: {},
      secret_type: "kv",
      metadata: { tags: Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(256, "x")) },
    });
    const many = { tags: Array.from({ length: 51 }, (_, index) => `${index}`) };
    refused(
      await context.client.put(url(path), { data: {}, secret_type: "kv", metadata: many }),
      422,
      "validation_error",
      "51 tags",
    );
    const long = { tags: ["x".repeat(257)] };
    refused(
      await context.client.put(url(path), { data: {}, secret_type: "kv", metadata: long }),
      422,
      "validation_error",
      "a tag of 257 characters",
    );
  }),
  assumed("data-size", readWrite, async (context) => {
    const path = context.path("size");
    const sized = (bytes: number): object => ({ data: { v: "x".repeat(bytes - 8) }, secret_type: "kv" });
    await put(context, path, sized(1_048_576));
    refused(await context.client.put(url(path), sized(1_048_577)), 422, "validation_error", "one byte more than 1 MiB");
  }),
];
