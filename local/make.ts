/**
 * Makes every binary that is missing: those of the environment, and those that only tests take. A step of `npm test`, so that
 * no test waits for a build. `npm run quickstart` makes what it needs by itself.
 */
import { ensureBinaries } from "./binaries.ts";
import { streamProgress } from "./progress.ts";
import { recipes, type BinaryName } from "./recipes.ts";

await ensureBinaries(Object.keys(recipes) as BinaryName[], { progress: streamProgress() });
