import { type DestinationStream, pino } from "pino";
import { cleanText } from "../errors/index.ts";
import type { SyncError } from "../errors/index.ts";

/**
 * Every field that a log line may have besides `time`, `level`, `event` and `cluster`. The set is closed: nothing else
 * can be logged, so that a value, a header or a foreign error can not slip in. All texts are cleaned and capped.
 */
export interface LogFields {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly backend?: string;
  readonly store?: string;
  readonly path?: string;
  readonly target?: string;
  readonly action?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly hint?: string;
  /** A stable code of the other side, such as `ThrottlingException`. */
  readonly code?: string;
  /** An allow-listed detail for operators, such as `ECONNREFUSED`. */
  readonly detail?: string;
  readonly right?: string;
  readonly method?: string;
  readonly version?: string;
  readonly address?: string;
  readonly count?: number;
  readonly failed?: number;
  readonly ms?: number;
  readonly retryInMs?: number;
  readonly leader?: boolean;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Structured logging: `event` is a short constant such as `secret written`, everything else is a known field. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** Changes the level at run time. */
  setLevel(level: LogLevel): void;
}

/** Names of {@link LogFields}. */
export const logFieldNames: ReadonlySet<string> = new Set([
  ..."kind namespace name backend store path target action reason message hint code detail right method".split(" "),
  ..."version address count failed ms retryInMs leader".split(" "),
]);

function clean(fields: LogFields | undefined): Record<string, string | number | boolean> {
  const out: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (!logFieldNames.has(key)) continue;
    if (typeof value === "string") out[key] = cleanText(value);
    else if (typeof value === "number" || typeof value === "boolean") out[key] = value;
  }
  return out;
}

/** How long lines of `info` and `debug` wait for others. */
const FLUSH_MS = 20;
/** So many characters do not wait. */
const FLUSH_LENGTH = 8 * 1024;

/**
 * Standard output. A write for each line costs more than all else about it, so lines leave together; those of `warn` and
 * `error` at once, with all before them, and the last ones at the end of the process, however it comes about.
 */
function standardOutput(): { stream: DestinationStream; flush: () => void } {
  const out = pino.destination({ dest: 1, sync: true });
  let lines = "";
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lines !== "") out.write(lines);
    lines = "";
  };
  process.once("exit", flush);
  const write = (line: string): void => {
    lines += line;
    if (lines.length >= FLUSH_LENGTH) flush();
    else timer ??= setTimeout(flush, FLUSH_MS).unref();
  };
  return { stream: { write }, flush };
}

/** One JSON line per event on the given stream, standard output by default. */
export function createLogger(options: {
  readonly level: LogLevel;
  readonly cluster?: string;
  readonly destination?: DestinationStream;
}): Logger {
  const base = options.cluster === undefined ? null : { cluster: options.cluster };
  const settings = {
    level: options.level,
    base,
    messageKey: "event",
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: {},
    // The second net: `clean` lets no such field through in the first place.
    redact: ["*.token", "*.password", "*.value", "*.data", "*.authorization"],
  };
  const { stream, flush } =
    options.destination === undefined ? standardOutput() : { stream: options.destination, flush: () => undefined };
  const log = pino(settings, stream);
  return {
    debug: (event, fields) => log.debug(clean(fields), cleanText(event)),
    info: (event, fields) => log.info(clean(fields), cleanText(event)),
    warn: (event, fields) => {
      log.warn(clean(fields), cleanText(event));
      flush();
    },
    error: (event, fields) => {
      log.error(clean(fields), cleanText(event));
      flush();
    },
    setLevel: (level) => {
      log.level = level;
    },
  };
}

/** The loggable parts of an error; its hint and detail included, never a cause or a stack. */
export function errorFields(error: SyncError): LogFields {
  return {
    reason: error.reason,
    message: error.message,
    ...(error.action === undefined ? {} : { action: error.action }),
    ...(error.code === undefined ? {} : { code: error.code }),
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    ...(error.right === undefined ? {} : { right: error.right }),
    ...(error.retryAfterMs === undefined ? {} : { retryInMs: error.retryAfterMs }),
  };
}

/** A logger that says nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
};
