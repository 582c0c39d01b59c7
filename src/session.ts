import type { CommandIO } from "./cli/command.ts";
import { compose, type ComposeOptions, type Operator } from "./compose.ts";
import type { Config } from "./config/index.ts";
import { openConnection } from "./connect.ts";
import { SyncError } from "./errors/index.ts";
import { type LogFields, type Logger, silentLogger } from "./telemetry/index.ts";
import { systemClock } from "./time/clock.ts";

/** How long the caches may take to fill, in milliseconds, as long as the API server answers. */
const FILL_MS = 60_000;
/** How long the API server may be silent. */
const SILENT_MS = 10_000;
/** Answers that will not change by waiting, and what to do. */
const refusals: Readonly<Record<string, string>> = {
  "401": "the API server does not know this login",
  "403": "this login may not list it",
  "404": "the API server does not know the kind: install the CRDs",
};

/**
 * The parts of an operator for a command that looks and writes nothing, with caches that hold what the cluster has. Everything
 * is closed afterwards.
 * @throws SyncError KubernetesUnavailable, InvalidSpec (what files of the configuration lack)
 */
export async function withOperator<T>(
  config: Config,
  { io, stage, ...more }: { readonly io: CommandIO; stage(line: string): void } & Pick<ComposeOptions, "purpose">,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const trouble = new Trouble();
  const { environment, signal } = io;
  const connection = await openConnection(config, { environment, signal });
  const operator = compose({ config, environment, log: trouble.log, connection, ...more });
  // Timers and idle connections of the parts do not keep a process alive.
  const alive = systemClock.setTimeout(() => undefined, 2 ** 31 - 1);
  try {
    stage(`reading the objects of cluster ${config.cluster.name} ...`);
    await fill(operator, trouble, signal);
    return await work(operator);
  } finally {
    alive();
    await operator.close();
  }
}

/** Lists everything once. From then on changes of the cluster would overwrite what a command lays over it, so the watches end. */
async function fill({ reflectors }: Operator, trouble: Trouble, signal: AbortSignal): Promise<void> {
  const abort = AbortSignal.any([signal, trouble.signal, AbortSignal.timeout(FILL_MS)]);
  reflectors.start();
  try {
    await reflectors.synced(abort);
  } catch (error) {
    if (signal.aborted) throw new SyncError("KubernetesUnavailable", "ended before the cluster was read");
    if (abort.aborted) throw new SyncError("KubernetesUnavailable", trouble.message);
    throw error;
  } finally {
    await reflectors.stop();
  }
}

/** Notes what goes wrong with the watches, and gives up when waiting does not help. */
class Trouble {
  readonly #abort = new AbortController();
  readonly #startedMs = systemClock.monotonic();
  #last = "";

  get signal(): AbortSignal {
    return this.#abort.signal;
  }
  get message(): string {
    return this.#last === "" ? "the API server did not list everything in a minute" : this.#last;
  }

  readonly log: Logger = {
    ...silentLogger,
    warn: (event: string, { target = "", code = "", retryInMs = 0 }: LogFields = {}) => {
      if (event !== "watch interrupted" || this.#abort.signal.aborted) return;
      this.#last = `cannot list ${target}: ${refusals[code] ?? "the API server cannot be reached"} (${code})`;
      const silentMs = systemClock.monotonic() - this.#startedMs;
      if (refusals[code] !== undefined || silentMs + retryInMs >= SILENT_MS) this.#abort.abort();
    },
  };
}
