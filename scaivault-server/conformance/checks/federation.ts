import { assumed, at, equal, fact, holds, listAt, prepared, refused, sameJson, status } from "../check.ts";
import type { Check, CheckContext } from "../check.ts";
import type { Reply } from "../client.ts";
import { put, url } from "./put.ts";

/**
 * Federation backends, as far as they need no store that answers: the host `vault.invalid` never exists. One backend serves
 * all checks of a run, since federation calls are the rarest.
 */

const base = "/v1/federation/backends";
const rights = ["secrets:read", "secrets:write", "secrets:delete", "federation:read", "federation:write"] as const;
const unknown = `${base}/fed_conformance-no-such-backend`;

interface Made {
  readonly name: string;
  /** Everything below is proxied. */
  readonly folder: string;
  readonly id: string;
  readonly reply: Reply;
}

const made = new WeakMap<CheckContext, Promise<Made>>();

interface Draft {
  readonly name: string;
  readonly folder: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The body of a proxied backend whose credentials are stored. */
async function draft(context: CheckContext, suffix: string): Promise<Draft> {
  const credentials = context.path(`federation-${suffix}/approle`);
  await put(context, credentials, { data: { role_id: "none", secret_id: "none" }, secret_type: "json" });
  const run = credentials.split("/").find((segment) => segment.startsWith("conformance-")) ?? "conformance";
  const folder = credentials.replace(/approle$/, "mapped");
  const name = `${run}-${suffix}`;
  const config = { endpoint: "https://vault.invalid:8200", auth_method: "approle", auth_config_path: credentials };
  const mapping = { [`${folder}/**`]: "kv/data/**" };
  return { name, folder, body: { name, type: "hashicorp-vault", config, path_mapping: mapping, mode: "proxy" } };
}

/** The run's backend, made when the first check asks for it. */
function backend(context: CheckContext): Promise<Made> {
  let found = made.get(context);
  if (found === undefined) {
    found = make(context);
    made.set(context, found);
  }
  return found;
}

async function make(context: CheckContext): Promise<Made> {
  const { name, folder, body } = await draft(context, "shared");
  const reply = prepared(await context.client.post(base, body), "creating a backend");
  const id = String(at(reply.json, "id"));
  context.later(`federation backend ${name}`, () => context.client.delete(`${base}/${id}`));
  return { name, folder, id, reply };
}

/** Sends a body that must be refused; a backend that was made anyway is taken away at the end. */
async function attempt(context: CheckContext, suffix: string, change: object): Promise<Reply> {
  const { name, body } = await draft(context, suffix);
  const reply = await context.client.post(base, { ...body, ...change });
  if (reply.status < 300)
    context.later(`federation backend ${name}`, () => context.client.delete(`${base}/${String(at(reply.json, "id"))}`));
  return reply;
}

export const federationChecks: readonly Check[] = [
  fact(
    "backend-create",
    "3.3",
    "reference/federation",
    "Creating a backend answers its `id`, which starts with `fed_`, and its `status`.",
    rights,
    async (context) => {
      const { reply } = await backend(context);
      holds(String(at(reply.json, "id")).startsWith("fed_"), "the id does not start with fed_");
      equal(typeof at(reply.json, "status"), "string", "the type of status");
    },
  ),
  assumed("backend-create-answer", rights, async (context) => {
    const { id, name, reply } = await backend(context);
    equal(reply.status, 201, "the status of creating");
    equal(at(reply.json, "name"), name, "name");
    for (const field of ["type", "mode", "created_at", "updated_at"])
      equal(typeof at(reply.json, field), "string", `the type of ${field}`);
    const changed = await context.client.send("PATCH", `${base}/${id}`, { body: { conflict_resolution: "manual" } });
    status(changed, 200, "PATCH");
    equal(at(changed.json, "id"), id, "the id after PATCH");
  }),
  assumed("backend-list", rights, async (context) => {
    const { id } = await backend(context);
    const reply = await context.client.get(`${base}?limit=1000`);
    status(reply, 200, "the list");
    holds(
      listAt(reply.json, "backends").some((item) => at(item, "id") === id),
      "the new backend is not in the list",
    );
    equal(typeof at(reply.json, "has_more"), "boolean", "the type of has_more");
  }),
  fact(
    "backend-status",
    "3.3",
    "reference/federation",
    "The status has `id`, `name`, `status`, and `connection` with `status`.",
    rights,
    async (context) => {
      const { id, name } = await backend(context);
      const reply = await context.client.get(`${base}/${id}/status`);
      status(reply, 200, "the status");
      equal(at(reply.json, "id"), id, "id");
      equal(at(reply.json, "name"), name, "name");
      equal(typeof at(reply.json, "status"), "string", "the type of status");
      equal(typeof at(reply.json, "connection", "status"), "string", "the type of connection.status");
    },
  ),
  assumed("sync-status", rights, async (context) => {
    const { id } = await backend(context);
    const { json } = await context.client.get(`${base}/${id}/status`);
    equal(at(json, "status"), "unhealthy", "the status of a backend that does not exist");
    equal(at(json, "connection", "status"), "disconnected", "connection.status");
    holds(typeof at(json, "last_error") === "string", "last_error does not say why");
    equal(at(json, "last_sync"), null, "last_sync of a proxied backend");
  }),
  assumed("proxy-read-only", rights, async (context) => {
    const { id, folder } = await backend(context);
    const reply = await context.client.put(url(`${folder}/x`), { data: { a: "1" }, secret_type: "kv" });
    refused(reply, 403, "federated_path_read_only", "a write to a proxied path");
    equal(at(reply.json, "error", "details", "backend"), id, "details.backend");
  }),
  assumed("proxy-down", rights, async (context) => {
    const { id, folder } = await backend(context);
    const reply = await context.client.get(url(`${folder}/x`));
    refused(reply, 503, "service_unavailable", "a read through a backend that is away");
    equal(at(reply.json, "error", "details", "backend"), id, "details.backend");
  }),
  assumed("sync-answer", rights, async (context) => {
    const { id } = await backend(context);
    refused(await context.client.post(`${base}/${id}/sync`, {}), 400, "invalid_request", "a sync in proxy mode");
  }),
  assumed("conflicts-answer", rights, async (context) => {
    const { id } = await backend(context);
    const reply = await context.client.get(`${base}/${id}/conflicts`);
    status(reply, 200, "the conflicts");
    holds(sameJson(at(reply.json, "conflicts"), []), "a proxied backend has conflicts");
    equal(at(reply.json, "has_more"), false, "has_more");
  }),
  assumed("federation-codes", rights, async (context) => {
    const { name } = await backend(context);
    refused(await context.client.get(unknown), 404, "backend_not_found", "an unknown backend");
    refused(await attempt(context, "twin", { name }), 409, "backend_exists", "a second backend of the name");
  }),
  assumed("mapping-longest", rights, async (context) => {
    const { folder } = await backend(context);
    const reply = await attempt(context, "rival", { path_mapping: { [`${folder}/deep/**`]: "kv/data/**" } });
    refused(reply, 422, "validation_error", "a backend with paths of another");
  }),
  fact(
    "sync-interval-required",
    "4.5",
    "reference/federation",
    "`sync_interval` is required in sync mode.",
    rights,
    async (context) => {
      const reply = await attempt(context, "no-interval", { mode: "sync" });
      holds(reply.status === 400 || reply.status === 422, `sync mode without an interval answers ${reply.status}`);
    },
  ),
  assumed("sync-interval", rights, async (context) => {
    const short = await attempt(context, "short", { mode: "sync", sync_interval: "59s" });
    refused(short, 422, "validation_error", "an interval below a minute");
    const proxied = await attempt(context, "proxied", { sync_interval: "15m" });
    refused(proxied, 422, "validation_error", "an interval in proxy mode");
  }),
  fact(
    "backend-config",
    "4.2",
    "reference/error-codes",
    "A rejected backend config answers 400 invalid_config.",
    rights,
    async (context) => {
      refused(await attempt(context, "config", { config: {} }), 400, "invalid_config", "an empty config");
    },
  ),
  assumed("mapping-grammar", rights, async (context) => {
    const reply = await attempt(context, "grammar", { path_mapping: { "conformance/**/x": "kv/data/**" } });
    refused(reply, 422, "validation_error", "a pattern with ** in the middle");
  }),
  assumed("credentials-first", rights, async (context) => {
    const config = {
      endpoint: "https://vault.invalid:8200",
      auth_method: "approle",
      auth_config_path: context.path("federation-none/approle"),
    };
    refused(await attempt(context, "first", { config }), 400, "invalid_config", "credentials that are not there");
  }),
];
