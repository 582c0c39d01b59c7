import * as z from "zod";
import {
  described,
  dnsLabelRule,
  dnsSubdomainRule,
  grantGlobRules,
  matches,
  parseDuration,
  type Rule,
} from "../api/index.ts";
import { duration, file, flag, has, list, number, own, text, url } from "./fields.ts";
import { scaivaultSchema } from "./scaivault-schema.ts";

// The configuration file as people write it. Defaults are filled in by `resolve.ts`; descriptions are what
// docs/configuration.md says.

export const configDefaults = {
  leaseName: "scaivault-operator",
  leaseDuration: "15s",
  renewDeadline: "10s",
  retryPeriod: "2s",
  address: "0.0.0.0",
  healthPort: 8081,
  metricsPort: 8080,
  logLevel: "info",
  objects: 1000,
  matches: 1000,
  trees: 50_000,
  workers: 40,
  role: "Writer",
  news: "Subscription",
  rateShare: 1,
  connectionInterval: "5m",
  awsCredentials: "Default",
} as const;

const endpointRule = matches(
  "endpoint",
  "^(https://)?(\\*\\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?$",
  "write HOST, HOST:PORT or *.DOMAIN, such as vault.example.com:8200",
);
const globs = (description: string) => list(text("One glob.", 512, grantGlobRules), description);
const namespace = text("Name of a namespace.", 63, [dnsLabelRule]);

const clusterSchema = described(
  z.object({
    name: text(
      "Name of this cluster in marks, audit rows and User-Agent; unique in the fleet and never changed: marks are proved with it.",
      63,
      [dnsSubdomainRule],
    ),
  }),
  "This cluster.",
);

const marksSchema = described(
  z.object({
    keyFiles: described(
      z.array(file("A file with one key of 32 bytes, raw or as base64.")).min(1).max(8),
      "Keys that prove marks: the first signs, all verify. A fleet shares them. Losing them means one pass with `adopt: IfEqual`.",
    ),
  }),
  "Keys of the marks on targets.",
);

const tenancySchema = described(
  z.object({
    namespaces: described(
      z.array(namespace).min(1).max(1000),
      "Namespaces that this entry is about, by name. A namespace may be in several entries; rights add up.",
    ),
    scaivault: described(
      z.object({
        read: globs("ScaiVault paths that may be read, as globs; `{namespace}` fills a whole segment.").optional(),
        write: globs("ScaiVault paths that may be written, as globs; `{namespace}` fills a whole segment.").optional(),
        credentials: globs(
          "ScaiVault paths whose credentials federation backends of these namespaces may log in with, as globs; `{namespace}` fills a whole segment.",
        ).optional(),
      }),
      "Rights in ScaiVault. Default: none.",
    ).optional(),
    endpoints: list(
      text("One host.", 300, [endpointRule]),
      "Hosts that credentials of these namespaces may be sent to, besides AWS's own: HOST, HOST:PORT or *.DOMAIN. Default: none.",
    ).optional(),
    ambientIdentity: flag(
      "True lets backends of these namespaces log in as the operator itself. Default: false.",
    ).optional(),
    federation: flag(
      "True lets these namespaces register federation backends in ScaiVault (runsIn: ScaiVault), below the paths that they may write. Default: false.",
    ).optional(),
  }),
  "Rights of some namespaces.",
);

const proxySchema = described(
  z.object({
    url: text("Proxy for AWS, Vault and ScaiVault, such as http://proxy.example.com:3128.", 512, [
      matches(
        "proxy-url",
        "^https?://[A-Za-z0-9.:\\[\\]-]+/?$",
        "write http://HOST:PORT; a proxy with user and password goes into urlFile",
      ),
    ]).optional(),
    urlFile: file("File with the URL of the proxy, when it holds a password.").optional(),
    noProxy: list(text("One host, HOST:PORT, or .DOMAIN.", 300), "Hosts that are reached directly.").optional(),
  }),
  "The proxy for all stores; the kube-apiserver is always reached directly. Proxy variables of the environment are not used.",
  [
    own<object>(
      "proxy-one",
      "set exactly one of url and urlFile",
      [],
      (self) => has(self, "url") !== has(self, "urlFile"),
    ),
  ],
);

interface Timing {
  readonly leaseDuration?: string;
  readonly renewDeadline?: string;
  readonly retryPeriod?: string;
}
const timing = (self: Timing) => ({
  lease: parseDuration(self.leaseDuration ?? configDefaults.leaseDuration) ?? Infinity,
  renew: parseDuration(self.renewDeadline ?? configDefaults.renewDeadline) ?? 0,
  retry: parseDuration(self.retryPeriod ?? configDefaults.retryPeriod) ?? 0,
});

const leaderElectionSchema = described(
  z.object({
    leaseName: text("Name of the Lease in operatorNamespace. Default: scaivault-operator.", 253, [
      dnsSubdomainRule,
    ]).optional(),
    leaseDuration: duration("How long a lease holds. Default: 15s.", "5s", "10m").optional(),
    renewDeadline: duration(
      "How long the leader tries to renew before it stops writing. Default: 10s.",
      "2s",
      "10m",
    ).optional(),
    retryPeriod: duration("How often it tries. Default: 2s.", "1s", "5m").optional(),
  }),
  "Leader election.",
  [
    own<Timing>(
      "renew-before-lease-ends",
      "write less than leaseDuration: the leader must stop writing before its lease ends",
      ["renewDeadline"],
      (self) => timing(self).renew < timing(self).lease,
    ),
    own<Timing>(
      "retry-before-deadline",
      "write less than renewDeadline",
      ["retryPeriod"],
      (self) => timing(self).retry < timing(self).renew,
    ),
  ],
);

