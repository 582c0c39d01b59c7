import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VirtualClock, systemClock } from "../../src/time/clock.ts";
import { assumptions } from "../assumptions.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer } from "../server.ts";
import type { Extras } from "./check.ts";
import { checks } from "./checks/all.ts";
import { Client } from "./client.ts";
import { runChecks } from "./run.ts";

const time = new VirtualClock(Date.now());
let server: ScaiVaultServer;
let client: Client;
let extras: Extras;

beforeAll(async () => {
  // The server's time stands still, so that what a request costs is exact; limits are lifted where the checks write.
  const free = Infinity;
  server = await startServer({
    clock: time,
    limits: {
      write: free,
      delete: free,
      list: free,
      federation: free,
      subscription: free,
      webhook: free,
      policy: free,
    },
  });
  client = new Client({ url: server.url, token: server.token, clock: systemClock });
  const { clientId, clientSecret } = server.admin.createClient({
    identity: "sa:conformance",
    scopes: ["secrets:read"],
  });
  extras = {
    limitedToken: server.admin.createToken({ identity: "sa:limited", scopes: ["secrets:read"] }),
    oauth: { tokenUrl: `${server.url}/oauth/token`, clientId, clientSecret },
    exhaust: true,
  };
});
afterAll(async () => {
  await client.close();
  await server.stop();
});

/** Lets the server's time go on, a second at a time, whenever something waits for it. */
async function passUntilDone(work: Promise<unknown>): Promise<void> {
  let done = false;
  void work.finally(() => (done = true));
  await expect
    .poll(async () => {
      if (time.pending > 0) await time.advance(1000);
      return done;
    })
    .toBe(true);
}

describe("the reference server", () => {
  // One at a time, so that a failure names its fact.
  it.each(checks.map((check) => [`${check.kind} ${check.id}: ${check.text}`, check] as const))(
    "%s",
    async (_name, check) => {
      server.admin.setLimit("audit", 50);
      const running = runChecks({ client, prefix: "scratch/", extras, checks: [check] });
      // A poll that waits for its timeout: time goes on for it alone.
      if (check.id === "poll-empty") await passUntilDone(running);
      const report = await running;
      expect(report.results.map(({ outcome, reason }) => ({ outcome, reason }))).toEqual([
        { outcome: "holds", reason: undefined },
      ]);
      expect(report.leftBehind).toEqual([]);
    },
  );
});

describe("the list of checks", () => {
  it("has every id once", () => {
    const ids = checks.map((check) => `${check.kind} ${check.id}`);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("names with each built-in assumption a file that is there", () => {
    for (const { file } of assumptions())
      if (file !== undefined) expect(existsSync(new URL(`../${file}`, import.meta.url))).toBe(true);
  });

  it("quotes assumptions from the one file", () => {
    const known = new Map(assumptions().map(({ id, sentence }) => [id, sentence]));
    for (const check of checks.filter(({ kind }) => kind === "assumption"))
      expect(check.text).toBe(known.get(check.id));
  });
});

describe("a run", () => {
  it("writes below its prefix only and leaves nothing behind", async () => {
    const before = server.admin.paths();
    server.admin.resetCounters();
    server.admin.setLimit("audit", 50);
    const running = runChecks({ client, prefix: "scratch/deeper/", extras: {} });
    await passUntilDone(running);
    const { results } = await running;
    expect(new Set(results.map(({ id }) => id))).toEqual(
      new Set([...checks.map(({ id }) => id), ...assumptions().map(({ id }) => id)]),
    );
    const written = server.admin.counters().paths.filter(({ actions }) => actions.includes("write"));
    expect(written.length).toBeGreaterThan(10);
    for (const { path } of written) expect(path).toMatch(/^scratch\/deeper\/conformance-/);
    expect(server.admin.paths()).toEqual(before);
  });

  it("says what does not hold, and that a failed fact is not ok", async () => {
    server.admin.inject({ match: { route: "GET /v1/version" }, action: { kind: "status", status: 500 } });
    server.admin.inject({ action: { kind: "dropMetadata" } });
    const report = await runChecks({
      client,
      prefix: "scratch/",
      checks: checks.filter(({ id }) => ["version-open", "custom-metadata"].includes(id)),
    });
    server.admin.clearFaults();
    expect(report.ok).toBe(false);
    expect(report.results.map(({ id, outcome }) => [id, outcome])).toEqual([
      ["version-open", "does not hold"],
      ["custom-metadata", "does not hold"],
    ]);
  });

  it("is not ok when nothing could be checked", async () => {
    const stranger = new Client({ url: "http://127.0.0.1:1", token: "x", clock: systemClock });
    await expect(runChecks({ client: stranger, prefix: "scratch/" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await stranger.close();
    const refused = new Client({ url: server.url, token: "skt_unknown", clock: systemClock });
    await expect(runChecks({ client: refused, prefix: "scratch/" })).rejects.toThrow("token_invalid");
    await refused.close();
  });

  it("skips what the token may not do", async () => {
    const token = server.admin.createToken({ identity: "sa:poor", scopes: ["secrets:read"], rules: [] });
    const poor = new Client({ url: server.url, token, clock: systemClock });
    const report = await runChecks({
      client: poor,
      prefix: "scratch/",
      checks: checks.filter(({ id }) => id === "no-overwrite"),
    });
    expect(report.results[0]).toMatchObject({ outcome: "not checked", reason: "the token lacks secrets:write" });
    await poor.close();
  });

  it.each(["", "scratch", "/scratch/", "Scratch/", "a//"])("refuses the prefix %j", async (prefix) => {
    await expect(runChecks({ client, prefix })).rejects.toThrow(/prefix/);
  });
});
