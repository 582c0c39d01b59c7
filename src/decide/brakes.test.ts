import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BRAKE_WINDOW_MS,
  type BrakeKind,
  brakeKindOf,
  BrakeWindows,
  believe,
  claimedBy,
  createKeyRing,
  heldCounts,
  planApproved,
  planHash,
} from "./index.ts";
import type { Action } from "./types.ts";

const key = { store: "aws", namespace: "billing" };
const MINUTE = 60_000;

describe("brakes", () => {
  const warm = () => ({ brakes: new BrakeWindows({ startedMs: 0 }), now: BRAKE_WINDOW_MS });

  it("lets nothing be deleted in the first ten minutes after a start or a take-over", () => {
    const { brakes, now } = warm();
    expect(brakes.check(key, "deletion", "a", 1000, now - 1)).toBe("Held");
    expect(brakes.check(key, "change", "a", 1000, 0)).toBe("Open");
    expect(brakes.check(key, "deletion", "a", 1000, now)).toBe("Open");
  });

  it.each<[BrakeKind, number, number]>([
    ["deletion", 1, 1],
    ["deletion", 5, 1],
    ["deletion", 20, 2],
    ["deletion", 1000, 100],
    ["change", 1, 1],
    ["change", 10, 10],
    ["change", 30, 19],
    ["change", 1000, 500],
  ])("%s: of %i secrets %i pass in one window", (kind, total, passes) => {
    const { brakes, now } = warm();
    let passed = 0;
    for (let at = 0; at < total; at += 1) {
      const item = `secret-${at}`;
      if (brakes.check(key, kind, item, total, now) === "Open") {
        brakes.record(key, kind, item, now);
        passed += 1;
      } else brakes.hold(key, kind, item);
    }
    expect(passed).toBe(passes);
    // What is held does not trickle through as time goes by.
    if (passes < total)
      expect(brakes.check(key, kind, `secret-${total - 1}`, total, now + 5 * BRAKE_WINDOW_MS)).toBe("Held");
  });

  it("counts over objects, by store and namespace, each secret once", () => {
    const { brakes, now } = warm();
    brakes.record(key, "deletion", "a", now);
    expect(brakes.check(key, "deletion", "a", 5, now + 1)).toBe("Open");
    expect(brakes.check(key, "deletion", "b", 5, now + 1)).toBe("Held");
    expect(brakes.check({ ...key, namespace: "shop" }, "deletion", "b", 5, now + 1)).toBe("Open");
    expect(brakes.check({ ...key, store: "vault" }, "deletion", "b", 5, now + 1)).toBe("Open");
    expect(brakes.check(key, "deletion", "b", 5, now + BRAKE_WINDOW_MS)).toBe("Open");
  });

  it("takes one after the other, however many saw it open before", () => {
    const { brakes, now } = warm();
    const items = Array.from({ length: 50 }, (_, at) => `s${at}`);
    expect(items.every((item) => brakes.check(key, "deletion", item, 100, now) === "Open")).toBe(true);
    expect(items.filter((item) => brakes.take(key, "deletion", item, 100, now) === "Open")).toHaveLength(10);
    expect(brakes.check(key, "deletion", "s0", 100, now + 3 * BRAKE_WINDOW_MS)).toBe("Held");
  });

  it("counts values that follow the source, not first copies, repairs or spec edits", () => {
    const kinds = (
      ["NewTarget", "SourceChanged", "BothChanged", "SourceMoved", "ShapeChanged", "MarkLost"] as const
    ).map((why) => brakeKindOf({ kind: why === "NewTarget" ? "Create" : "Update", why }));
    expect(kinds).toEqual([undefined, "change", "change", "change", undefined, undefined]);
    expect(brakeKindOf({ kind: "Restore", why: "Drift" })).toBeUndefined();
    expect(brakeKindOf({ kind: "Delete", why: "SourceGone" })).toBe("deletion");
  });

  it("moves on when what was held is back, or was approved", () => {
    const { brakes, now } = warm();
    brakes.record(key, "deletion", "a", now);
    brakes.planned(key, "b", {
      outcomes: [{ kind: "ScaiVault", ref: "b", state: "Held", reason: "DeletionBraked", message: "" }],
    });
    expect(brakes.check(key, "deletion", "b", 5, now + 2 * BRAKE_WINDOW_MS)).toBe("Held");
    brakes.planned(key, "b", { outcomes: [] });
    expect(brakes.check(key, "deletion", "c", 5, now + 2 * BRAKE_WINDOW_MS)).toBe("Open");
  });

  it("never lets more than the limit through in any window", () => {
    const step = fc.record({ item: fc.nat(60), afterMs: fc.nat(4 * MINUTE), settle: fc.boolean() });
    fc.assert(
      fc.property(
        fc.constantFrom<BrakeKind>("deletion", "change"),
        fc.integer({ min: 1, max: 60 }),
        fc.array(step, { maxLength: 120 }),
        (kind, total, steps) => {
          const brakes = new BrakeWindows({ startedMs: 0 });
          const done: { item: string; at: number }[] = [];
          let now = BRAKE_WINDOW_MS;
          for (const { item, afterMs, settle } of steps) {
            now += afterMs;
            const name = `s${item % total}`;
            if (settle) brakes.settle(key, name);
            else if (brakes.check(key, kind, name, total, now) === "Open") {
              brakes.record(key, kind, name, now);
              done.push({ item: name, at: now });
            } else brakes.hold(key, kind, name);
          }
          const [share, atLeast] = kind === "deletion" ? [0.1, 2] : [0.5, 20];
          const allowed = Math.max(Math.floor(total * share), atLeast - 1);
          for (const { at } of done) {
            const inWindow = new Set(
              done.filter((one) => one.at <= at && one.at > at - BRAKE_WINDOW_MS).map((one) => one.item),
            );
            expect(inWindow.size).toBeLessThanOrEqual(allowed);
          }
        },
      ),
    );
  });
});

