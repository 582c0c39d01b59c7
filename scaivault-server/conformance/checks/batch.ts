import { assumed, at, CannotCheck, equal, fact, holds, prepared, refused, sameJson, status } from "../check.ts";
import type { Check, CheckContext } from "../check.ts";

const readWrite = ["secrets:read", "secrets:write"] as const;
const listWrite = ["secrets:list", "secrets:write"] as const;

async function twoSecrets({ client, path }: CheckContext, name: string): Promise<[string, string]> {
  const paths: [string, string] = [path(`${name}/a`), path(`${name}/b`)];
  for (const secret of paths) {
    const body = { data: { at: secret.slice(-1) }, secret_type: "json", metadata: { tags: [name] } };
    prepared(await client.put(`/v1/secrets/${secret}`, body), "the write");
  }
  return paths;
}

/** Paths that nothing is written to. */
const hundredOne = (folder: string): string[] => Array.from({ length: 101 }, (_, index) => `${folder}/p${index}`);

/** Batch read and batch metadata. */
export const batchChecks: readonly Check[] = [
  fact(
    "batch-read",
    "3.2",
    "api-guides/batch-operations",
    "POST /v1/secrets/batch answers `secrets` by path and `errors` with code and message; partial success is the default.",
    readWrite,
    async (context) => {
      const [a, b] = await twoSecrets(context, "batch");
      const missing = context.path("batch/none");
      const { json, status: answered } = await context.client.post("/v1/secrets/batch", { paths: [a, missing, b] });
      equal(answered, 200, "the status");
      holds(
        sameJson(at(json, "secrets", a, "data"), { at: "a" }) && sameJson(at(json, "secrets", b, "data"), { at: "b" }),
        "the data are not what was written",
      );
      equal(at(json, "secrets", a, "version"), 1, "version");
      equal(at(json, "secrets", a, "secret_type"), "json", "secret_type");
      equal(at(json, "errors", missing, "code"), "secret_not_found", "the code of the missing path");
      equal(typeof at(json, "errors", missing, "message"), "string", "the type of its message");
    },
  ),
  fact(
    "batch-metadata-flag",
    "3.2",
    "api-guides/batch-operations",
    "`include_metadata` is false by default.",
    readWrite,
    async (context) => {
      const [a] = await twoSecrets(context, "batch-flag");
      const plain = await context.client.post("/v1/secrets/batch", { paths: [a] });
      holds(at(plain.json, "secrets", a, "metadata") === undefined, "metadata come unasked");
      const asked = await context.client.post("/v1/secrets/batch", { paths: [a], options: { include_metadata: true } });
      holds(sameJson(at(asked.json, "secrets", a, "metadata", "tags"), ["batch-flag"]), "metadata do not come");
    },
  ),
  fact(
    "batch-version",
    "3.2",
    "api-guides/batch-operations",
    "`version` reads every path at that version.",
    readWrite,
    async (context) => {
      const [a, b] = await twoSecrets(context, "batch-version");
      prepared(await context.client.put(`/v1/secrets/${a}`, { data: { at: "new" }, secret_type: "json" }), "the write");
      const { json } = await context.client.post("/v1/secrets/batch", { paths: [a, b], options: { version: 1 } });
      equal(at(json, "secrets", a, "version"), 1, "version");
      holds(sameJson(at(json, "secrets", a, "data"), { at: "a" }), "the data are of another version");
      const second = await context.client.post("/v1/secrets/batch", { paths: [b], options: { version: 2 } });
      equal(at(second.json, "errors", b, "code"), "version_not_found", "the code of a missing version");
    },
  ),
  fact(
    "batch-most",
    "3.2",
    "api-guides/batch-operations",
    "At most 100 paths per call.",
    ["secrets:read"],
    async ({ client, path }) => {
      const paths = hundredOne(path("many"));
      holds((await client.post("/v1/secrets/batch", { paths })).status >= 400, "101 paths are taken");
      status(await client.post("/v1/secrets/batch", { paths: paths.slice(0, 100) }), 200, "100 paths");
    },
  ),
  assumed("batch-too-many", ["secrets:read"], async ({ client, path }) => {
    const paths = hundredOne(path("many"));
    refused(await client.post("/v1/secrets/batch", { paths }), 422, "validation_error", "101 paths");
    refused(await client.post("/v1/secrets/batch", { paths: [] }), 422, "validation_error", "no path");
  }),
  fact(
    "fail-fast-stops",
    "3.2",
    "api-guides/batch-operations",
    "`fail_fast: true` stops at the first error.",
    readWrite,
    async (context) => {
      const [a] = await twoSecrets(context, "fail-fast");
      const { json } = await context.client.post("/v1/secrets/batch", {
        paths: [context.path("fail-fast/none"), a],
        options: { fail_fast: true },
      });
      holds(at(json, "secrets", a) === undefined, "a path behind the error is answered");
    },
  ),
  assumed("fail-fast", ["secrets:read"], async ({ client, path }) => {
    const reply = await client.post("/v1/secrets/batch", {
      paths: [path("fail-fast/none")],
      options: { fail_fast: true },
    });
    refused(reply, 404, "secret_not_found", "fail_fast on a missing path");
  }),
  assumed("batch-status", ["secrets:read"], async ({ client, path }) => {
    status(await client.post("/v1/secrets/batch", { paths: [path("none")] }), 200, "a batch of failures");
  }),
  assumed("batch-options", readWrite, async (context) => {
    const [a] = await twoSecrets(context, "batch-top");
    const { json } = await context.client.post("/v1/secrets/batch", { paths: [a], include_metadata: true });
    holds(at(json, "secrets", a, "metadata") !== undefined, "a flag at the top level is ignored");
  }),
  fact(
    "batch-cost",
    "2.8",
    "api-guides/batch-operations",
    "A batch read costs 1 in batch read plus N in read secrets for N paths returned.",
    readWrite,
    async (context) => {
      const { client } = context;
      const [a, b] = await twoSecrets(context, "batch-cost");
      const before = await client.get(`/v1/secrets/${a}`);
      const batch = await client.post("/v1/secrets/batch", { paths: [a, b] });
      const after = await client.get(`/v1/secrets/${a}`);
      const limit = Number(before.header("X-RateLimit-Limit"));
      const spent = Number(before.header("X-RateLimit-Remaining")) - Number(after.header("X-RateLimit-Remaining"));
      const refilled = ((batch.tookMs + after.tookMs) / 60_000) * limit;
      if (!(refilled < 0.9)) throw new CannotCheck("the bucket refills faster than requests go");
      holds(spent === 3 || spent === 2, `two paths and one read cost ${spent}`);
    },
  ),
  assumed("batch-metadata", listWrite, async (context) => {
    const [a, b] = await twoSecrets(context, "meta");
    const missing = context.path("meta/none");
    const reply = await context.client.post("/v1/secrets/batch/metadata", { paths: [a, b, missing] });
    status(reply, 200, "batch metadata");
    for (const path of [a, b]) {
      equal(at(reply.json, "secrets", path, "version"), 1, "version");
      equal(at(reply.json, "secrets", path, "secret_type"), "json", "secret_type");
      holds(sameJson(at(reply.json, "secrets", path, "metadata", "tags"), ["meta"]), "the tags are absent");
      holds(at(reply.json, "secrets", path, "data") === undefined, "the answer holds data");
    }
    equal(at(reply.json, "errors", missing, "code"), "secret_not_found", "the code of the missing path");
  }),
  fact(
    "expand-wildcards",
    "3.2",
    "api-guides/batch-operations",
    "`expand_wildcards: true` expands globs on the server.",
    listWrite,
    async (context) => {
      const [a, b] = await twoSecrets(context, "expand");
      const glob = `${a.slice(0, -1)}*`;
      const { json, status: answered } = await context.client.post("/v1/secrets/batch/metadata", {
        paths: [glob],
        expand_wildcards: true,
      });
      if (answered === 404 || answered === 405) throw new CannotCheck("batch metadata is at another place");
      equal(answered, 200, "the status");
      holds(sameJson(Object.keys(at(json, "secrets") ?? {}).sort(), [a, b]), "the paths are not those that match");
    },
  ),
];
