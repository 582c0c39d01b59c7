/** Order of the files on real parts: the longest first, so that no worker is left alone with one at the end. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take longest, by measurement; all others follow in vitest's own order. */
const longest = [
  "test/examples/bench.test.ts",
  "test/docs/pages.test.ts",
  "test/faults/cluster.test.ts",
  "test/faults/processes.test.ts",
  "test/integration/operator/numbers.test.ts",
  "test/integration/cli/plan.test.ts",
  "test/integration/operator/recovery.test.ts",
  "test/integration/runtime/watch.test.ts",
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(name));
      return at === -1 ? longest.length : at;
    };
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}
