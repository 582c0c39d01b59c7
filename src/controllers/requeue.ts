import type { Lane } from "../runtime/index.ts";

/** When to look again, and how urgent that is. */
export interface Requeue {
  readonly requeueAfterMs?: number;
  readonly lane?: Lane;
  /** Writes that wait for their turn in ScaiVault's rate budget: look again when one of these resolves. */
  readonly turns?: readonly Promise<void>[];
  /** Paths that another cluster has to write first. */
  readonly waitsForWriter?: boolean;
}
