import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isValidGlob, literalPrefix, matchesGlob } from "./glob.ts";

describe("matchesGlob", () => {
  it.each([
    ["app/db/*", "app/db/user", true],
    ["app/db/*", "app/db/a/b", false],
    ["app/**", "app/db", true],
    ["app/**", "app", true],
    ["app/**", "apple", false],
    ["app/**", "app/a/b/c", true],
    ["**", "anything/at/all", true],
    ["**/ssl/*", "ssl/cert", true],
    ["**/ssl/*", "a/b/ssl/cert", true],
    ["a/**/z", "a/z", true],
    ["a/**/z", "a/b/c/z", true],
    ["a/**/z", "a/b/c", false],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    ["db-*/x", "db-prod/x", true],
    ["db-*/x", "db/x", false],
    ["a/b", "a/b", true],
    ["a/b", "a/bc", false],
    ["b", "a/b", false],
  ])("%s on %s is %s", (pattern, path, expected) => {
    expect(matchesGlob(pattern, path)).toBe(expected);
  });

  const segment = fc.stringMatching(/^[a-c]{1,3}$/);
  const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));

  it("is equality without wildcards, and ** matches all", () => {
    fc.assert(fc.property(path, path, (a, b) => matchesGlob(a, b) === (a === b)));
    fc.assert(fc.property(path, (a) => matchesGlob("**", a)));
  });

  it("only matches paths with the literal prefix", () => {
    const glob = fc
      .array(fc.oneof(segment, fc.constantFrom("*", "**", "?", "a*")), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.join("/"));
    fc.assert(
      fc.property(glob, path, (pattern, given) => {
        if (matchesGlob(pattern, given)) expect(given.startsWith(literalPrefix(pattern))).toBe(true);
      }),
    );
  });

  it("stays fast on patterns made to be slow", () => {
    const started = performance.now();
    matchesGlob("**/a".repeat(10).slice(1), "a/".repeat(500));
    matchesGlob(`${"*a".repeat(200)}b`, "a".repeat(500));
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe("isValidGlob", () => {
  it.each(["/a", "a/", "", "a//b", "A", "a.b", "{a,b}"])("refuses %j", (text) => expect(isValidGlob(text)).toBe(false));
});
