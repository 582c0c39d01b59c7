/**
 * Judges what the operators did by what is true around them: each version that they made in ScaiVault, as the server keeps
 * them, and each write of a Secret as it happens. It asks no code of the operator what it meant.
 */
import type { Copy, MemoryTarget } from "../memory-operator.ts";
import type { ClusterName, SecretName, Stage } from "./stage.ts";
import { objectOf, SECRETS, secretKey, sourcePath, vaultPath } from "./stage.ts";

interface StoredVersion {
  readonly version: number;
  readonly data: string;
  readonly createdBy: string;
}
interface StoredPath {
  readonly record: {
    readonly path: string;
    readonly version: number;
    readonly metadata: string;
    readonly maxVersions: number;
    readonly recoverableUntil: number | null;
  };
  readonly versions: readonly StoredVersion[];
}

/** `s17` of `{"value":"s17"}`; empty for anything else. */
export const labelOf = (text: string | undefined): string => /[svk]\d+/.exec(text ?? "")?.[0] ?? "";
const rankOf = (label: string): number => Number(label.slice(1));
const sameSeries = (a: string, b: string): boolean => a !== "" && b !== "" && a[0] === b[0];

export class Judge {
  readonly violations: string[] = [];
  /** What happened at least once: a history in which nothing is written shows nothing. */
  readonly seen = new Set<string>();
  readonly #stage: Stage;
  readonly #identity: string;
  /** ScaiVault as it stood at the last look. */
  #before = new Map<string, StoredPath>();
  /** Versions that no restore took back, by path: they have to be there as long as there is room. */
  #known = new Map<string, Map<number, string>>();
  /** What each secret was in the old store since the last look. */
  readonly #current = new Map<SecretName, Set<string>>();
  /** What stood in ScaiVault since the last look. */
  readonly #shown = new Map<SecretName, Set<string>>();
  /** Highest value of the old store and of ScaiVault that a Secret has held. */
  readonly #held = new Map<string, Map<string, string>>();
  /** Objects that people approved something of since the last look, and values they approved with it. */
  readonly #approving = new Set<string>();
  readonly #approved = new Set<string>();

  constructor(parts: { readonly stage: Stage; readonly identity: string }) {
    this.#stage = parts.stage;
    this.#identity = parts.identity;
  }

  sourceChanged(secret: SecretName): void {
    this.#add(this.#current, secret, labelOf(this.#stage.current(secret)));
  }

