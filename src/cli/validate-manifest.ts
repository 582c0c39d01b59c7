import * as z from "zod";
import {
  annotations,
  API_VERSION,
  check,
  described,
  dnsLabelRule,
  dnsSubdomainRule,
  type FederationBackendSpec,
  federationBackendSpec,
  GROUP,
  nearest,
  rule,
  type SchemaPath,
  type SecretSyncSpec,
  secretSyncSpec,
  SYNC_REQUEST_PATTERN,
} from "../api/index.ts";
import type { YamlDocument } from "../config/index.ts";
import type { Finding } from "./findings.ts";

/** One object of our kinds, with a way back to its lines. */
export interface ManifestObject {
  readonly kind: "FederationBackend" | "SecretSync";
  /** As written; empty when absent. */
  readonly namespace: string;
  readonly name: string;
  /** True when the spec has no problem; only then may it be read as one. */
  readonly valid: boolean;
  readonly spec: unknown;
  /** The whole manifest, as parsed. */
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly report: (severity: Finding["severity"], code: string, path: SchemaPath, message: string) => Finding;
}

const text = (description: string) => described(z.string().min(1).max(253), description, [dnsSubdomainRule]);
const texts = (description: string) => described(z.record(z.string(), z.string()), description).optional();

const metadataSchema = described(
  z.object({
    name: text("Name of the object.").optional(),
    generateName: described(z.string().min(1).max(253), "Start of a name that the API server completes.").optional(),
    namespace: described(z.string().min(1).max(63), "Namespace of the object.", [dnsLabelRule]).optional(),
    labels: texts("Labels."),
    annotations: texts("Annotations."),
    finalizers: described(z.array(z.string()), "Finalizers.").optional(),
  }),
  "Name, namespace, labels and annotations.",
  [
    rule<{ name?: unknown; generateName?: unknown }>({
      id: "metadata-name",
      cel: "",
      message: "write metadata.name",
      test: (self) => self.name !== undefined || self.generateName !== undefined,
    }),
  ],
);

const manifest = <K extends string, S extends z.ZodType>(kind: K, spec: S) =>
  z.object({
    apiVersion: described(z.literal(API_VERSION), "API version."),
    kind: described(z.literal(kind), "Kind."),
    metadata: metadataSchema,
    spec,
  });

const schemas = {
  FederationBackend: manifest("FederationBackend", federationBackendSpec),
  SecretSync: manifest("SecretSync", secretSyncSpec),
} as const;
const kinds = Object.keys(schemas) as (keyof typeof schemas)[];

/** Set by the API server; there in exported objects and not ours to judge. */
const SERVER_SET = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
  "ownerReferences",
  "selfLink",
];

export interface ManifestResult {
  readonly objects: readonly ManifestObject[];
  readonly findings: readonly Finding[];
  readonly ignored: number;
}

/** Looks at one document; a `List` is opened. */
export function checkDocument(file: string, document: YamlDocument): ManifestResult {
  return checkValue(file, document, document.value, []);
}

function checkValue(file: string, document: YamlDocument, value: unknown, base: SchemaPath): ManifestResult {
  const report =
    (object: string) =>
    (severity: Finding["severity"], code: string, path: SchemaPath, message: string): Finding => ({
      severity,
      code,
      file,
      ...document.positionOf([...base, ...path], code === "UnknownField" ? "key" : "value"),
      object,
      path: dotted(path),
      message,
    });
  if (!isRecord(value))
    return alone([report("")("error", "NotAnObject", [], "write an object with apiVersion, kind, metadata and spec")]);
  const { apiVersion, kind } = value;
  if (kind === "List" && Array.isArray(value["items"])) {
    return merge(value["items"].map((item, index) => checkValue(file, document, item, [...base, "items", index])));
  }
  const belongs = whoseVersion(apiVersion);
  if (belongs === "Other") return { objects: [], findings: [], ignored: 1 };
  const known = kinds.find((name) => name === kind);
  const label = `${typeof kind === "string" ? kind : "object"} ${nameOf(value)}`;
  if (known === undefined) {
    const guess = typeof kind === "string" ? nearest(kind, kinds) : undefined;
    const message = `write kind: ${guess ?? kinds.join(" or ")}`;
    return alone([report(label)("error", "UnknownKind", ["kind"], message)]);
  }
  return checkObject(known, value, report(label));
}

