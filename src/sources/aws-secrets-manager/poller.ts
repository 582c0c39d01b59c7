import { SyncError } from "../../errors/index.ts";
import type { PollDemand, PollResult, SourceFact } from "../../ports/index.ts";
import { forEachLimit } from "../concurrency.ts";
import { aborted, isStoreWide, throwIfAllTroubled, trouble } from "../limits.ts";
import { AsmFailure, type AsmSecret } from "./api.ts";
import { isDenied, secretError } from "./errors.ts";
import { isConsistent, Lister, type ListerOptions, type Listing } from "./listing.ts";
import { checkName, coveringPrefixes } from "./names.ts";
import { OlderVersions } from "./older.ts";

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

/** One poll: what is asked, and what has been found out so far. */
interface Poll {
  readonly names: readonly string[];
  /** Prefixes of whole segments; the empty one is the whole account. */
  readonly trees: readonly string[];
  readonly fresh: boolean;
  readonly facts: Map<string, SourceFact>;
  readonly failures: Map<string, SyncError>;
  readonly subtrees: Map<string, readonly string[] | SyncError>;
  readonly notes: Set<string>;
  readonly signal: AbortSignal;
}

export type AsmPollerOptions = ListerOptions;

/**
 * Finds out versions without reading values: by ListSecrets (100 a call) where many are wanted, by DescribeSecret where
 * few are, where the list is denied, where the answer must be fresh, and for whatever the list lacks.
 */
export class AsmPoller {
  readonly #options: AsmPollerOptions;
  readonly #lister: Lister;
  readonly #older: OlderVersions;

  constructor(options: AsmPollerOptions) {
    this.#options = options;
    this.#lister = new Lister(options);
    this.#older = new OlderVersions(options.api, options.clock);
  }

  async poll(demand: PollDemand, signal: AbortSignal): Promise<PollResult> {
    if (signal.aborted) throw aborted("poll");
    const failures = new Map<string, SyncError>();
    const subtrees = new Map<string, readonly string[] | SyncError>();
    const poll: Poll = {
      names: valid(demand.paths, failures),
      trees: [
        ...(demand.subtrees.includes("") ? [""] : []),
        ...valid(
          demand.subtrees.filter((tree) => tree !== ""),
          subtrees,
        ),
      ],
      fresh: demand.fresh,
      facts: new Map(),
      failures,
      subtrees,
      notes: new Set(),
      signal,
    };
    const listed = await this.#byList(poll);
    const undescribed = await this.#byDescribe(poll);
    const instead = !listed && undescribed.length > 0 && (await this.#byListInstead(undescribed, poll));
    throwIfAllTroubled(poll.facts, [...failures.values(), ...subtrees.values()]);
    if (demand.known !== undefined && !(await this.#older.add(demand.known, poll.facts, signal)))
      poll.notes.add(notes.versionsDenied);
    const { facts } = poll;
    return {
      method: listed || instead ? "List" : "Describe",
      facts,
      failures,
      subtrees,
      notes: [...poll.notes].sort(),
    };
  }

  /** Takes from a list what it has, for subtrees and, where that is cheaper, for single names. @returns whether it served all */
  async #byList(poll: Poll): Promise<boolean> {
    const { names, trees, fresh } = poll;
    const many = names.length > FEW;
    if (this.#lister.denied && !fresh) {
      this.#noteDenied(poll);
      return false;
    }
    const both = coveringPrefixes(names, trees);
    const namesToo = many && !fresh && this.#lister.worthwhile(both, names.length);
    if (!namesToo && trees.length === 0) return false;
    const prefixes = namesToo ? both : coveringPrefixes([], trees);
    const listing = await this.#lister.list(prefixes, trees.length === 0 ? names.length : undefined, poll.signal);
    if (listing === "Denied") this.#noteDenied(poll);
    if (listing === "Denied" || listing === "TooLong") return false;
    poll.notes.add(notes.lag);
    for (const tree of trees) this.#takeTree(tree, listing, poll);
    if (namesToo) takeNames(names, listing, poll);
    return namesToo || names.length === 0;
  }

  #noteDenied(poll: Poll): void {
    if (poll.names.length > FEW) poll.notes.add(notes.listDenied);
    for (const tree of poll.trees) poll.subtrees.set(tree, listDenied());
  }

  /** Without the right to describe, a list that may lag is better than nothing. @returns whether it told anything */
  async #byListInstead(names: readonly string[], poll: Poll): Promise<boolean> {
    if (this.#lister.denied) return false;
    const listing = await this.#lister.list(coveringPrefixes(names, []), undefined, poll.signal);
    if (listing === "Denied" || listing === "TooLong" || !takeNames(names, listing, poll)) return false;
    poll.notes.add(notes.lag);
    return true;
  }

  #takeTree(tree: string, listing: Exclude<Listing, string>, poll: Poll): void {
    const { maxItems } = this.#options.limits;
    const members: string[] = [];
    for (const entry of listing.values()) {
      if (tree !== "" && !entry.name.startsWith(`${tree}/`)) continue;
      take(entry, poll);
      if (poll.facts.get(entry.name)?.state === "Present") members.push(entry.name);
    }
    poll.subtrees.set(
      tree,
      members.length > maxItems
        ? new SyncError("TooManyMatches", `more than ${maxItems} secrets`, { action: "list secrets" })
        : members.sort(),
    );
  }

