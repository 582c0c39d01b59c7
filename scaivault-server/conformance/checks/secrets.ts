import { assumed, at, CannotCheck, equal, fact, holds, listAt, prepared, refused, sameJson, status } from "../check.ts";
import type { Check, CheckContext } from "../check.ts";
import type { Reply } from "../client.ts";

const write = ["secrets:write"] as const;
const readWrite = ["secrets:read", "secrets:write"] as const;
const listWrite = ["secrets:list", "secrets:write"] as const;
const removeWrite = ["secrets:read", "secrets:write", "secrets:delete"] as const;

const url = (path: string): string => `/v1/secrets/${path}`;

/** Writes and gives the answer back; a refusal means the check cannot go on. */
async function put(
  { client }: CheckContext,
  path: string,
  body: object | string = { data: { a: "1" }, secret_type: "kv" },
): Promise<Reply> {
  return prepared(await client.put(url(path), body), "the write");
}

/** Secrets, versions, metadata, deletion, listing, path grammar. */
export const secretChecks: readonly Check[] = [
  fact(
    "versions-count-up",
    "3.1",
    "api-guides/secrets",
    "PUT creates version 1, then N+1; GET reads the current version, ?version=N one version.",
    readWrite,
    async (context) => {
      const path = context.path("counting");
      for (const value of ["one", "two"]) await put(context, path, { data: { value }, secret_type: "kv" });
      const current = await context.client.get(url(path));
      status(current, 200, "the read");
      equal(at(current.json, "version"), 2, "the current version");
      holds(at(current.json, "data", "value") === "two", "the current data is not what was written last");
      const first = await context.client.get(`${url(path)}?version=1`);
      status(first, 200, "the read of version 1");
      equal(at(first.json, "version"), 1, "the version read");
      holds(at(first.json, "data", "value") === "one", "version 1 is not what was written first");
    },
  ),
  fact(
    "no-overwrite",
    "1.2",
    "introduction/philosophy",
    "A write never overwrites: each write appends version N+1, also one of equal content.",
    readWrite,
    async (context) => {
      const path = context.path("equal");
      for (let time = 0; time < 2; time++) await put(context, path);
      equal(at((await context.client.get(url(path))).json, "version"), 2, "the version after two equal writes");
    },
  ),
  fact(
    "secret-object",
    "1.2",
    "core-concepts/secrets",
    "A secret has path, secret_type, version, data, metadata, created_at, updated_at, expires_at.",
    readWrite,
    async (context) => {
      const path = context.path("object");
      const metadata = { description: "conformance", tags: ["a", "k=v"], owner: "team:conformance" };
      await put(context, path, { data: { a: { b: [1, null, true] } }, secret_type: "json", metadata });
      const { json } = await context.client.get(url(path));
      equal(at(json, "path"), path, "path");
      equal(at(json, "secret_type"), "json", "secret_type");
      holds(sameJson(at(json, "data"), { a: { b: [1, null, true] } }), "data is not what was written");
      for (const [key, value] of Object.entries(metadata))
        holds(sameJson(at(json, "metadata", key), value), `metadata.${key} is not what was written`);
      for (const field of ["created_at", "updated_at"])
        holds(String(at(json, field)).endsWith("Z"), `${field} is not UTC with Z`);
      holds(at(json, "expires_at") === null, "expires_at is not null");
    },
  ),
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
  fact(
    "not-found",
    "2.11",
    "reference/error-codes",
    "A secret that does not exist answers 404 secret_not_found.",
    ["secrets:read"],
    async ({ client, path }) => {
      refused(await client.get(url(path("none"))), 404, "secret_not_found", "an unknown secret");
    },
  ),
  fact(
    "version-not-found",
    "2.11",
    "core-concepts/errors",
    "A version that never existed or has aged out answers 404 version_not_found.",
    readWrite,
    async (context) => {
      const path = context.path("aged");
      for (let time = 0; time < 3; time++)
        await put(context, path, { data: { time }, secret_type: "kv", options: { max_versions: 2 } });
      refused(await context.client.get(`${url(path)}?version=99`), 404, "version_not_found", "a version of the future");
      refused(
        await context.client.get(`${url(path)}?version=1`),
        404,
        "version_not_found",
        "a version beyond max_versions",
      );
      status(await context.client.get(`${url(path)}?version=2`), 200, "a version within max_versions");
    },
  ),
  fact(
    "expires-in",
    "3.1",
    "api-guides/secrets",
    "options.expires_in sets expires_at; a bad duration answers 400 invalid_duration.",
    readWrite,
    async (context) => {
      const path = context.path("expires");
      await put(context, path, { data: {}, secret_type: "kv", options: { expires_in: "90d" } });
      const { json } = await context.client.get(url(path));
      const days =
        (Date.parse(String(at(json, "expires_at"))) - Date.parse(String(at(json, "updated_at")))) / 86_400_000;
      holds(Math.abs(days - 90) < 0.1, "expires_at is not 90 days off");
      const bad = await context.client.put(url(path), { data: {}, secret_type: "kv", options: { expires_in: "soon" } });
      refused(bad, 400, "invalid_duration", "a bad duration");
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
  assumed("write-answer", write, async (context) => {
    const path = context.path("answer");
    const first = await put(context, path);
    status(first, 201, "the first write");
    equal(at(first.json, "version"), 1, "version");
    for (const field of ["path", "secret_type", "metadata", "created_at", "updated_at"])
      holds(at(first.json, field) !== undefined, `${field} is absent`);
    holds(at(first.json, "data") === undefined, "the answer holds data");
    const second = await put(context, path);
    status(second, 200, "the second write");
    equal(at(second.json, "version"), 2, "version");
  }),
  assumed("default-type", readWrite, async (context) => {
    const path = context.path("default-type");
    await put(context, path, { data: { a: "1" } });
    equal(at((await context.client.get(url(path))).json, "secret_type"), "kv", "secret_type");
  }),
  assumed("put-metadata", readWrite, async (context) => {
    const path = context.path("put-metadata");
    await put(context, path, { data: {}, secret_type: "kv", metadata: { owner: "team:a", tags: ["x"] } });
    await put(context, path);
    equal(
      at((await context.client.get(url(path))).json, "metadata", "owner"),
      "team:a",
      "owner after a PUT without metadata",
    );
    await put(context, path, { data: {}, secret_type: "kv", metadata: { tags: ["y"] } });
    holds(
      at((await context.client.get(url(path))).json, "metadata", "owner") === undefined,
      "owner is still there after other metadata",
    );
  }),
  assumed("custom-metadata", readWrite, async (context) => {
    const path = context.path("custom-metadata");
    const mark = { a: "text", b: [1, { c: null }], d: true };
    await put(context, path, { data: {}, secret_type: "kv", metadata: { "conformance-mark": mark, text: "x" } });
    const { json } = await context.client.get(url(path));
    holds(sameJson(at(json, "metadata", "conformance-mark"), mark), "an object under a custom key is not kept");
    holds(at(json, "metadata", "text") === "x", "a text under a custom key is not kept");
  }),
  assumed("lossless-data", readWrite, async (context) => {
    const path = context.path("lossless");
    await put(context, path, '{"data":{"big":12345678901234567890,"one":1.0,"power":1e2},"secret_type":"json"}');
    const { text } = await context.client.get(url(path));
    const compact = text.replaceAll(/\s/g, "");
    for (const piece of ['"big":12345678901234567890', '"one":1.0', '"power":1e2'])
      holds(compact.includes(piece), `${piece.split(":")[0] ?? ""} does not keep its text`);
  }),
  assumed("patch-merges", readWrite, async (context) => {
    const path = context.path("patch");
    await put(context, path, { data: {}, secret_type: "kv", metadata: { owner: "team:a", mark: "x" } });
    const reply = await context.client.send("PATCH", url(path), { body: { metadata: { mark: null, tags: ["t"] } } });
    status(reply, 200, "the PATCH");
    const { json } = await context.client.get(url(path));
    holds(sameJson(at(json, "metadata"), { owner: "team:a", tags: ["t"] }), "the metadata are not merged");
    equal(at(json, "version"), 1, "version after a PATCH");
  }),
  fact(
    "soft-delete",
    "1.2",
    "reference/webhook-events",
    "Delete is soft by default; the secret cannot be read any more.",
    removeWrite,
    async (context) => {
      const path = context.path("deleted");
      await put(context, path);
      holds((await context.client.delete(url(path))).status < 300, "DELETE is refused");
      refused(await context.client.get(url(path)), 404, "secret_not_found", "a deleted secret");
    },
  ),
  assumed("delete-answer", removeWrite, async (context) => {
    const path = context.path("delete-answer");
    await put(context, path);
    status(await context.client.delete(url(path)), 204, "DELETE");
  }),
  assumed("deleted-is-absent", removeWrite, async (context) => {
    const path = context.path("delete-twice");
    await put(context, path);
    prepared(await context.client.delete(url(path)), "the delete");
    refused(await context.client.delete(url(path)), 404, "secret_not_found", "a second delete");
    refused(
      await context.client.send("PATCH", url(path), { body: { metadata: {} } }),
      404,
      "secret_not_found",
      "a PATCH",
    );
  }),
  assumed("put-on-deleted", removeWrite, async (context) => {
    const path = context.path("put-on-deleted");
    await put(context, path);
    prepared(await context.client.delete(url(path)), "the delete");
    refused(
      await context.client.put(url(path), { data: {}, secret_type: "kv" }),
      409,
      "secret_exists",
      "a PUT on a deleted path",
    );
  }),
  assumed("delete-permanent", removeWrite, async (context) => {
    const path = context.path("permanent");
    await put(context, path);
    prepared(await context.client.delete(url(path)), "the soft delete");
    holds(
      (await context.client.delete(`${url(path)}?permanent=true`)).status < 300,
      "a permanent delete of a deleted secret is refused",
    );
    refused(
      await context.client.delete(`${url(path)}?permanent=true`),
      404,
      "secret_not_found",
      "a second permanent delete",
    );
  }),
  assumed("version-restart", removeWrite, async (context) => {
    const path = context.path("restart");
    for (let time = 0; time < 2; time++) await put(context, path);
    prepared(await context.client.delete(`${url(path)}?permanent=true`), "the permanent delete");
    await put(context, path);
    equal(at((await context.client.get(url(path))).json, "version"), 1, "the version after a permanent delete");
  }),
  assumed("metadata-endpoint", listWrite, async (context) => {
    const path = context.path("metadata-endpoint");
    for (let time = 0; time < 2; time++)
      await put(context, path, { data: { a: "1" }, secret_type: "kv", metadata: { tags: ["t"] } });
    const { json, status: answered } = await context.client.get(`${url(path)}/metadata`);
    equal(answered, 200, "the status");
    equal(at(json, "version"), 2, "version");
    equal(at(json, "version_count"), 2, "version_count");
    holds(sameJson(at(json, "metadata", "tags"), ["t"]), "the tags are absent");
    holds(at(json, "data") === undefined, "the answer holds data");
  }),
  assumed("versions-endpoint", listWrite, async (context) => {
    const path = context.path("versions-endpoint");
    for (let time = 0; time < 2; time++) await put(context, path);
    const versions = listAt((await context.client.get(`${url(path)}/versions`)).json, "versions");
    holds(
      sameJson(
        versions.map((item) => at(item, "version")),
        [2, 1],
      ),
      "the versions are not 2, 1",
    );
    holds(
      versions.every((item) => at(item, "created_at") !== undefined && at(item, "created_by") !== undefined),
      "a field is absent",
    );
  }),
  assumed("list-endpoint", listWrite, async (context) => {
    const paths = ["a", "b/c", "d"].map((name) => context.path(`list/${name}`));
    for (const path of paths) await put(context, path);
    const prefix = (paths[0] as string).slice(0, -1);
    const found: unknown[] = [];
    let cursor = "";
    for (let page = 0; page < 5; page++) {
      const reply = await context.client.get(`/v1/secrets?prefix=${prefix}&limit=2${cursor}`);
      status(reply, 200, "the listing");
      const items = listAt(reply.json, "secrets");
      holds(items.length <= 2, "a page holds more than the limit");
      holds(
        items.every((item) => at(item, "data") === undefined),
        "the listing holds data",
      );
      found.push(...items.map((item) => at(item, "path")));
      if (at(reply.json, "has_more") !== true) break;
      cursor = `&cursor=${encodeURIComponent(String(at(reply.json, "cursor")))}`;
    }
    holds(sameJson(found, paths), "the pages are not the paths in order");
  }),
  assumed("list-shape", ["secrets:list"], async ({ client, path }) => {
    const reply = await client.get(`/v1/secrets?prefix=${path("empty")}`);
    status(reply, 200, "an empty listing");
    equal(listAt(reply.json, "secrets").length, 0, "the count");
    equal(at(reply.json, "cursor"), null, "cursor");
    equal(at(reply.json, "has_more"), false, "has_more");
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
  assumed("cas", readWrite, async (context) => {
    const path = context.path("cas");
    await put(context, path);
    const reply = await context.client.put(url(path), { data: {}, secret_type: "kv", options: { cas: 7 } });
    if (reply.status === 409) throw new CannotCheck("this server honours options.cas");
    holds(reply.status < 300, `options.cas answers ${reply.status}`);
  }),
];
