import { assumed, at, CannotCheck, equal, fact, holds, listAt, prepared, refused, status } from "../check.ts";
import type { Check, CheckContext } from "../check.ts";
import type { Reply } from "../client.ts";
import { put, url } from "./put.ts";

/** Subscriptions with polling and the events they bring. One subscription serves most checks: they may be made rarely. */

const base = "/v1/subscriptions";
const rights = [
  "secrets:read",
  "secrets:write",
  "secrets:delete",
  "secrets:list",
  "subscriptions:read",
  "subscriptions:write",
] as const;

interface Made {
  readonly id: string;
  readonly folder: string;
  readonly reply: Reply;
}

const made = new WeakMap<CheckContext, Promise<Made>>();

/** The run's subscription, to everything in a folder of its own. */
function subscription(context: CheckContext): Promise<Made> {
  let found = made.get(context);
  if (found === undefined) {
    found = make(context, "subscriptions");
    made.set(context, found);
  }
  return found;
}

async function make(context: CheckContext, suffix: string, more: object = {}): Promise<Made> {
  const folder = context.path(`${suffix}/none`).replace(/\/none$/, "");
  const events = ["secret.created", "secret.updated", "secret.deleted"];
  const body = { name: folder, paths: [`${folder}/**`], events, delivery: { type: "polling" }, ...more };
  const reply = prepared(await context.client.post(base, body), "creating a subscription");
  const id = String(at(reply.json, "id"));
  context.later(`subscription ${folder}`, () => context.client.delete(`${base}/${id}`));
  return { id, folder, reply };
}

/** A path in the folder that a subscription hears of. */
const inside = (context: CheckContext, folder: string, name: string): string =>
  context.path(`${folder.slice(folder.lastIndexOf("/") + 1)}/${name}`);

const poll = ({ client }: CheckContext, id: string, query: string): Promise<Reply> =>
  client.get(`${base}/${id}/poll?${query}`);

/** The unacknowledged events of a path; asks again when a server needs time to bring them. */
async function eventsOf(context: CheckContext, id: string, path: string, least: number): Promise<readonly unknown[]> {
  for (let time = 0; time < 5; time++) {
    const reply = prepared(await poll(context, id, "timeout=0&max_events=1000"), "the poll");
    const found = listAt(reply.json, "events").filter((event) => at(event, "path") === path);
    if (found.length >= least) return found;
    await context.client.clock.sleep(500);
  }
  throw new CannotCheck("the events are not there (yet)");
}

const idOf = (event: unknown): string => String(at(event, "event_id"));

const acknowledge = ({ client }: CheckContext, id: string, events: readonly unknown[]): Promise<Reply> =>
  client.post(`${base}/${id}/ack`, { event_ids: events.map(idOf) });

