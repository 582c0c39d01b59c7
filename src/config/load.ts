import { readFileSync } from "node:fs";
import { check, nearest, type SchemaPath } from "../api/index.ts";
import { errorCode } from "../errors/index.ts";
import { AWS_SECRET_VARIABLE, parseAwsSecretRef } from "./aws-secret-ref.ts";
import { type Config, resolveConfig } from "./config.ts";
import { type ConfigFile, configFileSchema } from "./schema.ts";
import { parseYaml, type SourcePosition } from "./yaml-source.ts";

/** What is wrong with the configuration. Quotes no value: some are nobody's business. */
export interface ConfigProblem {
  /** Path of the file, or `environment`. */
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** Dotted name such as `scaivault.url`, or the variable's name. */
  readonly field: string;
  readonly message: string;
}

export type ConfigResult =
  { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "SCAIVAULT_OPERATOR_";
/** Names the configuration file itself; read by the command line. */
export const CONFIG_FILE_VARIABLE = "SCAIVAULT_OPERATOR_CONFIG";

/** Variables that go before the file: one scalar each. None ends in `_PORT`: Kubernetes sets such names for Services. */
export const environmentOverrides: readonly {
  readonly name: string;
  readonly path: readonly string[];
  readonly type: "Text" | "Integer" | "Boolean";
}[] = [
  { name: `${PREFIX}CLUSTER_NAME`, path: ["cluster", "name"], type: "Text" },
  { name: `${PREFIX}NAMESPACE`, path: ["operatorNamespace"], type: "Text" },
  { name: `${PREFIX}SCAIVAULT_URL`, path: ["scaivault", "url"], type: "Text" },
  { name: `${PREFIX}SCAIVAULT_TENANT_ID`, path: ["scaivault", "tenantID"], type: "Text" },
  { name: `${PREFIX}SCAIVAULT_ROLE`, path: ["scaivault", "role"], type: "Text" },
  { name: `${PREFIX}TENANCY_MODE`, path: ["tenancyMode"], type: "Text" },
  { name: `${PREFIX}PROXY_URL`, path: ["proxy", "url"], type: "Text" },
  { name: `${PREFIX}CA_FILE`, path: ["caFile"], type: "Text" },
  { name: `${PREFIX}LEASE_NAME`, path: ["leaderElection", "leaseName"], type: "Text" },
  { name: `${PREFIX}HEALTH_ADDRESS`, path: ["health", "address"], type: "Text" },
  { name: `${PREFIX}HEALTH_LISTEN`, path: ["health", "port"], type: "Integer" },
  { name: `${PREFIX}METRICS_ADDRESS`, path: ["metrics", "address"], type: "Text" },
  { name: `${PREFIX}METRICS_LISTEN`, path: ["metrics", "port"], type: "Integer" },
  { name: `${PREFIX}LOG_LEVEL`, path: ["log", "level"], type: "Text" },
  { name: `${PREFIX}KUBECONFIG`, path: ["kubernetes", "kubeconfig"], type: "Text" },
  { name: `${PREFIX}CONTEXT`, path: ["kubernetes", "context"], type: "Text" },
  { name: `${PREFIX}WORKERS`, path: ["workers"], type: "Integer" },
  { name: `${PREFIX}LOCAL_ENVIRONMENT`, path: ["localEnvironment"], type: "Boolean" },
];

/** Set by Kubernetes for a Service named like the operator; not meant for us. */
const SERVICE_LINK = /_(?:SERVICE_HOST|SERVICE_PORT|PORT)(?:_\w+)?$/;
/** Set by the build, not a setting. */
const NOT_SETTINGS = new Set([CONFIG_FILE_VARIABLE, AWS_SECRET_VARIABLE, `${PREFIX}VERSION`]);

/** The file's text and where it came from. */
export interface ConfigSource {
  readonly file: string;
  readonly text: string;
}

/** Parses, checks and freezes the configuration; all problems at once. Pure. */
export function loadConfig(source: ConfigSource, environment: Environment): ConfigResult {
  const { documents, problems: syntax } = parseYaml(source.text, "Config");
  const problems: ConfigProblem[] = syntax.map(({ line, column, message }) => ({
    file: source.file,
    line,
    column,
    field: "",
    message,
  }));
  if (problems.length > 0) return { ok: false, problems };
  const document = documents[0];
  const value = structuredClone(document?.value ?? {});
  const variables = new Map<string, string>();
  problems.push(...applyEnvironment(value, environment, variables));
  for (const problem of check(configFileSchema, value, { unknown: "Refuse" })) {
    const field = problem.path.join(".");
    const variable = variables.get(field);
    const position: SourcePosition | undefined = document?.positionOf(
      problem.path,
      problem.code === "UnknownField" ? "key" : "value",
    );
    problems.push(
      variable === undefined
        ? { file: source.file, ...position, field, message: problem.message }
        : { file: "environment", field: variable, message: problem.message },
    );
  }
  const parsed = problems.length === 0 ? configFileSchema.safeParse(value) : undefined;
  if (parsed?.success === true) {
    const named = environment[AWS_SECRET_VARIABLE];
    const wrong = named === undefined ? undefined : awsSecretProblem(named, parsed.data);
    if (wrong === undefined) return { ok: true, config: resolveConfig(parsed.data, named) };
    problems.push({ file: "environment", field: AWS_SECRET_VARIABLE, message: wrong });
  }
  return {
    ok: false,
    problems:
      problems.length > 0 ? problems : [{ file: source.file, field: "", message: "the file does not fit the schema" }],
  };
}

/** Unlike other variables this one does not go before the file: it names the secret where the file does not. */
function awsSecretProblem(named: string, { scaivault }: ConfigFile): string | undefined {
  const secret = scaivault?.connectionFrom?.awsSecret;
  if (secret === undefined)
    return "it names the secret of scaivault.connectionFrom.awsSecret, which is not in the file; write it there (`awsSecret: {}` is enough) or unset the variable";
  if (secret.name !== undefined) return undefined;
  const ref = parseAwsSecretRef(named);
  if (ref === undefined) return "write the name of a secret, its id, or its ARN";
  if (ref.region === undefined || secret.region === undefined || ref.region === secret.region) return undefined;
  return "the ARN is of another region than scaivault.connectionFrom.awsSecret.region; make them equal or remove the region";
}

/** {@link loadConfig} with the file read. */
export function readConfig(file: string, environment: Environment): ConfigResult {
  try {
    return loadConfig({ file, text: readFileSync(file, "utf8") }, environment);
  } catch (error) {
    const message = `the configuration file cannot be read (${errorCode(error) ?? "unknown error"})`;
    return { ok: false, problems: [{ file, field: "", message }] };
  }
}

/** One line for people: `file:line:column: field: message`. */
export function configProblemLine(problem: ConfigProblem): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  return [place, problem.field, problem.message].filter((part) => part !== "").join(": ");
}