  /**
   * Asks for each name of which nothing is known yet; in a fresh poll also for what came from a list.
   * @returns the names whose description is denied
   */
  async #byDescribe(poll: Poll): Promise<readonly string[]> {
    const { facts, fresh } = poll;
    const undescribed: string[] = [];
    const ask = new Set(poll.names.filter((name) => fresh || !facts.has(name)));
    if (fresh && facts.size <= FRESH_MEMBERS) for (const name of facts.keys()) ask.add(name);
    const doubt = new Doubt(() => this.#probe(poll.signal));
    await forEachLimit(ask, PARALLEL, poll.signal, async (name, signal) => {
      if (!(await this.#describe(name, poll, signal))) undescribed.push(name);
      await doubt.answered(poll.failures.get(name));
    });
    return undescribed;
  }

  /** Whether the store answers at all. @throws SyncError of the whole store */
  async #probe(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.api.list({ prefixes: undefined, limit: 1 }, signal);
    } catch (error) {
      // A denial is an answer.
      if (error instanceof AsmFailure) return;
      if (error instanceof SyncError && error.code !== undefined) throwIfAllTroubled(new Map(), [error]);
      throw error;
    }
  }

  /** @returns false when it is denied and nothing is known from elsewhere */
  async #describe(name: string, poll: Poll, signal: AbortSignal): Promise<boolean> {
    const action = `describe ${name}`;
    let entry: AsmSecret;
    try {
      entry = await this.#options.api.describe(name, signal);
    } catch (error) {
      if (isStoreWide(error) && !(error instanceof AsmFailure)) throw error;
      if (error instanceof SyncError) {
        poll.failures.set(name, error);
        return true;
      }
      if (!(error instanceof AsmFailure)) throw error;
      if (error.code === "ResourceNotFoundException") {
        poll.facts.set(name, { state: "Gone", path: name, how: "NotFound" });
        return true;
      }
      // What a list has told of it still holds, as of the list.
      if (isDenied(error) && poll.facts.has(name)) return true;
      const known = secretError(error, action, "secretsmanager:DescribeSecret");
      poll.facts.delete(name);
      poll.failures.set(name, known);
      return !isDenied(error);
    }
    if (entry.name === name && isConsistent(entry, this.#options.region)) take(entry, poll);
    else {
      this.#options.onUnmatched(1);
      poll.failures.set(name, trouble(action, "AnotherSecret"));
    }
    return true;
  }
}

/**
 * In an outage every secret has trouble of its own. When the first ones all have, the store is asked something else, once: a
 * thousand calls would tell no more.
 */
class Doubt {
  readonly #probe: () => Promise<void>;
  #troubled = 0;
  #trusted = false;
  #asked: Promise<void> | undefined;

  constructor(probe: () => Promise<void>) {
    this.#probe = probe;
  }

  /** @throws SyncError of the whole store */
  async answered(failure: SyncError | undefined): Promise<void> {
    if (failure?.reason === "SourceUnavailable") this.#troubled += 1;
    else this.#trusted = true;
    if (this.#trusted || this.#troubled < PARALLEL) return;
    await (this.#asked ??= this.#probe());
    this.#trusted = true;
  }
}

/** @returns whether the listing has any of the names */
function takeNames(names: readonly string[], listing: Exclude<Listing, string>, poll: Poll): boolean {
  let any = false;
  for (const name of names) {
    const entry = listing.get(name);
    if (entry === undefined) continue;
    any = true;
    poll.failures.delete(name);
    take(entry, poll);
  }
  return any;
}

function take(entry: AsmSecret, poll: Poll): void {
  try {
    checkName(entry.name);
  } catch (error) {
    if (error instanceof SyncError) poll.failures.set(entry.name, error);
    return;
  }
  if (entry.owningService !== undefined || entry.name.startsWith("rds!")) poll.notes.add(notes.owned);
  poll.facts.set(entry.name, factOf(entry));
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

/** The good ones, each once; the others are noted as failures. */
function valid(paths: readonly string[], failures: Map<string, unknown>): string[] {
  const good = new Set<string>();
  for (const path of paths) {
    try {
      good.add(checkName(path));
    } catch (error) {
      failures.set(path, error);
    }
  }
  return [...good];
}

function listDenied(): SyncError {
  const right = "secretsmanager:ListSecrets";
  return new SyncError("AccessDenied", `AWS denies ${right}`, {
    action: "list secrets",
    right,
    code: "AccessDeniedException",
  });
}
