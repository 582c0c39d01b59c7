import type { Check } from "../check.ts";
import { batchChecks } from "./batch.ts";
import { protocolChecks } from "./protocol.ts";
import { secretChecks } from "./secrets.ts";

/** All checks, in the order they run. */
export const checks: readonly Check[] = [...protocolChecks, ...secretChecks, ...batchChecks];