function applyEnvironment(value: unknown, environment: Environment, variables: Map<string, string>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const known = environmentOverrides.map((row) => row.name);
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || text === undefined || NOT_SETTINGS.has(name)) continue;
    const row = environmentOverrides.find((candidate) => candidate.name === name);
    if (row === undefined) {
      if (SERVICE_LINK.test(name)) continue;
      const guess = nearest(name, known);
      const message =
        guess === undefined
          ? "there is no such variable; see docs/configuration.md"
          : `there is no such variable; did you mean ${guess}?`;
      problems.push({ file: "environment", field: name, message });
      continue;
    }
    set(value, row.path, convert(text, row.type));
    variables.set(row.path.join("."), name);
  }
  return problems;
}

/** A text that is no integer or boolean stays a text; the schema then says what to write. */
function convert(text: string, type: "Text" | "Integer" | "Boolean"): unknown {
  if (type === "Integer" && /^\d{1,9}$/.test(text)) return Number(text);
  if (type === "Boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

function set(root: unknown, path: SchemaPath, value: unknown): void {
  let node = root as Record<string, unknown>;
  if (typeof root !== "object" || root === null) return;
  for (const name of path.slice(0, -1)) {
    const next = node[name];
    if (typeof next !== "object" || next === null) node[name] = {};
    node = node[name] as Record<string, unknown>;
  }
  node[String(path.at(-1))] = value;
}
