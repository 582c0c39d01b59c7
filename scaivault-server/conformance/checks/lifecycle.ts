import { assumed, at, equal, fact, holds, listAt, prepared, refused, sameJson, status } from "../check.ts";
import type { Check } from "../check.ts";
import { put, url } from "./put.ts";

const listWrite = ["secrets:list", "secrets:write"] as const;
const removeWrite = ["secrets:read", "secrets:write", "secrets:delete"] as const;

/** Deletion, metadata, versions, listing. */
export const lifecycleChecks: readonly Check[] = [
  fact(
    "soft-delete",
    "1.2",
    "reference/webhook-events",
    "Delete is soft by default; the secret cannot be read any more.",
    removeWrite,
    async (context) => {
      const path = context.path("deleted");
      await put(context, path);
      prepared(await context.client.delete(url(path)), "DELETE");
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
];
