import { join } from "node:path";
import { type Config, type ConfigProblem, configProblemLine, parseYaml, readConfig } from "../config/index.ts";
import { errorCode } from "../errors/index.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { type Finding, type FindingsReport, renderFindings, sortFindings } from "./findings.ts";
import { checkTogether } from "./validate-together.ts";
import { checkAgainstConfig, readerNote } from "./validate-rights.ts";
import { checkDocument, merge } from "./validate-manifest.ts";

/** One file of manifests. */
export interface ManifestSource {
  /** Shown in findings; `-` for standard input. */
  readonly file: string;
  readonly text: string;
}

/**
 * All problems of all manifests at once, strictly: unknown fields, empty fields, shapes, and every rule of the CRDs that
 * needs no stored object. Other kinds are counted and not looked at.
 */
export function validateManifests(sources: readonly ManifestSource[], config?: Config): FindingsReport {
  return inspectManifests(sources, config).report;
}

/** {@link validateManifests} together with the manifests of our kinds, as parsed. */
export function inspectManifests(
  sources: readonly ManifestSource[],
  config?: Config,
): { readonly report: FindingsReport; readonly manifests: readonly Readonly<Record<string, unknown>>[] } {
  const results = sources.map(({ file, text }) => {
    const { documents, problems } = parseYaml(text, "Manifest");
    const syntax: Finding[] = problems.map(({ code, line, column, message }) => ({
      severity: "error",
      code,
      file,
      line,
      column,
      object: "",
      path: "",
      message,
    }));
    return merge([
      ...documents.map((document) => checkDocument(file, document)),
      { objects: [], findings: syntax, ignored: 0 },
    ]);
  });
  const { objects, findings, ignored } = merge(results);
  const more = [...checkTogether(objects), ...(config === undefined ? [] : checkAgainstConfig(objects, config))];
  const report = { findings: sortFindings([...findings, ...more]), objects: objects.length, ignored };
  return { report, manifests: objects.map(({ manifest }) => manifest) };
}

const MANIFEST = /\.(?:ya?ml|json)$/;

/** Reads files, folders and standard input. Problems are findings of the file. */
export async function readManifests(
  names: readonly string[],
  recursive: boolean,
  io: CommandIO,
): Promise<{ readonly sources: readonly ManifestSource[]; readonly findings: readonly Finding[] }> {
  const sources: ManifestSource[] = [];
  const findings: Finding[] = [];
  const visit = async (name: string): Promise<void> => {
    try {
      if (name === "-") {
        sources.push({ file: "-", text: await io.readStdin() });
        return;
      }
      const entries = await io.listFolder(name);
      if (entries === undefined) {
        sources.push({ file: name, text: await io.readFile(name) });
        return;
      }
      const wanted = entries.filter((entry) =>
        entry.isFolder ? recursive && !entry.name.startsWith(".") : MANIFEST.test(entry.name),
      );
      for (const entry of wanted.toSorted((a, b) => (a.name < b.name ? -1 : 1))) await visit(join(name, entry.name));
    } catch (error) {
      findings.push(
        fileFinding(name, "Unreadable", `the file cannot be read (${errorCode(error) ?? "unknown error"})`),
      );
    }
  };
  for (const name of names) await visit(name);
  if (sources.length === 0 && findings.length === 0)
    findings.push(
      fileFinding(
        names.join(", "),
        "NoFiles",
        "there is no .yaml, .yml or .json file here; folders below need --recursive",
      ),
    );
  return { sources, findings };
}

function fileFinding(file: string, code: string, message: string): Finding {
  return { severity: "error", code, file, line: 1, column: 1, object: "", path: "", message };
}

async function handler(args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const { filename, config: configFile, recursive } = args.options;
  const names = Array.isArray(filename)
    ? (filename as readonly string[])
    : typeof filename === "string"
      ? [filename]
      : [];
  let config: Config | undefined;
  if (typeof configFile === "string") {
    const result = readConfig(configFile, io.environment);
    if (!result.ok) return configResult(result.problems);
    config = result.config;
  }
  const { sources, findings } = await readManifests(names, recursive === true, io);
  const checked = validateManifests(sources, config);
  const report: FindingsReport = { ...checked, findings: sortFindings([...findings, ...checked.findings]) };
  const failed = report.findings.some((finding) => finding.severity === "error");
  // What was not looked at must not look checked.
  const rights = config === undefined ? "Unknown" : "Checked";
  const unknown = rights === "Unknown" ? "; rights unknown without --config" : "";
  const note = config === undefined ? undefined : readerNote(config);
  return {
    exitCode: failed ? exitCodes.failed : exitCodes.ok,
    data: { ...report, rights, ...(note === undefined ? {} : { note }) },
    text: `${renderFindings(report)}${unknown}${note === undefined ? "" : `\n${note}`}`,
  };
}

function configResult(problems: readonly ConfigProblem[]): CommandResult {
  return { exitCode: 1, data: { configuration: problems }, text: problems.map(configProblemLine).join("\n") };
}

export const validateCommand: CommandDefinition = {
  name: "validate",
  summary: "Check manifests: all problems at once, without a cluster.",
  description:
    "Checks FederationBackends and SecretSyncs as strictly as the API server and more so: unknown and empty fields are errors. " +
    "Other kinds are ignored. Exit code 0: no errors; 1: errors.",
  examples: [
    "scaivault-operator validate -f manifests/",
    "kustomize build . | scaivault-operator validate -f - --output json",
  ],
  arguments: [],
  options: [
    {
      name: "filename",
      flags: "-f, --filename <file...>",
      description: "File, folder, or - for standard input.",
      required: true,
    },
    { name: "recursive", flags: "-R, --recursive", description: "Also folders below." },
    {
      name: "config",
      flags: "--config <file>",
      description: "The operator's configuration: also checks rights (tenancy), endpoints and watched namespaces.",
    },
  ],
  handler,
};
