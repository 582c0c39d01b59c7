import type { Check } from "../check.ts";
import { auditChecks } from "./audit.ts";
import { authChecks } from "./auth.ts";
import { batchChecks } from "./batch.ts";
import { federationChecks } from "./federation.ts";
import { grammarChecks } from "./grammar.ts";
import { lifecycleChecks } from "./lifecycle.ts";
import { protocolChecks } from "./protocol.ts";
import { rotationChecks } from "./rotation.ts";
import { secretChecks } from "./secrets.ts";
import { subscriptionChecks } from "./subscriptions.ts";
import { webhookChecks } from "./webhooks.ts";

/** All checks, in the order they run. */
export const checks: readonly Check[] = [
  ...protocolChecks,
  ...authChecks,
  ...secretChecks,
  ...grammarChecks,
  ...lifecycleChecks,
  ...batchChecks,
  ...federationChecks,
  ...subscriptionChecks,
  ...webhookChecks,
  ...rotationChecks,
  ...auditChecks,
];
