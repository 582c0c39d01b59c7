export {
  createLogger,
  errorFields,
  logFieldNames,
  type LogFields,
  type Logger,
  type LogLevel,
  silentLogger,
} from "./logger.ts";
export {
  createMetrics,
  FRESHNESS_SECONDS,
  type HeldCount,
  type Metrics,
  type MetricScope,
  type MetricSources,
  type TreeCount,
  type ObjectCount,
} from "./metrics.ts";
export { type HealthChecks, type Listening, startHealthServer, startMetricsServer } from "./server.ts";