export const subscriptionChecks: readonly Check[] = [
  fact(
    "subscription-create",
    "3.11",
    "reference/subscriptions",
    "Creating a subscription answers 201 with `id`, `name`, `status`, and the caller as `identity_id`.",
    rights,
    async (context) => {
      const { reply, folder } = await subscription(context);
      equal(reply.status, 201, "the status of creating");
      equal(at(reply.json, "name"), folder, "name");
      equal(typeof at(reply.json, "id"), "string", "the type of id");
      equal(typeof at(reply.json, "status"), "string", "the type of status");
      equal(at(reply.json, "identity_id"), context.whoami["identity_id"], "identity_id");
    },
  ),
  assumed("subscription-id", rights, async (context) => {
    const { id } = await subscription(context);
    holds(id.startsWith("sub_"), "the id does not start with sub_");
  }),
  assumed("subscription-status", rights, async (context) => {
    equal(at((await subscription(context)).reply.json, "status"), "active", "status");
  }),
  fact(
    "event-envelope",
    "3.12",
    "reference/webhook-events",
    "An event has `event_id`, `event_type`, `timestamp`, `tenant_id`, `partner_id`, `identity_id`, `path`, `data` and `request_id`, and no value.",
    rights,
    async (context) => {
      const { id, folder } = await subscription(context);
      const path = inside(context, folder, "envelope");
      const canary = "conformance-canary";
      await put(context, path, { data: { canary }, secret_type: "json", metadata: { tags: ["t"] } });
      const [event] = await eventsOf(context, id, path, 1);
      for (const field of ["event_id", "event_type", "timestamp", "tenant_id", "partner_id", "identity_id"])
        equal(typeof at(event, field), "string", `the type of ${field}`);
      holds(at(event, "request_id") !== undefined, "request_id is absent");
      equal(at(event, "event_type"), "secret.created", "event_type");
      equal(at(event, "data", "version"), 1, "data.version");
      equal(at(event, "data", "secret_type"), "json", "data.secret_type");
      equal(at(event, "data", "created_by"), context.whoami["identity_id"], "data.created_by");
      holds(!JSON.stringify(event).includes(canary), "the event holds the value");
    },
  ),
  fact(
    "event-changes",
    "3.12",
    "reference/webhook-events",
    "A write tells `secret.updated` with old and new version, a delete `secret.deleted` with `recoverable_until`.",
    rights,
    async (context) => {
      const { id, folder } = await subscription(context);
      const path = inside(context, folder, "changes");
      for (let time = 0; time < 2; time++) await put(context, path);
      prepared(await context.client.delete(url(path)), "the delete");
      const events = await eventsOf(context, id, path, 3);
      equal(at(events[1], "event_type"), "secret.updated", "the second event");
      equal(at(events[1], "data", "old_version"), 1, "data.old_version");
      equal(at(events[1], "data", "new_version"), 2, "data.new_version");
      equal(at(events[1], "data", "is_rotation"), false, "data.is_rotation");
      equal(at(events[2], "event_type"), "secret.deleted", "the third event");
      equal(at(events[2], "data", "permanent"), false, "data.permanent");
      equal(at(events[2], "data", "version_count"), 2, "data.version_count");
      equal(typeof at(events[2], "data", "recoverable_until"), "string", "the type of data.recoverable_until");
    },
  ),
  assumed("event-metadata", rights, async (context) => {
    const { id, folder } = await subscription(context);
    const path = inside(context, folder, "metadata-event");
    await put(context, path);
    prepared(await context.client.send("PATCH", url(path), { body: { metadata: { note: "n" } } }), "the PATCH");
    const events = await eventsOf(context, id, path, 2);
    equal(at(events[1], "event_type"), "secret.updated", "the event");
    equal(at(events[1], "data", "new_version"), 1, "data.new_version");
    equal(at(events[1], "data", "metadata_only"), true, "data.metadata_only");
  }),
  fact(
    "poll-acknowledge",
    "3.11",
    "reference/subscriptions",
    "Unacknowledged events come again; acknowledged ones do not.",
    rights,
    async (context) => {
      const { id, folder } = await subscription(context);
      const path = inside(context, folder, "acknowledged");
      for (let time = 0; time < 2; time++) await put(context, path);
      const [first, second] = await eventsOf(context, id, path, 2);
      equal(idOf((await eventsOf(context, id, path, 2))[0]), idOf(first), "the first event of the second poll");
      prepared(await acknowledge(context, id, [first]), "the ack");
      const left = (await eventsOf(context, id, path, 1)).map(idOf);
      holds(left.length === 1 && left[0] === idOf(second), "not exactly the unacknowledged event came again");
    },
  ),
  assumed("ack-answer", rights, async (context) => {
    const { id, folder } = await subscription(context);
    const path = inside(context, folder, "ack-answer");
    await put(context, path);
    const events = await eventsOf(context, id, path, 1);
    const reply = await acknowledge(context, id, [...events, { event_id: "evt_conformance-none" }]);
    equal(reply.status, 200, "the status of the ack");
    equal(at(reply.json, "acknowledged"), 1, "acknowledged");
  }),
  assumed("poll-since", rights, async (context) => {
    const { id, folder } = await subscription(context);
    const path = inside(context, folder, "since");
    for (let time = 0; time < 2; time++) await put(context, path);
    const [first, second] = await eventsOf(context, id, path, 2);
    const behind = async (event: string): Promise<readonly string[]> =>
      listAt((await poll(context, id, `timeout=0&max_events=1000&since_event_id=${event}`)).json, "events").map(idOf);
    const known = await behind(idOf(first));
    holds(
      known.includes(idOf(second)) && !known.includes(idOf(first)),
      "since_event_id is not where the answer begins",
    );
    holds((await behind("evt_conformance-none")).includes(idOf(first)), "an unknown since_event_id hides events");
  }),
  fact(
    "poll-empty",
    "3.11",
    "reference/subscriptions",
    "A poll without events waits for `timeout` seconds and answers an empty list.",
    rights,
    async (context) => {
      const { id } = await make(context, "poll-empty");
      const reply = await poll(context, id, "timeout=1");
      status(reply, 200, "the poll");
      equal(listAt(reply.json, "events").length, 0, "the number of events");
      equal(at(reply.json, "has_more"), false, "has_more");
    },
  ),
  assumed("poll-limits", rights, async (context) => {
    const { id } = await subscription(context);
    for (const query of ["timeout=61", "max_events=0", "max_events=1001"])
      refused(await poll(context, id, query), 400, "invalid_request", query);
  }),
  assumed("buffer-dropped", rights, async (context) => {
    const { id, folder } = await make(context, "buffer", { delivery: { type: "polling", buffer_size: 2 } });
    const path = inside(context, folder, "many");
    for (let time = 0; time < 3; time++) await put(context, path);
    const events = await eventsOf(context, id, path, 2);
    equal(events.length, 2, "the number of events");
    equal(at(events[0], "data", "new_version"), 2, "the version of the oldest event");
    equal(at((await poll(context, id, "timeout=0")).json, "dropped_events"), 1, "dropped_events");
  }),
  fact(
    "subscription-gone",
    "3.11",
    "reference/error-codes",
    "A subscription that does not exist answers 404 subscription_not_found.",
    ["subscriptions:read"],
    async ({ client }) => {
      refused(await client.get(`${base}/sub_conformance-none`), 404, "subscription_not_found", "GET");
    },
  ),
];
