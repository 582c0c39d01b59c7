import { type SyncError, toSyncError } from "../errors/index.ts";
import type { Clock } from "../time/clock.ts";
import {
  begin,
  newEvents,
  type NewsCommand,
  type NewsFailure,
  type NewsInput,
  type NewsStep,
  step,
} from "./machine.ts";
import type { NewsDesk, NewsFeed, NewsMode, NewsStanding } from "./types.ts";

/** Acknowledgements go together: ScaiVault allows 20 subscription operations a minute. */
const ACK_MS = 10_000;
const ACK_IDS = 500;
const DEFECT_MS = 60_000;
/** Most ids that wait for an acknowledgement; what is left out comes again and is passed over. */
const MAX_UNACKNOWLEDGED = 5_000;

export interface NewsOptions {
  readonly feed: NewsFeed;
  readonly clock: Clock;
  /** In [0, 1); spreads what a fleet does. */
  readonly random?: () => number;
  /** Told when the mode changes, with the failure that changed it. */
  readonly onMode?: (mode: NewsMode, error: SyncError | undefined) => void;
}

/**
 * Follows ScaiVault's news during a term of leadership. It only ever says where to look: whatever is lost, late, repeated or
 * forged costs freshness or a look. Polling goes on beside it.
 */
export class News {
  readonly #options: NewsOptions;
  readonly #random: () => number;
  readonly #unacknowledged = new Set<string>();
  #ackedMs = -Infinity;
  #acking = false;
  #standing: NewsStanding = { mode: "Starting", contactMs: undefined };

  constructor(options: NewsOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  get standing(): NewsStanding {
    return this.#standing;
  }

  /** Until the signal aborts; never throws. */
  async run(desk: NewsDesk, signal: AbortSignal): Promise<void> {
    this.#standing = { mode: "Starting", contactMs: undefined };
    while (!signal.aborted) {
      try {
        await this.#follow(desk, signal);
      } catch (error) {
        // A defect, in whoever hears of news or here: polls go on, and so does the process.
        if (!signal.aborted) this.#enter("Away", toSyncError(error, "follow ScaiVault's news"));
        await this.#options.clock.sleep(DEFECT_MS, signal, { unref: true }).catch(() => undefined);
      }
    }
  }

  async #follow(desk: NewsDesk, signal: AbortSignal): Promise<void> {
    const moment = () => ({
      nowMs: this.#options.clock.monotonic(),
      targets: desk.targets(),
      random: this.#random(),
    });
    this.#unacknowledged.clear();
    let next = begin(moment());
    while (!signal.aborted) {
      const { input, error } = await this.#carryOut(next, desk, signal);
      if (input === undefined) return;
      next = step(next.state, input, moment());
      if (next.missed) desk.missed();
      this.#enter(next.state.mode, error);
      await this.#removeAll(next.surplus, signal);
    }
  }

  #enter(mode: NewsMode, error: SyncError | undefined): void {
    if (mode === this.#standing.mode || mode === "Starting") return;
    this.#standing = { ...this.#standing, mode };
    this.#options.onMode?.(mode, error);
  }

  /** `input` undefined: the term ended. */
  async #carryOut(
    { command, state }: NewsStep,
    desk: NewsDesk,
    signal: AbortSignal,
  ): Promise<{ readonly input: NewsInput | undefined; readonly error?: SyncError }> {
    try {
      if (command.kind !== "Poll") return { input: await this.#do(command, signal) };
      this.#acknowledge(command.id, signal);
      const started = this.#options.clock.monotonic();
      const answer = await this.#options.feed.poll(command.id, command.since, signal);
      const now = this.#options.clock.monotonic();
      if (answer === undefined) return { input: { kind: "Polled", answer, tookMs: now - started, worth: 0 } };
      this.#standing = { ...this.#standing, contactMs: now };
      const worth = desk.heard(newEvents(state, answer));
      // Handed on: what may be forgotten there now is only where to look, and a new term looks everywhere.
      for (const { id } of answer.events)
        if (this.#unacknowledged.size < MAX_UNACKNOWLEDGED) this.#unacknowledged.add(id);
      return { input: { kind: "Polled", answer, tookMs: now - started, worth } };
    } catch (error) {
      if (signal.aborted) return { input: undefined };
      const failed = toSyncError(error, "follow ScaiVault's news");
      return { input: { kind: "Failed", failure: failureOf(failed) }, error: failed };
    }
  }

  async #do(command: Exclude<NewsCommand, { kind: "Poll" }>, signal: AbortSignal): Promise<NewsInput> {
    const { feed, clock } = this.#options;
    switch (command.kind) {
      case "Wait":
        await clock.sleep(command.ms, signal, { unref: true });
        return { kind: "Waited" };
      case "Find":
        return { kind: "Found", own: await feed.find(signal) };
      case "Create":
        return { kind: "Created", subscription: await feed.create(command.paths, signal) };
      case "Change": {
        const there = await feed.change(command.id, command.paths, signal);
        return { kind: "Changed", paths: there ? command.paths : undefined };
      }
      default:
        return command satisfies never;
    }
  }

  /** Says what was handed on, beside the polls. What fails is said again with the next ones. */
  #acknowledge(id: string, signal: AbortSignal): void {
    const now = this.#options.clock.monotonic();
    const enough = now - this.#ackedMs >= ACK_MS || this.#unacknowledged.size >= ACK_IDS;
    if (this.#acking || this.#unacknowledged.size === 0 || !enough) return;
    this.#acking = true;
    this.#ackedMs = now;
    const ids = [...this.#unacknowledged].slice(0, ACK_IDS);
    void this.#options.feed
      .acknowledge(id, ids, signal)
      .then(() => ids.forEach((one) => this.#unacknowledged.delete(one)))
      // Polls tell what is wrong; that they were handed on is known here in any case.
      .catch(() => undefined)
      .finally(() => (this.#acking = false));
  }

  async #removeAll(ids: readonly string[], signal: AbortSignal): Promise<void> {
    for (const id of ids) await this.#options.feed.remove(id, signal).catch(() => undefined);
  }
}

/** An endpoint that is not there, whoever says so. */
const absent = new Set(["not_found", "method_not_allowed", "HTTP 404", "HTTP 405", "HTTP 501"]);

function failureOf({ reason, code, retryAfterMs }: SyncError): NewsFailure {
  if (code !== undefined && absent.has(code)) return { kind: "Unsupported" };
  switch (reason) {
    case "RateLimited":
      return { kind: "Limited", retryAfterMs };
    case "ScaiVaultDenied":
    case "InvalidSpec":
    case "InvalidPath":
    case "WaitingForWriter":
      return { kind: "Refused", retryAfterMs };
    default:
      return { kind: "Away", retryAfterMs };
  }
}
