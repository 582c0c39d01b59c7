import fc from "fast-check";
import { expect, test } from "vitest";
import { SyncError } from "../../errors/index.ts";
import { SecretValue } from "../../model/index.ts";
import { settle, VirtualClock } from "../../time/clock.ts";
import { CachedToken, type IssuedToken } from "./cached-token.ts";

const signal = new AbortController().signal;

interface Login {
  resolve(token: IssuedToken): void;
  reject(error: Error): void;
}

function setup(): {
  clock: VirtualClock;
  token: CachedToken;
  logins: Login[];
  next: (text: string, seconds?: number) => void;
} {
  const clock = new VirtualClock();
  const logins: Login[] = [];
  const token = new CachedToken({
    clock,
    random: () => 0.5,
    login: () => new Promise<IssuedToken>((resolve, reject) => logins.push({ resolve, reject })),
  });
  const next = (text: string, seconds = 3600): void =>
    logins.at(-1)?.resolve({ value: SecretValue.fromText(text), lifetimeMs: seconds * 1000 });
  return { clock, token, logins, next };
}

test("all callers share one login, which is renewed at 85 % of its lifetime and not before", async () => {
  const { clock, token, logins, next } = setup();
  const asked = [token.token(signal), token.token(signal), token.token(signal)];
  next("t1");
  expect((await Promise.all(asked)).map((value) => value.text())).toEqual(["t1", "t1", "t1"]);
  await clock.advance(3600 * 850 - 1);
  await token.token(signal);
  expect(logins).toHaveLength(1);
  await clock.advance(2);
  const renewed = token.token(signal);
  next("t2");
  expect((await renewed).text()).toBe("t2");
  expect(logins).toHaveLength(2);
});

test("a renewal that fails leaves the old token in use until it ends; failures back off", async () => {
  const { clock, token, logins, next } = setup();
  const first = token.token(signal);
  next("t1", 100);
  await first;
  await clock.advance(86_000);
  const during = token.token(signal);
  logins.at(-1)?.reject(new SyncError("ScaiVaultUnavailable", "down"));
  expect((await during).text()).toBe("t1");
  expect((await token.token(signal)).text()).toBe("t1");
  expect(logins).toHaveLength(2);
  await clock.advance(15_000);
  const after = token.token(signal);
  logins.at(-1)?.reject(new SyncError("ScaiVaultUnavailable", "still down"));
  await expect(after).rejects.toThrow("still down");
  await expect(token.token(signal)).rejects.toThrow("still down");
  expect(logins).toHaveLength(3);
});

test("one renewal serves all whose token was refused; the same token again is none", async () => {
  const { token, logins, next } = setup();
  const first = token.token(signal);
  next("t1");
  const old = await first;
  const renewals = [token.renew(old, signal), token.renew(old, signal)];
  await settle();
  next("t2");
  expect((await Promise.all(renewals)).map((value) => value?.text())).toEqual(["t2", "t2"]);
  expect((await token.renew(old, signal))?.text()).toBe("t2");
  expect(logins).toHaveLength(2);
  const same = token.renew(SecretValue.fromText("t2"), signal);
  next("t2");
  expect(await same).toBeUndefined();
});

test("a token that has ended is not handed out in place of the one that was refused", async () => {
  const { clock, token, logins, next } = setup();
  const first = token.token(signal);
  next("t1", 10);
  const old = await first;
  const renewed = token.renew(old, signal);
  next("t2", 10);
  await renewed;
  await clock.advance(10_000);
  const again = token.renew(old, signal);
  await settle();
  next("t3", 10);
  expect((await again)?.text()).toBe("t3");
  expect(logins).toHaveLength(3);
});

test("a caller that gives up does not end the login of the others; lifetimes are clamped", async () => {
  const { clock, token, logins, next } = setup();
  const stop = new AbortController();
  const gone = token.token(stop.signal);
  const stays = token.token(signal);
  stop.abort(new Error("stop"));
  await expect(gone).rejects.toThrow("stop");
  next("t1", 0.001);
  expect((await stays).text()).toBe("t1");
  await clock.advance(8000);
  expect((await token.token(signal)).text()).toBe("t1");
  expect(logins).toHaveLength(1);
});

test("whatever callers, time and the login do: one login at a time, and no token beyond its end", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("ask" as const) }),
    fc.record({ kind: fc.constant("refused" as const) }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 400_000 }) }),
    fc.record({ kind: fc.constant("answer" as const), seconds: fc.integer({ min: 10, max: 600 }) }),
    fc.record({ kind: fc.constant("fail" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const clock = new VirtualClock();
      const open: Login[] = [];
      const ends = new Map<string, number>();
      const token = new CachedToken({
        clock,
        random: () => 0.5,
        login: () => new Promise<IssuedToken>((resolve, reject) => open.push({ resolve, reject })),
      });
      let made = 0;
      let last: SecretValue | undefined;
      const callers: Promise<void>[] = [];
      const take = (promise: Promise<SecretValue | undefined>): void => {
        callers.push(
          promise.then(
            (value) => {
              if (value === undefined) return;
              expect(ends.get(value.text() ?? "")).toBeGreaterThan(clock.monotonic());
              last = value;
            },
            () => undefined,
          ),
        );
      };
      for (const one of steps) {
        if (one.kind === "ask") take(token.token(signal));
        else if (one.kind === "refused" && last !== undefined) take(token.renew(last, signal));
        else if (one.kind === "pass") await clock.advance(one.ms);
        else if (one.kind === "answer") {
          const name = `t${(made += 1)}`;
          ends.set(name, clock.monotonic() + one.seconds * 1000);
          open.shift()?.resolve({ value: SecretValue.fromText(name), lifetimeMs: one.seconds * 1000 });
        } else if (one.kind === "fail") open.shift()?.reject(new SyncError("ScaiVaultUnavailable", "down"));
        await settle();
        expect(open.length).toBeLessThanOrEqual(1);
      }
      open.shift()?.reject(new SyncError("ScaiVaultUnavailable", "down"));
      await Promise.all(callers);
    }),
    { numRuns: 200 },
  );
});
