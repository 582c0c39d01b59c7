/** A small controller runtime for the Kubernetes API. It knows nothing of secrets or of our kinds. */
export * from "./apply.ts";
export * from "./call-options.ts";
export * from "./client.ts";
export {
  ApiConnectionError,
  ApiStatusError,
  isAborted,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isGone,
  isInvalid,
  isNotFound,
  isTooManyRequests,
  isTransient,
  isUnauthorized,
  parseRetryAfter,
  retryAfterOf,
  type ConnectionFailure,
  type StatusField,
} from "./errors.ts";
export * from "./events.ts";
export * from "./finalizers.ts";
export * from "./health.ts";
export * from "./kubeconfig.ts";
export * from "./leader.ts";
export * from "./micro-time.ts";
export * from "./queue-set.ts";
export * from "./reflector.ts";
export * from "./store.ts";
export * from "./transport.ts";
export * from "./types.ts";
export * from "./lanes.ts";
export * from "./workers.ts";
export * from "./workqueue.ts";
