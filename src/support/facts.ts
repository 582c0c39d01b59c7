/**
 * What of objects and configuration goes into a support bundle. Everything is taken by name: a field that nobody listed is
 * not in it.
 */
import { GROUP } from "../api/index.ts";
import type { Config } from "../config/index.ts";
import { cleanText } from "../errors/index.ts";

type Json = Readonly<Record<string, unknown>>;

/** Fields to take, by name; `true` takes the whole of it. */
interface Shape {
  readonly [name: string]: true | Shape;
}

const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The listed fields of a value, of each of its items when it is a list. */
export function pick(value: unknown, shape: Shape): unknown {
  if (Array.isArray(value)) return value.map((item) => pick(item, shape));
  if (!isRecord(value)) return undefined;
  return Object.fromEntries(
    Object.entries(shape).flatMap(([name, inner]) => {
      const found = Object.hasOwn(value, name) ? value[name] : undefined;
      if (found === undefined) return [];
      return [[name, inner === true ? found : pick(found, inner)]];
    }),
  );
}

const metadata: Shape = {
  name: true,
  namespace: true,
  uid: true,
  generation: true,
  resourceVersion: true,
  creationTimestamp: true,
  deletionTimestamp: true,
  finalizers: true,
};

/** An object of ours: spec and status, and of its metadata only what is ours. Annotations of other tools may hold anything. */
export function ownObject(object: unknown, spec: unknown): Json {
  const { metadata: found, kind, status } = isRecord(object) ? object : {};
  const own = (texts: unknown): Json | undefined => {
    const entries = isRecord(texts) ? Object.entries(texts).filter(([key]) => key.startsWith(`${GROUP}/`)) : [];
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  };
  const [annotations, labels] = isRecord(found) ? [own(found["annotations"]), own(found["labels"])] : [];
  return {
    kind,
    metadata: {
      ...(pick(found, metadata) as Json),
      ...(annotations === undefined ? {} : { annotations }),
      ...(labels === undefined ? {} : { labels }),
    },
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

const configuration: Shape = {
  cluster: { name: true },
  operatorNamespace: true,
  scaivault: {
    url: true,
    tenantID: true,
    role: true,
    rateShare: true,
    limits: true,
    takeOverFrom: true,
    auth: {
      method: true,
      tokenFile: true,
      tokenURL: true,
      clientIDFile: true,
      clientSecretFile: true,
      subjectTokenFile: true,
      url: true,
      audience: true,
      scope: true,
      role: true,
      secret: {
        name: true,
        region: true,
        intervalMs: true,
        credentials: { mode: true, profile: true, profileFile: true, files: true },
      },
    },
  },
  marks: { keyFiles: true },
  tenancyMode: true,
  tenancy: {
    namespaces: true,
    scaivault: { read: true, write: true, credentials: true },
    endpoints: true,
    ambientIdentity: true,
    federation: true,
  },
  watchNamespaces: true,
  budgets: { objects: true, matches: true, trees: true },
  proxy: { url: true, urlFile: true, noProxy: true },
  caFile: true,
  leaderElection: { leaseName: true, leaseDurationMs: true, renewDeadlineMs: true, retryPeriodMs: true },
  health: { address: true, port: true },
  metrics: { address: true, port: true, objects: true },
  log: { level: true },
  kubernetes: { kubeconfig: true, context: true },
  workers: true,
  localEnvironment: true,
  allowLoopback: true,
};

/** The configuration in force. Files are named; what they hold is nowhere. */
export function configurationFacts(config: Config): unknown {
  return pick(config, configuration);
}

export function leaseFacts(lease: unknown): unknown {
  return pick(lease, {
    metadata,
    spec: { holderIdentity: true, renewTime: true, leaseTransitions: true, leaseDurationSeconds: true },
  });
}

export function eventFacts(event: unknown): unknown {
  return pick(event, {
    type: true,
    reason: true,
    note: true,
    action: true,
    eventTime: true,
    reportingController: true,
    reportingInstance: true,
    regarding: { kind: true, namespace: true, name: true },
    series: { count: true, lastObservedTime: true },
  });
}

const condition: Shape = { type: true, status: true, reason: true, lastTransitionTime: true };
/** Of environment variables the names only. */
const container: Shape = { name: true, image: true, resources: true, env: { name: true } };

export function deploymentFacts(deployment: unknown): unknown {
  return pick(deployment, {
    metadata,
    spec: { replicas: true, template: { spec: { containers: container } } },
    status: { replicas: true, readyReplicas: true, updatedReplicas: true, conditions: condition },
  });
}

export function podFacts(pod: unknown): unknown {
  const ended: Shape = {
    terminated: { reason: true, exitCode: true, startedAt: true, finishedAt: true },
    waiting: { reason: true },
  };
  return pick(pod, {
    metadata,
    spec: { containers: container },
    status: {
      phase: true,
      startTime: true,
      conditions: condition,
      containerStatuses: { name: true, ready: true, restartCount: true, imageID: true, state: ended, lastState: ended },
    },
  });
}

const METRIC = /^(?:# (?:HELP|TYPE) )?(?:scaivault_operator|process|nodejs)_\w+/;

/** Lines of our own metrics. */
export function metricFacts(text: string): string {
  return text
    .split("\n")
    .filter((line) => METRIC.test(line))
    .map((line) => cleanText(line, 1_024))
    .join("\n");
}
