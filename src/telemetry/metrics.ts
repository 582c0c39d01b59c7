import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Whom a number is about: the namespace of the SecretSync and its backend as `namespace/name`. */
export interface MetricScope {
  readonly namespace: string;
  readonly backend: string;
}

/** Objects that share kind, namespace, backend, and status and reason of their Ready condition. */
export interface ObjectCount extends MetricScope {
  readonly kind: string;
  readonly ready: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly count: number;
}

/** Objects in which something waits for people, by the condition and the reason that say so. */
export interface HeldCount extends MetricScope {
  readonly condition: string;
  readonly reason: string;
  readonly count: number;
}

/** Secrets of the tree that a backend copies, as its status counts them. */
export interface TreeCount extends MetricScope {
  readonly state: "found" | "in_sync" | "failed" | "conflicts" | "held";
  readonly count: number;
}

/** The poll of one backend's store. */
export interface PollState {
  /** Namespace of the backend. */
  readonly namespace: string;
  /** `namespace/name`. */
  readonly backend: string;
  /** Seconds since the store last answered a poll; undefined while nobody reads it or none has ended. */
  readonly ageSeconds: number | undefined;
  /** Shortest interval that an object asks for; undefined while nobody reads it. */
  readonly intervalSeconds: number | undefined;
  readonly failing: boolean;
}

/** Numbers that are computed at scrape time from the operator's own state. */
export interface MetricSources {
  /** One pass over the caches: all counts of one moment. */
  objects(): {
    readonly ready: Iterable<ObjectCount>;
    readonly held: Iterable<HeldCount>;
    readonly trees: Iterable<TreeCount>;
  };
  /** Each object by itself; asked only when the configuration wants series by object. */
  each(): Iterable<{ kind: string; namespace: string; name: string; backend: string; ready: boolean; reason: string }>;
  /** Depth of all queues by store. */
  queues(): Iterable<{ store: string; depth: number; inFlight: number }>;
  /** Whether this replica is the leader. */
  leader(): boolean;
  polls(): Iterable<PollState>;
  /** Whether ScaiVault does not answer; undefined without a connection. */
  scaivaultFailing(): boolean | undefined;
  /** How ScaiVault's news stand on the leader; undefined on others, without a connection, and where none are followed. */
  news(): { readonly mode: string; readonly ageSeconds: number | undefined } | undefined;
}

/**
 * The operator's metrics. Labels are backend, store, namespace, reason, verb and the like; never the name or path of an
 * object, so the number of series does not grow with the number of secrets. `object_ready` alone names objects, and is
 * made only when the configuration asks for it.
 */
export interface Metrics {
  readonly registry: Registry;
  /** A call to a source: `action` is the API action, such as `ListSecrets`. */
  sourceCall(host: string, action: string, outcome: string, ms: number): void;
  /** Values that were read from sources. */
  valueRead(scope: MetricScope): void;
  scaivaultCall(category: string, outcome: string, ms: number): void;
  kubeCall(verb: string, resource: string, code: string, ms: number): void;
  write(target: string, action: string, scope: MetricScope): void;
  failure(reason: string, scope: MetricScope): void;
  reconciled(kind: string, outcome: "done" | "failed", ms: number): void;
  poll(store: string, method: string, ms: number): void;
  /** A change of the source has reached the last target of its object. */
  fresh(scope: MetricScope, ms: number): void;
  /** The scope has objects: its freshness series begin at 0, so that the first change counts in `rate` and `increase`. */
  expectFresh(scope: MetricScope): void;
  /** An event of ScaiVault's: `looked` made the operator look, `known` was its own write or seen already, `foreign` is of no target. */
  news(outcome: "looked" | "known" | "foreign"): void;
  /** From the time that an event bears to the end of the look that it led to. */
  newsLag(ms: number): void;
  setSources(sources: MetricSources): void;
}

const PREFIX = "scaivault_operator_";
const CALL_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 5, 30];
/** Upper bounds of `freshness_seconds`; the alert's bound has to be one of them. */
export const FRESHNESS_SECONDS = [1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600] as const;

interface MetricsOptions {
  /** Metrics of Node and of the process. */
  readonly defaults: boolean;
  readonly version: string;
  /** True: one series an object (`metrics.objects` of the configuration). */
  readonly objects: boolean;
}

