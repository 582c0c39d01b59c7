import { assumed, at, equal, fact, holds, listAt, prepared, refused, status } from "../check.ts";
import type { Check, CheckContext } from "../check.ts";
import type { Reply } from "../client.ts";

/** Webhooks, as far as they need no receiver: the host `webhook.invalid` never exists, and the event asked for never happens here. */

const base = "/v1/webhooks";
const rights = ["admin"] as const;
const secret = "conformance-secret-of-more-than-32-bytes";

interface Made {
  readonly id: string;
  readonly reply: Reply;
}

const made = new WeakMap<CheckContext, Promise<Made>>();

function webhook(context: CheckContext): Promise<Made> {
  let found = made.get(context);
  if (found === undefined) {
    found = make(context, {});
    made.set(context, found);
  }
  return found;
}

async function make(context: CheckContext, more: object): Promise<Made> {
  const name = context.path("webhook").replaceAll("/", "-");
  const body = { name, url: "https://webhook.invalid/", secret, events: ["certificate.issued"], ...more };
  const reply = prepared(await context.client.post(base, body), "creating a webhook");
  const id = String(at(reply.json, "id"));
  context.later(`webhook ${id}`, () => context.client.delete(`${base}/${id}`));
  return { id, reply };
}

export const webhookChecks: readonly Check[] = [
  fact(
    "webhook-create",
    "3.9",
    "reference/webhooks",
    "Creating a webhook answers 201; it is enabled by default and its secret is not answered.",
    rights,
    async (context) => {
      const { reply } = await webhook(context);
      equal(reply.status, 201, "the status of creating");
      equal(at(reply.json, "enabled"), true, "enabled");
      holds(String(at(reply.json, "id")).startsWith("wh_"), "the id does not start with wh_");
      holds(!reply.text.includes(secret), "the answer holds the secret");
    },
  ),
  fact(
    "webhook-read",
    "3.9",
    "reference/webhooks",
    "A webhook is read with `statistics`, listed below `webhooks`, and has `deliveries`.",
    rights,
    async (context) => {
      const { id } = await webhook(context);
      const read = await context.client.get(`${base}/${id}`);
      status(read, 200, "GET");
      equal(at(read.json, "statistics", "deliveries_24h"), 0, "statistics.deliveries_24h");
      const list = await context.client.get(`${base}?limit=1000`);
      holds(
        listAt(list.json, "webhooks").some((item) => at(item, "id") === id && at(item, "status") !== undefined),
        "the webhook is not in the list",
      );
      equal(listAt((await context.client.get(`${base}/${id}/deliveries`)).json, "deliveries").length, 0, "deliveries");
    },
  ),
  assumed("webhook-status", rights, async (context) => {
    equal(at((await webhook(context)).reply.json, "status"), "healthy", "status");
  }),
  assumed("webhook-url", rights, async (context) => {
    for (const url of ["http://webhook.invalid/", "https://user:pw@webhook.invalid/", "ftp://webhook.invalid/"]) {
      const body = { name: "conformance", url, secret, events: ["certificate.issued"] };
      refused(await context.client.post(base, body), 422, "validation_error", "such a URL");
    }
  }),
  assumed("webhook-secret-change", rights, async (context) => {
    const { id } = await webhook(context);
    const patch = (body: object): Promise<Reply> => context.client.send("PATCH", `${base}/${id}`, { body });
    const changed = await patch({ secret: `${secret}-2`, previous_secret_ttl: "24h" });
    status(changed, 200, "the change of a secret");
    equal(typeof at(changed.json, "previous_secret_expires_at"), "string", "the type of previous_secret_expires_at");
    refused(await patch({ previous_secret_ttl: "24h" }), 422, "validation_error", "previous_secret_ttl alone");
  }),
  assumed("webhook-test", rights, async (context) => {
    const { id } = await make(context, { url: "https://127.0.0.1:9/" });
    const reply = await context.client.post(`${base}/${id}/test`, {});
    status(reply, 200, "the test");
    equal(typeof at(reply.json, "delivery_id"), "string", "the type of delivery_id");
    equal(at(reply.json, "status"), "failed", "the status of a delivery to nobody");
  }),
  fact(
    "webhook-gone",
    "3.9",
    "reference/error-codes",
    "A webhook that does not exist answers 404 webhook_not_found.",
    rights,
    async ({ client }) => {
      refused(await client.get(`${base}/wh_conformance-none`), 404, "webhook_not_found", "GET");
    },
  ),
];
