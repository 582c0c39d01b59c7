/** Texts to add to a store's policy when a right is missing. */

const WHOLE_ACCOUNT = new Set(["ListSecrets", "BatchGetSecretValue"]);

/**
 * One statement of an IAM policy for an action on one secret.
 * @param right such as `secretsmanager:GetSecretValue`, or `kms:Decrypt`
 * @param name of the secret; undefined for actions that take no resource
 */
export function awsStatement(right: string, region: string, name: string | undefined): string {
  const partition = region.startsWith("cn-") ? "aws-cn" : "aws";
  const [service = "", action = ""] = right.split(":");
  const account = "ACCOUNT_ID";
  const resource =
    service === "kms"
      ? `arn:${partition}:kms:${region}:${account}:key/KEY_ID`
      : WHOLE_ACCOUNT.has(action) || name === undefined
        ? "*"
        : `arn:${partition}:secretsmanager:${region}:${account}:secret:${name}-??????`;
  return JSON.stringify({ Effect: "Allow", Action: [right], Resource: [resource] }, null, 2);
}

/** The rule of a Vault policy for a right such as `read on kv/data/app`; undefined when it is not of that form. */
export function vaultRule(right: string): string | undefined {
  const parsed = /^(read|list) on (\S+)$/.exec(right);
  if (parsed === null) return undefined;
  const [, capability = "", path = ""] = parsed;
  return `path "${path}" {\n  capabilities = ["${capability}"]\n}`;
}

/** The rule of a ScaiVault policy for what a namespace's objects write. */
export function scaivaultRule(pattern: string, role: "writer" | "reader"): string {
  const permissions = role === "reader" ? ["read", "list"] : ["read", "write", "delete", "list"];
  return JSON.stringify({ path_pattern: pattern, permissions }, null, 2);
}
