/** The support bundle: what goes into it, and in which form. */
export { bundleEntries, type BundleOptions, type Part } from "./bundle.ts";
export { cleanLog } from "./clean-log.ts";
export {
  configurationFacts,
  deploymentFacts,
  eventFacts,
  leaseFacts,
  metricFacts,
  ownObject,
  podFacts,
} from "./facts.ts";
export { tarGz, type TarEntry } from "./tar.ts";
