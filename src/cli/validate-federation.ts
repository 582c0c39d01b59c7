import type { FederationBackendSpec } from "../api/index.ts";
import type { Config } from "../config/index.ts";
import { holdsPath, isTree, type Rights, sourcePath, treePrefix, type Verdict } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import type { Finding } from "./findings.ts";
import { backendSpecOf, type ManifestObject, syncSpecOf } from "./validate-manifest.ts";

type Path = readonly (string | number)[];

/** What a namespace's rights say of a federation: each mapping as a whole. Where the operator only looks, reading is enough. */
export function checkMappingRights(
  { federation }: FederationBackendSpec,
  { rights, config, namespace }: { readonly rights: Rights; readonly config: Config; readonly namespace: string },
  report: (path: Path, verdict: Verdict) => void,
): void {
  if (federation === undefined) return;
  if (config.scaivault === undefined) {
    const error = new SyncError("ScaiVaultUnavailable", "the operator's configuration has no ScaiVault connection");
    report(["spec", "federation"], { ok: false, error });
    return;
  }
  const looks = config.scaivault.role === "Reader" || federation.apply === "Never";
  federation.pathMapping.forEach(({ scaivaultPath }, at) => {
    const write = rights.scaivault(namespace, scaivaultPath, "write");
    const enough = write.ok || (looks && rights.scaivault(namespace, scaivaultPath, "read").ok);
    if (!enough) report(["spec", "federation", "pathMapping", at, "scaivaultPath"], write);
  });
}

/** Source paths that the store has no names like. */
export function checkMappings(object: ManifestObject): readonly Finding[] {
  const spec = backendSpecOf(object);
  const region = spec?.awsSecretsManager?.region;
  return (spec?.federation?.pathMapping ?? []).flatMap((mapping, at) => {
    const { sourcePath: text } = mapping;
    try {
      const one = isTree(text) ? treePrefix(text).slice(0, -1) : text;
      sourcePath(spec?.type ?? "aws-secrets-manager", one, region === undefined ? {} : { region });
      return [];
    } catch (error) {
      if (!(error instanceof SyncError)) throw error;
      return [
        object.report("error", error.reason, ["spec", "federation", "pathMapping", at, "sourcePath"], error.message),
      ];
    }
  });
}

interface Tree {
  readonly object: ManifestObject;
  readonly spec: FederationBackendSpec;
}

/** Paths that a federation of the same files holds already: of other federations, and of SecretSyncs. */
export function checkHeldPaths(objects: readonly ManifestObject[]): readonly Finding[] {
  const trees = objects.flatMap((object): Tree[] => {
    const spec = backendSpecOf(object);
    return spec?.federation === undefined ? [] : [{ object, spec }];
  });
  return [
    ...trees.flatMap((tree, at) => overlaps(tree, trees.slice(0, at))),
    ...objects.flatMap((object) => heldTarget(object, trees)),
  ];
}

function overlaps({ object, spec }: Tree, before: readonly Tree[]): Finding[] {
  return (spec.federation?.pathMapping ?? []).flatMap(({ scaivaultPath }, at) => {
    const other = before.find((tree) =>
      (tree.spec.federation?.pathMapping ?? []).some((mapping) => overlap(mapping.scaivaultPath, scaivaultPath)),
    );
    if (other === undefined) return [];
    const message = `FederationBackend ${labelOf(other.object)} maps ${scaivaultPath} too, or a part of it: the older object keeps it`;
    return [object.report("error", "Claimed", ["spec", "federation", "pathMapping", at, "scaivaultPath"], message)];
  });
}

const overlap = (a: string, b: string): boolean =>
  a === b || (isTree(a) && b.startsWith(treePrefix(a))) || (isTree(b) && a.startsWith(treePrefix(b)));

function heldTarget(object: ManifestObject, trees: readonly Tree[]): Finding[] {
  const path = syncSpecOf(object)?.targets.scaivault?.path;
  if (path === undefined) return [];
  // Of a subtree any path below it stands for all.
  const ref = isTree(path) ? `${treePrefix(path)}x` : path;
  return trees.flatMap(({ object: tree, spec: { federation } }) => {
    const held = (federation?.pathMapping ?? []).some((mapping) =>
      holdsPath({ ...mapping, exclude: mapping.exclude ?? [] }, federation?.naming ?? "Strict", ref),
    );
    if (!held) return [];
    const [reason, what] =
      federation?.mode === "proxy"
        ? (["ReadOnlyPath", "is read through by"] as const)
        : (["Claimed", "is copied to by"] as const);
    const message = `${path} ${what} FederationBackend ${labelOf(tree)}: exclude it from the mapping, or use another path`;
    return [object.report("error", reason, ["spec", "targets", "scaivault", "path"], message)];
  });
}

const labelOf = ({ namespace, name }: ManifestObject): string => (namespace === "" ? name : `${namespace}/${name}`);
