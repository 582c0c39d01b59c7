// The Grafana dashboard, made from a table of panels; the JSON of the chart is written by `npm run generate`.

/** One panel. Widths are in Grafana's grid of 24. */
interface Panel {
  readonly title: string;
  readonly says: string;
  readonly kind: "stat" | "timeseries" | "table" | "heatmap";
  readonly width: number;
  readonly unit?: string;
  /** Expression and legend. */
  readonly queries: readonly (readonly [expr: string, legend?: string])[];
  /** Stat: red from here on. */
  readonly red?: number;
  /** Stat: texts for values. */
  readonly texts?: Readonly<Record<string, string>>;
}

const P = "scaivault_operator_";
const scope = 'namespace=~"$namespace",backend=~"$backend"';
/** Both replicas tell of objects: one of them counts. */
const objects = (labels: string, more: string): string => `max by (${labels}) (${P}objects{${more},${scope}})`;
const held = `max by (namespace, backend, condition, reason) (${P}objects_held{${scope}})`;
const perSecond = (by: string, metric: string, filter = ""): string =>
  `sum by (${by}) (rate(${P}${metric}${filter === "" ? "" : `{${filter}}`}[$__rate_interval]))`;
const quantile = (q: number, by: string, metric: string, range: string, filter = ""): string =>
  `histogram_quantile(${q}, sum by (${by === "" ? "le" : `${by}, le`}) (rate(${P}${metric}_bucket${filter === "" ? "" : `{${filter}}`}[${range}])))`;
const p99 = (by: string, metric: string): string => quantile(0.99, by, metric, "$__rate_interval");
/** Node's metrics of the operator's pods alone. */
const ofOperator = (expr: string): string => `${expr} and on (job, instance) ${P}info`;