describe("belief", () => {
  it("needs two looks an interval apart that both say not there", () => {
    const first = believe(undefined, "Gone", 1000, 60_000);
    expect(first.believed).toBe(false);
    expect(believe(first, "Gone", 60_999, 60_000).believed).toBe(false);
    expect(believe(first, "Gone", 61_000, 60_000).believed).toBe(true);
  });

  it.each(["Present", "Failed"] as const)("begins anew after %s", (seen) => {
    const first = believe(undefined, "Gone", 0, 60_000);
    const broken = believe(first, seen, 30_000, 60_000);
    expect(believe(broken, "Gone", 90_000, 60_000).believed).toBe(false);
  });

  it("does not trust a clock that was set back", () => {
    const first = believe(undefined, "Gone", 100_000, 60_000);
    const back = believe(first, "Gone", 10_000, 60_000);
    expect(back.believed).toBe(false);
    expect(believe(back, "Gone", 69_999, 60_000).believed).toBe(false);
  });

  it("is never there without an unbroken run of at least an interval", () => {
    const looks = fc.array(
      fc.record({ seen: fc.constantFrom("Gone", "Gone", "Gone", "Present", "Failed"), afterMs: fc.nat(50_000) }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(looks, (all) => {
        let belief = believe(undefined, "Present", 0, 60_000);
        let now = 0;
        let since: number | undefined;
        for (const { seen, afterMs } of all) {
          now += afterMs;
          since = seen === "Gone" ? (since ?? now) : undefined;
          belief = believe(belief, seen as "Gone", now, 60_000);
          expect(belief.believed).toBe(since !== undefined && now - since >= 60_000);
        }
      }),
    );
  });
});

describe("claims", () => {
  it("the older one has the target, then the smaller name, whoever asks", () => {
    const a = { key: "billing/a", createdAt: "2026-01-01T00:00:00Z" };
    const b = { key: "billing/b", createdAt: "2026-01-01T00:00:00Z" };
    const old = { key: "billing/z", createdAt: "2025-01-01T00:00:00Z" };
    expect(claimedBy(a, [])).toBeUndefined();
    expect(claimedBy(a, [b])).toBeUndefined();
    expect(claimedBy(b, [a])).toBe("billing/a");
    expect(claimedBy(a, [b, old])).toBe("billing/z");
    expect(claimedBy(old, [a, b])).toBeUndefined();
  });
});

describe("approvals", () => {
  const ring = createKeyRing([Buffer.alloc(32, 9)]);
  const HOUR = 3_600_000;
  const nowMs = 1_800_000_000_000;
  const action: Action = {
    kind: "Delete",
    target: "ScaiVault",
    path: "prod/x",
    ref: "e/x",
    from: "Source",
    fromVersion: "",
    why: "SourceGone",
    over: "7",
  };
  const plan = { uid: "u1", generation: 3, plans: [{ held: [action] }], nowMs };

  it("names exactly one plan of one object", () => {
    const hash = planHash(ring, plan);
    expect(hash).toMatch(/^[0-9a-z]+-[\w-]{43}$/);
    expect(hash.length).toBeLessThanOrEqual(128);
    expect(planApproved(ring, plan, hash)).toBe(true);
    for (const other of [
      { ...plan, uid: "u2" },
      { ...plan, generation: 4 },
      { ...plan, plans: [{ held: [{ ...action, over: "8" }] }] },
      { ...plan, plans: [{ held: [{ ...action, ref: "e/y" }] }] },
      { ...plan, plans: [{ held: [{ ...action, fromVersion: "v2" }] }] },
      { ...plan, plans: [{ held: [action, { ...action, path: "prod/y" }] }] },
      { ...plan, plans: [{ held: [] }] },
      // Used once: whatever comes after it is made with its name.
      { ...plan, used: hash },
    ])
      expect(planApproved(ring, other, hash)).toBe(false);
    expect(planApproved(createKeyRing([Buffer.alloc(32, 8)]), plan, hash)).toBe(false);
    expect(planHash(ring, { ...plan, used: hash, previous: hash })).not.toBe(hash);
    for (const text of ["", "-", hash.slice(1), `${hash}x`, "true"]) expect(planApproved(ring, plan, text)).toBe(false);
  });

  it("does not depend on the order of pairs and actions", () => {
    const second = { ...action, path: "prod/y" };
    const one = planHash(ring, { ...plan, plans: [{ held: [action, second] }] });
    expect(planHash(ring, { ...plan, plans: [{ held: [second] }, { held: [action] }] })).toBe(one);
  });

  it("lives 12 to 24 hours, and stays the same while it lives", () => {
    fc.assert(
      fc.property(fc.nat(48 * HOUR), fc.nat(30 * HOUR), (startMs, afterMs) => {
        const made = { ...plan, nowMs: nowMs + startMs };
        const hash = planHash(ring, made);
        const later = { ...made, nowMs: made.nowMs + afterMs };
        const alive = planApproved(ring, later, hash);
        if (afterMs < 12 * HOUR) expect(alive).toBe(true);
        if (afterMs >= 24 * HOUR) expect(alive).toBe(false);
        expect(planHash(ring, { ...later, previous: hash }) === hash).toBe(alive);
      }),
    );
  });

  it("is empty when nothing is held, and counts what is", () => {
    expect(planHash(ring, { ...plan, plans: [{ held: [] }] })).toBe("");
    const held = (["Create", "Update", "Mark", "Delete"] as const).map((kind) => ({ ...action, kind }));
    expect(heldCounts([{ held }, { held: [action] }])).toEqual({ add: 1, change: 2, delete: 2 });
  });
});
