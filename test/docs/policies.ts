/** The policies of docs/rights.md in the forms that the stores of tests take, and each of them without one of its rights. */
import type { Statement } from "../../local/asm-proxy.ts";

interface IamStatement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
}

/** An IAM policy as written. */
export interface IamPolicy {
  readonly Version: string;
  readonly Statement: readonly IamStatement[];
}

const listOf = (one: string | readonly string[]): readonly string[] => (typeof one === "string" ? [one] : one);

/** Names of secrets that a resource means; `undefined`: everything, operations without a resource included. */
function namesOf(resources: readonly string[]): readonly string[] | undefined {
  if (resources.includes("*")) return undefined;
  return resources.map((arn) => {
    const name = /^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:(.+)$/.exec(arn)?.[1];
    if (name === undefined) throw new Error(`${arn} is no ARN of secrets`);
    return name;
  });
}

/** What the emulator enforces for a policy. @throws for elements that it does not know */
export function statementsOf(policy: IamPolicy): Statement[] {
  return policy.Statement.map((statement) => {
    const unknown = Object.keys(statement).filter((key) => !["Sid", "Effect", "Action", "Resource"].includes(key));
    if (unknown.length > 0) throw new Error(`the emulator does not know ${unknown.join(", ")}`);
    if (statement.Effect !== "Allow" && statement.Effect !== "Deny") throw new Error(`Effect: ${statement.Effect}`);
    const names = namesOf(listOf(statement.Resource));
    return { effect: statement.Effect, actions: listOf(statement.Action), ...(names === undefined ? {} : { names }) };
  });
}

/** Actions of a policy without their prefix. */
export const actionsOf = (policy: IamPolicy): string[] =>
  policy.Statement.flatMap(({ Action }) => listOf(Action)).map((action) => action.replace("secretsmanager:", ""));

/** The policy without one action. */
export function withoutAction(policy: IamPolicy, action: string): IamPolicy {
  const left = policy.Statement.map((statement) => ({
    ...statement,
    Action: listOf(statement.Action).filter((one) => one !== `secretsmanager:${action}`),
  }));
  return { ...policy, Statement: left.filter(({ Action }) => Action.length > 0) };
}

/** A rule of a Vault policy. */
export interface VaultRule {
  readonly path: string;
  readonly capabilities: readonly string[];
}

/** The rules of a Vault policy in the short form that the page uses. @throws for anything else */
export function vaultRules(hcl: string): VaultRule[] {
  return hcl
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, path, list] = /^path "([^"]+)"\s*\{ capabilities = \[([^\]]*)\] \}$/.exec(line.trim()) ?? [];
      if (path === undefined || list === undefined) throw new Error(`not understood: ${line}`);
      return { path, capabilities: list.split(",").map((one) => one.trim().replaceAll('"', "")) };
    });
}

/** The rules as Vault takes them; rules without capabilities are left out. */
export const vaultHcl = (rules: readonly VaultRule[]): string =>
  rules
    .filter(({ capabilities }) => capabilities.length > 0)
    .map(({ path, capabilities }) => `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }`)
    .join("\n");

/** The rules without one capability of those whose path begins so. */
export function withoutCapability(rules: readonly VaultRule[], prefix: string, capability: string): VaultRule[] {
  return rules.map((rule) =>
    rule.path.startsWith(prefix)
      ? { ...rule, capabilities: rule.capabilities.filter((one) => one !== capability) }
      : rule,
  );
}