const rows: readonly (readonly [row: string, panels: readonly Panel[]])[] = [
  [
    "Now",
    [
      {
        title: "SecretSyncs not Ready",
        says: "By status; suspended ones are not counted.",
        kind: "stat",
        width: 4,
        red: 1,
        queries: [[`sum(${objects("namespace, backend, reason", 'kind="SecretSync",ready="False"')}) or vector(0)`]],
      },
      {
        title: "Backends not Ready",
        says: "Stores that cannot be read.",
        kind: "stat",
        width: 4,
        red: 1,
        queries: [
          [`sum(${objects("namespace, backend, reason", 'kind="FederationBackend",ready="False"')}) or vector(0)`],
        ],
      },
      {
        title: "Waiting for people",
        says: "Brakes, approvals and conflicts, in SecretSyncs.",
        kind: "stat",
        width: 4,
        red: 1,
        queries: [[`sum(${held}) or vector(0)`]],
      },
      {
        title: "Leader",
        says: "Whether a replica holds the lease.",
        kind: "stat",
        width: 4,
        texts: { 0: "none", 1: "there is one" },
        queries: [[`max(${P}leader)`]],
      },
      {
        title: "ScaiVault",
        says: "Whether ScaiVault answers the operator.",
        kind: "stat",
        width: 4,
        red: 1,
        texts: { 0: "answers", 1: "away" },
        queries: [[`max(${P}scaivault_failing)`]],
      },
      {
        title: "Freshness, 99 % of an hour",
        says: "From a change in the source to the last write; empty while nothing changed.",
        kind: "stat",
        width: 4,
        unit: "s",
        queries: [[quantile(0.99, "", "freshness_seconds", "1h", scope)]],
      },
      {
        title: "Not Ready, and why",
        says: "What each reason means stands in docs/reasons.md.",
        kind: "table",
        width: 12,
        queries: [[`${objects("kind, namespace, backend, reason", 'ready="False"')} > 0`]],
      },
      {
        title: "Waiting for people, and why",
        says: "Brakes, approvals and conflicts.",
        kind: "table",
        width: 12,
        queries: [[`${held} > 0`]],
      },
      {
        title: "SecretSyncs by reason",
        says: "All of them, by reason of their Ready condition.",
        kind: "timeseries",
        width: 24,
        queries: [
          [
            `sum by (ready, reason) (${objects("namespace, backend, ready, reason", 'kind="SecretSync"')})`,
            "{{ready}} {{reason}}",
          ],
        ],
      },
    ],
  ],
  [
    "Freshness",
    [
      {
        title: "How late changes are",
        says: "Quantiles over an hour, by backend.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [
          [quantile(0.5, "backend", "freshness_seconds", "1h", scope), "50 % {{backend}}"],
          [quantile(0.99, "backend", "freshness_seconds", "1h", scope), "99 % {{backend}}"],
        ],
      },
      {
        title: "Changes within 30 minutes",
        says: "Share of an hour's changes, by backend; the alert ScaiVaultFreshnessLow looks at it.",
        kind: "timeseries",
        width: 8,
        unit: "percentunit",
        queries: [
          [
            `sum by (backend) (increase(${P}freshness_seconds_bucket{le=~"1800([.]0)?",${scope}}[1h])) / (sum by (backend) (increase(${P}freshness_seconds_count{${scope}}[1h])) > 0)`,
            "{{backend}}",
          ],
        ],
      },
      {
        title: "Changes by how late they were",
        says: "Changes that reached all their targets.",
        kind: "heatmap",
        width: 8,
        queries: [[`sum by (le) (increase(${P}freshness_seconds_bucket{${scope}}[$__rate_interval]))`, "{{le}}"]],
      },
    ],
  ],
  [
    "Stores",
    [
      {
        title: "Age of the last good poll",
        says: "Beside the interval at which the store is polled.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [
          [`max by (backend) (${P}poll_age_seconds{${scope}})`, "{{backend}}"],
          [`max by (backend) (${P}poll_interval_seconds{${scope}})`, "interval of {{backend}}"],
        ],
      },
      {
        title: "Stores that cannot be polled",
        says: "1 while a store fails.",
        kind: "timeseries",
        width: 8,
        queries: [[`max by (backend) (${P}backend_failing{${scope}})`, "{{backend}}"]],
      },
      {
        title: "Time of polls, 99 %",
        says: "By store and method.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [[quantile(0.99, "store, method", "poll_seconds", "1h"), "{{store}} {{method}}"]],
      },
      {
        title: "Calls to stores",
        says: "By host and API action.",
        kind: "timeseries",
        width: 8,
        unit: "reqps",
        queries: [[perSecond("host, action", "source_calls_total"), "{{host}} {{action}}"]],
      },
      {
        title: "Calls to stores that failed",
        says: "By host and HTTP status, or kind of failure.",
        kind: "timeseries",
        width: 8,
        unit: "reqps",
        queries: [[perSecond("host, outcome", "source_calls_total", 'outcome!~"2.."'), "{{host}} {{outcome}}"]],
      },
      {
        title: "Time of calls to stores, 99 %",
        says: "By host.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [[p99("host", "source_call_seconds"), "{{host}}"]],
      },
      {
        title: "Values read",
        says: "By backend: each is an entry in the store's audit log.",
        kind: "timeseries",
        width: 24,
        unit: "reqps",
        queries: [[perSecond("backend", "source_value_reads_total", scope), "{{backend}}"]],
      },
    ],
  ],
  [
    "ScaiVault",
    [
      {
        title: "Calls to ScaiVault",
        says: "By rate category.",
        kind: "timeseries",
        width: 8,
        unit: "reqps",
        queries: [[perSecond("category", "scaivault_calls_total"), "{{category}}"]],
      },
      {
        title: "Calls to ScaiVault that failed",
        says: "By HTTP status; 404 means that nothing is there yet, 0 that no answer came.",
        kind: "timeseries",
        width: 8,
        unit: "reqps",
        queries: [
          [perSecond("category, outcome", "scaivault_calls_total", 'outcome!~"2.."'), "{{category}} {{outcome}}"],
        ],
      },
      {
        title: "Time of calls to ScaiVault, 99 %",
        says: "By rate category.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [[p99("category", "scaivault_call_seconds"), "{{category}}"]],
      },
    ],
  ],
  [
    "Writes",
    [
      {
        title: "Writes to targets",
        says: "Marks included.",
        kind: "timeseries",
        width: 12,
        unit: "wps",
        queries: [[perSecond("target, action", "target_writes_total", scope), "{{target}} {{action}}"]],
      },
      {
        title: "Failures",
        says: "Objects that ceased to be Ready, and writes that failed, by reason.",
        kind: "timeseries",
        width: 12,
        queries: [[`sum by (reason) (increase(${P}failures_total{${scope}}[$__rate_interval]))`, "{{reason}}"]],
      },
    ],
  ],
  [
    "The operator",
    [
      {
        title: "Objects that wait for a look",
        says: "By store.",
        kind: "timeseries",
        width: 8,
        queries: [
          [`max by (store) (${P}queue_depth)`, "{{store}} waits"],
          [`max by (store) (${P}queue_in_flight)`, "{{store}} under way"],
        ],
      },
      {
        title: "Looks at objects",
        says: "By kind and outcome.",
        kind: "timeseries",
        width: 8,
        unit: "ops",
        queries: [[perSecond("kind, outcome", "reconcile_seconds_count"), "{{kind}} {{outcome}}"]],
      },
      {
        title: "Time of looks, 99 %",
        says: "By kind.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [[p99("kind", "reconcile_seconds"), "{{kind}}"]],
      },
      {
        title: "Requests to the Kubernetes API",
        says: "By verb and resource.",
        kind: "timeseries",
        width: 8,
        unit: "reqps",
        queries: [[perSecond("verb, resource", "kube_calls_total"), "{{verb}} {{resource}}"]],
      },
      {
        title: "Requests to the Kubernetes API that failed",
        says: "By verb and code.",
        kind: "timeseries",
        width: 8,
        unit: "reqps",
        queries: [[perSecond("verb, code", "kube_calls_total", 'code!~"2.."'), "{{verb}} {{code}}"]],
      },
      {
        title: "Time of requests to the Kubernetes API, 99 %",
        says: "By verb.",
        kind: "timeseries",
        width: 8,
        unit: "s",
        queries: [[p99("verb", "kube_call_seconds"), "{{verb}}"]],
      },
      {
        title: "CPU",
        says: "Cores in use, by pod.",
        kind: "timeseries",
        width: 6,
        queries: [[ofOperator("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}"]],
      },
      {
        title: "Memory",
        says: "Resident, by pod.",
        kind: "timeseries",
        width: 6,
        unit: "bytes",
        queries: [[ofOperator("process_resident_memory_bytes"), "{{instance}}"]],
      },
      {
        title: "Event loop delay, 99 %",
        says: "Whether the process keeps up.",
        kind: "timeseries",
        width: 6,
        unit: "s",
        queries: [[ofOperator("nodejs_eventloop_lag_p99_seconds"), "{{instance}}"]],
      },
      {
        title: "Versions",
        says: "Of the replicas.",
        kind: "table",
        width: 6,
        queries: [[`count by (version) (${P}info)`]],
      },
    ],
  ],
];

