/** What has to be true once outages are over and nobody edits anything any more. */
import { type Reason, reasons } from "../../../src/errors/index.ts";
import { MINUTE } from "../memory-operator.ts";
import { labelOf } from "./judge.ts";
import {
  CLUSTERS,
  type ClusterName,
  INTERVAL,
  objectOf,
  OBJECTS,
  type ObjectName,
  secretKey,
  SECRETS,
  type SecretName,
  type Stage,
  vaultPath,
} from "./stage.ts";

/** Ends all outages, lets both clusters run, waits, and checks status against what is true. A further poll writes nothing. */
export async function settleDown(stage: Stage): Promise<void> {
  stage.server.admin.clearFaults();
  stage.source.failAll(undefined);
  for (const cluster of CLUSTERS) stage.start(cluster);
  // Belief, back-off and brakes take ten minutes at most.
  await stage.pass(3 * INTERVAL + 10 * MINUTE);
  stage.judge.look();
  const before = writes(stage);
  await stage.pass(2 * INTERVAL + MINUTE);
  stage.judge.violations.push(
    ...writes(stage)
      .filter((line) => !before.includes(line))
      .map((line) => `written at rest: ${line}`),
  );
  stage.judge.look();
  for (const cluster of CLUSTERS)
    for (const object of OBJECTS)
      if (stage.op(cluster).caches.syncs.get(`team/${object}`) !== undefined) checkStatus(stage, cluster, object);
}

/** Everything that the operators wrote so far, each as one distinct line. */
function writes(stage: Stage): string[] {
  const scaivault = stage.server.admin
    .requests()
    .filter(({ method, status }) => ["PUT", "PATCH", "DELETE"].includes(method) && status < 400)
    .map(({ method, path, requestId }) => `${method} ${path} ${requestId}`);
  const kube = CLUSTERS.flatMap((cluster) => [
    ...stage.op(cluster).secrets.writes.map(({ what, key }, at) => `${cluster} ${what} ${key} ${at}`),
    ...stage
      .op(cluster)
      .statusWrites.map((what, at) => `${cluster} status of ${what} ${at}`)
      .filter((line) => line.includes("secretsyncs")),
  ]);
  return [...scaivault, ...kube];
}

interface Spec {
  readonly authority?: string;
}

function checkStatus(stage: Stage, cluster: ClusterName, object: ObjectName): void {
  const { conditions = [] } = stage.status(cluster, object);
  const ready = conditions.find(({ type }) => type === "Ready");
  const say = (what: string): void =>
    void stage.judge.violations.push(
      `${object} of ${cluster} says ${ready?.status ?? "nothing"} ${ready?.reason ?? ""} (${ready?.message ?? ""}): ${what}`,
    );
  if (ready === undefined) return say("no status");
  stage.judge.seen.add(`${ready.status} ${ready.reason}`);
  const row = reasons[ready.reason as Reason] as { kind: string } | undefined;
  if (row === undefined) return say("no such reason");
  if (ready.status !== "True") {
    if (row.kind === "transient" || row.kind === "ok") say("at rest it should converge or be held with a reason");
    return;
  }
  if (row.kind !== "ok") return say("Ready with a reason that is not");
  const { spec } = stage.op(cluster).caches.syncs.get(`team/${object}`) as unknown as { spec: Spec };
  for (const secret of SECRETS)
    if (objectOf(secret) === object) checkSecret(stage, cluster, secret, ready.reason, spec, say);
}

function checkSecret(
  stage: Stage,
  cluster: ClusterName,
  secret: SecretName,
  reason: string,
  spec: Spec,
  say: (what: string) => void,
): void {
  const source = labelOf(stage.current(secret));
  const stored = stage.server.admin.peek(vaultPath(secret));
  const vault = stored?.deleted === true ? "" : labelOf(stored?.data);
  const copy = labelOf(stage.op(cluster).secrets.copies.get(secretKey(secret))?.keys.get("value"));
  const sides = `${secret}: source ${source || "none"}, ScaiVault ${vault || "none"}, Secret ${copy || "none"}`;
  const retained = objectOf(secret) === "tree" && source === "";
  if (retained) return;
  if (spec.authority === "ScaiVault") {
    if (vault !== copy || vault === "") say(sides);
    if (reason === "Retired" && source !== "") say(sides);
    return;
  }
  if (reason === "SourceGoneRetained" ? source !== "" : false) say(sides);
  if (reason === "SourceGoneRetained") return;
  const kept = reason === "ScaiVaultKept" || objectOf(secret) === "tree";
  if (vault !== copy || vault === "") say(sides);
  else if (!kept && source !== vault) say(sides);
}
