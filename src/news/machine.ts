import { globsFor, isCovered } from "./globs.ts";
import type { NewsMode, OwnSubscription, PollAnswer } from "./types.ts";

/** Events that say that a secret changed. */
export const newsTypes: readonly string[] = ["secret.created", "secret.updated", "secret.deleted", "secret.rotated"];

/** The subscription's paths are changed at most so often: ScaiVault allows 20 operations a minute. */
export const CHANGE_MS = 15_000;
/** Globs that nobody needs any more go with the next change, or after this time. */
export const TIDY_MS = 3_600_000;
const IDLE_MS = 10_000;
/** Between polls that bring something worth a look, and such that do not: those wait for company. */
const PACE_MS = 1_000;
const IDLE_PACE_MS = 5_000;
/** An empty answer that came at once: this server does not wait. */
const HOLD_MS = 10_000;
const REFUSED_MS = 600_000;
const UNSUPPORTED_MS = 3_600_000;
const LIMITED_MS = 5_000;
const FIRST_BACKOFF_MS = 1_000;
const MOST_BACKOFF_MS = 60_000;
const SEEN_IDS = 2_000;

/** Why a call failed, as far as news have to tell. */
export interface NewsFailure {
  readonly kind: "Limited" | "Away" | "Refused" | "Unsupported";
  readonly retryAfterMs?: number | undefined;
}

/** What happened. Times by the monotonic clock. */
export type NewsInput =
  | { readonly kind: "Waited" }
  | { readonly kind: "Found"; readonly own: readonly OwnSubscription[] }
  | { readonly kind: "Created"; readonly subscription: OwnSubscription }
  /** `paths` undefined: the subscription is gone. */
  | { readonly kind: "Changed"; readonly paths: readonly string[] | undefined }
  /** `answer` undefined: the subscription is gone. `worth`: how many of the new events are worth a look. */
  | {
      readonly kind: "Polled";
      readonly answer: PollAnswer | undefined;
      readonly tookMs: number;
      readonly worth: number;
    }
  | { readonly kind: "Failed"; readonly failure: NewsFailure };

/** What is to be done next. One at a time. */
export type NewsCommand =
  | { readonly kind: "Find" }
  | { readonly kind: "Create"; readonly paths: readonly string[] }
  | { readonly kind: "Change"; readonly id: string; readonly paths: readonly string[] }
  | { readonly kind: "Poll"; readonly id: string; readonly since: string | undefined }
  | { readonly kind: "Wait"; readonly ms: number };

export interface NewsState {
  readonly mode: NewsMode;
  readonly subscription: OwnSubscription | undefined;
  /** Id of the last event that was handed on. */
  readonly since: string | undefined;
  /** As of the last poll. */
  readonly dropped: number | undefined;
  /** A subscription of ours went: what happened until the next one stands is not told. */
  readonly lost: boolean;
  /** Ids that were handed on lately: unacknowledged events come again. */
  readonly seen: ReadonlySet<string>;
  readonly failures: number;
  readonly changedMs: number;
}

/** A step's outcome. */
export interface NewsStep {
  readonly state: NewsState;
  readonly command: NewsCommand;
  /** Events may have been lost. */
  readonly missed: boolean;
  /** Further subscriptions with our name, made when two leaders were at it. */
  readonly surplus: readonly string[];
}

/** What a step needs to know beside its state. */
export interface NewsMoment {
  readonly nowMs: number;
  /** What objects target. */
  readonly targets: readonly string[];
  /** In [0, 1). */
  readonly random: number;
}

export const firstState: NewsState = {
  mode: "Starting",
  subscription: undefined,
  since: undefined,
  dropped: undefined,
  lost: false,
  seen: new Set(),
  failures: 0,
  changedMs: -Infinity,
};

/** The first command of a term. */
export function begin(moment: NewsMoment): NewsStep {
  return goOn(firstState, moment);
}

/** One step of following ScaiVault's news. Pure: the same input gives the same step. */
export function step(state: NewsState, input: NewsInput, moment: NewsMoment): NewsStep {
  switch (input.kind) {
    case "Waited":
      return goOn(state, moment);
    case "Found":
      return found(state, input.own, moment);
    case "Created": {
      // It hears of what happens from now on.
      const next = { ...state, subscription: input.subscription, failures: 0, lost: false, changedMs: moment.nowMs };
      return { ...goOn(next, moment), missed: true };
    }
    case "Changed":
      return changed(state, input.paths, moment);
    case "Polled":
      return polled(state, input, moment);
    case "Failed":
      return failed(state, input.failure, moment);
    default:
      return input satisfies never;
  }
}

/** Events of an answer that were not handed on yet. */
export function newEvents(state: NewsState, answer: PollAnswer): PollAnswer["events"] {
  const ids = new Set(state.seen);
  return answer.events.filter(({ id }) => {
    if (ids.has(id)) return false;
    ids.add(id);
    return true;
  });
}

