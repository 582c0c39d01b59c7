import { SyncError } from "../../errors/index.ts";
import type { Clock } from "../../time/clock.ts";
import { DENIED_MS, type PollLimits } from "../limits.ts";
import { AsmFailure, type AsmApi, type AsmSecret } from "./api.ts";
import { isDenied } from "./errors.ts";
import { parseSecretARN } from "./names.ts";

const PAGE = 100;
const MAX_REMEMBERED = 64;

/** What a listing has brought by name; `Denied` without the right, `TooLong` when describing is cheaper. */
export type Listing = ReadonlyMap<string, AsmSecret> | "Denied" | "TooLong";

export interface ListerOptions {
  readonly api: AsmApi;
  readonly clock: Clock;
  readonly region: string;
  readonly limits: PollLimits;
  /** Counts answers that nobody asked for. */
  readonly onUnmatched: (count: number) => void;
}

/** Whether an answer's ARN says the same as its name, in this region. */
export function isConsistent(entry: { readonly name: string; readonly arn: string }, region: string): boolean {
  const arn = parseSecretARN(entry.arn);
  return arn?.name === entry.name && arn.region === region;
}

/** Lists by name prefixes; remembers for an hour what was denied and how long lists were. */
export class Lister {
  readonly #options: ListerOptions;
  #deniedUntilMs = -1;
  /** Pages that the last listing of these prefixes took; of one that was given up, those until then. */
  readonly #pages = new Map<string, { pages: number; untilMs: number }>();

  constructor(options: ListerOptions) {
    this.#options = options;
  }

  /** Whether the list was denied within the last hour. */
  get denied(): boolean {
    return this.#options.clock.monotonic() < this.#deniedUntilMs;
  }

  /** Whether a list is expected to need fewer calls than describing. Unknown counts as yes: a list is given up in time. */
  worthwhile(prefixes: readonly string[] | undefined, names: number): boolean {
    const last = this.#pages.get(keyOf(prefixes));
    return last === undefined || this.#options.clock.monotonic() >= last.untilMs || last.pages < names;
  }

  /**
   * @param budget pages after which describing is cheaper; undefined: none, the list is needed
   * @throws SyncError of the whole store
   */
  async list(
    prefixes: readonly string[] | undefined,
    budget: number | undefined,
    signal: AbortSignal,
  ): Promise<Listing> {
    try {
      return await this.#pagesOf(prefixes, budget, signal);
    } catch (error) {
      if (!(error instanceof AsmFailure)) throw error;
      if (!isDenied(error))
        throw new SyncError("SourceUnavailable", "the store cannot be reached", {
          action: "list secrets",
          detail: error.code,
        });
      this.#deniedUntilMs = this.#options.clock.monotonic() + DENIED_MS;
      return "Denied";
    }
  }

  async #pagesOf(
    prefixes: readonly string[] | undefined,
    budget: number | undefined,
    signal: AbortSignal,
  ): Promise<Listing> {
    const { api, limits, region, onUnmatched } = this.#options;
    const secrets = new Map<string, AsmSecret>();
    const maxPages = Math.ceil(limits.maxItems / PAGE) * 2;
    let token: string | undefined;
    let unmatched = 0;
    for (let pages = 1; ; pages++) {
      const page = await api.list({ prefixes, token, limit: PAGE }, signal);
      for (const entry of page.secrets) {
        const asked = prefixes === undefined || prefixes.some((prefix) => entry.name.startsWith(prefix));
        if (!asked || !isConsistent(entry, region)) unmatched++;
        // A name may be there twice: one that is being deleted and its successor.
        else if (!secrets.has(entry.name) || !entry.pendingDeletion) secrets.set(entry.name, entry);
      }
      if (page.next === undefined) {
        if (unmatched > 0) onUnmatched(unmatched);
        this.#remember(prefixes, pages);
        return secrets;
      }
      if (page.next === token || pages >= maxPages)
        throw new SyncError("SourceUnavailable", "the list of secrets does not end", { action: "list secrets" });
      token = page.next;
      if (budget !== undefined && pages >= budget) {
        this.#remember(prefixes, budget + 1);
        return "TooLong";
      }
    }
  }

  #remember(prefixes: readonly string[] | undefined, pages: number): void {
    if (this.#pages.size >= MAX_REMEMBERED) this.#pages.clear();
    this.#pages.set(keyOf(prefixes), { pages, untilMs: this.#options.clock.monotonic() + DENIED_MS });
  }
}

function keyOf(prefixes: readonly string[] | undefined): string {
  return prefixes === undefined ? "*" : prefixes.join("\n");
}
