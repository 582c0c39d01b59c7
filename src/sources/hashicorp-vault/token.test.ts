import { beforeEach, describe, expect, it } from "vitest";
import { SecretValue } from "../../model/index.ts";
import { NetError } from "../../net/index.ts";
import { VirtualClock } from "../../time/clock.ts";
import type { VaultAnswer, VaultAPI } from "./api.ts";
import { TokenKeeper, type VaultAuth } from "./token.ts";

const signal = new AbortController().signal;
const answer = (status: number, body: unknown = {}): VaultAnswer => ({
  status,
  headers: {},
  text: JSON.stringify(body),
});
const denied = answer(403, { errors: ["permission denied"] });
const invalid = answer(403, { errors: ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"] });

let clock: VirtualClock;
let log: string[];
let next: Record<string, (() => Promise<VaultAnswer>) | undefined>;
let logins: number;

const api: VaultAPI = {
  read: (under, rest, call) => serve("read", [...under, ...rest].join("/"), call.token),
  list: () => Promise.reject(new Error("not here")),
  write: (under, rest, _data, call) => serve("write", [...under, ...rest].join("/"), call.token),
  close: () => Promise.resolve(),
};
function serve(verb: string, path: string, token: SecretValue | undefined): Promise<VaultAnswer> {
  log.push(`${verb} ${path} ${token?.text() ?? "-"}`);
  const given = next[path];
  if (given !== undefined) return given();
  if (path.endsWith("/login"))
    return Promise.resolve(
      answer(200, { auth: { client_token: `t${++logins}`, lease_duration: 600, renewable: true } }),
    );
  if (path.endsWith("renew-self"))
    return Promise.resolve(answer(200, { auth: { lease_duration: 600, renewable: true } }));
  if (path.endsWith("lookup-self")) return Promise.resolve(answer(200, { data: { ttl: 600, renewable: true } }));
  return Promise.resolve(answer(204));
}
const appRole: VaultAuth = {
  kind: "AppRole",
  mount: "approle",
  roleID: SecretValue.fromText("role"),
  secretID: SecretValue.fromText("canary"),
};
const keeper = (auth: VaultAuth = appRole): TokenKeeper =>
  new TokenKeeper({
    auth,
    mount: auth.kind === "AppRole" ? [auth.mount] : [],
    api,
    clock,
    random: () => 0,
    throttled: () => 1000,
  });
const reason = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: { reason: string }) => error.reason,
  );

beforeEach(() => {
  clock = new VirtualClock();
  log = [];
  next = {};
  logins = 0;
});

describe("logins", () => {
  it("logs in once for all who wait", async () => {
    const tokens = keeper();
    const got = await Promise.all(Array.from({ length: 50 }, () => tokens.token(signal)));
    expect(new Set(got.map((token) => token.text()))).toEqual(new Set(["t1"]));
    expect(log).toEqual(["write auth/approle/login -"]);
  });

  it("keeps a refusal for a while, longer each time, and shows no credential", async () => {
    next["auth/approle/login"] = () => Promise.resolve(answer(400, { errors: ["invalid role or secret ID canary"] }));
    const tokens = keeper();
    for (let n = 0; n < 20; n++) {
      const error = await tokens.token(signal).catch((caught: unknown) => caught as Error);
      expect(error).toMatchObject({ reason: "LoginFailed" });
      expect(JSON.stringify(error) + String(error) + String((error as Error).stack)).not.toContain("canary");
    }
    expect(log).toHaveLength(1);
    await clock.advance(5_000);
    await reason(tokens.token(signal));
    await clock.advance(5_000);
    await reason(tokens.token(signal));
    expect(log).toHaveLength(2);
    await clock.advance(5_000);
    delete next["auth/approle/login"];
    expect((await tokens.token(signal)).text()).toBe("t1");
  });

  it("tells an outage from a refusal and remembers nothing of it", async () => {
    const tokens = keeper();
    next["auth/approle/login"] = () => Promise.reject(new NetError("Refused", "ECONNREFUSED"));
    expect(await reason(tokens.token(signal))).toBe("SourceUnavailable");
    next["auth/approle/login"] = () => Promise.resolve(answer(503, { errors: ["Vault is sealed"] }));
    expect(await reason(tokens.token(signal))).toBe("SourceSealed");
    delete next["auth/approle/login"];
    expect((await tokens.token(signal)).text()).toBe("t1");
  });

  it("lets one caller stop waiting without ending the login of the others", async () => {
    let release: (value: VaultAnswer) => void = () => undefined;
    next["auth/approle/login"] = () => new Promise((resolve) => (release = resolve));
    const tokens = keeper();
    const stop = new AbortController();
    const first = reason(tokens.token(stop.signal));
    const second = tokens.token(signal);
    stop.abort();
    expect(await first).toBe("SourceUnavailable");
    release(answer(200, { auth: { client_token: "t", lease_duration: 600, renewable: true } }));
    expect((await second).text()).toBe("t");
  });
});

