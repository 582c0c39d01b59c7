import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Numbers that are computed at scrape time from the operator's own state. */
export interface MetricSources {
  /** Objects by kind, namespace and reason of their Ready condition. */
  objects(): Iterable<{ kind: string; namespace: string; reason: string; count: number }>;
  /** Depth of all queues by store. */
  queues(): Iterable<{ store: string; depth: number; inFlight: number }>;
  /** Whether this replica is the leader. */
  leader(): boolean;
  /** Seconds since the last good poll, by backend. */
  polls(): Iterable<{ backend: string; ageSeconds: number; failing: boolean }>;
}

/**
 * The operator's metrics. Labels are backend, store, namespace, reason, verb and the like; never the name or path of an
 * object, so the number of series does not grow with the number of secrets.
 */
export interface Metrics {
  readonly registry: Registry;
  /** A call to a source: `kind` is the API action, such as `ListSecrets`. */
  sourceCall(store: string, kind: string, outcome: string): void;
  /** Values that were read from sources. */
  valueRead(store: string): void;
  scaivaultCall(category: string, outcome: string): void;
  kubeCall(verb: string, resource: string, code: string, ms: number): void;
  write(target: string, action: string): void;
  failure(reason: string, namespace: string): void;
  reconciled(kind: string, outcome: string, ms: number): void;
  poll(backend: string, method: string, ms: number): void;
  setSources(sources: MetricSources): void;
}

const PREFIX = "scaivault_operator_";

/** Creates metrics on a registry of their own (one per operator instance). */
export function createMetrics(options: { readonly defaults: boolean; readonly version: string }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.defaults) collectDefaultMetrics({ register: registry });
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name: PREFIX + name, help, labelNames, buckets, registers });
  const seconds = [0.005, 0.025, 0.1, 0.5, 1, 5, 30];

  new Gauge({ name: `${PREFIX}info`, help: "Version of the operator.", labelNames: ["version"], registers }).set(
    { version: options.version },
    1,
  );
  const sourceCalls = counter("source_calls_total", "Calls to source stores by action.", ["store", "kind", "outcome"]);
  const valueReads = counter("source_value_reads_total", "Secret values read from source stores.", ["store"]);
  const scaivaultCalls = counter("scaivault_calls_total", "Calls to ScaiVault.", ["category", "outcome"]);
  const kubeCalls = counter("kube_calls_total", "Requests to the Kubernetes API.", ["verb", "resource", "code"]);
  const kubeSeconds = histogram("kube_call_seconds", "Time of Kubernetes requests.", ["verb"], seconds);
  const writes = counter("target_writes_total", "Writes to targets.", ["target", "action"]);
  const failures = counter("failures_total", "Reconciles that ended with a reason other than fine.", [
    "reason",
    "namespace",
  ]);
  const reconciles = histogram("reconcile_seconds", "Time of reconciles.", ["kind", "outcome"], seconds);
  const polls = histogram("poll_seconds", "Time of polls of source stores.", ["backend", "method"], seconds);
  let sources: MetricSources | undefined;
  collected(registers, () => sources);

  return {
    registry,
    sourceCall: (store, kind, outcome) => sourceCalls.inc({ store, kind, outcome }),
    valueRead: (store) => valueReads.inc({ store }),
    scaivaultCall: (category, outcome) => scaivaultCalls.inc({ category, outcome }),
    kubeCall: (verb, resource, code, ms) => {
      kubeCalls.inc({ verb, resource, code });
      kubeSeconds.observe({ verb }, ms / 1000);
    },
    write: (target, action) => writes.inc({ target, action }),
    failure: (reason, namespace) => failures.inc({ reason, namespace }),
    reconciled: (kind, outcome, ms) => reconciles.observe({ kind, outcome }, ms / 1000),
    poll: (backend, method, ms) => polls.observe({ backend, method }, ms / 1000),
    setSources: (next) => {
      sources = next;
    },
  };
}

/** Gauges that are filled from the operator's state when somebody scrapes. */
function collected(registers: Registry[], sources: () => MetricSources | undefined): void {
  const gauge = (name: string, help: string, labelNames: string[], fill: (g: Gauge, s: MetricSources) => void) =>
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        const now = sources();
        if (now !== undefined) fill(this as unknown as Gauge, now);
      },
    });
  gauge("objects", "Objects by kind, namespace and reason.", ["kind", "namespace", "reason"], (g, s) => {
    for (const { kind, namespace, reason, count } of s.objects()) g.set({ kind, namespace, reason }, count);
  });
  gauge("queue_depth", "Keys that wait, by store.", ["store"], (g, s) => {
    for (const { store, depth } of s.queues()) g.set({ store }, depth);
  });
  gauge("queue_in_flight", "Keys that are worked on, by store.", ["store"], (g, s) => {
    for (const { store, inFlight } of s.queues()) g.set({ store }, inFlight);
  });
  gauge("leader", "1 on the replica that holds the lease.", [], (g, s) => g.set(s.leader() ? 1 : 0));
  gauge("poll_age_seconds", "Seconds since the last good poll.", ["backend"], (g, s) => {
    for (const { backend, ageSeconds } of s.polls()) g.set({ backend }, ageSeconds);
  });
  gauge("backend_failing", "1 while a backend's store cannot be polled.", ["backend"], (g, s) => {
    for (const { backend, failing } of s.polls()) g.set({ backend }, failing ? 1 : 0);
  });
}
