import type { Clock } from "../../src/time/clock.ts";
import type { EventHub } from "../events/hub.ts";
import { SecretPolicies } from "../generate/service.ts";
import { Expiry } from "../secrets/expiry.ts";
import type { SecretService } from "../secrets/service.ts";
import type { Store } from "../store/store.ts";
import type { WebhookService } from "../webhooks/service.ts";
import { RotationHistory } from "./history.ts";
import { RotationPolicies } from "./policies.ts";
import { RotationService } from "./service.ts";

/** What happens to secrets by the clock. */
export interface ScheduleParts {
  readonly expiry: Expiry;
  readonly rotation: RotationService;
  readonly rotationPolicies: RotationPolicies;
  readonly rotationHistory: RotationHistory;
  readonly secretPolicies: SecretPolicies;
}

/** Puts rotation and expiry together and gives both their part in writes and deletions. */
export function buildSchedule(from: {
  readonly store: Store;
  readonly clock: Clock;
  readonly events: EventHub;
  readonly webhooks: WebhookService;
  readonly secrets: SecretService;
}): ScheduleParts {
  const { store, clock, secrets } = from;
  const rotationPolicies = new RotationPolicies(store, clock);
  const rotationHistory = new RotationHistory(store);
  const secretPolicies = new SecretPolicies(store, clock);
  const sweep = secrets.sweep.bind(secrets);
  const expiry = new Expiry({ store, clock, events: from.events, sweep });
  const rotation = new RotationService({
    ...from,
    policies: rotationPolicies,
    secretPolicies,
    history: rotationHistory,
  });
  secrets.watch(rotation);
  secrets.watch(expiry);
  return { expiry, rotation, rotationPolicies, rotationHistory, secretPolicies };
}
