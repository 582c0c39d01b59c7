import { errorCode, SyncError } from "../errors/index.ts";
import type { Config } from "../config/index.ts";
import { bundleEntries, cleanLog, type Part, tarGz } from "../support/index.ts";
import { systemClock } from "../time/clock.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { startProgress } from "./progress.ts";
import { configOf, configOption, isConfig } from "./run.ts";
import { clusterOptions, textOption } from "./status.ts";

/** Where a bundle's facts come from. */
export interface SupportQuery {
  /** With it the operator's own login is used, and the bundle has the configuration and what `doctor` finds. */
  readonly config: Config | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Absent: all. */
  readonly namespace: string | undefined;
  readonly metricsURL: string | undefined;
}

/** @throws SyncError InvalidSpec when there is no login to a cluster */
export type SupportGatherer = (
  query: SupportQuery,
  run: { readonly io: CommandIO; stage(line: string): void },
) => Promise<{ readonly parts: readonly Part[]; readonly secrets: readonly Buffer[] }>;

/** `support-bundle`: one archive for those who help, without secrets. Exit 0: written, 1: not. */
export function supportBundleCommand(gather: SupportGatherer): CommandDefinition {
  return {
    name: "support-bundle",
    summary: "Writes an archive for those who help, without secrets.",
    description:
      "Puts versions, both kinds with spec and status, the operator's events, Leases, Deployment and pods, metrics, and with --config the " +
      "effective configuration and what doctor finds into one .tar.gz. Every field is taken by name; Secrets are not read, and what " +
      "may not be read is left out and named. With --config it logs in as the operator, else as you. " +
      "Exit codes: 0 written, 1 not written.",
    examples: [
      "scaivault-operator support-bundle -f support.tar.gz",
      "scaivault-operator support-bundle -f - --config config.yaml --redact-paths > support.tar.gz",
    ],
    arguments: [],
    options: [
      {
        name: "file",
        flags: "-f, --file <file>",
        description: "archive to write, which must not be there yet; - for standard output",
        required: true,
      },
      { name: "namespace", flags: "-n, --namespace <name>", description: "objects of this namespace only" },
      {
        name: "redactPaths",
        flags: "--redact-paths",
        description: "ids in the place of names and paths; no free texts",
      },
      {
        name: "logs",
        flags: "--logs <file...>",
        description: "files with the operator's log; only its own fields are taken",
      },
      {
        name: "metricsUrl",
        flags: "--metrics-url <url>",
        description: "where /metrics is; default that of the configuration",
      },
      ...clusterOptions,
      { ...configOption, description: "the operator's configuration file; without it you log in, not the operator" },
    ],
    handler: (args, io) => handle(gather, args, io),
  };
}

async function handle(gather: SupportGatherer, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const config = args.options["config"] === undefined ? undefined : configOf(args, io);
  if (config !== undefined && !isConfig(config)) return config;
  const file = textOption(args, "file") ?? "-";
  const progress = startProgress(io);
  try {
    const { parts, secrets } = await gather(
      {
        config,
        kubeconfig: textOption(args, "kubeconfig"),
        context: textOption(args, "context"),
        namespace: textOption(args, "namespace"),
        metricsURL: textOption(args, "metricsUrl"),
      },
      { io, stage: (line) => progress.stage(line) },
    );
    const names = args.options["logs"];
    const logs = await logParts(Array.isArray(names) ? (names as readonly string[]) : [], io);
    const redactPaths = args.options["redactPaths"] === true;
    const entries = bundleEntries([...parts, ...logs], { redactPaths, secrets });
    const archive = tarGz(entries, systemClock.now());
    const missing = [...parts, ...logs].flatMap((part) => ("missing" in part ? [part] : []));
    if (file === "-") {
      await io.writeBytes?.(archive);
      return { exitCode: exitCodes.ok, data: undefined, text: "" };
    }
    await written(io, file, archive);
    const text = [
      `${file}: ${entries.length} files, ${archive.length} bytes`,
      ...missing.map((part) => `not in it: ${part.name}: ${part.missing}`),
    ].join("\n");
    const data = { file, bytes: archive.length, files: entries.map(({ name }) => name), missing };
    return { exitCode: exitCodes.ok, data, text };
  } catch (error) {
    return failedResult(error);
  } finally {
    progress.end();
  }
}

async function written(io: CommandIO, file: string, archive: Buffer): Promise<void> {
  try {
    await io.writeNewFile?.(file, archive);
  } catch (error) {
    const code = errorCode(error) ?? "unknown error";
    const why = code === "EEXIST" ? "is there already, and nothing is overwritten" : `cannot be written (${code})`;
    throw new SyncError("InvalidSpec", `${file} ${why}`);
  }
}

async function logParts(files: readonly string[], io: CommandIO): Promise<Part[]> {
  return Promise.all(
    files.map(async (file, at): Promise<Part> => {
      const name = `logs/${at + 1}.json`;
      try {
        const { lines, left } = cleanLog(await io.readFile(file));
        return { name, data: { lines, linesLeftOut: left } };
      } catch (error) {
        return { name, missing: `cannot be read (${errorCode(error) ?? "unknown error"})` };
      }
    }),
  );
}
