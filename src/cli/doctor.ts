import type { Config } from "../config/index.ts";
import type { Check } from "../doctor/index.ts";
import { paint } from "./colours.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { startProgress } from "./progress.ts";
import { configOf, configOption, isConfig } from "./run.ts";
import { textOption } from "./status.ts";

/** What is to be checked. */
export type DoctorScope =
  | { readonly what: "all" }
  | { readonly what: "cluster" }
  | { readonly what: "scaivault" }
  | {
      readonly what: "backend";
      /** Absent: the namespace of the kubeconfig's context, else `default`. */
      readonly namespace: string | undefined;
      readonly name: string;
      /** A secret of the store to read instead of one that a SecretSync names. */
      readonly path: string | undefined;
    };

/** @throws SyncError InvalidSpec, what the configuration's files lack */
export type Doctor = (
  config: Config,
  scope: DoctorScope,
  run: { readonly io: CommandIO; stage(line: string): void },
) => Promise<readonly Check[]>;

/** What `doctor -o json` prints. Members are only ever added. */
export interface DoctorReport {
  readonly checks: readonly Check[];
  readonly summary: {
    readonly ok: number;
    readonly warnings: number;
    readonly failed: number;
    readonly skipped: number;
  };
}

/** `doctor`: step by step checks, as the operator itself. Exit 0: all well, 2: something is not, 1: it could not begin. */
export function doctorCommand(doctor: Doctor): CommandDefinition {
  return {
    name: "doctor",
    summary: "Checks the cluster, ScaiVault and backends step by step.",
    description:
      "Does with the operator's own configuration and rights what the operator does, one step after the other: name, connection, " +
      "certificate, clock, login, list, metadata, one value that is read and dropped; in the cluster rights, kinds and guards. " +
      "Each step says ok, warning, failed or skipped, with what to do, and the text to add to a policy when a right is missing. " +
      "Nothing is written, no value is shown. " +
      "Exit codes: 0 all well, 2 a warning or a failure, 1 it could not begin.",
    examples: [
      "scaivault-operator doctor",
      "scaivault-operator doctor backend aws-prod -n billing",
      "scaivault-operator doctor scaivault -o json",
    ],
    arguments: [
      { name: "what", description: "cluster, scaivault or backend; default all of it" },
      { name: "name", description: "name of the FederationBackend" },
    ],
    options: [
      { name: "namespace", flags: "-n, --namespace <name>", description: "namespace of the FederationBackend" },
      { name: "path", flags: "--path <path>", description: "secret of the store to read" },
      configOption,
    ],
    handler: (args, io) => handle(doctor, args, io),
  };
}

async function handle(doctor: Doctor, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const scope = scopeOf(args);
  if (typeof scope === "string")
    return { exitCode: exitCodes.usage, data: { error: { reason: "InvalidSpec", message: scope } }, text: scope };
  const config = configOf(args, io);
  if (!isConfig(config)) return config;
  const progress = startProgress(io);
  try {
    const checks = await doctor(config, scope, { io, stage: (line) => progress.stage(line) });
    const report = doctorReport(checks);
    const { failed, warnings } = report.summary;
    return {
      exitCode: failed + warnings > 0 ? exitCodes.changes : exitCodes.ok,
      data: report,
      text: renderDoctor(report, io.colours === true),
    };
  } catch (error) {
    return failedResult(error);
  } finally {
    progress.end();
  }
}

function scopeOf(args: CommandArguments): DoctorScope | string {
  const [what = "all", name] = args.positionals;
  const [namespace, path] = [textOption(args, "namespace"), textOption(args, "path")];
  if (what === "backend") {
    if (name === undefined) return "name the FederationBackend: doctor backend NAME -n NAMESPACE";
    return { what, name, namespace, path };
  }
  if (name !== undefined || namespace !== undefined || path !== undefined)
    return "a name, -n and --path go with: doctor backend NAME";
  if (what === "all" || what === "cluster" || what === "scaivault") return { what };
  return "check one of cluster, scaivault and backend, or name none for all";
}

export function doctorReport(checks: readonly Check[]): DoctorReport {
  const count = (outcome: Check["outcome"]): number => checks.filter((check) => check.outcome === outcome).length;
  const summary = { ok: count("Ok"), warnings: count("Warning"), failed: count("Failed"), skipped: count("Skipped") };
  return { checks, summary };
}

const words: Readonly<Record<Check["outcome"], string>> = {
  Ok: "ok",
  Warning: "warning",
  Failed: "failed",
  Skipped: "skipped",
};

export function renderDoctor({ checks, summary }: DoctorReport, colours: boolean): string {
  const colour = paint(colours);
  const tint = { Ok: colour.good, Warning: colour.warn, Failed: colour.bad, Skipped: (text: string) => text };
  const lines: string[] = [];
  for (const about of new Set(checks.map((check) => check.about))) {
    lines.push(about);
    for (const { step, outcome, message, hint, policy } of checks.filter((check) => check.about === about)) {
      const word = tint[outcome](words[outcome].padEnd(7));
      lines.push(`  ${word}  ${step.padEnd(13)}  ${message}`);
      if (hint !== "") lines.push(`${" ".repeat(11)}hint: ${hint}`);
      if (policy !== undefined)
        lines.push(
          `${" ".repeat(11)}add to the policy:`,
          ...policy.split("\n").map((line) => `${" ".repeat(13)}${line}`),
        );
    }
  }
  const { ok, warnings, failed, skipped } = summary;
  lines.push(`${ok} ok, ${warnings} warning${warnings === 1 ? "" : "s"}, ${failed} failed, ${skipped} skipped`);
  return lines.join("\n");
}
