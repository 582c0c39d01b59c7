import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkScaiVaultPath,
  holdsPath,
  lowerDash,
  nameOne,
  nameTree,
  starMatches,
  transformTags,
  type TreeMapping,
} from "./index.ts";

const aws: TreeMapping = { scaivaultPath: "external/aws/**", sourcePath: "prod/**", exclude: [] };
const names = (paths: readonly string[], naming: "Strict" | "LowerDash", mappings: readonly TreeMapping[] = [aws]) => {
  const { mapped, problems, contested } = nameTree(mappings, naming, ({ sourcePath }) =>
    paths.filter((path) => path.startsWith(sourcePath.slice(0, -2))),
  );
  return {
    mapped: mapped.map(({ path, scaivaultPath }) => `${path} > ${scaivaultPath}`),
    problems: problems.map(({ path, error }) => `${path} ${error.reason}`),
    messages: problems.map(({ error }) => error.message),
    contested: [...contested],
  };
};

describe("names of a tree", () => {
  it.each([
    ["Strict", "prod/billing/stripe", "external/aws/billing/stripe"],
    ["Strict", "prod/Billing/stripe", "InvalidPath"],
    ["Strict", "prod/a.b", "InvalidPath"],
    ["Strict", "prod/a@b", "InvalidPath"],
    ["Strict", "prod/a/b/c/d/e/f/g/h/i", "InvalidPath"],
    ["Strict", `prod/${"x".repeat(501)}`, "InvalidPath"],
    ["Strict", "prod/x/metadata", "InvalidPath"],
    ["LowerDash", "prod/Billing/Stripe Key", "external/aws/billing/stripe-key"],
    ["LowerDash", "prod/a.+b@c", "external/aws/a-b-c"],
    ["LowerDash", "prod/ä", "external/aws/-"],
    ["LowerDash", "prod/a_b-c", "external/aws/a_b-c"],
    ["LowerDash", "prod/a/b/c/d/e/f/g/h/i", "InvalidPath"],
    ["LowerDash", "prod/x/Metadata", "InvalidPath"],
  ] as const)("%s: %s is %s", (naming, path, wanted) => {
    const named = nameOne(aws, naming, path);
    expect(named instanceof Error ? named.reason : named).toBe(wanted);
  });

  it("are not about what is excluded or lies elsewhere", () => {
    const mapping = { ...aws, exclude: ["prod/sandbox/**", "prod/*/scratch"] };
    expect(nameOne(mapping, "Strict", "prod/sandbox/a")).toBeUndefined();
    expect(nameOne(mapping, "Strict", "prod/x/scratch")).toBeUndefined();
    expect(nameOne(mapping, "Strict", "prod")).toBeUndefined();
    expect(nameOne(mapping, "Strict", "production/x")).toBeUndefined();
    expect(nameOne(mapping, "Strict", "prod/x/y")).toBe("external/aws/x/y");
  });

  it("that collide are problems of both, which both are named, and neither is mapped", () => {
    const found = names(["prod/Db", "prod/db", "prod/other"], "LowerDash");
    expect(found.mapped).toEqual(["prod/other > external/aws/other"]);
    expect(found.problems).toEqual(["prod/Db NameCollision", "prod/db NameCollision"]);
    expect(found.messages[0]).toBe("prod/Db and prod/db would all be the ScaiVault path external/aws/db");
    expect(found.contested).toEqual(["external/aws/db"]);
  });

  it("come from each mapping, one secret by its whole path", () => {
    const one = { scaivaultPath: "external/main", sourcePath: "/Odd Name", exclude: [] };
    const dev = { scaivaultPath: "external/dev/**", sourcePath: "dev/**", exclude: ["dev/b"] };
    expect(names(["prod/a", "dev/a", "dev/b"], "Strict", [aws, dev, one]).mapped).toEqual([
      "prod/a > external/aws/a",
      "dev/a > external/dev/a",
      "/Odd Name > external/main",
    ]);
  });

  it("do not depend on the order, are ScaiVault paths, and no two sources share one", () => {
    const segment = fc.stringMatching(/^[\w.@ /-]{1,12}$/u);
    const paths = fc.uniqueArray(
      fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => `prod/${parts.join("/")}`),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(paths, fc.constantFrom("Strict" as const, "LowerDash" as const), (given, naming) => {
        const { mapped, problems } = nameTree([aws], naming, () => given);
        const turned = nameTree([aws], naming, () => [...given].reverse());
        const sorted = (all: typeof mapped) => all.map(({ path, scaivaultPath }) => `${path}\n${scaivaultPath}`).sort();
        expect(sorted(turned.mapped)).toEqual(sorted(mapped));
        expect(turned.problems.map(({ error }) => error.message).sort()).toEqual(
          problems.map(({ error }) => error.message).sort(),
        );
        expect(new Set(mapped.map(({ scaivaultPath }) => scaivaultPath)).size).toBe(mapped.length);
        for (const { scaivaultPath } of mapped) checkScaiVaultPath(scaivaultPath);
        // Each secret is either named or a problem, never both and never neither.
        expect([...mapped, ...problems].map(({ path }) => path).sort()).toEqual([...given].sort());
        for (const { path, scaivaultPath } of mapped)
          expect(holdsPath(aws, naming, scaivaultPath) && path !== "").toBe(true);
      }),
    );
  });

  it("by LowerDash are stable: the name of a name is itself", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => lowerDash(lowerDash(text)) === lowerDash(text)));
  });
});

describe("the ScaiVault paths that a mapping holds", () => {
  it.each([
    ["Strict", "external/aws/billing/x", true],
    ["Strict", "external/aws/sandbox/x", false],
    ["LowerDash", "external/aws/my-sandbox/x", false],
    ["LowerDash", "external/aws/other/x", true],
    ["Strict", "external/aws", false],
    ["Strict", "external/awsome/x", false],
  ] as const)("%s: %s: %s", (naming, ref, holds) => {
    const mapping = { ...aws, exclude: ["prod/sandbox/**", "prod/My Sandbox/**"] };
    expect(holdsPath(mapping, naming, ref)).toBe(holds);
  });
  it("of one secret is that path only", () => {
    const one = { scaivaultPath: "external/main", sourcePath: "main", exclude: [] };
    expect(holdsPath(one, "Strict", "external/main")).toBe(true);
    expect(holdsPath(one, "Strict", "external/main/x")).toBe(false);
  });
});

describe("tags", () => {
  const tags = ["team=billing", "cost-center=12=3", "aws:cloudformation:stack-name=x", "empty="];
  it("stay key=value without rules", () => {
    expect(transformTags(tags, [])).toEqual(tags);
  });
  it("follow the first rule that fits the key", () => {
    expect(
      transformTags(tags, [
        { from: "team", as: "value" },
        { from: "cost-*", as: "key:value" },
        { from: "aws:*", as: "Drop" },
        { from: "empty", as: "value" },
        { from: "*", as: "Drop" },
      ]),
    ).toEqual(["billing", "cost-center:12=3"]);
  });
  it("are there once", () => {
    expect(transformTags(["a=x", "b=x"], [{ from: "*", as: "value" }])).toEqual(["x"]);
  });
  it("match as a regular expression of the same meaning does", () => {
    const piece = fc.constantFrom("a", "b", "*");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.stringMatching(/^[ab]{0,8}$/u), (parts, text) => {
        const pattern = parts.join("");
        const expression = new RegExp(`^${pattern.replaceAll("*", ".*")}$`, "u");
        expect(starMatches(pattern, text)).toBe(expression.test(text));
      }),
    );
  });
});
