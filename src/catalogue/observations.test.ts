import { beforeEach, describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import type { SecretTarget, TargetObservation } from "../ports/index.ts";
import { VirtualClock } from "../time/clock.ts";
import { Observations, type Reachability } from "./observations.ts";

interface Ref {
  readonly path: string;
}

const signal = new AbortController().signal;
const seen = (version: string): TargetObservation => ({
  presence: "Present",
  version,
  mark: { state: "None" },
  content: "Unknown",
  metadataAsDeclared: true,
  fence: version,
});
const unavailable = () => new SyncError("ScaiVaultUnavailable", "503", { retryAfterMs: 30_000 });

let clock: VirtualClock;
let asked: string[][];
let versions: Map<string, string>;
let failure: SyncError | undefined;
let absent: boolean;
let failures: Map<string, SyncError>;
let told: Reachability[];
let observations: Observations<Ref>;

/** Answers wait for it. */
let hold: (() => Promise<void>) | undefined;

beforeEach(() => {
  clock = new VirtualClock();
  hold = undefined;
  asked = [];
  versions = new Map([
    ["a", "1"],
    ["b", "1"],
  ]);
  failure = undefined;
  absent = false;
  failures = new Map();
  told = [];
  const refuse = () => Promise.reject(new Error("not used"));
  const target: SecretTarget<Ref> = {
    key: ({ path }) => path,
    observe: async (refs) => {
      asked.push(refs.map(({ path }) => path));
      if (failure !== undefined) throw failure;
      const entries = refs.map(({ path }): [string, TargetObservation] => {
        const error = failures.get(path);
        const one: TargetObservation = absent ? { ...seen(""), presence: "Absent" } : seen(versions.get(path) ?? "");
        return [path, error === undefined ? one : { ...one, presence: "Unknown", failure: error }];
      });
      await hold?.();
      return new Map(entries);
    },
    read: refuse,
    write: refuse,
    mark: refuse,
    adopt: refuse,
    release: refuse,
    remove: refuse,
  };
  observations = new Observations({ target, clock, onReachability: (now) => void told.push(now) });
});

describe("what a shared target said last", () => {
  it("is asked once for all and answered from memory while it is new enough", async () => {
    await observations.refresh([{ path: "a" }, { path: "b" }], signal);
    expect((await observations.get({ path: "a" }, clock.monotonic(), signal)).version).toBe("1");
    expect((await observations.get({ path: "b" }, clock.monotonic() - 1, signal)).version).toBe("1");
    expect(asked).toEqual([["a", "b"]]);
    await clock.advance(1_000);
    versions.set("a", "2");
    expect((await observations.get({ path: "a" }, clock.monotonic() - 500, signal)).version).toBe("2");
    expect(asked).toEqual([["a", "b"], ["a"]]);
  });

  it("is what the look says that began last, whichever answers last", async () => {
    const waiting: (() => void)[] = [];
    hold = () => new Promise((go) => void waiting.push(go));
    const first = observations.refresh([{ path: "a" }], signal);
    versions.set("a", "2");
    const second = observations.refresh([{ path: "a" }], signal);
    waiting[1]?.();
    expect((await second).get("a")?.version).toBe("2");
    waiting[0]?.();
    expect((await first).get("a")?.version).toBe("2");
    expect(observations.last({ path: "a" })?.version).toBe("2");
  });

  it("is what our own write left there", async () => {
    await observations.refresh([{ path: "a" }], signal);
    observations.set({ path: "a" }, seen("5"));
    expect((await observations.get({ path: "a" }, clock.monotonic(), signal)).version).toBe("5");
    observations.set({ path: "a" }, undefined);
    expect((await observations.get({ path: "a" }, clock.monotonic(), signal)).version).toBe("1");
    observations.set({ path: "a" }, seen("6"));
    observations.forget({ path: "a" });
    expect((await observations.get({ path: "a" }, clock.monotonic(), signal)).version).toBe("1");
    expect(asked).toHaveLength(3);
  });

  it("is forgotten when nobody asked for longer than the longest interval", async () => {
    await observations.refresh([{ path: "a" }], signal);
    await clock.advance(40 * 3_600_000);
    await observations.refresh([{ path: "b" }], signal);
    await observations.get({ path: "a" }, 0, signal);
    expect(asked).toHaveLength(2);
    await clock.advance(10 * 3_600_000);
    await observations.refresh([{ path: "b" }], signal);
    await observations.get({ path: "a" }, 0, signal);
    expect(asked).toEqual([["a"], ["b"], ["b"], ["a"]]);
  });

  it("counts an absence from its first answer to its last, not to now", async () => {
    absent = true;
    await observations.refresh([{ path: "a" }], signal);
    await clock.advance(60_000);
    expect(observations.absentForMs({ path: "a" })).toBe(0);
    await observations.refresh([{ path: "a" }], signal);
    expect(observations.absentForMs({ path: "a" })).toBe(60_000);
    observations.set({ path: "a" }, seen("1"));
    await observations.refresh([{ path: "a" }], signal);
    expect(observations.absentForMs({ path: "a" })).toBe(0);
    absent = false;
    await observations.refresh([{ path: "a" }], signal);
    expect(observations.absentForMs({ path: "a" })).toBeUndefined();
  });

  it("counts an absence in time that passed, not in what the wall clock was set on by", async () => {
    absent = true;
    await observations.refresh([{ path: "a" }], signal);
    clock.jump(24 * 3_600_000);
    await clock.advance(1_000);
    await observations.refresh([{ path: "a" }], signal);
    expect(observations.absentForMs({ path: "a" })).toBe(1_000);
    clock.jump(-48 * 3_600_000);
    await clock.advance(60_000);
    expect((await observations.get({ path: "a" }, clock.monotonic() - 1, signal)).presence).toBe("Absent");
    expect(asked).toHaveLength(3);
  });

  it("is not asked for again by each object when it just failed", async () => {
    failures.set("a", new SyncError("ScaiVaultDenied", "no right"));
    await observations.refresh([{ path: "a" }], signal);
    for (let n = 0; n < 5; n += 1)
      expect((await observations.get({ path: "a" }, 0, signal)).failure?.reason).toBe("ScaiVaultDenied");
    expect(asked).toHaveLength(1);
    await clock.advance(11_000);
    failures.clear();
    expect((await observations.get({ path: "a" }, 0, signal)).presence).toBe("Present");
  });

  it("says that a target of which nothing came back is unknown", async () => {
    failure = new SyncError("Unexpected", "no answer");
    expect(await observations.get({ path: "a" }, clock.monotonic(), signal)).toMatchObject({
      presence: "Unknown",
      failure: { reason: "Unexpected" },
    });
  });
});

describe("an outage of the target", () => {
  it("is told once, asked about every ten seconds at most, and told when it is over", async () => {
    await observations.refresh([{ path: "a" }], signal);
    failure = new SyncError("ScaiVaultUnavailable", "503");
    for (let second = 0; second < 60; second += 1) {
      const observation = await observations.get({ path: "a" }, clock.monotonic() + 1, signal);
      expect(observation).toMatchObject({ presence: "Unknown", failure: { reason: "ScaiVaultUnavailable" } });
      await clock.advance(1_000);
    }
    expect(asked.length).toBeLessThanOrEqual(8);
    expect(told.map(({ state }) => state)).toEqual(["Reachable", "Failing"]);
    failure = undefined;
    await clock.advance(10_000);
    expect((await observations.get({ path: "a" }, clock.monotonic() + 1, signal)).presence).toBe("Present");
    expect(told.map(({ state }) => state)).toEqual(["Reachable", "Failing", "Reachable"]);
  });

  it("lasts as long as the store asks to wait", async () => {
    failure = unavailable();
    await observations.refresh([{ path: "a" }], signal);
    failure = undefined;
    await clock.advance(29_000);
    await observations.refresh([{ path: "a" }], signal);
    expect(asked).toHaveLength(1);
    await clock.advance(2_000);
    await observations.refresh([{ path: "a" }], signal);
    expect([asked.length, observations.reachability.state]).toEqual([2, "Reachable"]);
  });

  it("is also known from a write that failed", async () => {
    await observations.refresh([{ path: "a" }], signal);
    observations.noteFailure(new SyncError("ScaiVaultDenied", "one path"));
    expect(observations.reachability.state).toBe("Reachable");
    observations.noteFailure(unavailable());
    expect(observations.reachability.state).toBe("Failing");
  });

  it("names no path of whoever ran into it", async () => {
    const action = "write environments/shop/secret-name";
    observations.noteFailure(
      new SyncError("ScaiVaultUnavailable", `ScaiVault cannot be reached (${action})`, { action }),
    );
    const { failure: told } = await observations.get({ path: "a" }, 0, signal);
    expect(told?.message).toBe("ScaiVault cannot be reached");
    expect(told?.action).toBeUndefined();
    // Whoever asks for it all the same hears the same, so that no status changes.
    failure = new SyncError("ScaiVaultUnavailable", "ScaiVault cannot be reached (read metadata)", {
      action: "read metadata",
    });
    for (const wait of [0, 11_000, 1_000]) {
      await clock.advance(wait);
      const { failure: again } = await observations.get({ path: "a" }, clock.monotonic() + 1, signal);
      expect(again?.message).toBe("ScaiVault cannot be reached");
    }
  });

  it("is none when one path alone is refused", async () => {
    failures.set("a", new SyncError("ScaiVaultDenied", "one path"));
    const found = await observations.refresh([{ path: "a" }, { path: "b" }], signal);
    expect([found.get("a")?.presence, found.get("b")?.presence]).toEqual(["Unknown", "Present"]);
    expect(observations.reachability.state).toBe("Reachable");
    // What was not answered is asked for again soon.
    await clock.advance(10_001);
    await observations.get({ path: "a" }, clock.monotonic(), signal);
    expect(asked).toHaveLength(2);
  });

  it("does not answer from memory what it could not ask", async () => {
    await observations.refresh([{ path: "a" }], signal);
    failure = new SyncError("ScaiVaultUnavailable", "503");
    await clock.advance(1);
    await observations.refresh([{ path: "a" }], signal);
    expect((await observations.get({ path: "a" }, 0, signal)).presence).toBe("Unknown");
  });
});

describe("what was seen last", () => {
  const mark = { state: "Unverified" } as const;

  it("stands through failures, forgotten answers, marks that cannot be checked and an outage of days", async () => {
    await observations.refresh([{ path: "a" }], signal);
    observations.forget({ path: "a" });
    observations.set({ path: "b" }, { ...seen("7"), mark });
    failure = unavailable();
    for (let day = 0; day < 4; day += 1) {
      await observations.refresh([{ path: "a" }, { path: "b" }], signal);
      await clock.advance(24 * 3_600_000);
    }
    expect(observations.lastSeen({ path: "a" })?.version).toBe("1");
    expect(observations.lastSeen({ path: "b" })).toBeUndefined();
  });

  it("says nothing of the time in which others led", async () => {
    absent = true;
    await observations.refresh([{ path: "a" }], signal);
    await clock.advance(3_600_000);
    observations.restart();
    expect(observations.lastSeen({ path: "a" })).toBeUndefined();
    await observations.refresh([{ path: "a" }], signal);
    expect(observations.absentForMs({ path: "a" })).toBe(0);
  });
});

describe("an answer that was asked for before our own write", () => {
  it("does not take the place of what the write made, whichever comes last", async () => {
    let answer: (version: string) => void = () => undefined;
    const late = new Promise<ReadonlyMap<string, TargetObservation>>((resolve) => {
      answer = (version) => resolve(new Map([["a", seen(version)]]));
    });
    const refuse = () => Promise.reject(new Error("not used"));
    const slow = new Observations<Ref>({
      target: {
        key: ({ path }) => path,
        observe: () => late,
        read: refuse,
        write: refuse,
        mark: refuse,
        adopt: refuse,
        release: refuse,
        remove: refuse,
      },
      clock,
      onReachability: () => undefined,
    });
    const asking = slow.refresh([{ path: "a" }], signal);
    slow.set({ path: "a" }, seen("2"));
    answer("1");
    expect((await asking).get("a")?.version).toBe("2");
    expect((await slow.get({ path: "a" }, clock.monotonic(), signal)).version).toBe("2");
  });
});
