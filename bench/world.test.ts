import { describe, expect, it } from "vitest";
import type { Cluster } from "../local/cluster.ts";
import { phases } from "./phases.ts";
import { phaseNames, scenarios } from "./scenarios.ts";
import { PollWatch } from "./world.ts";

/** A watch that sees what the test says. */
function watch(): { polls: PollWatch; see: (line: string) => void } {
  let see: (line: string) => void = () => undefined;
  const cluster: Pick<Cluster, "follow"> = {
    follow(_what, onLine) {
      see = onLine;
    },
  };
  const polls = new PollWatch();
  polls.follow(cluster as Cluster, "n");
  return { polls, see: (line) => see(line) };
}

const state = (version: number, time: string, rest = "a"): string =>
  `${version}|${time}|{"lastPollTime":"${time}","identity":"${rest}"}`;

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
    expect(polls.pollTimeWritesSince(position)).toBe(2);
    expect(polls.pollTimeWritesSince(polls.position)).toBe(0);
  });

  it("resolves when a poll has ended, not at other changes", async () => {
    const { polls, see } = watch();
    see(state(1, "t1"));
    let ended = false;
    const next = polls.next(5_000).then(() => (ended = true));
    see(state(2, "t1", "b"));
    await Promise.resolve();
    expect(ended).toBe(false);
    see(state(3, "t2", "b"));
    await next;
    await expect(polls.next(5)).rejects.toThrow("not polled in time");
  });
});

describe("scenarios", () => {
  it("are made of phases that exist, and measure something", () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    for (const { arrange, measure } of scenarios) {
      expect(measure.length).toBeGreaterThan(0);
      for (const name of [...arrange, ...measure]) expect(phaseNames).toContain(name);
    }
    expect(Object.keys(phases).toSorted()).toEqual([...phaseNames].toSorted());
  });
});
