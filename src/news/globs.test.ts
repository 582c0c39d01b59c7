import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { globsFor, isCovered, MAX_GLOBS } from "./globs.ts";

const path = fc
  .array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join("/"));
const target = fc.oneof(
  path,
  path.map((prefix) => `${prefix}/**`),
);

describe("globs of the subscription", () => {
  it.each([
    [[], []],
    [
      ["a/b", "c"],
      ["a/b", "c"],
    ],
    [["a/b", "a/**", "a/b/c", "a/b/**"], ["a/**"]],
    [
      ["a", "a/**"],
      ["a", "a/**"],
    ],
    [["x/**", "**"], ["**"]],
  ])("%j", (targets, globs) => {
    expect(globsFor(targets)).toEqual(globs);
  });

  it("take the subtree where paths are too many", () => {
    const targets = Array.from({ length: 200 }, (_, n) => `environments/production/s${n}`);
    expect(globsFor(targets)).toEqual(["environments/production/**"]);
    expect(globsFor([...targets, "shared/one"])).toEqual(["environments/production/**", "shared/one"]);
    expect(globsFor(Array.from({ length: 200 }, (_, n) => `t${n}`))).toEqual(["**"]);
  });

  it("take in every target, whatever its place, and are never too many", () => {
    fc.assert(
      fc.property(fc.array(target, { maxLength: 40 }), fc.integer({ min: 1, max: 8 }), (targets, most) => {
        const globs = globsFor(targets, most);
        expect(globs.length).toBeLessThanOrEqual(most);
        for (const one of targets) expect(isCovered(one, new Set(globs))).toBe(true);
        expect(globsFor([...targets].reverse(), most)).toEqual(globs);
        expect(globsFor(globs, most)).toEqual(globs);
      }),
    );
  });

  it("cover a subtree only as a whole", () => {
    const has = new Set(["a/b", "c/**"]);
    expect(["a/b", "c/x", "c/x/**", "c/**"].map((one) => isCovered(one, has))).toEqual([true, true, true, true]);
    expect(["a/b/**", "a/c", "c", "cc/x"].map((one) => isCovered(one, has))).toEqual([false, false, false, false]);
    expect(MAX_GLOBS).toBeLessThanOrEqual(100);
  });
});
