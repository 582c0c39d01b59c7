import { SyncError } from "../../errors/index.ts";

/**
 * Checks an ASM secret name: 1 to 512 of `A-Z a-z 0-9 / _ + = . @ -` (CreateSecret), and `!` for secrets that other AWS
 * services made (`rds!...`; not first, where it negates a filter). A leading slash is part of the
 * name: `/prod/x` and `prod/x` differ. Empty, `.` and `..` segments are legal in AWS but refused here, since paths are
 * compared with globs segment by segment.
 *
 * @throws SyncError InvalidPath
 */
export function checkName(name: string): string {
  const segments = (name.startsWith("/") ? name.slice(1) : name).split("/");
  const bad = segments.some((segment) => segment === "" || segment === "." || segment === "..");
  if (bad || !/^[\w/+=.@-][\w/+=.@!-]{0,511}$/.test(name))
    throw new SyncError(
      "InvalidPath",
      "a secret name has letters, digits and / _ + = . @ - and no empty, . or .. segment",
    );
  return name;
}

/** What an ARN of a secret says. */
export interface SecretARN {
  readonly region: string;
  readonly account: string;
  readonly name: string;
}

/** Reads `arn:aws:secretsmanager:<region>:<account>:secret:<name>-<six characters>`; undefined when it is none. */
export function parseSecretARN(arn: string): SecretARN | undefined {
  const parts = arn.split(":");
  const [prefix, partition, service, region, account, kind, rest] = parts;
  if (parts.length !== 7 || prefix !== "arn" || service !== "secretsmanager" || kind !== "secret") return undefined;
  if (partition === undefined || region === undefined || account === undefined || rest === undefined) return undefined;
  const dash = rest.length - 7;
  if (dash < 1 || rest[dash] !== "-" || !/^[a-z0-9]{6}$/i.test(rest.slice(dash + 1))) return undefined;
  return { region, account, name: rest.slice(0, dash) };
}

/**
 * Turns a complete ARN into a name, before any right is checked. The SDK would sign a call for its own region whatever
 * the ARN says, so an ARN of another region is refused.
 *
 * @throws SyncError InvalidPath
 */
export function nameOfARN(arn: string, region: string): string {
  const parsed = parseSecretARN(arn);
  if (parsed === undefined)
    throw new SyncError("InvalidPath", "the ARN is not a complete one of a secret; use the secret's name");
  if (parsed.region !== region)
    throw new SyncError("InvalidPath", `the ARN names region ${parsed.region}, the backend ${region}`);
  return checkName(parsed.name);
}

const MAX_FILTER_VALUES = 10;

/**
 * Name prefixes for ListSecrets that cover all names and subtrees, at most ten (the API's limit); undefined when only
 * the whole account does.
 */
export function coveringPrefixes(names: readonly string[], subtrees: readonly string[]): string[] | undefined {
  const groups = new Map<string, string>();
  for (const text of [...names, ...subtrees.map((subtree) => (subtree === "" ? "" : `${subtree}/`))]) {
    const slash = text.indexOf("/", 1);
    const key = slash === -1 ? "" : text.slice(0, slash + 1);
    const known = groups.get(key);
    groups.set(key, known === undefined ? text : commonPrefix(known, text));
  }
  const prefixes = [...groups.values()];
  if (prefixes.length === 0 || prefixes.length > MAX_FILTER_VALUES || prefixes.includes("")) return undefined;
  // One that begins with another is covered by it.
  return prefixes.filter((one) => !prefixes.some((other) => other !== one && one.startsWith(other))).sort();
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}
