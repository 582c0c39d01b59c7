import type { SeenObject } from "./cli/status-report.ts";
import type { Verifier, VerifyQuery } from "./cli/verify.ts";
import type { Operator } from "./compose.ts";
import { SyncError } from "./errors/index.ts";
import type { KubeObject } from "./runtime/index.ts";
import { withOperator } from "./session.ts";

type Cached = KubeObject & SeenObject;

/** `verify`: the parts of an operator look at every side once and compare; nothing is written. */
export const verifyObjects: Verifier = (config, query, { io, stage }) =>
  withOperator(config, { io, stage, purpose: "verify" }, async (operator) => {
    const objects = chosen(operator, query);
    const verdicts = await operator.verifyRun().verify(objects, io.signal, stage);
    return verdicts.map((verdict, at) => ({ verdict, object: objects[at] as Cached }));
  });

/** The objects that were asked for. @throws SyncError InvalidSpec when there are none: that is no clean result */
function chosen({ caches, namespace, config }: Operator, query: VerifyQuery): Cached[] {
  const where = query.namespace === "all" ? undefined : (query.namespace?.name ?? namespace ?? "default");
  const { kind, name } = query.object ?? {};
  const fits = ({ metadata }: KubeObject): boolean =>
    metadata.deletionTimestamp === undefined &&
    (where === undefined || metadata.namespace === where) &&
    (name === undefined || metadata.name === name);
  const syncs = kind === "FederationBackend" ? [] : caches.syncs.list().filter(fits);
  if (syncs.length > 0) return syncs.sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1)) as Cached[];
  const what = name === undefined ? "no object" : `no ${kind ?? "object"} ${name}`;
  const ignored = where !== undefined && config.watchNamespaces?.includes(where) === false;
  const why = ignored ? " (the operator does not watch it: watchNamespaces)" : "";
  const place = where === undefined ? "any namespace" : `namespace ${where}`;
  throw new SyncError("InvalidSpec", `${what} to verify in ${place}${why}`);
}

const placeOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
