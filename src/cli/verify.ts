import type { Config } from "../config/index.ts";
import { systemClock } from "../time/clock.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { parseObjectName } from "./conflicts-report.ts";
import { compareCodes, exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { startProgress } from "./progress.ts";
import { configOf, configOption, isConfig } from "./run.ts";
import { namespaceOptions, queryOf } from "./status.ts";
import { renderVerify, type Verified, verifyReport } from "./verify-report.ts";

/** What is compared. */
export interface VerifyQuery {
  /** Absent: the namespace of the kubeconfig's context, else `default`. */
  readonly namespace: "all" | { readonly name: string } | undefined;
  /** Absent: every object there. */
  readonly object: ReturnType<typeof parseObjectName>;
}

/** Compares source, ScaiVault and Secrets. @throws SyncError KubernetesUnavailable, InvalidSpec */
export type Verifier = (
  config: Config,
  query: VerifyQuery,
  run: { readonly io: CommandIO; stage(line: string): void },
) => Promise<readonly Verified[]>;

/** `verify`: no output and exit 0 when everything is the same, 1: something differs, 2: something could not be compared. */
export function verifyCommand(verifier: Verifier): CommandDefinition {
  return {
    name: "verify",
    summary: "Compares source, ScaiVault and Kubernetes Secrets, and says nothing when they are the same.",
    description:
      "Reads every secret in the source and in ScaiVault and compares them as JSON documents, whatever the order of members; Kubernetes " +
      "Secrets are compared by the keyed fingerprint in their mark, without reading their data. It believes no status. One line for each secret " +
      "whose sides are not the same: which side differs or lacks it, and since when; no output when all is clean. Nothing is written and no value " +
      "is shown. It works with the operator's configuration and identity, within ScaiVault's rate limits and behind everything else, and its " +
      "reads have `verify` in their User-Agent. After a flip the old store is not read. " +
      "Exit codes, as diff has them: 0 the same, 1 differences, 2 something could not be compared.",
    examples: [
      "scaivault-operator verify --all --config config.yaml",
      "scaivault-operator verify ssync/stripe -n billing -o json",
    ],
    arguments: [{ name: "object", description: "KIND/NAME, such as ssync/stripe; default all objects" }],
    options: [...namespaceOptions, configOption],
    handler: (args, io) => handle(verifier, args, io),
  };
}

async function handle(verifier: Verifier, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const [given] = args.positionals;
  const object = given === undefined ? undefined : parseObjectName(given);
  if (given !== undefined && object === undefined) {
    const message = "write KIND/NAME, such as ssync/stripe";
    return { exitCode: exitCodes.usage, data: { error: { reason: "InvalidSpec", message } }, text: message };
  }
  const config = configOf(args, io);
  if (!isConfig(config)) return { ...config, exitCode: compareCodes.unknown };
  const { namespace } = queryOf(args);
  const progress = startProgress(io);
  const startedMs = systemClock.now();
  try {
    const verified = await verifier(config, { namespace, object }, { io, stage: (line) => progress.stage(line) });
    const report = verifyReport(verified, { startedMs, endedMs: systemClock.now() });
    const differs = report.differences.length > 0 ? compareCodes.found : compareCodes.same;
    return {
      exitCode: report.unknown.length > 0 ? compareCodes.unknown : differs,
      data: report,
      text: renderVerify(report),
    };
  } catch (error) {
    return { ...failedResult(error), exitCode: compareCodes.unknown };
  } finally {
    progress.end();
  }
}