const HEIGHT = { stat: 4, timeseries: 8, table: 8, heatmap: 8 } as const;
const datasource = { type: "prometheus", uid: "${datasource}" };

function options({ kind }: Panel): object {
  switch (kind) {
    case "stat":
      return { reduceOptions: { calcs: ["lastNotNull"] }, colorMode: "background", graphMode: "area" };
    case "timeseries":
      return { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } };
    case "table":
      return { cellHeight: "sm" };
    case "heatmap":
      return { calculate: false, yAxis: { unit: "s" }, color: { scheme: "Oranges" } };
    default:
      return kind satisfies never;
  }
}

function fieldConfig({ unit, red, texts }: Panel): object {
  const steps = [{ color: "green", value: null }, ...(red === undefined ? [] : [{ color: "red", value: red }])];
  const mappings =
    texts === undefined
      ? []
      : [{ type: "value", options: Object.fromEntries(Object.entries(texts).map(([at, text]) => [at, { text }])) }];
  return {
    defaults: { ...(unit === undefined ? {} : { unit }), mappings, thresholds: { mode: "absolute", steps } },
    overrides: [],
  };
}

function made(panel: Panel, id: number, x: number, y: number): object {
  const { title, says, kind, width, queries } = panel;
  const format = kind === "table" ? "table" : kind === "heatmap" ? "heatmap" : "time_series";
  return {
    id,
    type: kind,
    title,
    description: says,
    datasource,
    gridPos: { x, y, w: width, h: HEIGHT[kind] },
    fieldConfig: fieldConfig(panel),
    options: options(panel),
    targets: queries.map(([expr, legend], at) => ({
      refId: "ABCDEF"[at],
      datasource,
      expr,
      format,
      ...(kind === "table" ? { instant: true } : {}),
      ...(legend === undefined ? {} : { legendFormat: legend }),
    })),
    ...(kind === "table"
      ? {
          transformations: [
            { id: "organize", options: { excludeByName: { Time: true }, renameByName: { Value: "count" } } },
          ],
        }
      : {}),
  };
}

function allPanels(): object[] {
  const panels: object[] = [];
  let y = 0;
  for (const [title, members] of rows) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of members) {
      if (x + panel.width > 24) {
        y += height;
        x = 0;
        height = 0;
      }
      panels.push(made(panel, panels.length + 1, x, y));
      x += panel.width;
      height = Math.max(height, HEIGHT[panel.kind]);
    }
    y += height;
  }
  return panels;
}

function labelVariable(name: string): object {
  const query = `label_values(${P}objects, ${name})`;
  return {
    name,
    label: name,
    type: "query",
    datasource,
    definition: query,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  };
}

/** The dashboard as Grafana imports it. */
export function dashboard(): string {
  const whole = {
    uid: "scaivault-operator",
    title: "ScaiVault operator",
    description: "What is not in sync, how late changes are, and what it costs. See docs/metrics.md.",
    tags: ["scaivault"],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: "1m",
    time: { from: "now-6h", to: "now" },
    timezone: "browser",
    templating: {
      list: [
        { name: "datasource", label: "data source", type: "datasource", query: "prometheus", current: {} },
        labelVariable("namespace"),
        labelVariable("backend"),
      ],
    },
    annotations: { list: [] },
    links: [],
    panels: allPanels(),
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}
