import { SyncError } from "../errors/index.ts";
import type { CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

/**
 * What a command answers when the cluster, a store or a file kept it from its work.
 * @throws anything that is no {@link SyncError} as it came: a defect, which the program reports without its text
 */
export function failedResult(error: unknown): CommandResult {
  if (!(error instanceof SyncError)) throw error;
  const { reason, message } = error;
  return { exitCode: exitCodes.failed, data: { error: { reason, message } }, text: message };
}
