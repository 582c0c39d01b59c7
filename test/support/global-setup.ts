/**
 * Starts the local environment once for the tests on real parts and tells them where it is.
 *
 * `SCAIVAULT_ENVIRONMENT=.local/environment.json` uses the environment that `npm run local` started instead.
 */
import { readFileSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { startEnvironment, type EnvironmentFacts } from "../../local/environment.ts";
import { streamProgress } from "../../local/progress.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly environment: EnvironmentFacts;
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const running = process.env["SCAIVAULT_ENVIRONMENT"];
  if (running !== undefined && running !== "") {
    project.provide("environment", JSON.parse(readFileSync(running, "utf8")) as EnvironmentFacts);
    return undefined;
  }
  const environment = await startEnvironment({ progress: streamProgress() });
  project.provide("environment", environment.facts);
  return () => environment.stop();
}
