import { SyncError } from "../../errors/index.ts";
import type { PollDemand, PollResult, SourceFact } from "../../ports/index.ts";
import type { Clock } from "../../time/clock.ts";
import { forEachLimit } from "../concurrency.ts";
import { aborted, DENIED_MS, isStoreWide, type PollLimits } from "../limits.ts";
import { AsmFailure, type AsmApi, type AsmSecret } from "./api.ts";
import { isDenied, secretError } from "./errors.ts";
import { checkName, coveringPrefixes, parseSecretARN } from "./names.ts";

export const CURRENT = "AWSCURRENT";

const PAGE = 100;
const PARALLEL = 10;
/** Below this many wanted names nothing is gained by listing. */
const FEW = 3;
/** Most members of a subtree that a fresh poll describes one by one. */
const FRESH_MEMBERS = 100;

export const notes = {
  lag: "ListSecrets may lag up to five minutes behind",
  listDenied: "secretsmanager:ListSecrets is denied: each secret is asked for by itself",
  versionsDenied: "secretsmanager:ListSecretVersionIds is denied: a version that went back is not detected",
  owned: "some of the secrets are owned by an AWS service, which rotates or removes them by itself",
} as const;

/** What a listing has brought. `complete` is false when it was given up because describing is cheaper. */
interface Listing {
  readonly complete: boolean;
  readonly secrets: ReadonlyMap<string, AsmSecret>;
}

/** One poll's results while they are gathered. */
interface Gathering {
  readonly facts: Map<string, SourceFact>;
  readonly failures: Map<string, SyncError>;
  readonly subtrees: Map<string, readonly string[] | SyncError>;
  readonly notes: Set<string>;
}

export interface AsmPollerOptions {
  readonly api: AsmApi;
  readonly clock: Clock;
  readonly region: string;
  readonly limits: PollLimits;
  /** Counts answers that nobody asked for. */
  readonly onUnmatched: (count: number) => void;
}

/**
 * Finds out versions without reading values: by ListSecrets (100 a call) where many are wanted, by DescribeSecret where
 * few are, where the list is denied, where the answer must be fresh, and for whatever the list lacks.
 */
export class AsmPoller {
  readonly #options: AsmPollerOptions;
  #listDeniedUntilMs = -1;
  #versionsDeniedUntilMs = -1;
  /** Pages that the last listing of these prefixes took; of one that was given up, those until then. */
  readonly #pages = new Map<string, { pages: number; untilMs: number }>();
  /** Versions older than a current one, asked once for each move. */
  readonly #older = new Map<string, { current: string; known: string; older: ReadonlySet<string> }>();

  constructor(options: AsmPollerOptions) {
    this.#options = options;
  }

  async poll(demand: PollDemand, signal: AbortSignal): Promise<PollResult> {
    if (signal.aborted) throw aborted("poll");
    const out: Gathering = { facts: new Map(), failures: new Map(), subtrees: new Map(), notes: new Set() };
    const names = valid(demand.paths, out.failures);
    const subtrees = demand.subtrees.filter((subtree) => {
      try {
        if (subtree !== "") checkName(subtree);
        return true;
      } catch (error) {
        if (error instanceof SyncError) out.subtrees.set(subtree, error);
        return false;
      }
    });
    let listed = await this.#byList(names, subtrees, demand.fresh, out, signal);
    const undescribed = await this.#byDescribe(demand, names, out, signal);
    if (undescribed.length > 0 && !listed) listed = await this.#byListInstead(undescribed, out, signal);
    if (demand.known !== undefined) await this.#findOlder(demand.known, out, signal);
    return {
      method: listed ? "List" : "Describe",
      facts: out.facts,
      failures: out.failures,
      subtrees: out.subtrees,
      notes: [...out.notes],
    };
  }

