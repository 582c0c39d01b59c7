import type { Condition, FederationBackendStatus } from "../api/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { HeldCount, MetricScope, MetricSources, ObjectCount, TreeCount } from "../telemetry/index.ts";
import type { Clock } from "../time/clock.ts";
import type { Caches } from "./caches.ts";
import { metricScope } from "./metric-scope.ts";
import type { OperatorTerm } from "./operator.ts";
import type { ScaiVaultSide } from "./world.ts";

/** Conditions that wait for people. */
const heldConditions: ReadonlySet<string> = new Set(["DeletionHeld", "ChangeHeld", "ApprovalNeeded", "Conflict"]);

/** What metrics are computed from when somebody scrapes. Names of objects are not among the labels, but for `each`. */
export function termMetrics(options: {
  readonly caches: Pick<Caches, "backends" | "syncs">;
  readonly scaivault: Pick<ScaiVaultSide, "observations" | "news"> | undefined;
  readonly clock: Clock;
  readonly leader: () => boolean;
  readonly term: () => OperatorTerm | undefined;
}): MetricSources {
  const { caches, scaivault, clock, leader, term } = options;
  const all = function* (): Iterable<readonly [string, KubeObject]> {
    for (const object of caches.backends.list()) yield ["FederationBackend", object];
    for (const object of caches.syncs.list()) yield ["SecretSync", object];
  };
  return {
    objects: () => countAll(all()),
    *each() {
      for (const [kind, object] of all()) {
        const { status, reason } = readyOf(object);
        const { name } = object.metadata;
        yield { kind, ...metricScope(kind, object), name, ready: status === "True", reason };
      }
    },
    queues: () => term()?.queueDepths() ?? [],
    leader,
    *polls() {
      for (const { poller, backends } of term()?.registry.stores() ?? []) {
        const failing = poller.state.state === "Failing";
        // Nobody polls what nobody reads: its age would grow for ever and mean nothing.
        const intervalSeconds = poller.intervalMs === undefined ? undefined : poller.intervalMs / 1000;
        const sinceMs = poller.lastGoodMs ?? (poller.state.state === "Failing" ? poller.state.sinceMs : undefined);
        const ageSeconds =
          sinceMs === undefined || intervalSeconds === undefined ? undefined : (clock.monotonic() - sinceMs) / 1000;
        for (const backend of backends) {
          const [namespace = ""] = backend.split("/");
          yield { namespace, backend, ageSeconds, intervalSeconds, failing };
        }
      }
    },
    scaivaultFailing: () => scaivault && scaivault.observations.reachability.state === "Failing",
    news() {
      if (scaivault?.news === undefined || !leader()) return undefined;
      const { mode, contactMs } = scaivault.news.standing;
      return { mode, ageSeconds: contactMs === undefined ? undefined : (clock.monotonic() - contactMs) / 1000 };
    },
  };
}

function conditionsOf(object: KubeObject): readonly Condition[] {
  return (object as { status?: { conditions?: readonly Condition[] } }).status?.conditions ?? [];
}

function readyOf(object: KubeObject): Pick<ObjectCount, "reason"> & { readonly status: ObjectCount["ready"] } {
  const ready = conditionsOf(object).find(({ type }) => type === "Ready");
  return ready === undefined
    ? { status: "Unknown", reason: "Progressing" }
    : { status: ready.status as ObjectCount["ready"], reason: ready.reason };
}

function countAll(objects: Iterable<readonly [string, KubeObject]>): ReturnType<MetricSources["objects"]> {
  const ready = new Tally<Omit<ObjectCount, "count">>();
  const held = new Tally<Omit<HeldCount, "count">>();
  const trees: TreeCount[] = [];
  for (const [kind, object] of objects) {
    const scope = metricScope(kind, object);
    const { status, reason } = readyOf(object);
    trees.push(...treeOf(object, scope));
    const key = `${kind} ${scope.namespace} ${scope.backend}`;
    ready.add(`${key} ${status} ${reason}`, () => ({ kind, ...scope, ready: status, reason }));
    for (const { type, status: on, reason: why } of conditionsOf(object))
      if (on === "True" && heldConditions.has(type))
        held.add(`${scope.namespace} ${scope.backend} ${type} ${why}`, () => ({
          ...scope,
          condition: type,
          reason: why,
        }));
  }
  return { ready: ready.counts(), held: held.counts(), trees };
}

/** The tree of a backend, where its status counts one. */
function treeOf(object: KubeObject, scope: MetricScope): TreeCount[] {
  const counts = (object as { status?: FederationBackendStatus }).status?.federation?.counts;
  if (counts === undefined) return [];
  const { found, inSync, failed, conflicts, held } = counts;
  return Object.entries({ found, in_sync: inSync, failed, conflicts, held }).map(([state, count]) => ({
    ...scope,
    state: state as TreeCount["state"],
    count,
  }));
}

/** How often each combination of labels came. */
class Tally<L extends object> {
  readonly #counts = new Map<string, { readonly labels: L; count: number }>();

  /** @param key the labels as one text; they are made only when it is new */
  add(key: string, labels: () => L): void {
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { labels: labels(), count: 1 });
    else known.count += 1;
  }

  *counts(): Iterable<L & { readonly count: number }> {
    for (const { labels, count } of this.#counts.values()) yield { ...labels, count };
  }
}
