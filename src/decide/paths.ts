import { patterns } from "../api/index.ts";
import { cleanText, SyncError } from "../errors/index.ts";

const CONTROL = /\p{Cc}/u;
const ASM_NAME = /^[\w/+=.@-]{1,512}$/;
const MAX_PATH = 512;
const SCAIVAULT_PATH = new RegExp(patterns.scaivaultPath, "u");
const DNS_SUBDOMAIN = new RegExp(patterns.dnsSubdomain, "u");
const MAX_SECRET_NAME = 253;

/** Last segments and whole paths that name ScaiVault's own endpoints (API facts 3.1). */
const RESERVED_LAST: ReadonlySet<string> = new Set(["metadata", "versions", "rotate"]);
const RESERVED_WHOLE: ReadonlySet<string> = new Set(["batch", "expiring"]);

function invalid(message: string): SyncError {
  return new SyncError("InvalidPath", message);
}

/**
 * The logical path of a source secret, checked before any right is: an ASM name, or Vault mount and key without `data/`.
 * A complete ARN becomes its name.
 * @param options.region the backend's region; an ARN of another one is refused
 * @throws SyncError InvalidPath
 */
export function sourcePath(
  type: "aws-secrets-manager" | "hashicorp-vault",
  text: string,
  options: { readonly region?: string } = {},
): string {
  const path = type === "aws-secrets-manager" && text.startsWith("arn:") ? nameOfARN(text, options.region) : text;
  checkSegments(path, type === "aws-secrets-manager");
  if (type === "aws-secrets-manager" && !ASM_NAME.test(path))
    throw invalid("an ASM name has 1 to 512 of letters, digits and / _ + = . @ -");
  return path;
}

/** Segments are refused as they stand and as they would be after decoding (R16). */
function checkSegments(path: string, slashAtStart: boolean): void {
  if (path.length === 0 || path.length > MAX_PATH) throw invalid(`a path has 1 to ${MAX_PATH} characters`);
  if (CONTROL.test(path) || path.includes("%") || path.includes("\\") || !path.isWellFormed())
    throw invalid("a path has no %, no backslash and no control characters");
  const segments = (slashAtStart && path.startsWith("/") ? path.slice(1) : path).split("/");
  if (segments.some((segment) => segment === "" || segment === "." || segment === ".."))
    throw invalid("a path has no empty, . or .. segments");
}

/** `arn:aws:secretsmanager:<region>:<account>:secret:<name>-<six characters>` to the name. */
function nameOfARN(arn: string, region: string | undefined): string {
  const parts = arn.split(":");
  const [, , service, itsRegion, , kind, rest = ""] = parts;
  const suffix = /-[A-Z\d]{6}$/i.test(rest);
  if (parts.length !== 7 || service !== "secretsmanager" || kind !== "secret" || !suffix || rest.length < 8)
    throw invalid("the ARN is not a complete one of a secret (with its six last characters); use the secret's name");
  if (region !== undefined && itsRegion !== region)
    throw invalid(`the ARN names region ${cleanText(itsRegion ?? "", 32)}, the backend ${region}`);
  return rest.slice(0, -7);
}

/**
 * Refuses what is no ScaiVault path: 1 to 10 levels of `a-z 0-9 - _`, at most 512 characters (API facts 5.1).
 * @throws SyncError InvalidPath
 */
export function checkScaiVaultPath(path: string): void {
  const shown = cleanText(path, 128);
  if (path.length > MAX_PATH || !SCAIVAULT_PATH.test(path))
    throw invalid(`${shown} is no ScaiVault path: at most 10 levels of a-z, 0-9, - and _`);
  const last = path.slice(path.lastIndexOf("/") + 1);
  if (RESERVED_WHOLE.has(path) || RESERVED_LAST.has(last))
    throw invalid(`${shown} is a name that ScaiVault keeps for itself; choose another last segment`);
}

