/** What is taken in while the operator runs: the extra CA, the proxy's URL and the log level. */
import { type Config, configChanges, configProblemLine, loadConfig, watchFile } from "./config/index.ts";
import { SyncError } from "./errors/index.ts";
import { type Network, readCAFile } from "./net/index.ts";
import type { Logger } from "./telemetry/index.ts";
import type { Clock } from "./time/clock.ts";

/** Files of the network as they were read at the start. */
export interface NetworkFiles {
  readonly extraCA: string | undefined;
  readonly proxyURL: string | undefined;
}

/** Makes connections anew when the CA file or the proxy's file changed; what cannot be used is logged and left. @returns ends it */
export function followNetworkFiles(
  config: Pick<Config, "caFile" | "proxy">,
  known: NetworkFiles,
  parts: { readonly network: Network; readonly log: Logger; readonly clock: Clock },
): () => void {
  const { network, log, clock } = parts;
  const follow = (path: string | undefined, text: string | undefined, take: (path: string, text: string) => void) =>
    path === undefined || text === undefined
      ? () => undefined
      : watchFile({
          path,
          known: text,
          clock,
          onChange: (now) => {
            try {
              take(path, now);
              log.info("file taken in", { path });
            } catch (error) {
              const message = error instanceof SyncError ? error.message : "cannot be used";
              log.warn("file not taken in", { path, message: `${message}; what was read before holds` });
            }
          },
        });
  const ends = [
    follow(config.caFile, known.extraCA, (path) => network.replace({ extraCA: readCAFile(path) })),
    follow(config.proxy?.urlFile, known.proxyURL, (_, text) => network.replace({ proxyURL: text.trim() })),
  ];
  return () => {
    for (const end of ends) end();
  };
}

/** Follows the configuration file: a new log level is set at once, of all else the names are logged. @returns ends it */
export function followConfigFile(
  running: Config,
  parts: {
    readonly file: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly log: Logger;
    readonly clock: Clock;
  },
): () => void {
  const { file, environment, log, clock } = parts;
  let { level } = running.log;
  return watchFile({
    path: file,
    known: "",
    clock,
    onChange: (text) => {
      const loaded = loadConfig({ file, text }, environment);
      if (!loaded.ok) {
        const [first] = loaded.problems;
        log.warn("configuration not valid", { message: first === undefined ? "" : configProblemLine(first) });
        return;
      }
      const { logLevel, atRestart } = configChanges({ ...running, log: { level } }, loaded.config);
      if (logLevel !== undefined) {
        const message = `${level} to ${logLevel}`;
        // The looser of the two levels shows it.
        log.warn("log level changed", { message });
        log.setLevel(logLevel);
        level = logLevel;
      }
      if (atRestart.length > 0)
        log.warn("configuration changed", { message: `takes effect at the next start: ${atRestart.join(", ")}` });
    },
  });
}
