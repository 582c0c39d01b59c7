import { createKeyRing } from "../../../src/decide/keys.ts";
import { createMarkSeal } from "../../../src/decide/mark.ts";
import { SyncError } from "../../../src/errors/index.ts";
import type { Mark } from "../../../src/model/index.ts";
import type { MarkSeal } from "../../../src/targets/index.ts";

/** Stands in every value that the suites write, so that any text can be searched for it. */
export const CANARY = "canary-4b1d2f";

/** Seals marks with a key of the tests' own. */
export function testSeal(): MarkSeal {
  return createMarkSeal(createKeyRing([Buffer.alloc(32, 7)]));
}

export function someMark(version = "v1"): Mark {
  return {
    owner: "eu-1/billing/SecretSync/stripe",
    source: "billing/aws-prod:prod/billing/stripe",
    version,
    targetVersion: "filled in by the target",
    authority: "Source",
    policy: "Retain/Retain/s1",
    fingerprint: "f1",
  };
}

/** The SyncError that a promise ends with; fails when it does not, and when the error shows a value. */
export async function failure(promise: Promise<unknown>): Promise<SyncError> {
  const error: unknown = await promise.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (!(error instanceof SyncError)) throw new Error(`no SyncError but ${String(error)}`);
  const shown = JSON.stringify({ ...error, message: error.message, stack: error.stack });
  const forms = [CANARY, Buffer.from(CANARY).toString("base64").slice(0, 16), Buffer.from(CANARY).toString("hex")];
  for (const form of forms) if (shown.includes(form)) throw new Error(`the error shows a value: ${error.reason}`);
  return error;
}

/** A payload of form Object with this JSON text. */
export { payloadFromObjectText as objectPayload } from "../../../src/model/index.ts";
