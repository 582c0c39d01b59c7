import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { SyncError } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";
import { type HttpClient, Network } from "../net/index.ts";
import { systemClock, VirtualClock } from "../time/clock.ts";
import { FederationClient, RateBudget, ScaiVaultClient, type ScaiVaultOptions } from "./index.ts";

// Answers as the documentation has them; what ScaiVault makes of calls is shown against the reference server.

const canary = "canary-5d1f";
const context = { signal: new AbortController().signal };
interface Recorded {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
let answers: Recorded[] = [];
let asked: { method: string; path: string; body: string }[] = [];
let server: Server;
let network: Network;
let http: HttpClient;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
    request.on("end", () => {
      asked.push({ method: request.method ?? "", path: request.url ?? "", body });
      const answer = answers.shift() ?? { status: 500 };
      response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
      response.end(answer.body === undefined ? "" : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  network = new Network({ userAgent: "scaivault-operator/test", allowLoopback: true });
  const { port } = server.address() as AddressInfo;
  http = network.open({ url: network.endpoint(`http://127.0.0.1:${port}`) });
});
afterEach(() => {
  expect(answers).toEqual([]);
  asked = [];
});
afterAll(async () => {
  await network.close();
  server.close();
});

function options(more: Partial<ScaiVaultOptions> = {}): ScaiVaultOptions {
  return {
    http,
    tokens: { token: async () => SecretValue.fromText("t"), renew: async () => undefined },
    clock: systemClock,
    userAgent: "scaivault-operator/test",
    cluster: "eu-1",
    budget: new RateBudget({ clock: systemClock }),
    timeoutMs: 2000,
    ...more,
  };
}
const client = (more: Partial<ScaiVaultOptions> = {}) => new FederationClient(options(more));
const refusal = (code: string, details?: object) => ({
  error: { code, message: canary, details, request_id: "req_1" },
});
const wanted = {
  name: "k8s_eu-1_team_aws",
  type: "aws-secrets-manager",
  config: new Map([["region", "us-east-1"]]),
  pathMapping: new Map([["external/aws/**", "prod/**"]]),
  mode: "sync",
  syncInterval: "15m",
  conflictResolution: undefined,
} as const;

async function failure(promise: Promise<unknown>): Promise<SyncError> {
  const error: unknown = await promise.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (!(error instanceof SyncError)) throw new Error(`no SyncError but ${String(error)}`);
  expect(JSON.stringify({ ...error, message: error.message })).not.toContain(canary);
  return error;
}

test("calls go where the documentation says, and their answers come back", async () => {
  const backend = { id: "fed_1", name: wanted.name, status: "healthy" };
  answers = [
    { status: 201, body: backend },
    { status: 200, body: { backends: [backend], cursor: "next", has_more: true } },
    { status: 200, body: { backends: [{ ...backend, id: "fed_2" }], cursor: null, has_more: false } },
    { status: 200, body: backend },
    { status: 200, body: backend },
    { status: 200, body: { status: "healthy" } },
    { status: 202, body: { sync_id: "sync_1", status: "running", started_at: "2026-01-01T00:00:00Z" } },
    { status: 200, body: { conflicts: [], cursor: null, has_more: false } },
    { status: 204 },
  ];
  const federation = client();
  expect(await federation.create(wanted, context)).toMatchObject({ id: "fed_1", status: "healthy" });
  expect((await federation.list(context)).map(({ id }) => id)).toEqual(["fed_1", "fed_2"]);
  expect((await federation.get("fed_1", context))?.name).toBe(wanted.name);
  expect(await federation.patch("fed_1", { mode: "proxy" }, context)).toBe(true);
  expect((await federation.status("fed_1", context))?.status).toBe("healthy");
  expect(await federation.sync("fed_1", context)).toBe("Started");
  expect(await federation.conflicts("fed_1", context)).toEqual({ conflicts: [], more: false });
  expect(await federation.delete("fed_1", context)).toBe(true);
  expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /v1/federation/backends",
    "GET /v1/federation/backends",
    "GET /v1/federation/backends?cursor=next",
    "GET /v1/federation/backends/fed_1",
    "PATCH /v1/federation/backends/fed_1",
    "GET /v1/federation/backends/fed_1/status",
    "POST /v1/federation/backends/fed_1/sync",
    "GET /v1/federation/backends/fed_1/conflicts?limit=100",
    "DELETE /v1/federation/backends/fed_1",
  ]);
  expect(JSON.parse(asked[4]?.body ?? "")).toEqual({ mode: "proxy" });
});