function checkObject(
  kind: ManifestObject["kind"],
  value: Record<string, unknown>,
  report: ManifestObject["report"],
): ManifestResult {
  const metadata = isRecord(value["metadata"]) ? value["metadata"] : {};
  const { status: _status, ...rest } = value;
  const judged = isRecord(value["metadata"])
    ? { ...rest, metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => !SERVER_SET.includes(name))) }
    : rest;
  const problems = check(schemas[kind], judged, { unknown: "Refuse" });
  const findings = problems.map((p) => report("error", p.rule ?? p.code, p.path, p.message));
  findings.push(...checkAnnotations(metadata["annotations"], report));
  const object: ManifestObject = {
    kind,
    namespace: typeof metadata["namespace"] === "string" ? metadata["namespace"] : "",
    name: typeof metadata["name"] === "string" ? metadata["name"] : "",
    valid: problems.length === 0,
    spec: value["spec"],
    manifest: value,
    report,
  };
  return { objects: [object], findings, ignored: 0 };
}

function checkAnnotations(given: unknown, report: ManifestObject["report"]): Finding[] {
  if (!isRecord(given)) return [];
  const known = Object.values(annotations);
  const findings: Finding[] = [];
  for (const [name, value] of Object.entries(given)) {
    const at = ["metadata", "annotations", name];
    if (!name.startsWith(`${GROUP}/`)) continue;
    if (!known.some((item) => item === name)) {
      const guess = nearest(
        name.slice(GROUP.length + 1),
        known.map((item) => item.slice(GROUP.length + 1)),
      );
      const message = `nobody reads this annotation${guess === undefined ? "" : `; did you mean ${GROUP}/${guess}?`}`;
      findings.push(report("warning", "UnknownAnnotation", at, message));
    } else if (name === annotations.syncRequestedAt && typeof value === "string" && !SYNC_REQUEST_PATTERN.test(value)) {
      findings.push(
        report("warning", "SyncRequest", at, "write at most 64 letters, digits, `:`, `.`, `_` and `-`, such as a time"),
      );
    }
  }
  return findings;
}

/** Ours also when the group or its version is misspelt: kubectl would only say that there is no such kind. */
function whoseVersion(apiVersion: unknown): "Ours" | "Other" {
  if (typeof apiVersion !== "string") return "Other";
  const group = apiVersion.split("/")[0] ?? "";
  return nearest(group, [GROUP]) === undefined ? "Other" : "Ours";
}

function nameOf(value: Record<string, unknown>): string {
  const metadata = isRecord(value["metadata"]) ? value["metadata"] : {};
  const part = (name: string): string => (typeof metadata[name] === "string" ? metadata[name] : "");
  const name = part("name") || (part("generateName") === "" ? "(no name)" : `${part("generateName")}*`);
  return part("namespace") === "" ? name : `${part("namespace")}/${name}`;
}

/** `spec.grants[0].read`; names with dots and slashes in quotes. */
function dotted(path: SchemaPath): string {
  return path
    .map((segment, index) => {
      if (typeof segment === "number") return `[${segment}]`;
      if (!/^[\w-]+$/.test(segment)) return `["${segment}"]`;
      return index === 0 ? segment : `.${segment}`;
    })
    .join("");
}

function alone(findings: readonly Finding[]): ManifestResult {
  return { objects: [], findings, ignored: 0 };
}

/** Several results as one. */
export function merge(results: readonly ManifestResult[]): ManifestResult {
  return {
    objects: results.flatMap((r) => r.objects),
    findings: results.flatMap((r) => r.findings),
    ignored: results.reduce((sum, r) => sum + r.ignored, 0),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The spec of a valid SecretSync; undefined for others. */
export function syncSpecOf(object: ManifestObject): SecretSyncSpec | undefined {
  return object.kind === "SecretSync" && object.valid ? secretSyncSpec.parse(object.spec) : undefined;
}

/** The spec of a valid FederationBackend; undefined for others. */
export function backendSpecOf(object: ManifestObject): FederationBackendSpec | undefined {
  return object.kind === "FederationBackend" && object.valid ? federationBackendSpec.parse(object.spec) : undefined;
}
