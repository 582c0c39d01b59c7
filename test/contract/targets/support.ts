import { createHmac, timingSafeEqual } from "node:crypto";
import { SyncError } from "../../../src/errors/index.ts";
import { type Mark, type MarkReading, type SecretPayload, SecretValue } from "../../../src/model/index.ts";
import type { MarkSeal, ScaiVaultCodec } from "../../../src/targets/index.ts";

/** Stands in every value that the suites write, so that any text can be searched for it. */
export const CANARY = "canary-4b1d2f";

const fields = [
  ["owner", "owner"],
  ["source", "source"],
  ["version", "version"],
  ["target-version", "targetVersion"],
  ["authority", "authority"],
  ["policy", "policy"],
  ["fingerprint", "fingerprint"],
] as const;

/** A seal with a key of its own: enough to tell valid marks from others. */
export function testSeal(key = "test-key"): MarkSeal {
  const proof = (target: string, texts: readonly string[]): string =>
    createHmac("sha256", key)
      .update([target, ...texts].join("\0"))
      .digest("base64url");
  return {
    seal: (target, mark) => {
      const texts = fields.map(([, name]) => mark[name]);
      return new Map([...fields.map(([name], i) => [name, texts[i] ?? ""] as const), ["proof", proof(target, texts)]]);
    },
    read: (target, found): MarkReading => {
      if (found.size === 0) return { state: "None" };
      const texts = fields.map(([name]) => found.get(name) ?? "");
      const wanted = Buffer.from(proof(target, texts));
      const given = Buffer.from(found.get("proof") ?? "");
      if (wanted.length !== given.length || !timingSafeEqual(wanted, given)) return { state: "Unverified" };
      const mark = Object.fromEntries(fields.map(([, name], i) => [name, texts[i] ?? ""])) as unknown as Mark;
      return { state: "Valid", mark };
    },
  };
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

/** A payload of form Object with this JSON text. */
export function objectPayload(text: string): SecretPayload {
  const entries = Object.entries(JSON.parse(text) as Record<string, unknown>);
  const keys = new Map(
    entries.map(([key, value]) => [
      key,
      SecretValue.fromText(typeof value === "string" ? value : JSON.stringify(value)),
    ]),
  );
  return { form: "Object", raw: SecretValue.fromText(text), keys };
}

export const testCodec: ScaiVaultCodec = {
  data: (payload) => payload.raw,
  canonical: (data) => {
    const entries = Object.entries(JSON.parse(data.text() ?? "") as Record<string, unknown>);
    return SecretValue.fromText(JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1))));
  },
  payload: (data) => objectPayload(data.text() ?? ""),
};

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
