import { createPrivateKey, X509Certificate } from "node:crypto";
import { SyncError } from "../errors/index.ts";
import { parseJSON, type SecretValue } from "../model/index.ts";

type Keys = ReadonlyMap<string, SecretValue>;

/** What the API server and the users of a Secret type rely on. Types of other domains have no rules. */
const rules: Readonly<Record<string, (keys: Keys) => void>> = {
  "kubernetes.io/tls": (keys) => {
    const certificate = needed(keys, "kubernetes.io/tls", "tls.crt");
    checkPair(certificate, needed(keys, "kubernetes.io/tls", "tls.key"));
  },
  "kubernetes.io/dockerconfigjson": (keys) =>
    checkJSONObject(needed(keys, "kubernetes.io/dockerconfigjson", ".dockerconfigjson"), ".dockerconfigjson"),
  "kubernetes.io/dockercfg": (keys) =>
    checkJSONObject(needed(keys, "kubernetes.io/dockercfg", ".dockercfg"), ".dockercfg"),
  "kubernetes.io/basic-auth": (keys) => {
    if (!keys.has("username") && !keys.has("password"))
      throw new SyncError("MissingKey", "type kubernetes.io/basic-auth needs the key username or password");
  },
  "kubernetes.io/ssh-auth": (keys) => void needed(keys, "kubernetes.io/ssh-auth", "ssh-privatekey"),
};

/** @throws SyncError MissingKey, InvalidTLSPair, NotJSON */
export function checkTypeKeys(type: string, keys: Keys): void {
  if (Object.hasOwn(rules, type)) rules[type]?.(keys);
}

function needed(keys: Keys, type: string, key: string): SecretValue {
  const value = keys.get(key);
  if (value === undefined || value.length === 0) throw new SyncError("MissingKey", `type ${type} needs the key ${key}`);
  return value;
}

function checkJSONObject(value: SecretValue, key: string): void {
  const text = value.text();
  try {
    if (text !== undefined && parseJSON(text).kind === "object") return;
  } catch {
    // The parser's own error says no more than the one below.
  }
  throw new SyncError("NotJSON", `key ${key} has to hold a JSON object for this type`);
}

/** The first certificate must be the key's. Foreign error texts may quote what they could not parse and are dropped. */
function checkPair(certificate: SecretValue, key: SecretValue): void {
  let matches: boolean;
  try {
    matches = new X509Certificate(certificate.bytes()).checkPrivateKey(createPrivateKey(key.bytes()));
  } catch {
    throw new SyncError(
      "InvalidTLSPair",
      "tls.crt or tls.key cannot be read as PEM (keys with a passphrase cannot be used)",
    );
  }
  if (!matches) throw new SyncError("InvalidTLSPair", "tls.key does not belong to the first certificate of tls.crt");
}
