import { assumed, at, equal, fact, holds, listAt, prepared, refused, status } from "../check.ts";
import type { Check, CheckContext } from "../check.ts";
import type { Reply } from "../client.ts";
import { put, url } from "./put.ts";

/** Rotation and value-generation policies, as far as no time has to pass. */

const base = "/v1/rotation/policies";
const generators = "/v1/secret-policies";
const rights = ["secrets:read", "secrets:write", "secrets:list", "secrets:rotate", "audit:read", "admin"] as const;

interface Made {
  readonly id: string;
  readonly name: string;
  readonly reply: Reply;
}

async function make(context: CheckContext, where: string, suffix: string, more: object): Promise<Made> {
  const name = context.path(suffix).replaceAll("/", "-");
  const reply = prepared(await context.client.post(where, { name, ...more }), "creating a policy");
  const id = String(at(reply.json, "id"));
  context.later(`policy ${name}`, () => context.client.delete(`${where}/${id}`));
  return { id, name, reply };
}

const policy = (context: CheckContext, suffix: string, more: object = {}): Promise<Made> =>
  make(context, base, suffix, { interval: "90d", ...more });

async function assigned(context: CheckContext, id: string, suffix: string, data: object): Promise<string> {
  const path = context.path(suffix);
  await put(context, path, { data, secret_type: "json" });
  prepared(await context.client.post(`${base}/${id}/secrets`, { secret_path: path }), "assigning the secret");
  return path;
}

export const rotationChecks: readonly Check[] = [
  fact(
    "rotation-policy",
    "3.6",
    "reference/rotation",
    "A rotation policy needs `name` and `interval`; its grace period is 48h and it does not generate values by default.",
    rights,
    async (context) => {
      const { id, reply } = await policy(context, "rotation-policy", { warn_before: "7d,1d" });
      holds(id.startsWith("rot_"), "the id does not start with rot_");
      const { json } = await context.client.get(`${base}/${id}`);
      for (const answer of [reply.json, json]) {
        equal(at(answer, "interval"), "90d", "interval");
        equal(at(answer, "grace_period"), "48h", "grace_period");
        equal(at(answer, "auto_generate"), false, "auto_generate");
      }
      const list = await context.client.get(`${base}?limit=1000`);
      const item = listAt(list.json, "data").find((entry) => at(entry, "id") === id);
      equal(at(item, "interval_seconds"), 7_776_000, "interval_seconds in the list");
      equal(at(item, "is_active"), true, "is_active in the list");
      equal(at(item, "secrets_count"), 0, "secrets_count in the list");
      refused(
        await context.client.post(base, { name: "conformance", interval: "often" }),
        400,
        "invalid_duration",
        "a bad interval",
      );
    },
  ),
  assumed("rotation-name", rights, async (context) => {
    const { name } = await policy(context, "rotation-name");
    refused(await context.client.post(base, { name, interval: "1d" }), 409, "policy_exists", "a name that is taken");
  }),
  fact(
    "rotation-assignment",
    "3.6",
    "reference/rotation",
    "A secret is put under a policy with 201 and taken out by its URL-encoded path; deleting the policy detaches its secrets.",
    rights,
    async (context) => {
      const { id } = await policy(context, "rotation-assignment");
      const path = context.path("rotation/assigned");
      await put(context, path);
      const assigning = (): Promise<Reply> => context.client.post(`${base}/${id}/secrets`, { secret_path: path });
      status(await assigning(), 201, "assigning");
      const owned = async (): Promise<unknown> => at((await context.client.get(url(path))).json, "rotation_policy_id");
      equal(await owned(), id, "rotation_policy_id of the secret");
      const taken = await context.client.delete(`${base}/${id}/secrets/${encodeURIComponent(path)}`);
      holds(taken.status < 300, "the secret cannot be taken out");
      holds((await owned()) === null || (await owned()) === undefined, "the secret is still under the policy");
      await assigning();
      prepared(await context.client.delete(`${base}/${id}`), "deleting the policy");
      holds((await owned()) !== id, "the secret is under a policy that is gone");
    },
  ),
  assumed("rotation-now", rights, async (context) => {
    const { id } = await policy(context, "rotation-now");
    const path = await assigned(context, id, "rotation/now", { password: "1" });
    const asked = await context.client.post(`${url(path)}/rotate`, {});
    status(asked, 200, "rotating now");
    equal(at(asked.json, "status"), "pending", "the item's status");
    const due = listAt((await context.client.get(`/v1/rotation/due?policy_id=${id}`)).json, "data");
    equal(at(due[0], "secret_path"), path, "the secret that is due");
    await put(context, path, { data: { password: "2" }, secret_type: "json" });
    const items = listAt((await context.client.get(`${base}/${id}/history`)).json, "data");
    equal(at(items[0], "status"), "success", "the item's status after a PUT");
    equal(at(items[0], "new_version"), 2, "new_version after a PUT");
    const free = context.path("rotation/free");
    await put(context, free);
    refused(await context.client.post(`${url(free)}/rotate`, {}), 400, "invalid_request", "a secret without a policy");
  }),
  assumed("default-recipe", rights, async (context) => {
    const { id } = await policy(context, "rotation-default", { auto_generate: true });
    const path = await assigned(context, id, "rotation/default", { user: "u", password: "1" });
    const reply = await context.client.post(`${base}/${id}/rotate`, { secret_paths: [path] });
    status(reply, 200, "rotating the policy");
    equal(at(reply.json, 0, "new_version"), 2, "new_version");
    const { json } = await context.client.get(url(path));
    equal(at(json, "data", "user"), "u", "the field that stays");
    equal(String(at(json, "data", "password")).length, 32, "the length of the new password");
  }),
  assumed("secret-policy-endpoints", rights, async (context) => {
    const fields = [
      { name: "password", generator: "random", config: { length: 20 } },
      { name: "id", generator: "uuid", config: {} },
    ];
    const { id, name } = await make(context, generators, "secret-policy", { fields });
    const preview = await context.client.post(`${generators}/${id}/preview`, {});
    status(preview, 200, "the preview");
    equal(String(at(preview.json, "data", "password")).length, 20, "the length of the previewed password");
    const list = listAt((await context.client.get(`${generators}?limit=1000`)).json, "data");
    holds(
      list.some((item) => at(item, "name") === name),
      "the policy is not in the list",
    );
    const user = await policy(context, "rotation-generated", { auto_generate: true, secret_policy_id: id });
    refused(await context.client.delete(`${generators}/${id}`), 409, "policy_in_use", "deleting a policy in use");
    prepared(await context.client.delete(`${base}/${user.id}`), "deleting the rotation policy");
  }),
  fact(
    "rotation-gone",
    "3.6",
    "reference/error-codes",
    "A rotation policy that does not exist answers 404 rotation_policy_not_found.",
    rights,
    async ({ client }) => {
      refused(await client.get(`${base}/rot_conformance-none`), 404, "rotation_policy_not_found", "GET");
    },
  ),
];
