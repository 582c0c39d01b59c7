import type { Config } from "./config.ts";

/** Fields whose change takes effect at once. */
const LIVE: ReadonlySet<string> = new Set(["log.level"]);

/** What differs between the configuration that runs and the file as it is now. */
export interface ConfigChanges {
  /** The new level, when it differs. */
  readonly logLevel: Config["log"]["level"] | undefined;
  /** Dotted names, such as `scaivault.url`, of what takes effect at the next start only. Never what they hold. */
  readonly atRestart: readonly string[];
}

/** Compares two configurations. Lists and maps with free keys are named as a whole. */
export function configChanges(running: Config, file: Config): ConfigChanges {
  const names = [...new Set(changedFields(running, file, ""))];
  return {
    logLevel: running.log.level === file.log.level ? undefined : file.log.level,
    atRestart: names.filter((name) => !LIVE.has(name)),
  };
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function changedFields(a: unknown, b: unknown, at: string): string[] {
  if (!isPlain(a) || !isPlain(b) || at === "endpointOverrides")
    return JSON.stringify(a) === JSON.stringify(b) ? [] : [at];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
    changedFields(a[key], b[key], at === "" ? key : `${at}.${key}`),
  );
}
