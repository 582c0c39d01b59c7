/** Histories that the model once failed on, each reduced to what it needs. */
import { afterEach, describe, expect, it } from "vitest";
import { settleDown } from "../../support/model/rest.ts";
import { Stage } from "../../support/model/stage.ts";
import { play, type Step } from "../../support/model/steps.ts";

let stage: Stage | undefined;
afterEach(() => stage?.close());

/** Plays a history and everything that has to hold at rest. @returns what was violated */
async function violations(history: readonly Step[], kind: "Id" | "Number" = "Id"): Promise<readonly string[]> {
  stage = await Stage.open(kind);
  for (const step of history) await play(stage, step);
  await settleDown(stage);
  return stage.judge.violations;
}

const cases: readonly { readonly name: string; readonly history: readonly Step[] }[] = [
  {
    name: "a path that somebody soft-deleted is said in one way, whether a write found it or a look",
    history: [
      { do: "put", secret: "a" },
      { do: "vaultDelete", secret: "a" },
    ],
  },
  {
    name: "who only observes with authority ScaiVault compares the Secret again when ScaiVault's version moved",
    history: [
      { do: "spec", cluster: "both", object: "a", change: { authority: "ScaiVault", apply: "Never" } },
      { do: "put", secret: "a" },
      { do: "pass", ms: 600_000 },
      { do: "vaultPut", secret: "a" },
    ],
  },
  {
    name: "a source that goes back to the version in ScaiVault does not roll back a Secret that is ahead of ScaiVault",
    history: [
      { do: "stop", cluster: "east" },
      { do: "put", secret: "tree/x" },
      { do: "put", secret: "a" },
      { do: "pass", ms: 720_000 },
      { do: "moveBack", secret: "tree/x" },
      { do: "moveBack", secret: "a" },
    ],
  },
];

describe("histories that failed once", () => {
  it.each(cases)("$name", async ({ history }) => {
    expect(await violations(history)).toEqual([]);
  });
});
