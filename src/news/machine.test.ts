import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  begin,
  CHANGE_MS,
  type NewsInput,
  type NewsMoment,
  type NewsStep,
  newsTypes,
  step,
  TIDY_MS,
} from "./machine.ts";
import type { NewsEvent, OwnSubscription } from "./types.ts";

const moment = (more: Partial<NewsMoment> = {}): NewsMoment => ({ nowMs: 0, targets: ["a/b"], random: 0.5, ...more });
const sub = (more: Partial<OwnSubscription> = {}): OwnSubscription => ({
  id: "s1",
  paths: ["a/b"],
  events: newsTypes,
  ...more,
});
const event = (id: string): NewsEvent => ({
  id,
  type: "secret.updated",
  timestamp: undefined,
  path: "a/b",
  version: 2,
});
const answer = (ids: readonly string[], more: { hasMore?: boolean; dropped?: number } = {}) => ({
  events: ids.map(event),
  hasMore: more.hasMore ?? false,
  dropped: more.dropped,
});
const polled = (
  ids: readonly string[],
  more: Parameters<typeof answer>[1] & { worth?: number; tookMs?: number } = {},
): NewsInput => ({
  kind: "Polled",
  answer: answer(ids, more),
  tookMs: more.tookMs ?? 30_000,
  worth: more.worth ?? 0,
});
const after = (inputs: readonly NewsInput[], at: Partial<NewsMoment> = {}): NewsStep =>
  inputs.reduce((last, input) => step(last.state, input, moment(at)), begin(moment(at)));
const following: NewsInput = { kind: "Found", own: [sub()] };

