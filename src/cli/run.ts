import { SyncError } from "../errors/index.ts";
import { CONFIG_FILE_VARIABLE, type Config, configProblemLine, readConfig } from "../config/index.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";

/** The option that every command with a configuration has. */
export const configOption = {
  name: "config",
  flags: "-c, --config <file>",
  description: "configuration file; values can be overridden by SCAIVAULT_OPERATOR_* variables",
} as const;

const DEFAULT_FILE = "/etc/scaivault-operator/config.yaml";

/** Reads the configuration that a command was given; all its problems at once. */
export function configOf(args: CommandArguments, io: CommandIO): Config | CommandResult {
  const result = readConfig(configFileOf(args, io), io.environment);
  if (result.ok) return result.config;
  const lines = result.problems.map((problem) => configProblemLine(problem));
  return { exitCode: 1, data: { problems: result.problems }, text: lines.join("\n") };
}

/** Where the configuration is: the option, the variable, or where the image has it. */
export function configFileOf(args: CommandArguments, io: CommandIO): string {
  const given = args.options["config"];
  return typeof given === "string" ? given : (io.environment[CONFIG_FILE_VARIABLE] ?? DEFAULT_FILE);
}

export function isConfig(value: Config | CommandResult): value is Config {
  return "cluster" in value;
}

/** `run`: the operator itself, until it is asked to end. */
export function runCommand(start: (config: Config, io: CommandIO, file: string) => Promise<number>): CommandDefinition {
  return {
    name: "run",
    summary: "Runs the operator until it is asked to end (SIGTERM).",
    examples: ["scaivault-operator run --config /etc/scaivault-operator/config.yaml"],
    arguments: [],
    options: [configOption],
    async handler(args, io) {
      const config = configOf(args, io);
      if (!isConfig(config)) return config;
      try {
        return { exitCode: await start(config, io, configFileOf(args, io)), data: undefined, text: "" };
      } catch (error) {
        // What the configuration's files lack; anything else is a defect and keeps its stack.
        if (!(error instanceof SyncError)) throw error;
        return { exitCode: 1, data: { reason: error.reason, message: error.message }, text: error.message };
      }
    },
  };
}
