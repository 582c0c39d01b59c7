import { assumed, at, CannotCheck, equal, fact, holds, refused, sameJson, status } from "../check.ts";
import type { Check } from "../check.ts";
import { put, url } from "./put.ts";

const write = ["secrets:write"] as const;
const readWrite = ["secrets:read", "secrets:write"] as const;

/** Writing and reading. */
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
  assumed("cas", readWrite, async (context) => {
    const path = context.path("cas");
    await put(context, path);
    const reply = await context.client.put(url(path), { data: {}, secret_type: "kv", options: { cas: 7 } });
    if (reply.status === 409) throw new CannotCheck("this server honours options.cas");
    holds(reply.status < 300, `options.cas answers ${reply.status}`);
  }),
];
