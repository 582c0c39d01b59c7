import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { afterStep, dueAt, isAwaited, newTurn, nextStep } from "./turn.ts";
import type { RotationTimes, Turn } from "./turn.ts";

const day = 86_400_000;
const times: RotationTimes = { intervalMs: 90 * day, graceMs: 2 * day, warnMs: [day, 7 * day, 90 * day] };

describe("a turn", () => {
  const told = (turn: Turn, of: Partial<Turn>): Turn => ({ ...turn, ...of });
  const fresh = newTurn(0);
  it.each([
    ["warns first", fresh, 0, { at: 83 * day, kind: "warn", thresholdMs: 7 * day }],
    ["warns again", told(fresh, { warnedMs: 7 * day }), 83 * day, { at: 89 * day, kind: "warn", thresholdMs: day }],
    ["is due then", told(fresh, { warnedMs: day }), 89 * day, { at: 90 * day, kind: "due" }],
    ["tells the last threshold that passed", fresh, 89.5 * day, { at: 89 * day, kind: "warn", thresholdMs: day }],
    ["is due at once when that has passed too", fresh, 91 * day, { at: 90 * day, kind: "due" }],
    ["is overdue after the grace period", told(fresh, { dueTold: true }), 90 * day, { at: 92 * day, kind: "overdue" }],
    ["ends with that", told(fresh, { dueTold: true, overdueTold: true }), 99 * day, undefined],
    ["is due when asked", told(fresh, { askedAt: 5 * day }), 5 * day, { at: 5 * day, kind: "due" }],
  ])("%s", (_name, turn, now, step) => {
    expect(nextStep(turn, times, now)).toEqual(step);
  });

  it("tells each thing at most once, in order, and always ends with due and overdue", () => {
    const hours = fc.integer({ min: 1, max: 3000 });
    fc.assert(
      fc.property(
        hours,
        hours,
        fc.array(hours, { maxLength: 5 }),
        fc.array(hours, { maxLength: 8 }),
        (interval, grace, warn, looks) => {
          const rules = { intervalMs: interval, graceMs: grace, warnMs: warn };
          let turn = newTurn(0);
          let now = 0;
          const seen: string[] = [];
          const thresholds: number[] = [];
          // Whoever looks late sees less, never twice, and never early.
          for (const pause of [...looks, interval + grace, interval + grace, 1]) {
            now += pause;
            for (
              let step = nextStep(turn, rules, now);
              step !== undefined && step.at <= now;
              step = nextStep(turn, rules, now)
            ) {
              expect(isAwaited(turn)).toBe(seen.length > 0);
              turn = afterStep(turn, step);
              seen.push(step.kind);
              if (step.thresholdMs !== undefined) thresholds.push(step.thresholdMs);
            }
          }
          expect(seen.filter((kind) => kind !== "warn")).toEqual(["due", "overdue"]);
          expect(seen.slice(0, -2).every((kind) => kind === "warn")).toBe(true);
          expect(thresholds).toEqual([...new Set(thresholds)].sort((a, b) => b - a));
          expect(nextStep(turn, rules, now)).toBeUndefined();
          expect(dueAt(turn, rules)).toBe(interval);
        },
      ),
    );
  });
});
