import { beforeEach, describe, expect, it } from "vitest";
import { DriftLooks } from "./drift-looks.ts";

let echoes: Set<string>;
let looks: string[];
let drift: DriftLooks<string>;

beforeEach(() => {
  echoes = new Set();
  looks = [];
  drift = new DriftLooks({ isEcho: (copy) => echoes.delete(copy), look: (owner) => void looks.push(owner) });
});

describe("DriftLooks", () => {
  it("has the owner looked at for what others changed, and not for what the operator wrote", () => {
    echoes.add("ours");
    drift.seen("a", "ours");
    expect(looks).toEqual([]);
    drift.seen("a", "theirs");
    drift.seen("b", "theirs");
    expect(looks).toEqual(["a", "b"]);
  });

  it("waits for the end of the work to tell whose change it was: the watch may be faster than the answer", async () => {
    await drift.during("a", () => {
      drift.seen("a", "ours");
      drift.seen("b", "ours too");
      echoes.add("ours");
      return Promise.resolve();
    });
    expect(looks).toEqual(["b"]);
  });

  it("looks once when one of several changes was by others, also when the work failed", async () => {
    const work = drift.during("a", () => {
      drift.seen("a", "theirs");
      drift.seen("a", "ours");
      drift.seen("a", "theirs again");
      echoes.add("ours");
      return Promise.reject(new Error("refused"));
    });
    await expect(work).rejects.toThrow("refused");
    expect(looks).toEqual(["a"]);
    expect(echoes.size).toBe(0);
  });
});
