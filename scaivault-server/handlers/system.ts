import type { Answer, Call } from "../http/call.ts";
import { timestamp } from "../secrets/service.ts";
import { serverVersion } from "../version.ts";

/** GET /v1/health: always 200. [reference/system] */
export function health(call: Call): Answer {
  return { status: 200, body: { status: "healthy", timestamp: timestamp(call.app.clock.now()) } };
}

const checks = { database: "ok", redis: "ok", encryption: "ok" };

/** GET /v1/health/ready. [reference/system] */
export function ready(call: Call): Answer {
  return call.app.isReady()
    ? { status: 200, body: { status: "ready", checks } }
    : {
        status: 503,
        body: { status: "not_ready", checks: { ...checks, database: "error" }, errors: { database: "unavailable" } },
      };
}

/** GET /v1/health/detailed. [reference/system] */
export function detailed(call: Call): Answer {
  const { app } = call;
  const detail = Object.fromEntries(Object.entries(checks).map(([name, status]) => [name, { status, latency_ms: 0 }]));
  return {
    status: 200,
    body: {
      status: app.isReady() ? "healthy" : "unhealthy",
      version: serverVersion,
      uptime_seconds: Math.floor((app.clock.monotonic() - app.startedAt) / 1000),
      checks: detail,
    },
  };
}

/** GET /v1/version. [reference/system] */
export function version(): Answer {
  return { status: 200, body: { version: serverVersion } };
}

/** GET /v1/metrics. [reference/system] */
export async function metrics(call: Call): Promise<Answer> {
  return {
    status: 200,
    text: { content: await call.app.metrics.text(), type: "text/plain; version=0.0.4; charset=utf-8" },
  };
}
