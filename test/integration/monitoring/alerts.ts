/** Scenarios for `promtool test rules`: series by minute, and the alerts that fire at a moment, no other. */

/** Series and their values by minute, in promtool's notation (`1x30`: 1, thirty times more). */
export interface Scenario {
  readonly name: string;
  readonly series: Readonly<Record<string, string>>;
  /** Moment, such as `20m`, to the alerts that fire then: name to its labels beside severity. */
  readonly firing: Readonly<Record<string, readonly Fired[]>>;
}
type Fired = readonly [alert: string, severity: "critical" | "warning", labels?: Readonly<Record<string, string>>];

const P = "scaivault_operator_";
const objects = (kind: string, namespace: string, backend: string, ready: string, reason: string): string =>
  `${P}objects{kind="${kind}",namespace="${namespace}",backend="${backend}",ready="${ready}",reason="${reason}"}`;
const held = (namespace: string, backend: string, condition: string, reason: string): string =>
  `${P}objects_held{namespace="${namespace}",backend="${backend}",condition="${condition}",reason="${reason}"}`;

/** Two replicas that are well. */
const well: Readonly<Record<string, string>> = {
  [`${P}info{pod="a"}`]: "1x200",
  [`${P}info{pod="b"}`]: "1x200",
  [`${P}leader{pod="a",namespace="scaivault",job="op"}`]: "1x200",
  [`${P}leader{pod="b",namespace="scaivault",job="op"}`]: "0x200",
  [`${P}scaivault_failing{pod="a"}`]: "0x200",
};
const backendWell = { [objects("FederationBackend", "billing", "billing/aws", "True", "InSync")]: "1x200" };
const backendDown = {
  [objects("FederationBackend", "billing", "billing/aws", "True", "InSync")]: "1x1 stale",
  [objects("FederationBackend", "billing", "billing/aws", "False", "SourceUnavailable")]: "_x1 1x200",
};
const age = `${P}poll_age_seconds{namespace="billing",backend="billing/aws"}`;
const interval = `${P}poll_interval_seconds{namespace="billing",backend="billing/aws"}`;
const freshness = (end: string): string => `${P}freshness_seconds_${end},namespace="billing",backend="billing/aws"}`;
const billing = { namespace: "billing", backend: "billing/aws" };
const teams = Array.from({ length: 40 }, (_, at) => `team-${at}`);
const inTeams = (row: (team: string) => string, values: string): Record<string, string> =>
  Object.fromEntries(teams.map((team) => [row(team), values]));

