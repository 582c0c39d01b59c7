import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ApiError } from "../errors.ts";
import { PathMapping } from "./mapping.ts";

const refused = (mapping: Record<string, string>): unknown => {
  try {
    new PathMapping(mapping);
    return undefined;
  } catch (error) {
    return (error as ApiError).code;
  }
};

describe("path_mapping", () => {
  it.each([
    ["external/hashicorp/**", "kv/data/**", "external/hashicorp/apps/x/db", "kv/data/apps/x/db"],
    ["external/aws/**", "prod/**", "external/aws/billing/stripe", "prod/billing/stripe"],
    ["external/aws/**", "**", "external/aws/billing/stripe", "billing/stripe"],
    ["external/aws/**", "/prod/Team-A/**", "external/aws/x", "/prod/Team-A/x"],
    ["one/secret", "Prod.One@x", "one/secret", "Prod.One@x"],
  ])("%s to %s: %s is %s, and back", (left, right, path, name) => {
    const mapping = new PathMapping({ [left]: right });
    expect(mapping.toRemote(path)).toBe(name);
    expect(mapping.toLocal(mapping.ranges()[0]!, name)).toEqual({ path });
  });

  it.each(["external/awsx/a", "external/aws", "external", "other"])("does not have %s", (path) => {
    expect(new PathMapping({ "external/aws/**": "prod/**" }).toRemote(path)).toBeUndefined();
  });

  it.each<[string, Record<string, string>]>([
    ["nothing", {}],
    ["no literal segment in front", { "**": "prod/**" }],
    ["** on one side only", { "a/**": "prod" }],
    ["** on the other side only", { a: "prod/**" }],
    ["** in the middle", { "a/**/b": "prod/**" }],
    ["two **", { "a/**": "prod/**/**" }],
    ["* alone", { "a/*": "prod/*" }],
    ["upper case", { "A/**": "prod/**" }],
    ["a slash in front", { "/a/**": "prod/**" }],
    ["** inside a segment", { "a/**": "prod-**" }],
    ["a way up", { "a/**": "kv/data/../**" }],
    ["a control character", { "a/**": "kv/data/\n/**" }],
    ["an empty name", { a: "" }],
  ])("refuses %s", (_what, mapping) => expect(refused(mapping)).toBe("validation_error"));

  it("refuses a reserved word as exact path", () => expect(refused({ "a/metadata": "b" })).toBe("invalid_path"));

  it("gives a path to the longest pattern, and lists nothing twice", () => {
    const mapping = new PathMapping({ "a/**": "kv/data/**", "a/b/**": "other/data/**", "a/b/c": "one/data/x" });
    expect(mapping.toRemote("a/x")).toBe("kv/data/x");
    expect(mapping.toRemote("a/b/x")).toBe("other/data/x");
    expect(mapping.toRemote("a/b/c")).toBe("one/data/x");
    const range = mapping.ranges().find(({ remote }) => remote === "kv/data/")!;
    expect(mapping.toLocal(range, "kv/data/b/x")).toBeUndefined();
    expect(mapping.toLocal(range, "kv/data/x")).toEqual({ path: "a/x" });
  });

  it.each([
    "prod/Upper",
    "prod/a.b",
    "prod/a@b",
    "prod/a//b",
    "prod/a/",
    "prod/a/metadata",
    `prod/${"a/".repeat(10)}b`,
  ])("cannot name %s", (name) => {
    const mapping = new PathMapping({ "external/aws/**": "prod/**" });
    expect(mapping.toLocal(mapping.ranges()[0]!, name)).toBe("invalid");
  });

  it.each<[string, string, boolean]>([
    ["a/**", "a/b/**", true],
    ["a/b/**", "a/**", true],
    ["a/**", "a/b", true],
    ["a", "a", true],
    ["a/**", "a", false],
    ["a/b/**", "a/bc/**", false],
    ["a", "b", false],
  ])("%s and %s overlap: %s", (one, other, expected) => {
    const right = (left: string): string => (left.endsWith("**") ? "kv/data/**" : "kv/data/x");
    const [a, b] = [one, other].map((left) => new PathMapping({ [left]: right(left) }));
    expect([a!.overlaps(b!), b!.overlaps(a!)]).toEqual([expected, expected]);
  });

  it("leads back to both patterns of one place", () => {
    const mapping = new PathMapping({ "a/**": "prod/**", "bb/**": "prod/**" });
    const back = mapping.ranges().map((range) => mapping.toLocal(range, "prod/x"));
    expect(back).toEqual([{ path: "bb/x" }, { path: "a/x" }]);
  });

  it("leads each path to one name and back", () => {
    const segment = fc.stringMatching(/^[a-z0-9_-]{1,4}$/);
    const left = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `${parts.join("/")}/**`);
    const right = fc.stringMatching(/^[\w@.-]{2,6}$/).map((text) => `${text}/**`);
    fc.assert(
      fc.property(
        fc.dictionary(left, right, { minKeys: 1, maxKeys: 4 }),
        fc.array(segment, { maxLength: 4 }),
        (entries, parts) => {
          fc.pre(refused(entries) === undefined);
          const mapping = new PathMapping(entries);
          for (const pattern of Object.keys(entries)) {
            const path = pattern.replace("**", ["x", ...parts].join("/"));
            const name = mapping.toRemote(path)!;
            const back = mapping
              .ranges()
              .map((range) => (name.startsWith(range.remote) ? mapping.toLocal(range, name) : undefined));
            const found = back.filter((item) => item !== undefined && item !== "invalid");
            // Two patterns may lead to the same name; each path that comes back leads there again.
            for (const item of found) expect(mapping.toRemote((item as { path: string }).path)).toBe(name);
            expect(found).toContainEqual({ path });
          }
        },
      ),
    );
  });
});