describe("renewal", () => {
  it("renews at two thirds of the life for as long as it prolongs", async () => {
    const tokens = keeper();
    await tokens.token(signal);
    for (let n = 0; n < 5; n++) await clock.advance(400_000);
    expect((await tokens.token(signal)).text()).toBe("t1");
    expect(log.filter((line) => line.includes("renew-self"))).toHaveLength(5);
  });

  it("logs in anew when renewal no longer prolongs", async () => {
    const tokens = keeper();
    await tokens.token(signal);
    next["auth/token/renew-self"] = () =>
      Promise.resolve(answer(200, { auth: { lease_duration: 200, renewable: true } }));
    await clock.advance(400_000);
    await clock.advance(179_000);
    expect((await tokens.token(signal)).text()).toBe("t1");
    await clock.advance(2_000);
    expect((await tokens.token(signal)).text()).toBe("t2");
    expect(log.filter((line) => line.includes("renew-self"))).toHaveLength(1);
  });

  it("tries a failed renewal a few times until the last tenth", async () => {
    const tokens = keeper();
    await tokens.token(signal);
    next["auth/token/renew-self"] = () => Promise.reject(new NetError("Timeout", "X"));
    await clock.advance(600_000);
    const tries = log.filter((line) => line.includes("renew-self")).length;
    expect(tries).toBeGreaterThan(1);
    expect(tries).toBeLessThan(10);
    expect((await tokens.token(signal)).text()).toBe("t2");
  });

  it("has no hot loop with absurd lives: 768 h, zero, negative, huge, nonsense", async () => {
    for (const duration of [768 * 3600, 0, -5, 1e12, 0.001, "x", null]) {
      log = [];
      const tokens = keeper();
      next["auth/approle/login"] = () =>
        Promise.resolve(answer(200, { auth: { client_token: "t", lease_duration: duration, renewable: true } }));
      next["auth/token/renew-self"] = () =>
        Promise.resolve(answer(200, { auth: { lease_duration: duration, renewable: true } }));
      await tokens.token(signal);
      await clock.advance(60_000);
      expect(log.length, String(duration)).toBeLessThan(15);
      await tokens.close();
    }
    expect(clock.pending).toBe(0);
  });
});

describe("refusals", () => {
  it("asks once whether the token is still good, and then takes it for a lack of rights", async () => {
    const tokens = keeper();
    const token = await tokens.token(signal);
    const results = await Promise.all(Array.from({ length: 10 }, () => tokens.refused(token, denied, signal)));
    expect(results.every((again) => !again)).toBe(true);
    expect(log.filter((line) => line.includes("lookup-self"))).toHaveLength(1);
  });

  it("logs in anew when the token was revoked", async () => {
    const tokens = keeper();
    const token = await tokens.token(signal);
    expect(await tokens.refused(token, invalid, signal)).toBe(true);
    expect(await tokens.refused(token, invalid, signal)).toBe(true);
    expect((await tokens.token(signal)).text()).toBe("t2");
    next["auth/token/lookup-self"] = () => Promise.resolve(invalid);
    expect(await tokens.refused(await tokens.token(signal), denied, signal)).toBe(true);
    expect((await tokens.token(signal)).text()).toBe("t3");
  });

  it("does not log in again and again for a token that may not look itself up", async () => {
    const tokens = keeper();
    next["auth/token/lookup-self"] = () => Promise.resolve(denied);
    for (let n = 0; n < 10; n++) await tokens.refused(await tokens.token(signal), denied, signal);
    expect(logins).toBe(1);
  });
});

describe("given tokens", () => {
  const given: VaultAuth = { kind: "Token", token: SecretValue.fromText("given") };

  it("are looked up once, renewed, and never revoked", async () => {
    const tokens = keeper(given);
    for (let n = 0; n < 3; n++) expect((await tokens.token(signal)).text()).toBe("given");
    await clock.advance(400_000);
    await tokens.close();
    expect(log).toEqual(["read auth/token/lookup-self given", "write auth/token/renew-self given"]);
  });

  it("that have ended or are refused are a failed login", async () => {
    next["auth/token/lookup-self"] = () => Promise.resolve(invalid);
    expect(await reason(keeper(given).token(signal))).toBe("LoginFailed");
    next["auth/token/lookup-self"] = () => Promise.resolve(answer(200, { data: { ttl: 60, renewable: false } }));
    const tokens = keeper(given);
    await tokens.token(signal);
    await clock.advance(61_000);
    expect(await reason(tokens.token(signal))).toBe("LoginFailed");
    const other = keeper(given);
    expect(await reason(other.refused(await other.token(signal), invalid, signal))).toBe("LoginFailed");
  });

  it("without the right to look themselves up are used as they are", async () => {
    next["auth/token/lookup-self"] = () => Promise.resolve(denied);
    const tokens = keeper(given);
    const token = await tokens.token(signal);
    expect(await tokens.refused(token, denied, signal)).toBe(false);
  });
});

it("revokes the token that it made, once", async () => {
  const tokens = keeper();
  await tokens.token(signal);
  await tokens.close();
  await tokens.close();
  expect(log.filter((line) => line.includes("revoke-self"))).toEqual(["write auth/token/revoke-self t1"]);
  expect(await reason(tokens.token(signal))).toBe("SourceUnavailable");
});