test("a backend that is not there is an answer, and no failure", async () => {
  const gone = { status: 404, body: refusal("backend_not_found") };
  answers = [gone, gone, gone, gone, gone, gone];
  const federation = client();
  expect(await federation.get("fed_1", context)).toBeUndefined();
  expect(await federation.patch("fed_1", {}, context)).toBe(false);
  expect(await federation.delete("fed_1", context)).toBe(false);
  expect(await federation.status("fed_1", context)).toBeUndefined();
  expect(await federation.sync("fed_1", context)).toBe("Gone");
  expect(await federation.conflicts("fed_1", context)).toBeUndefined();
});

test("a 404 of somebody else, such as a proxy, does not say that a backend is gone", async () => {
  answers = [{ status: 404, body: {} }];
  expect((await failure(client().get("fed_1", context))).reason).toBe("ScaiVaultUnavailable");
});

test("a name that is taken, and a sync that runs, are answers", async () => {
  answers = [
    { status: 409, body: refusal("backend_exists") },
    { status: 409, body: refusal("sync_in_progress") },
  ];
  expect(await client().create(wanted, context)).toBe("Exists");
  expect(await client().sync("fed_1", context)).toBe("Running");
});

describe("errors by code", () => {
  test.each([
    [400, "invalid_config", { fields: { credentials_path: canary } }, "invalid_config at credentials_path"],
    [422, "validation_error", { fields: ["path_mapping"] }, "validation_error at path_mapping"],
    [400, "invalid_duration", undefined, "invalid_duration"],
  ])(
    "%i %s is RegistrationRefused and names the fields, never ScaiVault's text",
    async (status, code, details, said) => {
      answers = [{ status, body: refusal(code, details) }];
      const error = await failure(client().create(wanted, context));
      expect([error.reason, error.code, error.kind]).toEqual(["RegistrationRefused", code, "waiting"]);
      expect(error.message).toContain(said);
    },
  );

  test.each([
    [403, "insufficient_scope", "ScaiVaultDenied", "federation:write"],
    [503, "service_unavailable", "ScaiVaultUnavailable", undefined],
    [502, "backend_error", "ScaiVaultUnavailable", undefined],
    [429, "rate_limited", "RateLimited", undefined],
  ])("%i %s is %s, and nothing is sent again", async (status, code, reason, right) => {
    answers = [{ status, body: refusal(code), headers: { "retry-after": "7" } }];
    const error = await failure(client().create(wanted, context));
    expect([error.reason, error.right]).toEqual([reason, right]);
    if (status === 429) expect(error.retryAfterMs).toBe(7000);
    expect(asked).toHaveLength(1);
  });

  test("reading asks for the scope federation:read", async () => {
    answers = [{ status: 403, body: refusal("insufficient_scope") }];
    expect((await failure(client().list(context))).right).toBe("federation:read");
  });

  test("a write below a proxied mapping is ReadOnlyPath", async () => {
    answers = [{ status: 403, body: refusal("federated_path_read_only") }];
    const put = new ScaiVaultClient(options()).put(
      "external/hashicorp/app",
      {
        data: SecretValue.fromText("{}"),
        secretType: "json",
        metadata: { description: undefined, owner: undefined, tags: [], custom: new Map() },
      },
      context,
    );
    expect((await failure(put)).reason).toBe("ReadOnlyPath");
  });
});

test("an id that is none never gets near a URL", async () => {
  for (const id of ["", "../secrets/x", "fed_1/sync", "fed?1", "fed_1#"])
    expect((await failure(client().get(id, context))).reason).toBe("InvalidSpec");
  expect(asked).toEqual([]);
});

test("a reader's client changes nothing", async () => {
  const reader = client({ readOnly: true });
  for (const forbidden of [
    reader.create(wanted, context),
    reader.patch("fed_1", { mode: "proxy" }, context),
    reader.delete("fed_1", context),
    reader.sync("fed_1", context),
  ])
    expect((await failure(forbidden)).reason).toBe("WaitingForWriter");
  expect(asked).toEqual([]);
});

test("all calls together stay within the category's budget, less a fleet's share", async () => {
  const clock = new VirtualClock(0);
  const federation = client({ budget: new RateBudget({ clock, share: 0.5, maxWaitMs: 0 }) });
  answers = Array.from({ length: 10 }, () => ({ status: 200, body: { status: "healthy" } }));
  for (let call = 0; call < 10; call += 1) await federation.status("fed_1", { ...context, lane: "user" });
  const error = await failure(federation.status("fed_1", { ...context, lane: "user" }));
  expect([error.reason, error.code]).toEqual(["RateLimited", "budget_federation"]);
  expect(asked).toHaveLength(10);
});
