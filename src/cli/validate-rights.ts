import type { FederationBackendSpec, SecretSyncSpec } from "../api/index.ts";
import type { Config } from "../config/index.ts";
import { checkGlob, createRights, type Rights, sourcePath, type Verdict } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import type { Finding } from "./findings.ts";
import { checkMappingRights } from "./validate-federation.ts";
import { backendSpecOf, type ManifestObject, syncSpecOf } from "./validate-manifest.ts";

type Path = readonly (string | number)[];

/** What `scaivault.role: Reader` means for the objects; undefined with a writer. */
export function readerNote(config: Config): string | undefined {
  if (config.scaivault?.role !== "Reader") return undefined;
  return (
    "scaivault.role is Reader: cluster " +
    `${config.cluster.name} writes and deletes nothing in ScaiVault; a path is in sync once the fleet's writer has written ` +
    "the wanted version, until then WaitingForWriter. Kubernetes Secrets are written."
  );
}

/** What the operator's configuration says about the objects: by the same rules as `run`. */
export function checkAgainstConfig(objects: readonly ManifestObject[], config: Config): readonly Finding[] {
  const rights = createRights(config);
  return objects.flatMap((object) => {
    const { namespace } = object;
    // Without a namespace nobody knows whose rights count.
    if (namespace === "") return [];
    const findings: Finding[] = [];
    const report = (path: Path, verdict: Verdict) => {
      if (!verdict.ok) findings.push(object.report("error", verdict.error.reason, path, verdict.error.message));
    };
    if (config.watchNamespaces?.includes(namespace) === false) {
      const message = "the operator does not watch this namespace (watchNamespaces)";
      findings.push(object.report("warning", "NotWatched", ["metadata", "namespace"], message));
    }
    const refusal = rights.refusal(namespace);
    if (refusal !== undefined) {
      report(["metadata", "namespace"], { ok: false, error: refusal });
      return findings;
    }
    const sync = syncSpecOf(object);
    const backend = backendSpecOf(object);
    if (sync !== undefined) checkTarget(sync, { rights, config, namespace, report });
    if (backend !== undefined) checkBackend(backend, { rights, config, namespace, report });
    return findings;
  });
}

interface Checking {
  readonly rights: Rights;
  readonly config: Config;
  readonly namespace: string;
  readonly report: (path: Path, verdict: Verdict) => void;
}

function checkTarget(spec: SecretSyncSpec, { rights, config, namespace, report }: Checking): void {
  const { scaivault } = spec.targets;
  if (scaivault === undefined) return;
  if (config.scaivault === undefined) {
    const error = new SyncError("ScaiVaultUnavailable", "the operator's configuration has no ScaiVault connection");
    report(["spec", "targets", "scaivault"], { ok: false, error });
    return;
  }
  const write = rights.scaivault(namespace, scaivault.path, "write");
  const read = rights.scaivault(namespace, scaivault.path, "read");
  const reads = config.scaivault.role === "Reader";
  const enough = (reads || spec.apply === "Never") && (read.ok || write.ok);
  if (!enough) report(["spec", "targets", "scaivault", "path"], reads ? read : write);
}

function checkBackend(spec: FederationBackendSpec, checking: Checking): void {
  const { rights, namespace, report } = checking;
  checkMappingRights(spec, checking, report);
  const { awsSecretsManager, hashicorpVault } = spec;
  if (awsSecretsManager?.auth?.operator !== undefined)
    report(["spec", "awsSecretsManager", "auth", "operator"], rights.ambientIdentity(namespace));
  const host = hashicorpVault === undefined ? undefined : URL.parse(hashicorpVault.address)?.host;
  if (host !== undefined) report(["spec", "hashicorpVault", "address"], rights.endpoint(namespace, host));
  if (spec.federation?.runsIn === "ScaiVault") checkRegistration(spec.federation, { rights, namespace, report });
}

/** What a registration in ScaiVault needs beside the store's own host. */
function checkRegistration(
  { pathMapping, credentials }: NonNullable<FederationBackendSpec["federation"]>,
  { rights, namespace, report }: Pick<Checking, "rights" | "namespace" | "report">,
): void {
  report(["spec", "federation", "runsIn"], rights.federation(namespace));
  pathMapping.forEach(({ scaivaultPath }, at) => {
    report(["spec", "federation", "pathMapping", at], rights.scaivault(namespace, scaivaultPath, "write"));
  });
  if (credentials === undefined) return;
  const at = ["spec", "federation", "credentials", "scaivaultPath"];
  report(at, rights.scaivault(namespace, credentials.scaivaultPath, "credentials"));
  if (credentials.secretRef !== undefined) report(at, rights.scaivault(namespace, credentials.scaivaultPath, "write"));
}

/** Globs of grants that match nothing, and grants that name only namespaces that are never served. */
export function checkGrants(object: ManifestObject): readonly Finding[] {
  return (backendSpecOf(object)?.grants ?? []).flatMap((grant, at) =>
    grant.read.flatMap((glob, index) => {
      const problem = checkGlob(glob);
      return problem === undefined
        ? []
        : [object.report("error", "InvalidGlob", ["spec", "grants", at, "read", index], problem)];
    }),
  );
}

const anyTenancy = createRights({ tenancyMode: "Open", tenancy: [], operatorNamespace: "" });

/** Whether a backend of another namespace grants what a SecretSync reads; both stand in the same files. */
export function checkGrant(object: ManifestObject, sync: SecretSyncSpec, owner: ManifestObject): readonly Finding[] {
  const backend = backendSpecOf(owner);
  if (backend === undefined || object.namespace === "" || owner.namespace === object.namespace) return [];
  const { path, subtree } = sync.source;
  const field = subtree === undefined ? "path" : "subtree";
  const region = backend.awsSecretsManager?.region;
  let asked: string;
  try {
    const text = subtree === undefined ? (path ?? "") : subtree.slice(0, -"/**".length);
    const normal = sourcePath(backend.type, text, region === undefined ? {} : { region });
    asked = subtree === undefined ? normal : `${normal}/**`;
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    return [object.report("error", error.reason, ["spec", "source", field], error.message)];
  }
  const from = { namespace: owner.namespace, name: owner.name, grants: backend.grants };
  const verdict = anyTenancy.source({ namespace: object.namespace, path: asked }, from);
  if (verdict.ok) return [];
  const at = verdict.error.right === "grants.read" ? field : "backendRef";
  return [
    object.report("error", verdict.error.reason, ["spec", "source", at], `${verdict.error.message}: add it there`),
  ];
}