/** The part of `path` below a subtree `prefix/**`; undefined when it is not below it. */
export function belowSubtree(subtree: string, path: string): string | undefined {
  const prefix = subtree.endsWith("/**") ? subtree.slice(0, -2) : `${subtree}/`;
  return path.startsWith(prefix) && path.length > prefix.length ? path.slice(prefix.length) : undefined;
}

/**
 * Maps a path below `from` (`prod/billing/**`) to the same place below `to`.
 * @throws SyncError InvalidPath when it is not below `from`
 */
export function mapSubtree(from: string, to: string, path: string): string {
  const below = belowSubtree(from, path);
  if (below === undefined) throw invalid(`${cleanText(path, 128)} is not below ${from}`);
  return to.endsWith("/**") ? `${to.slice(0, -2)}${below}` : `${to}/${below}`;
}

/**
 * Name of the Secret for a path below a subtree: `{path}` is the path with `/` as `-`, `{name}` its last segment.
 * @throws SyncError InvalidPath when the name is no DNS-1123 subdomain
 */
export function secretNameOf(template: string, below: string): string {
  const last = below.slice(below.lastIndexOf("/") + 1);
  const name = template.replaceAll("{path}", () => below.replaceAll("/", "-")).replaceAll("{name}", () => last);
  if (name.length > MAX_SECRET_NAME || !DNS_SUBDOMAIN.test(name))
    throw invalid(
      `${cleanText(name, 128)} is no name of a Secret: a-z, 0-9, - and ., at most 253, a letter or digit at both ends`,
    );
  return name;
}

/** A path of a subtree with the names that its targets have. */
export interface MappedPath {
  readonly path: string;
  readonly scaivaultPath: string | undefined;
  readonly secretName: string | undefined;
}

export interface SubtreeMapping {
  readonly mapped: readonly MappedPath[];
  readonly problems: readonly { readonly path: string; readonly error: SyncError }[];
}

/**
 * Names all targets of a subtree. Names that cannot be are problems of their path; two paths with one name are problems
 * of both and neither is mapped, so that the outcome does not depend on their order.
 */
export function mapAll(
  paths: readonly string[],
  mapping: { readonly from: string; readonly scaivault?: string; readonly nameTemplate?: string },
): SubtreeMapping {
  const mapped: MappedPath[] = [];
  const problems: { path: string; error: SyncError }[] = [];
  for (const path of [...new Set(paths)].sort()) {
    try {
      mapped.push(mapOne(path, mapping));
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      problems.push({ path, error });
    }
  }
  const colliding = new Map<string, MappedPath[]>();
  for (const one of mapped) {
    for (const name of targetNames(one)) colliding.set(name, [...(colliding.get(name) ?? []), one]);
  }
  const refused = new Set<MappedPath>();
  for (const [name, group] of colliding) {
    if (group.length < 2) continue;
    const names = group.map(({ path }) => path);
    const message = `${cleanText(names.slice(0, 3).join(" and "), 180)} would all be ${name.slice(name.indexOf(" ") + 1)}`;
    for (const one of group) {
      if (!refused.has(one)) problems.push({ path: one.path, error: new SyncError("NameCollision", message) });
      refused.add(one);
    }
  }
  problems.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { mapped: mapped.filter((one) => !refused.has(one)), problems };
}

function mapOne(path: string, mapping: Parameters<typeof mapAll>[1]): MappedPath {
  const below = belowSubtree(mapping.from, path);
  if (below === undefined) throw invalid(`${cleanText(path, 128)} is not below ${mapping.from}`);
  const scaivaultPath = mapping.scaivault === undefined ? undefined : mapSubtree(mapping.from, mapping.scaivault, path);
  if (scaivaultPath !== undefined) checkScaiVaultPath(scaivaultPath);
  const secretName = mapping.nameTemplate === undefined ? undefined : secretNameOf(mapping.nameTemplate, below);
  return { path, scaivaultPath, secretName };
}

function targetNames({ scaivaultPath, secretName }: MappedPath): string[] {
  return [
    ...(scaivaultPath === undefined ? [] : [`v the ScaiVault path ${scaivaultPath}`]),
    ...(secretName === undefined ? [] : [`s the Secret ${secretName}`]),
  ];
}
