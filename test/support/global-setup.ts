/**
 * Starts a local environment for each worker of the tests on real parts and tells them where it is.
 *
 * `SCAIVAULT_ENVIRONMENT=.local/environment.json` uses the environment that `npm run local` started instead.
 */
import { readFileSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { startEnvironment, type EnvironmentFacts } from "../../local/environment.ts";
import { silentProgress, streamProgress } from "../../local/progress.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** One for each worker, in the order of `VITEST_POOL_ID`. */
    readonly environments: readonly EnvironmentFacts[];
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const running = process.env["SCAIVAULT_ENVIRONMENT"];
  const workers = Number(project.config.maxWorkers) || 1;
  if (running !== undefined && running !== "") {
    if (workers > 1) throw new Error("SCAIVAULT_ENVIRONMENT is one environment, so it takes one worker.");
    project.provide("environments", [JSON.parse(readFileSync(running, "utf8")) as EnvironmentFacts]);
    return undefined;
  }
  // The first one makes what is missing, with progress; the others find it made.
  const environments = [await startEnvironment({ progress: streamProgress() })];
  const stop = async (): Promise<void> => {
    await Promise.all(environments.map((environment) => environment.stop()));
  };
  try {
    while (environments.length < workers) environments.push(await startEnvironment({ progress: silentProgress }));
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide(
    "environments",
    environments.map(({ facts }) => facts),
  );
  return stop;
}
