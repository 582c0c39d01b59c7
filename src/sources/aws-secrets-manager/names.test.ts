import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SyncError } from "../../errors/index.ts";
import { checkName, coveringPrefixes, nameOfARN, parseSecretARN } from "./names.ts";

describe("secret names", () => {
  it.each(["prod/db", "/prod/db", "a", "rds!cluster-1", "A.b-c_d+e=f@g", "x".repeat(512)])("takes %s", (name) =>
    expect(checkName(name)).toBe(name),
  );
  it.each([
    "",
    "/",
    "a//b",
    "//a",
    "a/",
    "a/../b",
    "./a",
    "a%2fb",
    "a b",
    "a\nb",
    "ü",
    "x".repeat(513),
    "arn:aws:secretsmanager:us-east-1:1:secret:a-AbCdEf",
  ])("refuses %j", (name) => expect(() => checkName(name)).toThrow(SyncError));
  it("turns complete ARNs of the region into names", () => {
    expect(nameOfARN("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbC123", "us-east-1")).toBe(
      "prod/db",
    );
    expect(nameOfARN("arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:a-b-AbC123", "cn-north-1")).toBe("a-b");
    for (const arn of [
      "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbC123",
      "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db",
      "arn:aws:secretsmanager:us-east-1:111122223333:secret:-AbC123",
      "arn:aws:ssm:us-east-1:111122223333:secret:prod/db-AbC123",
      "arn:aws:secretsmanager:us-east-1:111122223333:secret:../db-AbC123",
      "prod/db",
    ])
      expect(() => nameOfARN(arn, "us-east-1"), arn).toThrow(SyncError);
    expect(parseSecretARN("arn:aws:secretsmanager:us-east-1:1:secret:a-AbCdEf:x")).toBeUndefined();
  });
});

describe("coveringPrefixes", () => {
  it("finds few prefixes", () => {
    expect(coveringPrefixes(["prod/a/1", "prod/a/2", "dev/x"], ["shared"])).toEqual(["dev/x", "prod/a/", "shared/"]);
    expect(coveringPrefixes([], [""])).toBeUndefined();
    expect(coveringPrefixes(["a", "b"], [])).toBeUndefined();
    expect(coveringPrefixes(["app-1", "app-2"], [])).toEqual(["app-"]);
    expect(
      coveringPrefixes(
        Array.from({ length: 11 }, (_, n) => `f${n}/x`),
        [],
      ),
    ).toBeUndefined();
  });
  it("covers everything, with at most ten", () => {
    const name = fc.stringMatching(/^\/?[ab](?:\/?[abc]){0,6}$/);
    fc.assert(
      fc.property(fc.array(name, { minLength: 1 }), fc.array(name), (names, subtrees) => {
        const prefixes = coveringPrefixes(names, subtrees);
        if (prefixes === undefined) return;
        expect(prefixes.length).toBeLessThanOrEqual(10);
        for (const text of [...names, ...subtrees.map((subtree) => `${subtree}/x`)])
          expect(prefixes.some((prefix) => text.startsWith(prefix))).toBe(true);
      }),
    );
  });
});
