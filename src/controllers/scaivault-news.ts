import { SyncError } from "../errors/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import { indexes } from "./caches.ts";
import { membersOf } from "./members.ts";
import { mayLook } from "./scaivault-refresh.ts";
import { pairsOf, resolveSubject } from "./subject.ts";
import { prefixesOf } from "./target-claims.ts";
import { type NewsDesk, type NewsEvent, type ScaiVaultAddress, scaivaultAddress, type World } from "./world.ts";

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

/** What news lead to. */
export interface NewsActions {
  /** A target is not as it was known: this object has to be looked at. */
  changed(object: KubeObject): void;
  /** Everything has to be looked at. */
  everything(): void;
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
  readonly #actions: NewsActions;
  readonly #signal: AbortSignal;
  readonly #pending = new Map<string, Pending>();
  #looks = LOOKS_AT_ONCE;
  #looksMs: number;
  #armed: (() => void) | undefined;
  #looking = false;
  #everythingMs = -Infinity;
  #everythingArmed: (() => void) | undefined;
  #targets: { readonly list: readonly string[]; readonly atMs: number } | undefined;

  constructor(world: World, actions: NewsActions, signal: AbortSignal) {
    this.#world = world;
    this.#actions = actions;
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
      this.#targets = { list: targetsOf(this.#world), atMs: now };
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
        if (!this.#signal.aborted) this.#actions.everything();
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
      for (const [path, { objects, pending }] of found) {
        if (unseen.has(path)) this.#again(path, pending);
        else this.#told(pending);
        if (changed.has(path)) for (const object of objects) this.#actions.changed(object);
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

  /** The next paths, with the objects that target them; what is known or nobody's by now is left out. */
  #next() {
    const found = new Map<string, { address: ScaiVaultAddress; objects: readonly KubeObject[]; pending: Pending }>();
    for (const [path, pending] of this.#pending) {
      if (found.size >= PATHS_A_LOOK) break;
      this.#pending.delete(path);
      const objects = objectsFor(this.#world, path);
      const address = addressOf(this.#world, objects, path);
      if (address !== undefined) found.set(path, { address, objects, pending });
    }
    return found;
  }
}

/** Objects that target a ScaiVault path, by itself or as part of a subtree. */
function objectsFor({ caches }: World, path: string): KubeObject[] {
  const named = prefixesOf(path).flatMap((value) => caches.syncs.byIndex(indexes.scaivaultTarget, value));
  return [...new Map(named.map((object) => [keyOf(object), object])).values()];
}

/** The path as the first object that may look at it declares it. */
function addressOf(world: World, objects: readonly KubeObject[], path: string): ScaiVaultAddress | undefined {
  for (const object of objects) {
    const subject = resolveSubject(world, object);
    if (subject instanceof SyncError || subject.refusal !== undefined || subject.effective.suspend) continue;
    const spec = subject.sync.spec.targets.scaivault;
    if (spec === undefined || subject.store === undefined || !mayLook(world, subject.sync.metadata.namespace, path))
      continue;
    const pair = pairsOf(subject, membersOf(world, subject) ?? []).pairs.find((one) => one.scaivaultPath === path);
    if (pair === undefined) continue;
    const fact = subject.store.poller.fact(pair.ref.path)?.fact;
    const tags = fact?.state === "Present" ? (fact.tags ?? []) : [];
    return { ...scaivaultAddress(spec, path, subject.sync, tags, "rotated"), fresh: true };
  }
  return undefined;
}

/** What objects target and may look at. */
function targetsOf(world: World): readonly string[] {
  const { syncs } = world.caches;
  const found: string[] = [];
  for (const value of syncs.indexValues(indexes.scaivaultTarget)) {
    const subtree = value.endsWith("/");
    const objects = syncs.byIndex(indexes.scaivaultTarget, value);
    const may = objects.some((object) =>
      subtree ? mayLookBelow(world, object) : mayLook(world, object.metadata.namespace ?? "", value),
    );
    if (may) found.push(subtree ? `${value}**` : value);
  }
  return found;
}

function mayLookBelow(world: World, object: KubeObject): boolean {
  const subject = resolveSubject(world, object);
  if (subject instanceof SyncError || subject.refusal !== undefined) return false;
  const { pairs } = pairsOf(subject, membersOf(world, subject) ?? []);
  return pairs.some(
    ({ scaivaultPath: path }) => path !== undefined && mayLook(world, subject.sync.metadata.namespace, path),
  );
}
