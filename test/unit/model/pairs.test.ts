/**
 * Histories of edits on both sides, outages, restores, restarts and approvals over two clusters, the real ScaiVault reference
 * server and the controllers. Each step is judged by what the stores hold. `MODEL_RUNS` plays more of them, `MODEL_SEED` others.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { play, step } from "../../support/model/steps.ts";
import { settleDown } from "../../support/model/rest.ts";
import { Stage } from "../../support/model/stage.ts";

const RUNS = Number(process.env["MODEL_RUNS"] ?? 80);
const DEFAULT_SEED = 20_260_101;
const SEED = Number(process.env["MODEL_SEED"] ?? DEFAULT_SEED);
const HAPPENS = ["ScaiVault written", "Secret written", "ScaiVault restored", "cluster restored", "approved plan"];

const seen = new Set<string>();

it(
  `loses and rolls back no value, touches nothing else, and says in status what is true (seed ${SEED})`,
  { timeout: 3_600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("Id" as const, "Number" as const),
        fc.array(step, { minLength: 3, maxLength: 30 }),
        async (versionKind, history) => {
          const stage = await Stage.open(versionKind);
          try {
            for (const one of history) {
              await play(stage, one);
              expect(stage.judge.violations).toEqual([]);
            }
            await settleDown(stage);
            expect(stage.judge.violations).toEqual([]);
            for (const one of stage.judge.seen) seen.add(one);
          } finally {
            await stage.close();
          }
        },
      ),
      { numRuns: RUNS, seed: SEED, verbose: 1 },
    );
    // Histories in which nothing happens show nothing.
    if (SEED === DEFAULT_SEED) expect([...seen]).toEqual(expect.arrayContaining(HAPPENS));
  },
);
