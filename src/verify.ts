import type { SeenObject } from "./cli/status-report.ts";
import type { Verifier, VerifyQuery } from "./cli/verify.ts";
import type { Operator } from "./compose.ts";
import type { VerifyObject } from "./controllers/index.ts";
import { SyncError } from "./errors/index.ts";
import type { KubeObject } from "./runtime/index.ts";
import { withOperator } from "./session.ts";

type Cached = KubeObject & SeenObject;

/** `verify`: the parts of an operator look at every side once and compare; nothing is written. */
export const verifyObjects: Verifier = (config, query, { io, stage }) =>
  withOperator(config, { io, stage, purpose: "verify" }, async (operator) => {
    const objects = chosen(operator, query);
    const verdicts = await operator.verifyRun().verify(objects, io.signal, stage);
    return verdicts.map((verdict, at) => ({ verdict, object: objects[at]?.object as Cached }));
  });

/** The objects that were asked for. @throws SyncError InvalidSpec when there are none: that is no clean result */
function chosen({ caches, namespace, config }: Operator, query: VerifyQuery): VerifyObject[] {
  const where = query.namespace === "all" ? undefined : (query.namespace?.name ?? namespace ?? "default");
  const { kind, name } = query.object ?? {};
  const fits = ({ metadata }: KubeObject): boolean =>
    metadata.deletionTimestamp === undefined &&
    (where === undefined || metadata.namespace === where) &&
    (name === undefined || metadata.name === name);
  const of = (one: VerifyObject["kind"], objects: readonly KubeObject[]): VerifyObject[] =>
    kind !== undefined && kind !== one ? [] : objects.filter(fits).map((object) => ({ kind: one, object }));
  const trees = caches.backends.list().filter(hasTree);
  const found = [...of("FederationBackend", trees), ...of("SecretSync", caches.syncs.list())];
  if (found.length > 0) return found.sort((a, b) => (placeOf(a.object) < placeOf(b.object) ? -1 : 1));
  const what = name === undefined ? "no object" : `no ${kind ?? "object"} ${name}`;
  const ignored = where !== undefined && config.watchNamespaces?.includes(where) === false;
  const why = ignored ? " (the operator does not watch it: watchNamespaces)" : "";
  const place = where === undefined ? "any namespace" : `namespace ${where}`;
  throw new SyncError("InvalidSpec", `${what} to verify in ${place}${why}`);
}

/** Whether the operator copies a tree for this backend; what ScaiVault copies itself is not compared here. */
function hasTree(object: KubeObject): boolean {
  const { federation } = ((object as Cached).spec ?? {}) as { readonly federation?: { readonly runsIn?: unknown } };
  return federation !== undefined && federation.runsIn !== "ScaiVault";
}

const placeOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
