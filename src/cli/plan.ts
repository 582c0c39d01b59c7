import type { Config } from "../config/index.ts";
import type { ObjectPlan } from "../controllers/index.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { type Finding, type FindingsReport, renderFindings, sortFindings } from "./findings.ts";
import { exitCodeOf, planReport, renderReport, withoutPaths } from "./plan-report.ts";
import { startProgress } from "./progress.ts";
import { configOf, configOption, isConfig } from "./run.ts";
import { inspectManifests, readManifests } from "./validate.ts";
import { readerNote } from "./validate-rights.ts";

/** What a plan is made with. */
export interface PlannerRun {
  readonly io: CommandIO;
  /** Told what it is at. */
  stage(line: string): void;
}

/**
 * Makes the plan of some manifests (parsed objects of our kinds) against the cluster and the stores.
 * @throws SyncError KubernetesUnavailable, InvalidSpec (what files of the configuration lack)
 */
export type Planner = (config: Config, objects: readonly object[], run: PlannerRun) => Promise<readonly ObjectPlan[]>;

/** `plan -f`: what `run` would do, without values. Exit 0: nothing, 2: changes, 1: errors. */
export function planCommand(planner: Planner): CommandDefinition {
  return {
    name: "plan",
    summary: "Shows what run would do for manifests, and writes nothing.",
    description:
      "Lays manifests over what the cluster has, reads the stores, and prints what `run` would write and why, without values. " +
      "Nothing is written anywhere. It needs the operator's configuration: without the cluster's name, the mark keys and the " +
      "ScaiVault connection nobody can say whose a copy is or whether it is equal (`validate` needs none of them). " +
      "SecretSyncs of the cluster that read a changed backend are planned as well. " +
      "Exit codes: 0 nothing to do, 2 changes or something held, 1 errors.",
    examples: [
      "scaivault-operator plan -f sync.yaml --config config.yaml",
      "kustomize build . | scaivault-operator plan -f - --output json",
    ],
    arguments: [],
    options: [
      {
        name: "filename",
        flags: "-f, --filename <file...>",
        description: "files, folders or - for standard input",
        required: true,
      },
      { name: "recursive", flags: "-R, --recursive", description: "also folders below" },
      { name: "redactPaths", flags: "--redact-paths", description: "leave out paths, and messages that may name them" },
      configOption,
    ],
    handler: (args, io) => handle(planner, args, io),
  };
}

async function handle(planner: Planner, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const config = configOf(args, io);
  if (!isConfig(config)) return config;
  const redact = args.options["redactPaths"] === true;
  const names = args.options["filename"];
  const files = Array.isArray(names) ? (names as readonly string[]) : [String(names)];
  const { sources, findings } = await readManifests(files, args.options["recursive"] === true, io);
  const { report, manifests } = inspectManifests(sources, config);
  const all = sortFindings([...findings, ...report.findings, ...unnamed(files, manifests)]);
  if (all.some((finding) => finding.severity === "error")) return invalid({ ...report, findings: all }, redact);
  const progress = startProgress(io);
  try {
    const plans = await planner(config, manifests, { io, stage: (line) => progress.stage(line) });
    // Said by the plan itself.
    const made = planReport(
      plans,
      all.filter(({ code }) => code !== "NotWatched"),
      readerNote(config),
    );
    const shown = redact ? withoutPaths(made) : made;
    return { exitCode: exitCodeOf(made), data: shown, text: renderReport(shown) };
  } catch (error) {
    // The cluster, or what the configuration's files lack; anything else is a defect.
    return failedResult(error);
  } finally {
    progress.end();
  }
}

function invalid(report: FindingsReport, redact: boolean): CommandResult {
  const shown = redact ? { ...report, findings: report.findings.map((one) => ({ ...one, message: "" })) } : report;
  return { exitCode: exitCodes.failed, data: shown, text: renderFindings(shown) };
}

/** An object without a name is another one each time. */
function unnamed(files: readonly string[], manifests: readonly Readonly<Record<string, unknown>>[]): Finding[] {
  return manifests.flatMap((manifest): Finding[] => {
    const metadata = manifest["metadata"];
    if (typeof metadata === "object" && metadata !== null && "name" in metadata) return [];
    const message = "plan needs metadata.name: with generateName every object is a new one";
    const place = { file: files.join(", "), line: 1, column: 1, object: String(manifest["kind"]) };
    return [{ severity: "error", code: "NoName", ...place, path: "metadata.name", message }];
  });
}