  /** Takes from a listing what it has. @returns whether names were looked for in it */
  async #byList(
    names: readonly string[],
    subtrees: readonly string[],
    fresh: boolean,
    out: Gathering,
    signal: AbortSignal,
  ): Promise<boolean> {
    const now = this.#options.clock.monotonic();
    const denied = now < this.#listDeniedUntilMs && !fresh;
    if (denied && names.length > FEW) out.notes.add(notes.listDenied);
    if (denied) for (const subtree of subtrees) out.subtrees.set(subtree, listDenied());
    const together = coveringPrefixes(names, subtrees);
    const namesToo = !fresh && names.length > FEW && this.#worthwhile(together, names.length, now);
    if (denied || (!namesToo && subtrees.length === 0)) return false;
    const prefixes = namesToo ? together : coveringPrefixes([], subtrees);
    let listing: Listing;
    try {
      listing = await this.#list(prefixes, subtrees.length === 0 ? names.length : undefined, signal);
    } catch (error) {
      if (!isDenied(error)) throw storeError(error);
      this.#listDeniedUntilMs = now + DENIED_MS;
      if (names.length > FEW) out.notes.add(notes.listDenied);
      for (const subtree of subtrees) out.subtrees.set(subtree, listDenied());
      return false;
    }
    this.#takeSubtrees(listing, subtrees, out);
    if (!listing.complete || (!namesToo && subtrees.length === 0)) return false;
    if (subtrees.length > 0 || namesToo) out.notes.add(notes.lag);
    if (!namesToo) return names.length === 0;
    for (const name of names) {
      const entry = listing.secrets.get(name);
      if (entry !== undefined) this.#take(entry, out);
    }
    return true;
  }

  /** Without the right to describe, a list that may lag is better than nothing. @returns whether it was used */
  async #byListInstead(names: readonly string[], out: Gathering, signal: AbortSignal): Promise<boolean> {
    if (this.#options.clock.monotonic() < this.#listDeniedUntilMs) return false;
    let listing: Listing;
    try {
      listing = await this.#list(coveringPrefixes(names, []), undefined, signal);
    } catch (error) {
      if (!isDenied(error)) throw storeError(error);
      this.#listDeniedUntilMs = this.#options.clock.monotonic() + DENIED_MS;
      return false;
    }
    let used = false;
    for (const name of names) {
      const entry = listing.secrets.get(name);
      if (entry === undefined) continue;
      used = true;
      out.failures.delete(name);
      this.#take(entry, out);
    }
    if (used) out.notes.add(notes.lag);
    return used;
  }

  /** Whether a listing is expected to need fewer calls than describing. Unknown counts as yes: a listing is given up in time. */
  #worthwhile(prefixes: readonly string[] | undefined, names: number, now: number): boolean {
    const last = this.#pages.get(prefixKey(prefixes));
    return last === undefined || now >= last.untilMs || last.pages < names;
  }

  /**
   * @param budget pages after which describing is cheaper; undefined: none, the list is needed
   */
  async #list(
    prefixes: readonly string[] | undefined,
    budget: number | undefined,
    signal: AbortSignal,
  ): Promise<Listing> {
    const secrets = new Map<string, AsmSecret>();
    const maxPages = Math.ceil(this.#options.limits.maxItems / PAGE) * 2;
    let token: string | undefined;
    let unmatched = 0;
    let pages = 0;
    for (;;) {
      const page = await this.#options.api.list({ prefixes, token, limit: PAGE }, signal);
      pages++;
      for (const entry of page.secrets) {
        if (!this.#belongs(entry, prefixes)) unmatched++;
        // A name may be there twice: one that is being deleted and its successor.
        else if (secrets.get(entry.name) === undefined || !entry.pendingDeletion) secrets.set(entry.name, entry);
      }
      if (page.next === undefined) break;
      if (page.next === token || pages >= maxPages)
        throw new SyncError("SourceUnavailable", "the list of secrets does not end", { action: "list secrets" });
      token = page.next;
      if (budget !== undefined && pages >= budget) {
        this.#remember(prefixes, budget + 1);
        return { complete: false, secrets };
      }
    }
    this.#options.onUnmatched(unmatched);
    this.#remember(prefixes, pages);
    return { complete: true, secrets };
  }

  #remember(prefixes: readonly string[] | undefined, pages: number): void {
    if (this.#pages.size > 64) this.#pages.clear();
    this.#pages.set(prefixKey(prefixes), { pages, untilMs: this.#options.clock.monotonic() + DENIED_MS });
  }

  /** An answer is taken only when its ARN says the same as its name, and the name is one that was asked for. */
  #belongs(entry: AsmSecret, prefixes: readonly string[] | undefined): boolean {
    const arn = parseSecretARN(entry.arn);
    if (arn?.name !== entry.name || arn.region !== this.#options.region) return false;
    return prefixes === undefined || prefixes.some((prefix) => entry.name.startsWith(prefix));
  }

  #takeSubtrees(listing: Listing, subtrees: readonly string[], out: Gathering): void {
    for (const subtree of subtrees) {
      const members: string[] = [];
      for (const entry of listing.secrets.values()) {
        if (subtree !== "" && !entry.name.startsWith(`${subtree}/`)) continue;
        this.#take(entry, out);
        if (out.facts.get(entry.name)?.state === "Present") members.push(entry.name);
      }
      out.subtrees.set(
        subtree,
        members.length > this.#options.limits.maxItems ? tooMany(this.#options.limits.maxItems) : members.sort(),
      );
    }
  }

  #take(entry: AsmSecret, out: Gathering): void {
    try {
      checkName(entry.name);
    } catch (error) {
      if (error instanceof SyncError) out.failures.set(entry.name, error);
      return;
    }
    if (entry.owningService !== undefined || entry.name.startsWith("rds!")) out.notes.add(notes.owned);
    out.facts.set(entry.name, factOf(entry));
  }

  /**
   * Asks for each name of which nothing is known yet; in a fresh poll also for what came from a list.
   * @returns the names whose description is denied
   */
  async #byDescribe(
    demand: PollDemand,
    names: readonly string[],
    out: Gathering,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const undescribed: string[] = [];
    const ask = new Set(names.filter((name) => demand.fresh || !out.facts.has(name)));
    if (demand.fresh && out.facts.size <= FRESH_MEMBERS) for (const name of out.facts.keys()) ask.add(name);
    await forEachLimit(ask, PARALLEL, signal, async (name, both) => {
      const action = `describe ${name}`;
      try {
        const entry = await this.#options.api.describe(name, both);
        if (entry.name === name && this.#belongs(entry, undefined)) this.#take(entry, out);
        else {
          this.#options.onUnmatched(1);
          out.failures.set(name, new SyncError("SourceUnavailable", "AWS answered for another secret", { action }));
        }
      } catch (error) {
        if (error instanceof AsmFailure && error.code === "ResourceNotFoundException") {
          out.facts.set(name, { state: "Gone", path: name, how: "NotFound" });
        } else {
          const known =
            error instanceof AsmFailure ? secretError(error, action, "secretsmanager:DescribeSecret") : error;
          if (isStoreWide(known)) throw known;
          // What a list has told of it still holds, as of the list.
          if (isDenied(error) && out.facts.has(name)) return;
          if (isDenied(error)) undescribed.push(name);
          out.facts.delete(name);
          out.failures.set(name, known as SyncError);
        }
      }
    });
    return undescribed;
  }

  /**
   * For secrets whose AWSCURRENT is not the version copied last: which versions are older than it. Asked once for each
   * move, since it costs a call.
   */
  async #findOlder(known: ReadonlyMap<string, string>, out: Gathering, signal: AbortSignal): Promise<void> {
    const moved: { path: string; current: string; known: string }[] = [];
    if (this.#older.size > 100_000) this.#older.clear();
    for (const [path, fact] of out.facts) {
      const copied = known.get(path);
      const current = fact.state === "Present" ? fact.stages.get(CURRENT) : undefined;
      if (copied === undefined || current === undefined || copied === current) this.#older.delete(path);
      else moved.push({ path, current, known: copied });
    }
    await forEachLimit(moved, PARALLEL, signal, async (move, both) => {
      const cached = this.#older.get(move.path);
      const older =
        cached?.current === move.current && cached.known === move.known
          ? cached.older
          : await this.#askOlder(move, out, both);
      const fact = out.facts.get(move.path);
      if (older === undefined || fact?.state !== "Present") return;
      this.#older.set(move.path, { current: move.current, known: move.known, older });
      out.facts.set(move.path, { ...fact, olderThanCurrent: older });
    });
  }

  async #askOlder(
    move: { path: string; current: string; known: string },
    out: Gathering,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string> | undefined> {
    if (this.#options.clock.monotonic() < this.#versionsDeniedUntilMs) {
      out.notes.add(notes.versionsDenied);
      return undefined;
    }
    try {
      return olderThan(await this.#options.api.versions(move.path, signal), move.current, move.known);
    } catch (error) {
      if (isDenied(error)) {
        this.#versionsDeniedUntilMs = this.#options.clock.monotonic() + DENIED_MS;
        out.notes.add(notes.versionsDenied);
        return undefined;
      }
      if (error instanceof AsmFailure) return undefined;
      throw error;
    }
  }
}

