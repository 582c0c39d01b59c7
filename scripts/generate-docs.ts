// The tables of docs/*.md that say what the code says: fields, variables, reasons. They stand between
// `<!-- generated: NAME -->` and `<!-- end -->`; the rest of the pages is written by people.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { z } from "zod";
import { federationBackendSpec, federationBackendStatus, secretSyncSpec, secretSyncStatus } from "../src/api/index.ts";
import { environmentOverrides } from "../src/config/index.ts";
import { configFileSchema } from "../src/config/schema.ts";
import { type Reason, reasons } from "../src/errors/index.ts";
import { createMetrics } from "../src/telemetry/index.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional ? unwrap(schema.def.innerType) : schema;
}

const cell = (text: string): string => text.replaceAll("|", "\\|");
const code = (text: string): string => `\`${text}\``;

function typeOf(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodEnum) return schema.options.map((option) => code(String(option))).join(", ");
  if (schema instanceof z.ZodObject) return "object";
  if (schema instanceof z.ZodRecord) return "map of texts";
  if (schema instanceof z.ZodArray)
    return unwrap(schema.def.element) instanceof z.ZodObject ? "list of objects" : "list of texts";
  if (schema instanceof z.ZodBoolean) return "true or false";
  if (schema instanceof z.ZodUnion) return "text or integer";
  if (schema instanceof z.ZodNumber) return schema.format === null ? "number" : "integer";
  return (z.globalRegistry.get(schema) as Record<string, unknown> | undefined)?.["format"] === "date-time"
    ? "time"
    : "text";
}

/** One row a field, in the order of the schema. */
function fieldRows(schema: z.core.$ZodType, prefix: string, showRequired: boolean): string[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) return fieldRows(inner.def.element, `${prefix}[]`, showRequired);
  if (!(inner instanceof z.ZodObject)) return [];
  const shape: Record<string, z.core.$ZodType> = inner.def.shape;
  return Object.entries(shape).flatMap(([name, member]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const required = showRequired && !(member instanceof z.ZodOptional) ? ", required" : "";
    const description = z.globalRegistry.get(unwrap(member))?.description ?? "";
    return [
      `| ${code(path)} | ${cell(typeOf(unwrap(member)))}${required} | ${cell(description)} |`,
      ...fieldRows(member, path, showRequired),
    ];
  });
}

const fields = (schema: z.core.$ZodType, showRequired: boolean): string =>
  ["| Field | Type | Meaning |", "|---|---|---|", ...fieldRows(schema, "", showRequired)].join("\n");

const kinds = {
  ok: "nothing to do",
  terminal: "edit the object or the configuration",
  waiting: "something outside has to happen",
  transient: "tried again by itself",
} as const;

function reasonTable(names: readonly Reason[]): string {
  const rows = names.map(
    (name) => `| [${code(name)}](reasons.md#${name}) | ${kinds[reasons[name].kind]} | ${cell(reasons[name].hint)} |`,
  );
  return ["| Reason | Mended by | What to do |", "|---|---|---|", ...rows].join("\n");
}

/** Reasons that a FederationBackend's Ready can have; those of SecretSyncs are all others too. */
const backendReasons: readonly Reason[] = [
  "InSync",
  "Suspended",
  "Progressing",
  "InvalidSpec",
  "NamespaceProtected",
  "NotGranted",
  "EndpointNotAllowed",
  "CredentialNotFound",
  "CredentialNotReleased",
  "CredentialInvalid",
  "CredentialNotAllowedHere",
  "RegistrationRefused",
  "RegistrationUnhealthy",
  "LoginFailed",
  "AccessDenied",
  "SourceSealed",
  "SourceUnavailable",
  "RateLimited",
  "UnsupportedMount",
  "Unexpected",
];

const environmentTable = (): string =>
  [
    "| Variable | Goes before |",
    "|---|---|",
    ...environmentOverrides.map((row) => `| ${code(row.name)} | ${code(row.path.join("."))} |`),
  ].join("\n");

/** The operator's own metrics, in the order in which they are given out. */
function metricTable(): string {
  const { registry } = createMetrics({ defaults: false, objects: true, version: "" });
  const rows = (registry.getMetricsAsArray() as unknown as MetricFacts[]).map(({ name, type, labelNames, help }) => {
    const labels = labelNames.filter((label) => label !== "le").map(code);
    return `| ${code(name)} | ${type} | ${labels.join(", ")} | ${cell(help)} |`;
  });
  return ["| Metric | Type | Labels | Says |", "|---|---|---|---|", ...rows].join("\n");
}

interface MetricFacts {
  readonly name: string;
  readonly type: string;
  readonly labelNames: readonly string[];
  readonly help: string;
}

const tables: Readonly<Record<string, () => string>> = {
  "federationbackend spec": () => fields(federationBackendSpec, true),
  "federationbackend status": () => fields(federationBackendStatus, false),
  "federationbackend reasons": () => reasonTable(backendReasons),
  "secretsync spec": () => fields(secretSyncSpec, true),
  "secretsync status": () => fields(secretSyncStatus, false),
  "secretsync reasons": () => reasonTable(Object.keys(reasons) as Reason[]),
  "configuration file": () => fields(configFileSchema, true),
  "configuration environment": environmentTable,
  metrics: metricTable,
};

const BLOCK = /<!-- generated: ([\w ]+) -->[\s\S]*?<!-- end -->/g;
const pages = ["docs/federationbackend.md", "docs/secretsync.md", "docs/configuration.md", "docs/metrics.md"];

/** Makes the tables anew. @returns the pages that differed, relative to the repository */
export async function generateDocs({ checkOnly }: { readonly checkOnly: boolean }): Promise<string[]> {
  const drift: string[] = [];
  for (const page of pages) {
    const file = join(root, page);
    const old = readFileSync(file, "utf8");
    const filled = old.replace(BLOCK, (_block, name: string) => {
      const table = tables[name];
      if (table === undefined) throw new Error(`${page} asks for the table ${name}, which there is not`);
      return `<!-- generated: ${name} -->\n\n${table()}\n\n<!-- end -->`;
    });
    const wanted = await format(filled, { parser: "markdown", printWidth: 120 });
    if (wanted === old) continue;
    drift.push(page);
    if (!checkOnly) writeFileSync(file, wanted);
  }
  return drift;
}
