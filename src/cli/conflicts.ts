import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { conflictsReport, renderConflicts } from "./conflicts-report.ts";
import { compareCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { clusterOptions, namespaceOptions, queryOf, type StatusReader } from "./status.ts";

/** `conflicts`: what two sides changed. Exit 0: none, 1: some, 2: could not tell. */
export function conflictsCommand(read: StatusReader): CommandDefinition {
  return {
    name: "conflicts",
    summary: "Lists secrets that were changed on both sides, and settles them.",
    description:
      "Lists conflicts of both kinds out of their status, with your own login: the path, the versions of both sides (what both " +
      "held, and now), since when, and the command that settles it. Values are never shown. It needs the right to list the " +
      "two kinds and nothing else. Exit codes, as diff has them: 0 none, 1 some, 2 could not tell.",
    examples: ["scaivault-operator conflicts -n billing", "scaivault-operator conflicts --all -o json"],
    arguments: [],
    options: [...namespaceOptions, ...clusterOptions],
    handler: (args, io) => handle(read, args, io),
  };
}

async function handle(read: StatusReader, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  try {
    const seen = await read(queryOf(args), io);
    const report = conflictsReport(seen.backends, seen.syncs);
    const some = report.conflicts.length + report.more > 0;
    const exitCode = some ? compareCodes.found : report.unknown.length > 0 ? compareCodes.unknown : compareCodes.same;
    return { exitCode, data: report, text: renderConflicts(report) };
  } catch (error) {
    return { ...failedResult(error), exitCode: compareCodes.unknown };
  }
}
