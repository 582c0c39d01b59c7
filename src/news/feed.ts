import type { ScaiVaultClient } from "../scaivault/index.ts";
import { newsTypes } from "./machine.ts";
import type { NewsFeed, OwnSubscription } from "./types.ts";

/** How long ScaiVault is asked to hold a poll, in seconds: below the minute after which many proxies cut what is silent. */
const POLL_SECONDS = 30;
const MAX_EVENTS = 100;
const BUFFER = 1_000;
/** News wait behind everything else. */
const LANE = "verification" as const;

/** Name of a cluster's subscription: one a cluster, whoever leads. */
export function subscriptionName(cluster: string): string {
  return `k8s_${cluster}`;
}

/** The subscription of one cluster, over the ScaiVault client. */
export function newsFeed(client: Pick<ScaiVaultClient, "subscriptions" | "whoami">, cluster: string): NewsFeed {
  const name = subscriptionName(cluster);
  const { subscriptions } = client;
  let identity: string | undefined;
  return {
    async find(signal) {
      const context = { signal, lane: LANE };
      identity ??= (await client.whoami(context)).identityID;
      const own: OwnSubscription[] = [];
      for await (const page of subscriptions.list(context)) {
        for (const one of page) {
          const ours = one.owner === undefined || one.owner === identity;
          const polled = one.delivery === undefined || one.delivery === "polling";
          if (one.name === name && ours && polled) own.push(one);
        }
      }
      return own;
    },
    create: (paths, signal) =>
      subscriptions.create({ name, paths, events: newsTypes, bufferSize: BUFFER }, { signal, lane: LANE }),
    change: (id, paths, signal) => subscriptions.patch(id, { paths, events: newsTypes }, { signal, lane: LANE }),
    async remove(id, signal) {
      await subscriptions.delete(id, { signal, lane: LANE });
    },
    poll: (id, since, signal) =>
      subscriptions.poll(
        id,
        { timeoutSeconds: POLL_SECONDS, maxEvents: MAX_EVENTS, ...(since === undefined ? {} : { since }) },
        { signal, lane: LANE },
      ),
    async acknowledge(id, eventIDs, signal) {
      await subscriptions.ack(id, eventIDs, { signal, lane: LANE });
    },
  };
}