export const scenarios: readonly Scenario[] = [
  {
    name: "all is well",
    series: {
      ...well,
      ...backendWell,
      [objects("SecretSync", "billing", "billing/aws", "True", "InSync")]: "400x200",
      [age]: "120x200",
      [interval]: "300x200",
    },
    firing: { "3h": [] },
  },
  { name: "nothing is scraped", series: {}, firing: { "9m": [], "11m": [["ScaiVaultOperatorAbsent", "critical"]] } },
  {
    name: "nobody leads",
    series: { ...well, [`${P}leader{pod="a",namespace="scaivault",job="op"}`]: "1 0x200" },
    firing: {
      "5m": [],
      "7m": [["ScaiVaultOperatorNoLeader", "critical", { namespace: "scaivault", job: "op" }]],
    },
  },
  {
    name: "one store is down: one page, not one for each of 16,000 objects in 40 namespaces",
    series: {
      ...well,
      ...backendDown,
      ...inTeams((team) => objects("SecretSync", team, "billing/aws", "False", "Stale"), "_x45 400x200"),
      [age]: "0+60x200",
      [interval]: "300x200",
      [`${P}backend_failing{namespace="billing",backend="billing/aws"}`]: "1x200",
    },
    firing: {
      "4m": [],
      "8m": [["ScaiVaultBackendNotReady", "critical", billing]],
      "3h": [["ScaiVaultBackendNotReady", "critical", billing]],
    },
  },
  {
    name: "a store that fails in another way each minute is still down",
    series: {
      ...well,
      [objects("FederationBackend", "billing", "billing/aws", "False", "SourceUnavailable")]:
        "1 stale 1 stale 1 stale 1 stale 1 stale 1 stale 1",
      [objects("FederationBackend", "billing", "billing/aws", "False", "LoginFailed")]:
        "_ 1 stale 1 stale 1 stale 1 stale 1 stale 1 stale",
    },
    firing: { "10m": [["ScaiVaultBackendNotReady", "critical", billing]] },
  },
  {
    name: "a tree that is being copied is no store that is down; a backend without one that is never polled is",
    series: {
      ...well,
      [objects("FederationBackend", "billing", "billing/aws", "False", "Progressing")]: "1x200",
      [`${P}tree_secrets{namespace="billing",backend="billing/aws",state="found"}`]: "10000x200",
      [objects("FederationBackend", "shop", "shop/vault", "False", "Progressing")]: "1x200",
    },
    firing: { "1h": [["ScaiVaultBackendNotReady", "critical", { namespace: "shop", backend: "shop/vault" }]] },
  },
  {
    name: "a tree whose brake holds is told by that alone",
    series: {
      ...well,
      [objects("FederationBackend", "billing", "billing/aws", "False", "DeletionBraked")]: "1x200",
      [`${P}tree_secrets{namespace="billing",backend="billing/aws",state="found"}`]: "100x200",
      [held("billing", "billing/aws", "DeletionHeld", "DeletionBraked")]: "1x200",
    },
    firing: { "1h": [["ScaiVaultBrakeHeld", "critical", { backend: "billing/aws" }]] },
  },
  {
    name: "two stores are down: two pages",
    series: {
      ...well,
      ...backendDown,
      [objects("FederationBackend", "shop", "shop/vault", "False", "SourceSealed")]: "1x200",
    },
    firing: {
      "1h": [
        ["ScaiVaultBackendNotReady", "critical", billing],
        ["ScaiVaultBackendNotReady", "critical", { namespace: "shop", backend: "shop/vault" }],
      ],
    },
  },
  {
    name: "a suspended backend and its objects are nobody's night",
    series: {
      ...well,
      [objects("FederationBackend", "billing", "billing/aws", "Unknown", "Suspended")]: "1x200",
      [objects("SecretSync", "billing", "billing/aws", "False", "BackendSuspended")]: "400x200",
    },
    firing: { "3h": [] },
  },
  {
    name: "ScaiVault is away: one page",
    series: {
      ...well,
      ...backendWell,
      [`${P}scaivault_failing{pod="a"}`]: "0 1x200",
      ...inTeams((team) => objects("SecretSync", team, "billing/aws", "False", "Stale"), "_x45 400x200"),
      ...inTeams((team) => objects("SecretSync", team, "billing/aws", "False", "ScaiVaultUnavailable"), "2x200"),
    },
    firing: { "5m": [], "3h": [["ScaiVaultUnreachable", "critical"]] },
  },
  {
    name: "what is broken beside an outage of ScaiVault is still said",
    series: {
      ...well,
      ...backendWell,
      [`${P}scaivault_failing{pod="a"}`]: "1x200",
      [objects("SecretSync", "shop", "billing/aws", "False", "NotOwned")]: "1x200",
    },
    firing: {
      "1h": [
        ["ScaiVaultObjectsNotReady", "warning", { namespace: "shop" }],
        ["ScaiVaultUnreachable", "critical"],
      ],
    },
  },
  {
    name: "polls have ceased, and the backend does not say why",
    series: { ...well, ...backendWell, [age]: "0+60x200", [interval]: "300x200" },
    firing: { "16m": [], "23m": [["ScaiVaultPollsStale", "critical", billing]] },
  },
  {
    name: "mass changes in 40 namespaces: one page for the store",
    series: {
      ...well,
      ...backendWell,
      ...inTeams((team) => held(team, "billing/aws", "ChangeHeld", "ManyChanges"), "5x200"),
    },
    firing: { "14m": [], "20m": [["ScaiVaultBrakeHeld", "critical", { backend: "billing/aws" }]] },
  },
  {
    name: "deletions wait for ten minutes after a start: no page",
    series: {
      ...well,
      ...backendWell,
      [held("billing", "billing/aws", "DeletionHeld", "DeletionBraked")]: "1x11 stale",
    },
    firing: { "9m": [], "16m": [], "30m": [] },
  },
  {
    name: "a second operator under this name, and a cluster that is behind",
    series: {
      ...well,
      ...backendWell,
      [held("billing", "billing/aws", "Conflict", "AnotherWriter")]: "1x200",
      [held("shop", "shop/vault", "ApprovalNeeded", "AuthorityFenced")]: "1x200",
    },
    firing: {
      "3h": [
        ["ScaiVaultBrakeHeld", "critical", { backend: "billing/aws" }],
        ["ScaiVaultBrakeHeld", "critical", { backend: "shop/vault" }],
      ],
    },
  },
  {
    name: "an approval that was asked for waits: a ticket for its namespace",
    series: {
      ...well,
      ...backendWell,
      [held("billing", "billing/aws", "ApprovalNeeded", "ApprovalNeeded")]: "3x200",
      [objects("SecretSync", "billing", "billing/aws", "False", "ApprovalNeeded")]: "3x200",
    },
    firing: { "59m": [], "61m": [["ScaiVaultApprovalWaiting", "warning", { namespace: "billing" }]] },
  },
  {
    name: "broken objects: one ticket for each namespace",
    series: {
      ...well,
      ...backendWell,
      [objects("SecretSync", "billing", "billing/aws", "False", "AccessDenied")]: "7x200",
      [objects("SecretSync", "billing", "billing/other", "False", "NotOwned")]: "2x200",
      [objects("SecretSync", "shop", "billing/aws", "False", "SourceNotFound")]: "1x200",
      [objects("SecretSync", "blip", "billing/aws", "False", "WriteRefused")]: "9x10 stale",
    },
    firing: {
      "14m": [],
      "20m": [
        ["ScaiVaultObjectsNotReady", "warning", { namespace: "billing" }],
        ["ScaiVaultObjectsNotReady", "warning", { namespace: "shop" }],
      ],
    },
  },
  {
    name: "what is observed, under way or suspended is fine",
    series: {
      ...well,
      ...backendWell,
      [objects("SecretSync", "billing", "billing/aws", "False", "Differs")]: "500x200",
      [objects("SecretSync", "billing", "billing/aws", "False", "Progressing")]: "500x200",
      [objects("SecretSync", "billing", "billing/aws", "Unknown", "Suspended")]: "5x200",
    },
    firing: { "3h": [] },
  },
  {
    name: "readers wait for the writer of the fleet: one ticket, and not at once",
    series: {
      ...well,
      ...backendWell,
      ...inTeams((team) => objects("SecretSync", team, "billing/aws", "False", "WaitingForWriter"), "5x200"),
      [objects("SecretSync", "billing", "billing/aws", "False", "OtherCluster")]: "1x200",
    },
    firing: { "110m": [], "3h": [["ScaiVaultWriterBehind", "warning"]] },
  },
  {
    name: "two in a hundred changes are late",
    series: {
      ...well,
      ...backendWell,
      [freshness('bucket{le="1800.0"')]: "0 0+49x200",
      [freshness('bucket{le="+Inf"')]: "0 0+50x200",
      [freshness('count{x=""')]: "0 0+50x200",
    },
    firing: { "1h": [["ScaiVaultFreshnessLow", "warning", billing]] },
  },
  {
    name: "all changes are in time, as Prometheus 2 writes it; or nothing changed",
    series: {
      ...well,
      ...backendWell,
      [freshness('bucket{le="1800"')]: "0 0+50x200",
      [freshness('count{x=""')]: "0 0+50x200",
      [`${P}freshness_seconds_bucket{le="1800",namespace="quiet",backend="billing/aws"}`]: "0x200",
      [`${P}freshness_seconds_count{namespace="quiet",backend="billing/aws"}`]: "0x200",
    },
    firing: { "3h": [] },
  },
];