function done(state: NewsState, command: NewsCommand): NewsStep {
  return { state, command, missed: false, surplus: [] };
}

/** What comes next when nothing is amiss. */
function goOn(state: NewsState, { targets, nowMs }: NewsMoment): NewsStep {
  if (targets.length === 0) return done({ ...state, mode: "Idle" }, { kind: "Wait", ms: IDLE_MS });
  const { subscription } = state;
  if (subscription === undefined) return done(state, { kind: "Find" });
  const globs = globsFor(targets);
  const has = new Set(subscription.paths);
  const lacking =
    globs.some((glob) => !isCovered(glob, has)) || newsTypes.some((type) => !subscription.events.includes(type));
  const needless = subscription.paths.some((path) => !globs.includes(path));
  const sinceMs = nowMs - state.changedMs;
  if ((lacking && sinceMs >= CHANGE_MS) || (needless && sinceMs >= TIDY_MS))
    return done(state, { kind: "Change", id: subscription.id, paths: globs });
  return done(state, { kind: "Poll", id: subscription.id, since: state.since });
}

function found(state: NewsState, own: readonly OwnSubscription[], moment: NewsMoment): NewsStep {
  const [subscription, ...surplus] = own;
  const next = { ...state, failures: 0 };
  if (subscription === undefined) {
    const paths = globsFor(moment.targets);
    if (paths.length === 0) return goOn(next, moment);
    return done(next, { kind: "Create", paths });
  }
  const known = { ...next, subscription, lost: false };
  return { ...goOn(known, moment), missed: state.lost, surplus: surplus.map(({ id }) => id) };
}

function changed(state: NewsState, paths: readonly string[] | undefined, moment: NewsMoment): NewsStep {
  const { subscription } = state;
  if (paths === undefined || subscription === undefined) return gone(state, moment);
  const next = { ...subscription, paths, events: newsTypes };
  return goOn({ ...state, subscription: next, failures: 0, changedMs: moment.nowMs }, moment);
}

function gone(state: NewsState, moment: NewsMoment): NewsStep {
  // Somebody deletes it: not all at once again.
  const failures = state.failures + 1;
  const next = { ...state, subscription: undefined, since: undefined, dropped: undefined, lost: true, failures };
  return done(next, { kind: "Wait", ms: backoffMs(failures, moment.random) });
}

function polled(
  state: NewsState,
  { answer, tookMs, worth }: Extract<NewsInput, { kind: "Polled" }>,
  moment: NewsMoment,
): NewsStep {
  if (answer === undefined) return gone(state, moment);
  const fresh = newEvents(state, answer);
  const next: NewsState = {
    ...state,
    mode: "Following",
    failures: 0,
    since: answer.events.at(-1)?.id ?? state.since,
    dropped: answer.dropped ?? state.dropped,
    seen: new Set([...state.seen, ...fresh.map(({ id }) => id)].slice(-SEEN_IDS)),
  };
  // What the first answer of a term counts was dropped before everything was looked at anyway.
  const missed = state.dropped !== undefined && answer.dropped !== undefined && answer.dropped !== state.dropped;
  const ms = paceMs(answer, { fresh: fresh.length, worth, tookMs });
  return { ...(ms <= 0 ? goOn(next, moment) : done(next, { kind: "Wait", ms })), missed };
}

function paceMs(
  answer: PollAnswer,
  { fresh, worth, tookMs }: { readonly fresh: number; readonly worth: number; readonly tookMs: number },
): number {
  if (answer.events.length === 0) return HOLD_MS - tookMs;
  if (fresh === 0) return IDLE_PACE_MS;
  return answer.hasMore || worth > 0 ? PACE_MS : IDLE_PACE_MS;
}

function failed(state: NewsState, { kind, retryAfterMs }: NewsFailure, { random }: NewsMoment): NewsStep {
  const wait = (next: NewsState, ms: number): NewsStep =>
    done(next, { kind: "Wait", ms: Math.max(ms, retryAfterMs ?? 0) });
  switch (kind) {
    case "Limited":
      return wait(state, LIMITED_MS);
    case "Away": {
      const failures = state.failures + 1;
      return wait({ ...state, mode: "Away", failures }, backoffMs(failures, random));
    }
    case "Refused":
      return wait({ ...state, mode: "Refused" }, REFUSED_MS);
    case "Unsupported":
      return wait({ ...state, mode: "Unsupported" }, UNSUPPORTED_MS);
    default:
      return kind satisfies never;
  }
}

/** From 1 to 60 s, spread over the upper half, so that a fleet does not come back at once. */
function backoffMs(failures: number, random: number): number {
  const most = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 10), MOST_BACKOFF_MS);
  return Math.round(most * (0.5 + 0.5 * random));
}