/**
 * Versions created before the current one. A copied version that is no longer listed counts as older: AWS removes only
 * old ones. One created in the same instant counts as older too.
 */
export function olderThan(
  created: ReadonlyMap<string, number>,
  current: string,
  known: string,
): ReadonlySet<string> | undefined {
  const at = created.get(current);
  if (at === undefined) return undefined;
  const older = new Set<string>();
  for (const [version, ms] of created) if (version !== current && ms <= at) older.add(version);
  if (!created.has(known)) older.add(known);
  return older;
}

function factOf(entry: AsmSecret): SourceFact {
  if (entry.pendingDeletion) return { state: "Gone", path: entry.name, how: "PendingDeletion" };
  return {
    state: "Present",
    path: entry.name,
    stages: entry.stages,
    // Versions without a stage can be read too, but are not listed here.
    versions: undefined,
    versionKind: "Id",
    tags: entry.tags,
    ...(entry.changedAtMs === undefined ? {} : { changedAtMs: entry.changedAtMs }),
    ...(entry.description === undefined ? {} : { description: entry.description }),
  };
}

function valid(paths: readonly string[], failures: Map<string, SyncError>): string[] {
  const good = new Set<string>();
  for (const path of paths) {
    try {
      good.add(checkName(path));
    } catch (error) {
      if (error instanceof SyncError) failures.set(path, error);
    }
  }
  return [...good];
}

/** A refused list says something of the store, whatever the code is. */
function storeError(error: unknown): unknown {
  if (!(error instanceof AsmFailure)) return error;
  return new SyncError("SourceUnavailable", "the store cannot be reached", {
    action: "list secrets",
    code: error.code,
    detail: error.code,
  });
}

function listDenied(): SyncError {
  const right = "secretsmanager:ListSecrets";
  return new SyncError("AccessDenied", `AWS denies ${right}`, {
    action: "list secrets",
    right,
    code: "AccessDeniedException",
  });
}

function tooMany(max: number): SyncError {
  return new SyncError("TooManyMatches", `more than ${max} secrets`, { action: "list secrets" });
}

function prefixKey(prefixes: readonly string[] | undefined): string {
  return prefixes === undefined ? "*" : prefixes.join("\n");
}
