import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { AddressInfo } from "node:net";
import { ApiError } from "../errors.ts";
import type { OutgoingOptions } from "../federation/outgoing.ts";
import { readBody } from "../http/call.ts";
import { checkHost } from "../http/guard.ts";
import { RawJson, toJson } from "../json/raw-json.ts";
import type { Category } from "../limits/rate-limiter.ts";
import { checkBody, parseObject } from "../secrets/body.ts";
import type { Admin } from "./admin.ts";
import * as schemas from "./schemas.ts";

/** The admin port of a running server. */
export interface AdminPort {
  readonly url: string;
  /** Random per start. */
  readonly token: string;
  close(): Promise<void>;
}

type Action = (admin: Admin, body: () => Record<string, unknown>, id: string, text: string) => unknown;

/** Largest body, in bytes: a backup of a big server. */
const bodyMostBytes = 1_073_741_824;

/** What the port offers: the admin handle over HTTP. `*` stands for one id. */
const actions: Readonly<Record<string, Action>> = {
  "POST /admin/tokens": (admin, body) => {
    const spec = checkBody(schemas.tokenSchema, body());
    const lifetime = spec.lifetime_seconds;
    return { token: admin.createToken(schemas.identitySpec(spec), lifetime === undefined ? null : lifetime * 1000) };
  },
  "POST /admin/tokens/revoke": async (admin, body) => ({
    revoked: await admin.revokeToken(checkBody(schemas.revokeSchema, body()).token),
  }),
  "POST /admin/clients": (admin, body) => {
    const spec = checkBody(schemas.clientSchema, body());
    const named = spec.client_id === undefined ? {} : { clientId: spec.client_id };
    const { clientId, clientSecret } = admin.createClient({ ...schemas.identitySpec(spec), ...named });
    return { client_id: clientId, client_secret: clientSecret };
  },
  "DELETE /admin/clients/*": (admin, _body, id) => ({ removed: admin.removeClient(id) }),
  "POST /admin/tenants": (admin, body) => {
    const { tenant_id, partner_id } = checkBody(schemas.tenantSchema, body());
    admin.addTenant(tenant_id, partner_id);
    return {};
  },
  "POST /admin/policies": (admin, body) => {
    const { identity, rules, tenant_id, name } = checkBody(schemas.policySchema, body());
    const options = {
      ...(tenant_id === undefined ? {} : { tenantId: tenant_id }),
      ...(name === undefined ? {} : { name }),
    };
    const { policyId, bindingId } = admin.bindPolicy(identity, rules, options);
    return { policy_id: policyId, binding_id: bindingId };
  },
  "DELETE /admin/policies/*": (admin, _body, id) => ({ removed: admin.unbindPolicy(id) }),
  "PUT /admin/limits": (admin, body) => {
    for (const [category, perMinute] of Object.entries(checkBody(schemas.limitsSchema, body())))
      admin.setLimit(category as Category, perMinute ?? Number.POSITIVE_INFINITY);
    return {};
  },
  "POST /admin/faults": (admin, body) => ({ id: admin.inject(checkBody(schemas.faultSchema, body())).id }),
  "DELETE /admin/faults": (admin) => {
    admin.clearFaults();
    return {};
  },
  "DELETE /admin/faults/*": (admin, _body, id) => ({ removed: admin.removeFault(Number(id)) }),
  "GET /admin/counters": (admin) => admin.counters(),
  "POST /admin/counters/reset": (admin) => {
    admin.resetCounters();
    return {};
  },
  "PUT /admin/federation/network": async (admin, body) => {
    await admin.setFederationNetwork(checkBody(schemas.networkSchema, body()) as OutgoingOptions);
    return {};
  },
  "GET /admin/federation/calls": (admin) => admin.federationCalls(),
  "POST /admin/federation/sync/*": (admin, _body, name) => admin.syncNow(name),
  "GET /admin/events": (admin) => ({ events: admin.events() }),
  "GET /admin/backup": (admin) => new RawJson(admin.backup()),
  "POST /admin/restore": async (admin, _body, _id, text) => {
    await admin.restore(text);
    return {};
  },
  "GET /admin/requests": (admin) => ({ requests: admin.requests() }),
};

/** Opens the admin port on 127.0.0.1. Every request needs its token; browsers are refused as on the main port. */
export async function openAdminPort(admin: Admin, port: number): Promise<AdminPort> {
  const token = `sadm_${randomBytes(32).toString("base64url")}`;
  const server = createServer((message, response) => {
    answer(admin, token, message, response).catch(() => message.socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${taken}`, token, close: () => close(server) };
}

async function answer(admin: Admin, token: string, message: IncomingMessage, response: ServerResponse): Promise<void> {
  let status = 200;
  let body: unknown;
  try {
    checkHost(message, new Set());
    const sent = (message.headers.authorization ?? "").replace(/^Bearer /, "");
    if (!timingSafeEqual(digest(sent), digest(token)))
      throw new ApiError("authentication_required", "the admin token is needed");
    body = await act(admin, message);
  } catch (error) {
    const known = error instanceof ApiError ? error : new ApiError("internal_error", "the request failed");
    status = known.status;
    body = { error: { code: known.code, message: known.message, details: known.details } };
  }
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.end(toJson(body));
}

async function act(admin: Admin, message: IncomingMessage): Promise<unknown> {
  const path = (message.url ?? "").split("?")[0] ?? "";
  const exact = actions[`${message.method} ${path}`];
  const slash = path.lastIndexOf("/");
  const action = exact ?? actions[`${message.method} ${path.slice(0, slash)}/*`];
  if (action === undefined) throw new ApiError("not_found", "no such endpoint");
  const text = (await readBody(message, bodyMostBytes)).toString("utf8");
  return action(admin, () => parseObject(text), path.slice(slash + 1), text);
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
