import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { Policies } from "../auth/policies.ts";
import { Tenants } from "../auth/tenancy.ts";
import { buildEvents } from "../events/wiring.ts";
import { buildSchedule } from "../rotation/wiring.ts";
import { MemoryStore } from "../store/memory.ts";
import { parseWrite } from "./body.ts";
import { SecretService } from "./service.ts";

const dayMs = 86_400_000;
const owner = "tenant:t";
const origin = { identityId: "sa:x" };

describe("a soft delete that is taken back", () => {
  it("keeps the secret past its retention, with its expiry", async () => {
    const clock = new VirtualClock();
    const store = new MemoryStore();
    const { events, webhooks } = buildEvents({ store, clock, policies: new Policies(), tenants: new Tenants() });
    const secrets = new SecretService({
      store,
      clock,
      events,
      retentionMs: 30 * dayMs,
      cas: false,
      onVersion: () => undefined,
      filterMetadata: (members) => members,
    });
    buildSchedule({ store, clock, events, webhooks, secrets });
    secrets.write(owner, "a", parseWrite('{"data":{},"options":{"expires_in":"40d"}}'), origin);
    secrets.remove(owner, "a", false, origin);
    secrets.restore(owner, "a", origin);
    await clock.advance(41 * dayMs);
    expect(secrets.describe(owner, "a").version).toBe(1);
    const types = store.events.listEvents(owner, { limit: 100 }).map(({ type }) => type);
    expect(types.slice(3)).toEqual(["secret.expiring", "secret.expiring", "secret.expiring", "secret.expired"]);
  });
});
