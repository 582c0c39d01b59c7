import { isAllowedSecretType, patterns } from "../../api/index.ts";
import { SyncError } from "../../errors/index.ts";
import { SecretValue } from "../../model/index.ts";
import type { RenderedContent } from "../../ports/target.ts";
import type { KubeObject } from "../../runtime/index.ts";

/** Most bytes of all values of a Secret together (core/v1 MaxSecretSize). */
const MAX_SECRET_BYTES = 1024 * 1024;
const SECRET_KEY = new RegExp(patterns.secretKey, "u");

/** A Secret as the API answers it when it is asked for with data. */
export interface SecretObject extends KubeObject {
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
}

/** Refuses what the API server would refuse, before it is sent. */
export function checkContent(content: RenderedContent, action: string): void {
  if (!isAllowedSecretType(content.type)) {
    throw new SyncError("TypeNotAllowed", `Secrets of type ${content.type} are not written`, { action });
  }
  let size = 0;
  for (const [key, value] of content.keys) {
    if (key.length > 253 || key === "." || key.startsWith("..") || !SECRET_KEY.test(key)) {
      throw new SyncError("InvalidKey", `${key} is no valid key of a Secret`, { action });
    }
    size += value.length;
  }
  if (size > MAX_SECRET_BYTES) {
    throw new SyncError("ValueTooLarge", "the Secret would be larger than 1 MiB", { action });
  }
}

/** `data` as the API takes it. */
export function encodeData(content: RenderedContent): Record<string, string> {
  return Object.fromEntries([...content.keys].map(([key, value]) => [key, value.bytes().toString("base64")]));
}

/**
 * The content of a Secret that was read. Values of keys that are not wanted are dropped here; their names stay, with an
 * empty value.
 */
export function decodeSecret(secret: SecretObject, wanted: ReadonlySet<string> | undefined): RenderedContent {
  const keys = new Map<string, SecretValue>();
  for (const [key, text] of Object.entries(secret.data ?? {})) {
    const take = wanted === undefined || wanted.has(key);
    keys.set(key, SecretValue.fromBytes(take ? Buffer.from(text, "base64") : Buffer.alloc(0)));
  }
  return {
    keys,
    payload: { form: "Object", raw: SecretValue.fromText(""), keys },
    type: secret.type ?? "Opaque",
  };
}

/** Names of keys that are not equal on both sides, in a time that does not depend on the bytes. */
export function differingKeys(a: RenderedContent, b: RenderedContent): readonly string[] {
  const names = new Set([...a.keys.keys(), ...b.keys.keys()]);
  return [...names].sort().filter((name) => {
    const left = a.keys.get(name);
    const right = b.keys.get(name);
    return left === undefined || right === undefined || !left.equals(right);
  });
}