/** Creates metrics on a registry of their own (one per operator instance). */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.defaults) collectDefaultMetrics({ register: registry });
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[], buckets: readonly number[] = CALL_SECONDS) =>
    new Histogram({ name: PREFIX + name, help, labelNames, buckets: [...buckets], registers });

  new Gauge({ name: `${PREFIX}info`, help: "1, with the version.", labelNames: ["version"], registers }).set(
    { version: options.version },
    1,
  );
  let sources: MetricSources | undefined;
  const gauge: GaugeMaker = (name, help, labelNames, fill) =>
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        if (sources !== undefined) fill(this as unknown as Gauge, sources);
      },
    });
  objectGauges(gauge, options.objects);
  processGauges(gauge);
  return {
    registry,
    ...objectRecorders(counter, histogram),
    ...callRecorders(counter, histogram),
    setSources: (next) => {
      sources = next;
    },
  };
}

type GaugeMaker = (
  name: string,
  help: string,
  labels: string[],
  fill: (gauge: Gauge, sources: MetricSources) => void,
) => void;
type CounterMaker = (name: string, help: string, labels: string[]) => Counter;
type HistogramMaker = (name: string, help: string, labels: string[], buckets?: readonly number[]) => Histogram;

/** What the operator tells of objects as it happens. */
function objectRecorders(counter: CounterMaker, histogram: HistogramMaker) {
  const scoped = ["namespace", "backend"];
  const freshness = histogram(
    "freshness_seconds",
    "Time from a change in the source to the last write that brought it to all targets of its object; first copies do not count.",
    scoped,
    FRESHNESS_SECONDS,
  );
  const writes = counter("target_writes_total", "Writes to targets, marks included.", ["target", "action", ...scoped]);
  const failures = counter("failures_total", "Objects that ceased to be Ready, and writes that failed.", [
    "reason",
    ...scoped,
  ]);
  const valueReads = counter("source_value_reads_total", "Values read from source stores for objects.", scoped);
  const reconciles = histogram("reconcile_seconds", "Time of looks at objects.", ["kind", "outcome"]);
  const expected = new Set<string>();
  return {
    valueRead: ({ namespace, backend }) => valueReads.inc({ namespace, backend }),
    write: (target, action, { namespace, backend }) => writes.inc({ target, action, namespace, backend }),
    failure: (reason, { namespace, backend }) => failures.inc({ reason, namespace, backend }),
    reconciled: (kind, outcome, ms) => reconciles.observe({ kind, outcome }, ms / 1000),
    fresh: ({ namespace, backend }, ms) => freshness.observe({ namespace, backend }, Math.max(0, ms) / 1000),
    expectFresh: ({ namespace, backend }) => {
      const key = `${namespace} ${backend}`;
      if (expected.has(key)) return;
      expected.add(key);
      freshness.zero({ namespace, backend });
    },
  } satisfies Partial<Metrics>;
}

/** What the operator tells of its calls. */
function callRecorders(counter: CounterMaker, histogram: HistogramMaker) {
  const polls = histogram("poll_seconds", "Time of polls of source stores.", ["store", "method"]);
  const sourceCalls = counter("source_calls_total", "Calls to source stores by API action.", [
    "host",
    "action",
    "outcome",
  ]);
  const sourceSeconds = histogram("source_call_seconds", "Time of calls to source stores.", ["host"]);
  const scaivaultCalls = counter(
    "scaivault_calls_total",
    "Calls to ScaiVault by rate category; `outcome` is the HTTP status, 0 for no answer.",
    ["category", "outcome"],
  );
  const scaivaultSeconds = histogram("scaivault_call_seconds", "Time of calls to ScaiVault.", ["category"]);
  const kubeCalls = counter(
    "kube_calls_total",
    "Requests to the Kubernetes API; `code` is the HTTP code or the failure.",
    ["verb", "resource", "code"],
  );
  const kubeSeconds = histogram("kube_call_seconds", "Time of requests to the Kubernetes API.", ["verb"]);
  const news = counter(
    "news_events_total",
    "Events of ScaiVault's by what came of them: `looked` (metadata were asked for), `known` (own writes, repeated), `foreign` (of no target).",
    ["outcome"],
  );
  const newsLag = histogram(
    "news_lag_seconds",
    "Time from a change in ScaiVault, as its event says, to the end of the look that it led to.",
    [],
    FRESHNESS_SECONDS,
  );
  return {
    news: (outcome) => news.inc({ outcome }),
    newsLag: (ms) => newsLag.observe(ms / 1000),
    poll: (store, method, ms) => polls.observe({ store, method }, ms / 1000),
    sourceCall: (host, action, outcome, ms) => {
      sourceCalls.inc({ host, action, outcome });
      sourceSeconds.observe({ host }, ms / 1000);
    },
    scaivaultCall: (category, outcome, ms) => {
      scaivaultCalls.inc({ category, outcome });
      scaivaultSeconds.observe({ category }, ms / 1000);
    },
    kubeCall: (verb, resource, code, ms) => {
      kubeCalls.inc({ verb, resource, code });
      kubeSeconds.observe({ verb }, ms / 1000);
    },
  } satisfies Partial<Metrics>;
}

