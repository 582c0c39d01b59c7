import { SyncError } from "../errors/index.ts";
import type { NewsDesk, NewsEvent, ScaiVaultAddress, World } from "./world.ts";

/** Events are looked at together: the first of them waits so long for others. */
const COALESCE_MS = 500;
/** Looks that hints may cost, each of up to 100 paths: so many at once, and so many a minute. */
const LOOKS_AT_ONCE = 6;
const LOOKS_A_MINUTE = 12;
const PATHS_A_LOOK = 100;
/** How often a path is asked for that could not be seen; then it is left to the next poll. */
const ATTEMPTS = 3;
const AGAIN_MS = 5_000;
/** Everything is looked at for lost events at most so often. */
const MISSED_MS = 600_000;
const TARGETS_MS = 60_000;
const MAX_LAG_MS = 3_600_000;

/** Objects of one kind that have targets in ScaiVault. */
export interface NewsAudience {
  /** Paths that may be looked at, and `prefix/**` for subtrees. */
  targets(): readonly string[];
  /** A path as it is declared; undefined when it is no target of theirs, or may not be looked at. */
  address(path: string): ScaiVaultAddress | undefined;
  /** The path is not as it was known: whatever targets it has to be looked at. */
  changed(path: string): void;
  /** Events may have been lost: all targets have to be looked at. */
  missed(): void;
}

interface Pending {
  readonly timestamp: string | undefined;
  attempts: number;
}

/**
 * Takes ScaiVault's events for what they are, hints: the paths that they name are asked for anew, together and at a bounded
 * rate, and only what ScaiVault itself then says differs makes an object be looked at. An event that is late, repeated or
 * forged costs at most such a look; one that is lost is made up for by the next poll.
 */
export class ScaiVaultNews implements NewsDesk {
  readonly #world: World;
  readonly #audiences: readonly NewsAudience[];
  readonly #signal: AbortSignal;
  readonly #pending = new Map<string, Pending>();
  #looks = LOOKS_AT_ONCE;
  #looksMs: number;
  #armed: (() => void) | undefined;
  #looking = false;
  #everythingMs = -Infinity;
  #everythingArmed: (() => void) | undefined;
  #targets: { readonly list: readonly string[]; readonly atMs: number } | undefined;

  constructor(world: World, audiences: readonly NewsAudience[], signal: AbortSignal) {
    this.#world = world;
    this.#audiences = audiences;
    this.#signal = signal;
    this.#looksMs = world.clock.monotonic();
  }

  close(): void {
    this.#armed?.();
    this.#everythingArmed?.();
  }

  /** Objects came, changed or went. */
  objectsChanged(): void {
    this.#targets = undefined;
  }

