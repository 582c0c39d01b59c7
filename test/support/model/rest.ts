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
    for (const object of OBJECTS) if (stage.has(cluster, object)) checkStatus(stage, cluster, object);
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
  const authority = stage.authority(cluster, object);
  for (const secret of SECRETS)
    if (objectOf(secret) === object) checkSecret(stage, cluster, secret, ready.reason, authority, say);
}

function checkSecret(
  stage: Stage,
  cluster: ClusterName,
  secret: SecretName,
  reason: string,
  authority: string,
  say: (what: string) => void,
): void {
  const source = labelOf(stage.current(secret));
  const stored = stage.server.admin.peek(vaultPath(secret));
  const vault = stored?.deleted === true ? "" : labelOf(stored?.data);
  const own = labelOf(stage.op(cluster).secrets.copies.get(secretKey(secret))?.keys.get("value"));
  const [isTree, hasSecret] = [objectOf(secret) !== secret, objectOf(secret) !== "fed"];
  const copy = hasSecret ? own : vault;
  const sides = `${secret}: source ${source || "none"}, ScaiVault ${vault || "none"}, Secret ${copy || "none"}`;
  const retained = isTree && source === "";
  if (retained) return;
  if (authority === "ScaiVault") {
    if (vault !== copy || vault === "") say(sides);
    if (reason === "Retired" && source !== "") say(sides);
    return;
  }
  if (reason === "SourceGoneRetained" ? source !== "" : false) say(sides);
  if (reason === "SourceGoneRetained") return;
  const kept = reason === "ScaiVaultKept" || isTree;
  if (vault !== copy || vault === "") say(sides);
  else if (!kept && source !== vault) say(sides);
}