const listener = <M extends z.ZodRawShape>(port: number, purpose: string, more: M) =>
  described(
    z.object({
      address: text("Address to listen on. Default: 0.0.0.0.", 64, [
        matches("address", "^[0-9A-Fa-f.:]+$", "write an IP address, such as 0.0.0.0 or 127.0.0.1"),
      ]).optional(),
      port: number(`Port to listen on; 0 takes a free one. Default: ${port}.`, 0, 65_535).optional(),
      ...more,
    }),
    purpose,
  );

interface LooseConfig {
  readonly cluster?: { name?: unknown };
  readonly localEnvironment?: unknown;
  readonly scaivault?: {
    url?: unknown;
    takeOverFrom?: unknown;
    auth?: { clientCredentials?: { tokenURL?: unknown }; tokenExchange?: { url?: unknown } };
  };
}
const secure = (value: unknown): boolean => typeof value !== "string" || value.startsWith("https://");
const secureAt = (at: readonly string[], get: (self: LooseConfig) => unknown): Rule =>
  own<LooseConfig>(
    "https",
    "write an https:// URL; plain http is for localEnvironment only",
    at,
    (self) => self.localEnvironment === true || secure(get(self)),
  );

export const configFileSchema = described(
  z.object({
    cluster: clusterSchema,
    operatorNamespace: text("Namespace that the operator runs in.", 63, [dnsLabelRule]),
    scaivault: scaivaultSchema.optional(),
    marks: marksSchema,
    tenancyMode: described(
      z.enum(["Restricted", "Open"]),
      "Restricted: namespaces have the rights that tenancy gives. Open: every namespace may do everything; for one tenant and for trying out. Default: Restricted.",
    ).optional(),
    tenancy: described(
      z.array(tenancySchema).max(1000),
      "Rights by namespace. What is not given is denied.",
    ).optional(),
    watchNamespaces: described(z.array(namespace).min(1).max(500), "Namespaces to watch. Default: all.", [], {
      "x-kubernetes-list-type": "set",
    }).optional(),
    budgets: described(
      z.object({
        objects: number("SecretSyncs of one namespace. Default: 1000.", 1, 100_000).optional(),
        matches: number("Secrets below one subtree. Default: 1000.", 1, 100_000).optional(),
        trees: number("Secrets of one federated tree. Default: 50000.", 1, 1_000_000).optional(),
      }),
      "Limits of one namespace.",
    ).optional(),
    proxy: proxySchema.optional(),
    caFile: file(
      "File with PEM certificates that are trusted besides the built-in ones, by all clients; read again when it changes.",
    ).optional(),
    leaderElection: leaderElectionSchema.optional(),
    health: listener(8081, "Listener of /livez and /readyz.", {}).optional(),
    metrics: listener(8080, "Listener of /metrics.", {
      objects: flag(
        "True adds one series an object, with its name and whether it is Ready; see docs/metrics.md for what that costs. Default: false.",
      ).optional(),
    }).optional(),
    log: described(
      z.object({
        level: described(
          z.enum(["error", "warn", "info", "debug"]),
          "Least level that is logged; a change is taken in without a restart. Default: info.",
        ).optional(),
      }),
      "The log.",
    ).optional(),
    kubernetes: described(
      z.object({
        kubeconfig: file("Kubeconfig to use. Default: the pod's own ServiceAccount.").optional(),
        context: text("Context of the kubeconfig. Default: its current one.", 253).optional(),
      }),
      "The cluster to work on.",
    ).optional(),
    workers: number("SecretSyncs worked on at a time, per store. Default: 40.", 1, 64).optional(),
    localEnvironment: flag(
      "True allows what only the local environment needs: endpointOverrides, allowLoopback, plain http. Default: false.",
    ).optional(),
    endpointOverrides: described(
      z.record(z.string(), url("URL to connect to instead, such as http://127.0.0.1:8200.")),
      "Host name to URL: connections to the host go there instead. Local environment only.",
    ).optional(),
    allowLoopback: flag("True allows endpoints on loopback. Local environment only. Default: false.").optional(),
  }),
  "Configuration of the operator.",
  [
    own<LooseConfig>(
      "overrides-local",
      "remove it: endpointOverrides needs `localEnvironment: true`",
      ["endpointOverrides"],
      (self) => self.localEnvironment === true || !has(self, "endpointOverrides"),
    ),
    own<LooseConfig & { allowLoopback?: unknown }>(
      "loopback-local",
      "remove it: allowLoopback needs `localEnvironment: true`",
      ["allowLoopback"],
      (self) => self.localEnvironment === true || self.allowLoopback !== true,
    ),
    own<LooseConfig>(
      "take-over-others",
      "remove this cluster's own name",
      ["scaivault", "takeOverFrom"],
      ({ cluster, scaivault }) =>
        !Array.isArray(scaivault?.takeOverFrom) || !scaivault.takeOverFrom.includes(cluster?.name),
    ),
    secureAt(["scaivault", "url"], (self) => self.scaivault?.url),
    secureAt(
      ["scaivault", "auth", "clientCredentials", "tokenURL"],
      (self) => self.scaivault?.auth?.clientCredentials?.tokenURL,
    ),
    secureAt(["scaivault", "auth", "tokenExchange", "url"], (self) => self.scaivault?.auth?.tokenExchange?.url),
    own<{ tenancyMode?: unknown; tenancy?: unknown }>(
      "open-without-tenancy",
      "remove tenancy: with `tenancyMode: Open` it is not looked at",
      ["tenancy"],
      (self) => self.tenancyMode !== "Open" || !Array.isArray(self.tenancy) || self.tenancy.length === 0,
    ),
  ],
);

/** The file as it is written. */
export type ConfigFile = z.infer<typeof configFileSchema>;