  targets(): readonly string[] {
    const now = this.#world.clock.monotonic();
    // Rights of subtrees depend on what is below them, which no object tells.
    if (this.#targets === undefined || now - this.#targets.atMs > TARGETS_MS)
      this.#targets = { list: this.#audiences.flatMap((one) => one.targets()), atMs: now };
    return this.#targets.list;
  }

  heard(events: readonly NewsEvent[]): number {
    let worth = 0;
    for (const event of events) {
      const outcome = this.#weigh(event);
      this.#world.metrics.news(outcome);
      if (outcome !== "looked" || event.path === undefined) continue;
      worth += 1;
      if (!this.#pending.has(event.path)) this.#pending.set(event.path, { timestamp: event.timestamp, attempts: 0 });
    }
    if (worth > 0) this.#arm(COALESCE_MS);
    return worth;
  }

  missed(): void {
    if (this.#everythingArmed !== undefined) return;
    const { clock } = this.#world;
    const waitMs = Math.max(0, this.#everythingMs + MISSED_MS - clock.monotonic());
    this.#everythingArmed = clock.setTimeout(
      () => {
        this.#everythingArmed = undefined;
        this.#everythingMs = clock.monotonic();
        if (!this.#signal.aborted) for (const audience of this.#audiences) audience.missed();
      },
      waitMs,
      { unref: true },
    );
  }

  /** `foreign`: of no target of ours. `known`: our own write, or seen already. */
  #weigh({ path, type, version }: NewsEvent): "looked" | "known" | "foreign" {
    // What was never looked at is no target yet; its first look is under way.
    const seen = path === undefined ? undefined : this.#world.scaivault?.observations.last({ path });
    if (seen === undefined) return "foreign";
    const deleted = type === "secret.deleted";
    if (seen.presence === "Absent") return deleted ? "known" : "looked";
    const isOld = !deleted && version !== undefined && seen.presence === "Present" && Number(seen.version) >= version;
    return isOld ? "known" : "looked";
  }

  #arm(ms: number): void {
    if (this.#armed !== undefined || this.#looking || this.#pending.size === 0 || this.#signal.aborted) return;
    this.#armed = this.#world.clock.setTimeout(
      () => {
        this.#armed = undefined;
        void this.#look();
      },
      Math.max(ms, this.#waitMs()),
      { unref: true },
    );
  }

  /** Until there is a look left. */
  #waitMs(): number {
    const now = this.#world.clock.monotonic();
    this.#looks = Math.min(LOOKS_AT_ONCE, this.#looks + ((now - this.#looksMs) * LOOKS_A_MINUTE) / 60_000);
    this.#looksMs = now;
    return this.#looks >= 1 ? 0 : Math.ceil(((1 - this.#looks) * 60_000) / LOOKS_A_MINUTE);
  }

  async #look(): Promise<void> {
    const { scaivault, log } = this.#world;
    const found = this.#next();
    if (scaivault === undefined || found.size === 0) return;
    this.#looking = true;
    this.#looks -= 1;
    let againMs = COALESCE_MS;
    try {
      const refs = [...found.values()].map(({ address }) => address);
      const { changed, unseen } = await scaivault.observations.lookAgain(refs, this.#signal);
      for (const [path, { pending }] of found) {
        if (unseen.has(path)) this.#again(path, pending);
        else this.#told(pending);
        if (changed.has(path)) for (const audience of this.#audiences) audience.changed(path);
      }
      if (unseen.size > 0) againMs = AGAIN_MS;
    } catch (error) {
      // The end of the term, or a defect: the next poll looks at everything in any case.
      if (!this.#signal.aborted) log.warn("look for ScaiVault's news failed", { reason: "Unexpected" });
      if (!(error instanceof SyncError) && !this.#signal.aborted) this.#pending.clear();
    } finally {
      this.#looking = false;
      this.#arm(againMs);
    }
  }

  #again(path: string, pending: Pending): void {
    pending.attempts += 1;
    // While ScaiVault is away everything is looked at when it comes back.
    if (pending.attempts < ATTEMPTS && !this.#pending.has(path)) this.#pending.set(path, pending);
  }

  #told({ timestamp }: Pending): void {
    const at = timestamp === undefined ? NaN : Date.parse(timestamp);
    const lagMs = this.#world.clock.now() - at;
    if (lagMs >= 0 && lagMs <= MAX_LAG_MS) this.#world.metrics.newsLag(lagMs);
  }

  /** The next paths; what is nobody's by now is left out. */
  #next(): Map<string, { address: ScaiVaultAddress; pending: Pending }> {
    const found = new Map<string, { address: ScaiVaultAddress; pending: Pending }>();
    for (const [path, pending] of this.#pending) {
      if (found.size >= PATHS_A_LOOK) break;
      this.#pending.delete(path);
      const address = this.#addressOf(path);
      if (address !== undefined) found.set(path, { address: { ...address, lane: "rotated", fresh: true }, pending });
    }
    return found;
  }

  #addressOf(path: string): ScaiVaultAddress | undefined {
    for (const audience of this.#audiences) {
      const address = audience.address(path);
      if (address !== undefined) return address;
    }
    return undefined;
  }
}
