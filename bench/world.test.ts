import { describe, expect, it } from "vitest";
import { silentProgress } from "../local/progress.ts";
import { each } from "./each.ts";
import { percentile } from "./percentiles.ts";
import { phases } from "./phases.ts";
import { PollWatch } from "./poll-watch.ts";
import { phaseNames, scenarios } from "./scenarios.ts";
import type { BenchWorld } from "./world.ts";

/** A watch that sees what the test says. */
function watch(): { polls: PollWatch; see: PollWatch["see"] } {
  const polls = new PollWatch();
  return { polls, see: (state) => polls.see(state) };
}

const state = (version: number, lastPollTime: string, rest = "a") => ({ version: String(version), lastPollTime, rest });

describe("PollWatch", () => {
  it("counts writes that moved lastPollTime and nothing else, each once", () => {
    const { polls, see } = watch();
    see(state(1, "t1"));
    const position = polls.position;
    see(state(2, "t2"));
    see(state(2, "t2"));
    see(state(3, "t3", "b"));
    see(state(4, "t3", "c"));
    see(state(5, "t4", "c"));
    expect(polls.pollTimeWritesBetween(position, polls.position)).toBe(2);
    expect(polls.pollTimeWritesBetween(position, position + 1)).toBe(1);
    expect(polls.pollTimeWritesBetween(polls.position, polls.position)).toBe(0);
  });

  it("resolves when a poll has ended, not at other changes", async () => {
    const { polls, see } = watch();
    see(state(1, "t1"));
    polls.mark();
    let ended = false;
    const next = polls.ended(5_000).then(() => (ended = true));
    see(state(2, "t1", "b"));
    await Promise.resolve();
    expect(ended).toBe(false);
    see(state(3, "t2", "b"));
    await next;
    await expect(polls.ended(5)).rejects.toThrow("not polled in time");
  });
});

describe("the phase poll", () => {
  const soon = (work: Promise<unknown>): Promise<string> =>
    Promise.race([work.then(() => "seen"), new Promise<string>((resolve) => setImmediate(resolve, "still waiting"))]);

  /** A stage whose operator polls while it is being started: what comes next is not waited for. */
  function stage() {
    const { polls, see } = watch();
    const operator = {
      stop: () => Promise.resolve(),
      start: () => Promise.resolve(see(state(2, "t2"))),
    };
    see(state(1, "t1"));
    const world = {
      settings: { interval: "30s" },
      progress: silentProgress,
      outside: { polls },
      operator,
    } as unknown as BenchWorld;
    return { world, see };
  }

  it("takes the poll that ended while the operator was still being started", async () => {
    const { world } = stage();
    await phases.restart(world);
    expect(await soon(phases.poll(world))).toBe("seen");
  });

  it("waits for a poll that ends after the one before it was seen", async () => {
    const { world, see } = stage();
    await phases.restart(world);
    await phases.poll(world);
    const next = phases.poll(world);
    expect(await soon(next)).toBe("still waiting");
    see(state(3, "t3"));
    expect(await soon(next)).toBe("seen");
  });
});

describe("scenarios", () => {
  it("are made of phases that exist, and measure something", () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    for (const { arrange, measure, compare = [] } of scenarios) {
      expect(measure.length).toBeGreaterThan(0);
      for (const name of [...arrange, ...measure, ...compare]) expect(phaseNames).toContain(name);
    }
    expect(Object.keys(phases).toSorted()).toEqual([...phaseNames].toSorted());
  });
});

describe("percentile", () => {
  it("is the nearest rank", () => {
    const samples = [5, 1, 4, 2, 3];
    expect([0.01, 0.5, 0.9, 1].map((share) => percentile(samples, share))).toEqual([1, 3, 5, 5]);
    expect(percentile([], 0.5)).toBeUndefined();
  });
});

describe("each", () => {
  it("does everything once, never more than the width at a time, and begins nothing after a failure", async () => {
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await each(10, 3, async (index) => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      done.push(index);
    });
    expect(done.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(3);
    const begun: number[] = [];
    const failing = each(10, 1, (index) => {
      begun.push(index);
      return index === 2 ? Promise.reject(new Error("no")) : Promise.resolve();
    });
    await expect(failing).rejects.toThrow("no");
    expect(begun).toEqual([0, 1, 2]);
  });
});