describe("following ScaiVault's news", () => {
  it("finds its subscription and polls it; makes it when there is none, and then everything is looked at once", () => {
    expect(begin(moment()).command).toEqual({ kind: "Find" });
    expect(after([following])).toMatchObject({ command: { kind: "Poll", id: "s1", since: undefined }, missed: false });
    expect(after([{ kind: "Found", own: [] }]).command).toEqual({ kind: "Create", paths: ["a/b"] });
    expect(
      after([
        { kind: "Found", own: [] },
        { kind: "Created", subscription: sub() },
      ]),
    ).toMatchObject({
      command: { kind: "Poll", id: "s1" },
      missed: true,
    });
  });

  it("keeps one subscription and removes those that came beside it", () => {
    expect(after([{ kind: "Found", own: [sub(), sub({ id: "s2" }), sub({ id: "s3" })] }])).toMatchObject({
      command: { kind: "Poll", id: "s1" },
      surplus: ["s2", "s3"],
    });
  });

  it("asks nothing while no object targets ScaiVault", () => {
    const step = begin(moment({ targets: [] }));
    expect([step.command.kind, step.state.mode]).toEqual(["Wait", "Idle"]);
  });

  it("goes on behind the last event, and asks for more at a steady pace", () => {
    const busy = after([following, polled(["e1", "e2"], { worth: 1 })]);
    expect(busy.command).toEqual({ kind: "Wait", ms: 1_000 });
    expect(step(busy.state, { kind: "Waited" }, moment()).command).toEqual({ kind: "Poll", id: "s1", since: "e2" });
    // Own writes and other people's paths: the next ones are waited for together.
    expect(after([following, polled(["e1"])]).command).toEqual({ kind: "Wait", ms: 5_000 });
    expect(after([following, polled(["e1"], { hasMore: true })]).command).toEqual({ kind: "Wait", ms: 1_000 });
    expect(after([following, polled([])]).command).toEqual({ kind: "Poll", id: "s1", since: undefined });
  });

  it("does not run hot against a server that does not wait, or that repeats what was not acknowledged", () => {
    expect(after([following, polled([], { tookMs: 5 })]).command).toEqual({ kind: "Wait", ms: 9_995 });
    expect(after([following, polled(["e1"], { worth: 1 }), polled(["e1"], { tookMs: 5 })]).command).toEqual({
      kind: "Wait",
      ms: 5_000,
    });
  });

  it("has everything looked at once when ScaiVault dropped events, and when its subscription went", () => {
    const first = after([following, polled(["e1"], { dropped: 7 })]);
    expect(first.missed).toBe(false);
    const same = step(first.state, polled(["e2"], { dropped: 7 }), moment());
    expect(same.missed).toBe(false);
    expect(step(same.state, polled(["e3"], { dropped: 9 }), moment()).missed).toBe(true);
    const gone = after([following, { kind: "Polled", answer: undefined, tookMs: 1, worth: 0 }]);
    expect(gone.command).toEqual({ kind: "Wait", ms: 750 });
    const again = step(gone.state, { kind: "Waited" }, moment());
    expect(again.command).toEqual({ kind: "Find" });
    expect(step(again.state, { kind: "Found", own: [sub({ id: "s9" })] }, moment())).toMatchObject({
      command: { kind: "Poll", id: "s9", since: undefined },
      missed: true,
    });
  });

  it("changes its globs when an object targets another path, seldom and not at all for what it covers", () => {
    const at = (nowMs: number, targets: readonly string[]) =>
      step(after([following]).state, { kind: "Waited" }, moment({ nowMs, targets })).command;
    expect(at(0, ["a/b", "c/d"])).toEqual({ kind: "Change", id: "s1", paths: ["a/b", "c/d"] });
    const changed = step(
      after([following]).state,
      { kind: "Changed", paths: ["a/b", "c/d"] },
      moment({ targets: ["a/b", "c/d"] }),
    );
    const next = (nowMs: number, targets: readonly string[]) =>
      step(changed.state, { kind: "Waited" }, moment({ nowMs, targets })).command.kind;
    expect(next(CHANGE_MS - 1, ["e"])).toBe("Poll");
    expect(next(CHANGE_MS, ["e"])).toBe("Change");
    expect(next(CHANGE_MS, ["a/b"])).toBe("Poll");
    expect(next(TIDY_MS, ["a/b"])).toBe("Change");
    // One that was made by hand hears of other events.
    const other = after([{ kind: "Found", own: [sub({ events: ["secret.expired"] })] }]);
    expect(other.command.kind).toBe("Change");
  });

  it.each([
    ["Limited", { retryAfterMs: 42_000 }, 42_000, "Starting"],
    ["Refused", {}, 600_000, "Refused"],
    ["Unsupported", {}, 3_600_000, "Unsupported"],
    ["Away", {}, 750, "Away"],
    ["Away", { retryAfterMs: 9_000 }, 9_000, "Away"],
  ] as const)("%s %j: waits %i ms, mode %s", (kind, more, ms, mode) => {
    const failed = after([following, { kind: "Failed", failure: { kind, ...more } }]);
    expect([failed.command, failed.state.mode]).toEqual([{ kind: "Wait", ms }, mode]);
    // Then it goes on where it was.
    const next = step(failed.state, { kind: "Waited" }, moment());
    expect(next.command).toEqual({ kind: "Poll", id: "s1", since: undefined });
    expect(step(next.state, polled([]), moment()).state.mode).toBe("Following");
  });

  it("backs off from a second to a minute, spread", () => {
    const away: NewsInput = { kind: "Failed", failure: { kind: "Away" } };
    const waits = Array.from({ length: 9 }, (_, n) => after(Array.from({ length: n + 1 }, () => away)).command);
    expect(waits.map((one) => (one.kind === "Wait" ? one.ms : 0))).toEqual([
      750, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000, 45_000,
    ]);
    expect(after([away], { random: 0 }).command).toEqual({ kind: "Wait", ms: 500 });
  });

  it("whatever ScaiVault answers: bounded calls a minute, bounded memory, an end to every wait", () => {
    const ids = fc.array(fc.integer({ min: 0, max: 500 }).map(String), { maxLength: 100 });
    const input: fc.Arbitrary<NewsInput> = fc.oneof(
      fc.record({
        kind: fc.constant("Polled" as const),
        answer: fc.option(
          fc.record({
            events: ids.map((all) => all.map(event)),
            hasMore: fc.boolean(),
            dropped: fc.option(fc.nat(9), { nil: undefined }),
          }),
          { nil: undefined },
        ),
        tookMs: fc.integer({ min: 0, max: 30_000 }),
        worth: fc.nat(3),
      }),
      fc.record({
        kind: fc.constant("Failed" as const),
        failure: fc.record({
          kind: fc.constantFrom("Limited" as const, "Away" as const, "Refused" as const, "Unsupported" as const),
          retryAfterMs: fc.option(fc.nat(900_000), { nil: undefined }),
        }),
      }),
      fc.record({
        kind: fc.constant("Found" as const),
        own: fc.array(fc.constantFrom(sub(), sub({ id: "s2" })), { maxLength: 3 }),
      }),
    );
    fc.assert(
      fc.property(
        fc.array(input, { maxLength: 60 }),
        fc.array(fc.constantFrom("a/b", "c/**", "d"), { maxLength: 3 }),
        (inputs, targets) => {
          let nowMs = 0;
          let calls = 0;
          let changes = 0;
          let last = begin(moment({ targets }));
          for (const one of inputs) {
            // Waits pass by themselves; other commands get the answer that fits, else the input.
            while (last.command.kind === "Wait") {
              expect(last.command.ms).toBeLessThanOrEqual(3_600_000);
              nowMs += Math.max(1, last.command.ms);
              last = step(last.state, { kind: "Waited" }, moment({ nowMs, targets }));
              if (last.command.kind === "Wait" && targets.length === 0) break;
            }
            if (last.command.kind === "Wait") return;
            calls += 1;
            if (one.kind === "Polled") nowMs += one.tookMs;
            if (last.command.kind === "Change") changes += 1;
            const fits: NewsInput =
              last.command.kind === "Create"
                ? { kind: "Created", subscription: sub({ paths: last.command.paths }) }
                : last.command.kind === "Change"
                  ? { kind: "Changed", paths: last.command.paths }
                  : one;
            last = step(last.state, fits, moment({ nowMs, targets }));
            expect(last.state.seen.size).toBeLessThanOrEqual(2_000);
          }
          expect(changes).toBeLessThanOrEqual(2 + nowMs / CHANGE_MS);
          expect(calls).toBeLessThanOrEqual(65);
        },
      ),
    );
  });
});
