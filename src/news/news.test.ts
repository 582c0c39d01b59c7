import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { SyncError } from "../errors/index.ts";
import { RateBudget } from "../scaivault/index.ts";
import { allOf, ServerAndClients } from "../scaivault/testing/server-client.ts";
import { systemClock, VirtualClock } from "../time/clock.ts";
import { newsFeed, subscriptionName } from "./feed.ts";
import { News } from "./news.ts";
import type { NewsEvent, NewsFeed } from "./types.ts";

const clock = new VirtualClock();
let parts: ServerAndClients;
let stop: AbortController;
let running: Promise<void> | undefined;
beforeAll(async () => {
  parts = await ServerAndClients.start(clock);
});
afterEach(async () => {
  stop.abort(new Error("the term ended"));
  await running;
  parts.server.admin.clearFaults();
});
afterAll(() => parts.stop());

const signal = () => new AbortController().signal;
const client = () => parts.client({ budget: new RateBudget({ clock }) });
const named = async (name: string) =>
  (await allOf(client().subscriptions.list({ signal: signal() }))).filter((one) => one.name === name);

function follow(feed: NewsFeed, targets: readonly string[] = ["team/**"]) {
  stop = new AbortController();
  const [heard, modes] = [[] as NewsEvent[], [] as string[]];
  let missed = 0;
  const news = new News({ feed, clock, random: () => 0.5, onMode: (mode) => void modes.push(mode) });
  const desk = {
    targets: () => targets,
    heard: (events: readonly NewsEvent[]) => heard.push(...events),
    missed: () => void (missed += 1),
  };
  running = news.run(desk, stop.signal);
  return { news, heard, modes, missed: () => missed };
}
/** Lets real answers come, and virtual time pass in small steps. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 400; turn += 1) {
    if (await holds()) return;
    await clock.advance(100);
    await systemClock.sleep(2);
  }
  throw new Error(`timed out: ${what}`);
}

test("makes a subscription, hands each event on once, and acknowledges them together", async () => {
  const { news, heard, missed } = follow(newsFeed(client(), "one"));
  await until("following", async () => (await named("k8s_one")).length === 1);
  await until("looked once", () => missed() === 1);
  parts.server.admin.resetCounters();
  for (let n = 0; n < 40; n += 1) {
    parts.server.admin.write(`team/s${n}`, { data: "{}" });
    const seen = n + 1;
    if (n % 8 === 7) await until(`${seen} events`, () => heard.length === seen);
  }
  expect(new Set(heard.map(({ path }) => path)).size).toBe(40);
  expect(news.standing.mode).toBe("Following");
  const [subscription] = await named("k8s_one");
  const left = async () =>
    (await client().subscriptions.poll(subscription?.id ?? "", { timeoutSeconds: 1 }, { signal: stop.signal }))
      ?.events ?? [];
  await until("all acknowledged", async () => {
    await clock.advance(10_000);
    const answer = left();
    await clock.advance(1_000);
    return (await answer).length === 0;
  });
  expect(heard).toHaveLength(40);
  // Acknowledgements of ten seconds go together: far fewer than events.
  expect(parts.server.admin.counters().byRoute["POST /v1/subscriptions/{id}/ack"] ?? 0).toBeLessThanOrEqual(8);
});

test("keeps one of several with its name, and leaves those of others alone", async () => {
  const name = subscriptionName("two");
  const settings = { name, paths: ["team/**"], events: ["secret.updated"] };
  const other = parts.as("sa:another", ["admin"]);
  const theirs = await other.subscriptions.create(settings, { signal: signal() });
  const first = await client().subscriptions.create(settings, { signal: signal() });
  await client().subscriptions.create(settings, { signal: signal() });
  const { heard } = follow(newsFeed(client(), "two"));
  await until("one of ours", async () => (await named(name)).length === 2);
  expect((await named(name)).map(({ id }) => id).sort()).toEqual([theirs.id, first.id].sort());
  parts.server.admin.write("team/new", { data: "{}" });
  // It hears of new secrets too by now.
  await until("an event", () => heard.some(({ path, type }) => path === "team/new" && type === "secret.created"));
});

test("whatever the feed throws, the term goes on, and its end is the end", async () => {
  const errors = [
    new Error("defect"),
    new SyncError("ScaiVaultUnavailable", "away"),
    new SyncError("RateLimited", "slow", { retryAfterMs: 3_000 }),
    new SyncError("ScaiVaultUnavailable", "none here", { code: "not_found" }),
    new SyncError("ScaiVaultDenied", "no"),
  ];
  let asked = 0;
  const refuse = () => {
    asked += 1;
    return Promise.reject(errors[(asked - 1) % errors.length] as Error);
  };
  const feed: NewsFeed = {
    find: refuse,
    create: refuse,
    change: refuse,
    remove: refuse,
    poll: refuse,
    acknowledge: refuse,
  };
  const { modes } = follow(feed);
  for (let minute = 0; minute < 75; minute += 1) await clock.advance(60_000);
  expect(modes.slice(0, 4)).toEqual(["Away", "Unsupported", "Refused", "Away"]);
  // Every ten minutes and every hour, and not in a loop.
  expect(asked).toBeLessThanOrEqual(12);
  const begun = asked;
  stop.abort(new Error("the term ended"));
  await running;
  await clock.advance(3_600_000);
  expect(asked).toBe(begun);
});

test("a defect of whoever hears of news ends nothing", async () => {
  let calls = 0;
  stop = new AbortController();
  const never = () => Promise.reject(new Error("not asked"));
  const feed: NewsFeed = {
    find: () => Promise.resolve([]),
    create: never,
    change: never,
    remove: never,
    poll: never,
    acknowledge: never,
  };
  const desk = {
    targets: () => {
      calls += 1;
      throw new Error("defect");
    },
    heard: () => 0,
    missed: () => undefined,
  };
  const modes: string[] = [];
  running = new News({ feed, clock, onMode: (mode) => void modes.push(mode) }).run(desk, stop.signal);
  for (let minute = 0; minute < 10; minute += 1) await clock.advance(60_000);
  expect(calls).toBeGreaterThan(5);
  expect(calls).toBeLessThanOrEqual(11);
  // Said once.
  expect(modes).toEqual(["Away"]);
});
