export { createLogger, errorFields, type LogFields, type Logger, type LogLevel, silentLogger } from "./logger.ts";
export { createMetrics, type Metrics, type MetricSources } from "./metrics.ts";
export { type HealthChecks, type Listening, startHealthServer, startMetricsServer } from "./server.ts";
