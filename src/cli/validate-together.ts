import type { Finding } from "./findings.ts";
import { checkHeldPaths, checkMappings } from "./validate-federation.ts";
import { backendSpecOf, type ManifestObject, syncSpecOf } from "./validate-manifest.ts";
import { checkGrant, checkGrants } from "./validate-rights.ts";

/** What only shows when objects are seen together: doubles, two claims on one target, missing grants. */
export function checkTogether(objects: readonly ManifestObject[]): readonly Finding[] {
  return [
    ...checkDoubles(objects),
    ...checkClaims(objects),
    ...objects.flatMap(checkGrants),
    ...checkBackendRefs(objects),
    ...objects.flatMap(checkMappings),
    ...checkHeldPaths(objects),
  ];
}

function checkDoubles(objects: readonly ManifestObject[]): readonly Finding[] {
  const named = objects.filter((object) => object.name !== "");
  return repeated(named, (object) => [`${object.kind} ${label(object)}`]).map(([object, first]) =>
    object.report("error", "DuplicateObject", ["metadata", "name"], `${first} is there twice: remove one`),
  );
}

function checkClaims(objects: readonly ManifestObject[]): readonly Finding[] {
  const claims = objects.flatMap((object) => {
    const spec = syncSpecOf(object);
    if (spec === undefined) return [];
    const { scaivault, kubernetesSecret } = spec.targets;
    const secret = kubernetesSecret?.name ?? (spec.source.subtree === undefined ? object.name : undefined);
    return [
      ...(scaivault === undefined
        ? []
        : [{ object, target: `ScaiVault ${scaivault.path}`, path: ["spec", "targets", "scaivault", "path"] }]),
      ...(kubernetesSecret === undefined || secret === undefined || secret === ""
        ? []
        : [
            {
              object,
              target: `Secret ${object.namespace === "" ? "" : `${object.namespace}/`}${secret}`,
              path: ["spec", "targets", "kubernetesSecret", ...(kubernetesSecret.name === undefined ? [] : ["name"])],
            },
          ]),
    ];
  });
  const owners = new Map<string, ManifestObject>();
  const findings: Finding[] = [];
  for (const { object, target, path } of claims) {
    const owner = owners.get(target);
    if (owner === undefined) owners.set(target, object);
    else if (label(owner) !== label(object))
      findings.push(
        object.report(
          "error",
          "Claimed",
          path,
          `SecretSync ${label(owner)} writes ${target} already: use another target or remove one`,
        ),
      );
  }
  return findings;
}

/** Only backends that stand in the same files are looked at; others may be in the cluster. */
function checkBackendRefs(objects: readonly ManifestObject[]): readonly Finding[] {
  const backends = new Map(objects.filter((o) => o.kind === "FederationBackend").map((o) => [label(o), o]));
  return objects.flatMap((object) => {
    const spec = syncSpecOf(object);
    if (spec === undefined) return [];
    const { name, namespace } = spec.source.backendRef;
    const home = namespace ?? object.namespace;
    const found = backends.get(home === "" ? name : `${home}/${name}`);
    const backend = found === undefined ? undefined : backendSpecOf(found);
    if (backend === undefined) return [];
    const findings: Finding[] = [];
    if (backend.type === "hashicorp-vault" && spec.source.stage !== undefined)
      findings.push(
        object.report(
          "error",
          "StageWithVault",
          ["spec", "source", "stage"],
          "Vault has no stages: write `version: 3` or remove stage",
        ),
      );
    if (found !== undefined) findings.push(...checkGrant(object, spec, found));
    return findings;
  });
}

/** Objects whose key was there before, with the key. */
function repeated<T>(items: readonly T[], keysOf: (item: T) => readonly string[]): readonly (readonly [T, string])[] {
  const seen = new Set<string>();
  return items.flatMap((item) =>
    keysOf(item).flatMap((key): (readonly [T, string])[] => {
      if (seen.has(key)) return [[item, key]];
      seen.add(key);
      return [];
    }),
  );
}

function label(object: ManifestObject): string {
  return object.namespace === "" ? object.name : `${object.namespace}/${object.name}`;
}
