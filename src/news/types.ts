/** A subscription of ours, as ScaiVault has it. */
export interface OwnSubscription {
  readonly id: string;
  /** Globs: a path, or `prefix/**`. */
  readonly paths: readonly string[];
  readonly events: readonly string[];
}

/** One event as it came. Nothing in it is proved: it says where to look, never what is there. */
export interface NewsEvent {
  readonly id: string;
  readonly type: string;
  /** ISO 8601. */
  readonly timestamp: string | undefined;
  readonly path: string | undefined;
  /** Version that the event says is the newest. */
  readonly version: number | undefined;
}

/** What a poll brought. */
export interface PollAnswer {
  readonly events: readonly NewsEvent[];
  readonly hasMore: boolean;
  /** Events that ScaiVault dropped so far because nobody came for them; undefined when it does not say. */
  readonly dropped: number | undefined;
}

/** ScaiVault's subscriptions as far as news need them. Every method throws SyncError. */
export interface NewsFeed {
  /** Subscriptions of this identity with our name and polling, the oldest first. */
  find(signal: AbortSignal): Promise<readonly OwnSubscription[]>;
  create(paths: readonly string[], signal: AbortSignal): Promise<OwnSubscription>;
  /** @returns false when it is gone */
  change(id: string, paths: readonly string[], signal: AbortSignal): Promise<boolean>;
  remove(id: string, signal: AbortSignal): Promise<void>;
  /** Waits for events; undefined when the subscription is gone. */
  poll(id: string, since: string | undefined, signal: AbortSignal): Promise<PollAnswer | undefined>;
  acknowledge(id: string, eventIDs: readonly string[], signal: AbortSignal): Promise<void>;
}

/** Whom news are handed on to. */
export interface NewsDesk {
  /** What objects target: paths, and `prefix/**` for subtrees. */
  targets(): readonly string[];
  /** Takes events; must not throw. @returns how many of them are worth a look */
  heard(events: readonly NewsEvent[]): number;
  /** Events may have been lost: everything has to be looked at once. */
  missed(): void;
}

/**
 * `Following`: polls are answered. `Idle`: no object targets ScaiVault. `Away`: ScaiVault does not answer; tried again within a
 * minute. `Refused`: the identity lacks a right, or ScaiVault does not take the subscription; tried again every ten minutes.
 * `Unsupported`: this ScaiVault has no subscriptions; tried again every hour. In all but the first, polling goes on alone.
 */
export type NewsMode = "Starting" | "Following" | "Idle" | "Away" | "Refused" | "Unsupported";

/** How news stand, for metrics. */
export interface NewsStanding {
  readonly mode: NewsMode;
  /** Monotonic ms of the last poll that was answered. */
  readonly contactMs: number | undefined;
}
