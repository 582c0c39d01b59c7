import { systemClock } from "../time/clock.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { type SeenObject, statusExitCode, statusReport } from "./status-report.ts";
import { renderStatus } from "./status-text.ts";

/** Which cluster and what of it. */
export interface StatusQuery {
  /** Absent: as kubectl, `KUBECONFIG`, then `~/.kube/config`, then the pod's own account. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** `all`, or a name; absent: the namespace of the context, else `default`. */
  readonly namespace: "all" | { readonly name: string } | undefined;
}

/** Lists both kinds. @throws SyncError KubernetesUnavailable, InvalidSpec */
export type StatusReader = (
  query: StatusQuery,
  io: CommandIO,
) => Promise<{ readonly backends: readonly SeenObject[]; readonly syncs: readonly SeenObject[] }>;

/** `--kubeconfig` and `--context`, for commands that people run with their own login. */
export const clusterOptions = [
  { name: "kubeconfig", flags: "--kubeconfig <file>", description: "kubeconfig to use; default as kubectl" },
  { name: "context", flags: "--context <name>", description: "context of the kubeconfig; default its current one" },
] as const;

/** `-n`, `--all`: which namespaces a command that lists looks at. */
export const namespaceOptions = [
  { name: "namespace", flags: "-n, --namespace <name>", description: "namespace; default that of the context" },
  { name: "all", flags: "-A, --all", description: "all namespaces" },
] as const;

/** What such a command asks for. */
export function queryOf(args: CommandArguments): StatusQuery {
  const name = textOption(args, "namespace");
  const all = args.options["all"] === true || args.options["allNamespaces"] === true;
  return {
    kubeconfig: textOption(args, "kubeconfig"),
    context: textOption(args, "context"),
    namespace: all ? "all" : name === undefined ? undefined : { name },
  };
}

export function textOption(args: CommandArguments, name: string): string | undefined {
  const value = args.options[name];
  return typeof value === "string" ? value : undefined;
}

/** `status`: what is not in sync and why. Exit 0: all fine, 2: not all, 1: the cluster cannot be read. */
export function statusCommand(read: StatusReader): CommandDefinition {
  return {
    name: "status",
    summary: "Shows what is not in sync and why.",
    description:
      "Lists FederationBackends and SecretSyncs with your own login, and shows on one screen what is not fine, by " +
      "backend and reason, with hints, what waits for an approval with the command that gives it, and how old the oldest poll is. " +
      "It needs the right to list the two kinds and nothing else. " +
      "Exit codes: 0 all fine, 2 something is not or waits for people, 1 the cluster cannot be read.",
    examples: ["scaivault-operator status -n billing", "scaivault-operator status -A -o json"],
    arguments: [],
    options: [
      { name: "namespace", flags: "-n, --namespace <name>", description: "namespace; default that of the context" },
      { name: "allNamespaces", flags: "-A, --all-namespaces", description: "all namespaces" },
      {
        name: "limit",
        flags: "--limit <count>",
        description: "objects named for one reason of one backend; 0: all",
        default: "5",
      },
      ...clusterOptions,
    ],
    handler: (args, io) => handle(read, args, io),
  };
}

async function handle(read: StatusReader, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const limit = textOption(args, "limit") ?? "";
  if (!/^\d{1,6}$/.test(limit)) {
    const message = "--limit: write a whole number";
    return { exitCode: exitCodes.usage, data: { error: { reason: "InvalidSpec", message } }, text: message };
  }
  try {
    const seen = await read(queryOf(args), io);
    const report = statusReport(seen.backends, seen.syncs, systemClock.now());
    const text = renderStatus(report, { colours: io.colours === true, limit: Number(limit) });
    return { exitCode: statusExitCode(report), data: report, text };
  } catch (error) {
    return failedResult(error);
  }
}