/** Objects as their status says; the same on both replicas. */
function objectGauges(gauge: GaugeMaker, byObject: boolean): void {
  let counted: ReturnType<MetricSources["objects"]> | undefined;
  gauge(
    "objects",
    "Objects by status and reason of their Ready condition; `backend` is the one that they read, or are.",
    ["kind", "namespace", "backend", "ready", "reason"],
    (g, s) => {
      counted = s.objects();
      for (const { count, kind, namespace, backend, ready, reason } of counted.ready)
        g.set({ kind, namespace, backend, ready, reason }, count);
    },
  );
  gauge(
    "objects_held",
    "Objects in which something waits for people, by condition (`DeletionHeld`, `ChangeHeld`, `ApprovalNeeded`, `Conflict`) and its reason.",
    ["namespace", "backend", "condition", "reason"],
    (g, s) => {
      // Gauges are collected in the order in which they were made: one pass over the objects serves all three.
      for (const { count, namespace, backend, condition, reason } of (counted ?? s.objects()).held)
        g.set({ namespace, backend, condition, reason }, count);
    },
  );
  gauge(
    "tree_secrets",
    "Secrets of the tree that a FederationBackend copies, as its status counts them; `state` is `found` (all of them), `in_sync`, `failed`, `conflicts` or `held`.",
    ["namespace", "backend", "state"],
    (g, s) => {
      for (const { count, namespace, backend, state } of (counted ?? s.objects()).trees)
        g.set({ namespace, backend, state }, count);
      counted = undefined;
    },
  );
  if (!byObject) return;
  gauge(
    "object_ready",
    "1 for an object that is Ready, else 0; only with `metrics.objects: true`.",
    ["kind", "namespace", "name", "backend", "reason"],
    (g, s) => {
      for (const { ready, kind, namespace, name, backend, reason } of s.each())
        g.set({ kind, namespace, name, backend, reason }, ready ? 1 : 0);
    },
  );
}

/** What the process knows by itself; queues and polls are the leader's. */
function processGauges(gauge: GaugeMaker): void {
  const pollGauge = (name: string, help: string, value: (poll: PollState) => number | undefined): void =>
    gauge(name, help, ["namespace", "backend"], (g, s) => {
      for (const poll of s.polls()) {
        const { namespace, backend } = poll;
        const shown = value(poll);
        if (shown !== undefined) g.set({ namespace, backend }, shown);
      }
    });
  gauge("leader", "1 on the replica that holds the lease.", [], (g, s) => g.set(s.leader() ? 1 : 0));
  gauge("queue_depth", "Objects that wait for a look; leader only.", ["store"], (g, s) => {
    for (const { store, depth } of s.queues()) g.inc({ store }, depth);
  });
  gauge("queue_in_flight", "Objects that are being looked at; leader only.", ["store"], (g, s) => {
    for (const { store, inFlight } of s.queues()) g.inc({ store }, inFlight);
  });
  pollGauge(
    "poll_age_seconds",
    "Seconds since the store last answered a poll; leader only, absent while no object reads it.",
    (poll) => poll.ageSeconds,
  );
  pollGauge(
    "poll_interval_seconds",
    "How often the store is polled: the shortest interval that an object asks for; leader only.",
    (poll) => poll.intervalSeconds,
  );
  pollGauge("backend_failing", "1 while the backend's store cannot be polled; leader only.", ({ failing }) =>
    failing ? 1 : 0,
  );
  gauge("scaivault_failing", "1 while ScaiVault does not answer; absent without a connection.", [], (g, s) => {
    const failing = s.scaivaultFailing();
    if (failing === undefined) g.remove();
    else g.set(failing ? 1 : 0);
  });
  gauge(
    "news_following",
    "1 while ScaiVault's news are followed, 0 while only polls see changes there; `mode` says why. Leader only, absent with `scaivault.news: Polling`.",
    ["mode"],
    (g, s) => {
      const news = s.news();
      if (news !== undefined) g.set({ mode: news.mode }, news.mode === "Following" ? 1 : 0);
    },
  );
  gauge(
    "news_age_seconds",
    "Seconds since ScaiVault last answered a poll for news; leader only, absent before the first answer.",
    [],
    (g, s) => {
      const age = s.news()?.ageSeconds;
      if (age === undefined) g.remove();
      else g.set(age);
    },
  );
}