  /** People approved what an object holds: older values may be written by it. */
  approves(cluster: ClusterName, object: string): void {
    this.#approving.add(`${cluster} ${object}`);
    for (const secret of SECRETS) {
      if (objectOf(secret) !== object) continue;
      for (const text of [this.#stage.current(secret), this.#stage.server.admin.peek(vaultPath(secret))?.data])
        this.#approved.add(`${secret} ${labelOf(text)}`);
    }
  }

  scaivaultRestored(): void {
    this.seen.add("ScaiVault restored");
    this.#before = this.#stored();
    this.#known = new Map();
    for (const [path, one] of this.#before) this.#take(path, one);
    this.#note();
  }

  clusterRestored(cluster: ClusterName): void {
    this.seen.add("cluster restored");
    for (const secret of SECRETS) {
      const held = new Map<string, string>();
      const label = labelOf(this.#stage.op(cluster).secrets.copies.get(secretKey(secret))?.keys.get("value"));
      if (label !== "") held.set(label.charAt(0), label);
      this.#held.set(`${cluster} ${secretKey(secret)}`, held);
    }
  }

  /** People deleted a Secret: what is made next has no past. */
  secretDeleted(cluster: ClusterName, secret: SecretName): void {
    this.#held.delete(`${cluster} ${secretKey(secret)}`);
  }

  /** Each write of an operator to a Secret of this cluster. */
  watch(cluster: ClusterName, target: MemoryTarget): void {
    const write = target.write.bind(target);
    target.write = async (ref, request) => {
      const key = target.key(ref);
      const before = target.copies.get(key);
      const owned = target.markOn(key) !== undefined;
      const untouched = target.markOn(key)?.targetVersion === String(before?.version);
      const result = await write(ref, request);
      this.#judgeSecret(cluster, key, { before, owned, untouched, after: target.copies.get(key) });
      return result;
    };
    target.onRemove = (key) => this.seen.add(`Secret removed ${key === "" ? "" : "by policy"}`);
  }

  /** Looks at everything that happened since the last look. */
  look(): void {
    const now = this.#stored();
    for (const [path, one] of now) this.#judgePath(path, one, this.#before.get(path));
    for (const path of this.#before.keys()) if (!now.has(path)) this.#known.delete(path);
    this.#judgeRequests();
    this.#before = now;
    this.#note();
    this.#approving.clear();
  }

  #note(): void {
    this.#current.clear();
    this.#shown.clear();
    for (const secret of SECRETS) {
      this.sourceChanged(secret);
      this.#add(this.#shown, secret, labelOf(this.#before.get(vaultPath(secret))?.versions.at(-1)?.data));
    }
  }

  #judgePath(path: string, now: StoredPath, before: StoredPath | undefined): void {
    const secret = SECRETS.find((one) => vaultPath(one) === path);
    const anew = before === undefined || before.versions.every(({ version, data }) => !same(now, version, data));
    if (anew) this.#known.delete(path);
    for (const [number, data] of this.#known.get(path) ?? []) {
      if (now.record.version - number < now.record.maxVersions && !same(now, number, data))
        this.#say(`version ${number} of ${path} is lost`);
    }
    if (before?.record.recoverableUntil === null && now.record.recoverableUntil !== null) this.seen.add("soft-deleted");
    const first = anew ? 0 : before.record.version;
    for (const made of now.versions.filter(({ version }) => version > first)) {
      const under = now.versions.find(({ version }) => version === made.version - 1);
      if (made.createdBy === this.#identity) this.#judgeVersion(path, secret, { made, under, now, before });
      if (secret !== undefined) this.#add(this.#shown, secret, labelOf(made.data));
    }
    this.#take(path, now);
  }

  #judgeVersion(
    path: string,
    secret: SecretName | undefined,
    seen: {
      readonly made: StoredVersion;
      readonly under: StoredVersion | undefined;
      readonly now: StoredPath;
      readonly before: StoredPath | undefined;
    },
  ): void {
    const { made, under, now, before } = seen;
    const label = labelOf(made.data);
    this.seen.add("ScaiVault written");
    if (secret === undefined) return this.#say(`${path} was written and is nobody's target`);
    // ScaiVault has no check-and-set: two clusters that both see nothing there both write, once.
    const raced = under?.version === 1 && under.createdBy === this.#identity;
    if (under !== undefined && !raced && canonical(under.data) === canonical(made.data))
      this.#say(`version ${made.version} of ${path} has the content of the one before (${label})`);
    if (this.#current.get(secret)?.has(label) !== true)
      this.#say(`${path} was written with ${label}, which ${sourcePath(secret)} did not show`);
    if (this.#approved.has(`${secret} ${label}`)) return;
    const newest = now.versions
      .filter(({ version, data }) => version < made.version && sameSeries(labelOf(data), label))
      .map(({ data }) => rankOf(labelOf(data)));
    if (newest.some((rank) => rank > rankOf(label))) this.#say(`${path} was rolled back to ${label}`);
    const authority = (JSON.parse(before?.record.metadata ?? "{}") as Record<string, unknown>)[
      "scaivault_operator_authority"
    ];
    if (before?.record.version === made.version - 1 && authority === "ScaiVault")
      this.#say(`${path} was written over although its mark says that ScaiVault is the authority`);
  }

  #judgeSecret(
    cluster: ClusterName,
    key: string,
    seen: {
      readonly before: Copy | undefined;
      readonly owned: boolean;
      readonly untouched: boolean;
      readonly after: Copy | undefined;
    },
  ): void {
    this.seen.add("Secret written");
    const { before, owned, untouched, after } = seen;
    const secret = SECRETS.find((one) => secretKey(one) === key);
    const where = `Secret ${key} of ${cluster}`;
    if (secret === undefined) {
      if (key !== "team/foreign") this.#say(`${where} was written and is nobody's target`);
      return;
    }
    if (before !== undefined && !owned) this.#say(`${where} was written over though it is not ours`);
    const label = labelOf(after?.keys.get("value"));
    if (untouched && before?.keys.get("value") === after?.keys.get("value"))
      this.#say(`${where} was written with what it held (${label})`);
    const now = labelOf(this.#stage.server.admin.peek(vaultPath(secret))?.data);
    if (this.#current.get(secret)?.has(label) !== true && this.#shown.get(secret)?.has(label) !== true && now !== label)
      this.#say(`${where} was written with ${label}, which neither side showed`);
    const held = this.#held.get(`${cluster} ${key}`) ?? new Map<string, string>();
    this.#held.set(`${cluster} ${key}`, held);
    const newest = held.get(label.charAt(0));
    const rolledBack = newest !== undefined && rankOf(newest) > rankOf(label);
    if (rolledBack && !this.#approved.has(`${secret} ${label}`))
      this.#say(`${where} was rolled back from ${newest} to ${label}`);
    if (label !== "") held.set(label.charAt(0), label);
  }

  /** Paths outside mapping and rights are not even named; nothing is deleted for good. */
  #judgeRequests(): void {
    for (const { identity, path, method } of this.#stage.server.admin.requests()) {
      if (identity !== this.#identity || !path.startsWith("/v1/secrets/") || path.startsWith("/v1/secrets/batch"))
        continue;
      const named = decodeURIComponent(path.slice("/v1/secrets/".length)).replace(/\/metadata$/, "");
      if (named.startsWith("env/") || method === "GET") continue;
      this.#say(`${method} ${named}: outside of mapping and rights`);
    }
    for (const { path } of this.#stage.server.admin.counters().paths)
      if (!path.startsWith("env/")) this.#say(`${path} was asked for: outside of mapping and rights`);
    this.#stage.server.admin.resetCounters();
    const admin = this.#stage.server.admin;
    for (const path of ["other/foreign", "env-other/a"])
      if (!(admin.peek(path)?.data.includes("untouched") ?? false)) this.#say(`${path} was touched`);
  }

  #take(path: string, { versions }: StoredPath): void {
    const known = this.#known.get(path) ?? new Map<number, string>();
    for (const { version, data } of versions) known.set(version, data);
    this.#known.set(path, known);
  }

  /** What the server holds, by path; a soft-deleted one too. */
  #stored(): Map<string, StoredPath> {
    const { content } = JSON.parse(this.#stage.server.admin.backup()) as { content: { secrets: StoredPath[] } };
    return new Map(content.secrets.map((one) => [one.record.path, one]));
  }

  #add(to: Map<SecretName, Set<string>>, secret: SecretName, label: string): void {
    const labels = to.get(secret) ?? new Set<string>();
    labels.add(label);
    to.set(secret, labels);
  }

  #say(what: string): void {
    this.violations.push(`${what} at ${this.#stage.clock.monotonic() / 60_000} min`);
  }
}

const canonical = (text: string): string => JSON.stringify(JSON.parse(text));
const same = ({ versions }: StoredPath, number: number, data: string): boolean =>
  versions.some((one) => one.version === number && one.data === data);
