import type { Condition } from "../api/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { MetricSources } from "../telemetry/index.ts";
import type { Clock } from "../time/clock.ts";
import type { Caches } from "./caches.ts";
import type { OperatorTerm } from "./operator.ts";

interface WithConditions extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** What metrics are computed from when somebody scrapes. Names of objects are not among the labels. */
export function termMetrics(options: {
  readonly caches: Caches;
  readonly clock: Clock;
  readonly leader: () => boolean;
  readonly term: () => OperatorTerm | undefined;
}): MetricSources {
  const { caches, clock, leader, term } = options;
  return {
    objects() {
      const counts = new Map<string, { kind: string; namespace: string; reason: string; count: number }>();
      for (const [kind, store] of [
        ["FederationBackend", caches.backends] as const,
        ["SecretSync", caches.syncs] as const,
      ]) {
        for (const object of store.list()) {
          const namespace = object.metadata.namespace ?? "";
          const ready = (object as WithConditions).status?.conditions?.find(({ type }) => type === "Ready");
          const reason = ready?.reason ?? "Progressing";
          const key = `${kind} ${namespace} ${reason}`;
          const entry = counts.get(key) ?? { kind, namespace, reason, count: 0 };
          entry.count += 1;
          counts.set(key, entry);
        }
      }
      return counts.values();
    },
    queues: () => term()?.queueDepths() ?? [],
    leader,
    *polls() {
      for (const store of term()?.registry.stores() ?? []) {
        const { state, lastGoodMs } = store.poller;
        const ageSeconds = lastGoodMs === undefined ? 0 : (clock.now() - lastGoodMs) / 1000;
        for (const backend of store.backends) yield { backend, ageSeconds, failing: state.state === "Failing" };
      }
    },
  };
}