/** The scenarios as promtool's file. */
export function promtoolTests(ruleFile: string): object {
  return {
    rule_files: [ruleFile],
    evaluation_interval: "1m",
    tests: [
      ...scenarios.map(({ name, series, firing }) => ({
        name,
        interval: "1m",
        input_series: Object.entries(series).map(([one, values]) => ({ series: one, values })),
        promql_expr_test: Object.entries(firing).map(([at, alerts]) => ({
          expr: 'ALERTS{alertstate="firing"}',
          eval_time: at,
          exp_samples: alerts.map((alert) => ({ labels: firedLabels(alert), value: 1 })),
        })),
      })),
      descriptions,
    ],
  };
}

function firedLabels([alertname, severity, labels = {}]: Fired): string {
  const all = { alertname, alertstate: "firing", severity, ...labels };
  return `ALERTS{${Object.entries(all)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")}}`;
}

/** What people read: reasons and counts come from queries in the texts. */
const descriptions = {
  name: "descriptions name namespace, backend, reasons and counts",
  interval: "1m",
  input_series: Object.entries({
    ...well,
    [objects("FederationBackend", "billing", "billing/aws", "False", "SourceSealed")]: "1x60",
    [objects("SecretSync", "billing", "billing/aws", "True", "InSync")]: "40x60",
    [objects("SecretSync", "shop", "shop/vault", "False", "NotOwned")]: "2x60",
    [objects("SecretSync", "shop", "shop/vault", "False", "AccessDenied")]: "5x60",
  }).map(([series, values]) => ({ series, values })),
  alert_rule_test: [
    {
      eval_time: "20m",
      alertname: "ScaiVaultBackendNotReady",
      exp_alerts: [
        {
          exp_labels: { severity: "critical", namespace: "billing", backend: "billing/aws" },
          exp_annotations: {
            summary: "Backend billing/aws is not Ready.",
            description:
              "Backend billing/aws has not been Ready for 5 minutes: SourceSealed . Copies of its 40 SecretSyncs keep their last values; changes in the store may not be seen.",
            runbook_url: "docs/runbooks/ScaiVaultBackendNotReady.md",
          },
        },
      ],
    },
    {
      eval_time: "20m",
      alertname: "ScaiVaultObjectsNotReady",
      exp_alerts: [
        {
          exp_labels: { severity: "warning", namespace: "shop" },
          exp_annotations: {
            summary: "SecretSyncs in namespace shop are not Ready.",
            description:
              "7 SecretSyncs in shop have not been Ready for 15 minutes: AccessDenied from shop/vault (5) NotOwned from shop/vault (2) .",
            runbook_url: "docs/runbooks/ScaiVaultObjectsNotReady.md",
          },
        },
      ],
    },
  ],
};
