import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Catalogue, cleanEntry, filterEntries, page, type Entry } from "./catalogue.ts";
import { Faults } from "./faults.ts";
import { isAllowed, type AccessKey } from "./identity.ts";
import { checkRequest } from "./limits.ts";
import { motoError } from "./service.ts";
import { AwsError, cleanMessage, matchGlob, type Json } from "./wire.ts";

function refusal(action: string, body: Json): string {
  try {
    checkRequest(action, body);
    return "accepted";
  } catch (error) {
    return error instanceof AwsError ? error.code : "other";
  }
}

describe("limits of AWS that moto does not have", () => {
  const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${index}`);
  it.each<[string, string, Json, string]>([
    ["20 ids in a batch", "BatchGetSecretValue", { SecretIdList: ids(20) }, "accepted"],
    ["21 ids in a batch", "BatchGetSecretValue", { SecretIdList: ids(21) }, "ValidationException"],
    ["a batch of nothing", "BatchGetSecretValue", {}, "InvalidParameterException"],
    [
      "a batch by ids and filters",
      "BatchGetSecretValue",
      { SecretIdList: ["a"], Filters: [{ Key: "name", Values: ["a"] }] },
      "InvalidParameterException",
    ],
    [
      "a batch by ids with MaxResults",
      "BatchGetSecretValue",
      { SecretIdList: ["a"], MaxResults: 5 },
      "InvalidParameterException",
    ],
    ["an empty list of ids", "BatchGetSecretValue", { SecretIdList: [] }, "ValidationException"],
    ["a page of 100", "ListSecrets", { MaxResults: 100 }, "accepted"],
    ["a page of 101", "ListSecrets", { MaxResults: 101 }, "ValidationException"],
    ["a page of 0", "ListSecrets", { MaxResults: 0 }, "ValidationException"],
    ["an unknown filter", "ListSecrets", { Filters: [{ Key: "nome", Values: ["a"] }] }, "ValidationException"],
    ["a value of 65,536 bytes", "CreateSecret", { Name: "a", SecretString: "x".repeat(65_536) }, "accepted"],
    ["a value of 65,537 bytes", "CreateSecret", { Name: "a", SecretString: "x".repeat(65_537) }, "ValidationException"],
    [
      "a value of 65,538 bytes in fewer characters",
      "CreateSecret",
      { Name: "a", SecretString: "ü".repeat(32_769) },
      "ValidationException",
    ],
    [
      "a binary value of 65,537 bytes",
      "PutSecretValue",
      { SecretId: "a", SecretBinary: Buffer.alloc(65_537).toString("base64") },
      "ValidationException",
    ],
    [
      "a value that is string and binary",
      "CreateSecret",
      { Name: "a", SecretString: "x", SecretBinary: "eA==" },
      "InvalidParameterException",
    ],
    ["an empty value", "CreateSecret", { Name: "a", SecretString: "" }, "ValidationException"],
    ["a name with all legal characters", "CreateSecret", { Name: "a-Z0/_+=.@!" }, "accepted"],
    ["a name with a space", "CreateSecret", { Name: "sp ace" }, "ValidationException"],
    ["a name with a star", "CreateSecret", { Name: "a*" }, "ValidationException"],
    ["a name of 513 characters", "CreateSecret", { Name: "a".repeat(513) }, "ValidationException"],
    [
      "a short request token",
      "PutSecretValue",
      { SecretId: "a", SecretString: "x", ClientRequestToken: "short" },
      "ValidationException",
    ],
    [
      "51 tags",
      "TagResource",
      { SecretId: "a", Tags: ids(51).map((Key) => ({ Key, Value: "v" })) },
      "ValidationException",
    ],
    [
      "a tag value of 257 characters",
      "TagResource",
      { SecretId: "a", Tags: [{ Key: "k", Value: "v".repeat(257) }] },
      "ValidationException",
    ],
    [
      "a tag with braces",
      "TagResource",
      { SecretId: "a", Tags: [{ Key: "k", Value: '{"a":1}' }] },
      "ValidationException",
    ],
    [
      "a reserved tag",
      "TagResource",
      { SecretId: "a", Tags: [{ Key: "aws:x", Value: "v" }] },
      "InvalidParameterException",
    ],
    [
      "a recovery window of 6 days",
      "DeleteSecret",
      { SecretId: "a", RecoveryWindowInDays: 6 },
      "InvalidParameterException",
    ],
    ["no secret id", "GetSecretValue", {}, "ValidationException"],
  ])("%s", (_name, action, body, expected) => {
    expect(refusal(action, body)).toBe(expected);
  });

  it("never repeats a value", () => {
    try {
      checkRequest("CreateSecret", { Name: "a", SecretString: "canary".repeat(20_000) });
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).not.toContain("canary");
    }
  });
});

const entry = (Name: string, extra: Json = {}): Entry => ({
  ...extra,
  ARN: `arn:aws:secretsmanager:r:1:secret:${Name}-AbCdEf`,
  Name,
});

describe("what the emulator knows", () => {
  it("drops nulls and versions without a label", () => {
    const raw = {
      ARN: "a",
      Name: "n",
      KmsKeyId: null,
      VersionIdsToStages: { one: [], two: ["AWSCURRENT"] },
      SecretVersionsToStages: {},
    };
    expect(cleanEntry(raw)).toEqual({ ARN: "a", Name: "n", VersionIdsToStages: { two: ["AWSCURRENT"] } });
  });

  it("finds by name, ARN and ARN without suffix, and by nothing else", () => {
    const catalogue = new Catalogue();
    catalogue.load([entry("prod/a"), entry("prod/ab")]);
    const arn = entry("prod/a").ARN;
    expect(
      [catalogue.find("prod/a"), catalogue.find(arn), catalogue.find(arn.slice(0, -7))].map((found) => found?.Name),
    ).toEqual(["prod/a", "prod/a", "prod/a"]);
    expect([
      catalogue.find("prod"),
      catalogue.find("arn:aws:secretsmanager:other:1:secret:prod/a"),
      catalogue.find("arn:x"),
    ]).toEqual([undefined, undefined, undefined]);
  });

  it("shows a change in lists only after the staleness, exactly", () => {
    const catalogue = new Catalogue();
    const stale = 300_000;
    const names = (now: number): string[] =>
      (catalogue.list({}, now, stale)["SecretList"] as Entry[]).map(({ Name }) => Name);
    const change = (now: number, name: string): void => {
      catalogue.remember(now, stale);
      catalogue.put(entry(name), name);
    };
    change(1_000_000, "a");
    change(1_100_000, "b");
    expect(names(1_100_000)).toEqual([]);
    expect(names(1_299_999)).toEqual([]);
    expect(names(1_300_000)).toEqual(["a"]);
    expect(names(1_399_999)).toEqual(["a"]);
    expect(names(1_400_000)).toEqual(["a", "b"]);
    expect(catalogue.list({}, 1_100_000, 0)["SecretList"]).toHaveLength(2);
  });

  it("leaves out what is scheduled for deletion unless it is asked for", () => {
    const catalogue = new Catalogue();
    catalogue.load([entry("a"), entry("b", { DeletedDate: 1 })]);
    expect(catalogue.list({}, 0, 0)["SecretList"]).toHaveLength(1);
    expect(catalogue.list({ IncludePlannedDeletion: true }, 0, 0)["SecretList"]).toHaveLength(2);
  });

  it("filters names by prefix and takes exclusions", () => {
    const all = [entry("prod/a"), entry("prod/b"), entry("test/prod/")];
    const names = (...Values: string[]): string[] =>
      filterEntries(all, { Filters: [{ Key: "name", Values }] }).map(({ Name }) => Name);
    expect(names("prod/")).toEqual(["prod/a", "prod/b"]);
    expect(names("!prod/")).toEqual(["test/prod/"]);
    expect(names("prod/", "test/")).toHaveLength(3);
    expect(
      filterEntries([entry("x", { Tags: [{ Key: "team", Value: "red" }] })], {
        Filters: [{ Key: "tag-value", Values: ["re"] }],
      }),
    ).toHaveLength(1);
  });

  it("pages give each item once, in order", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 100 }), (items, size) => {
        const seen: number[] = [];
        let next: string | undefined;
        do {
          const body: Json = { MaxResults: size, ...(next === undefined ? {} : { NextToken: next }) };
          const part = page(items, body, 100);
          expect(part.items.length).toBeLessThanOrEqual(size);
          seen.push(...part.items);
          next = part.next;
        } while (next !== undefined);
        expect(seen).toEqual(items);
      }),
    );
    expect(() => page([1], { NextToken: "forged" }, 10)).toThrow(/NextToken/);
  });
});

describe("who may do what", () => {
  const key = (statements: AccessKey["statements"]): AccessKey => ({
    accessKeyId: "A",
    principalArn: "arn",
    ...(statements && { statements }),
  });
  it("needs an allow, and a deny wins", () => {
    const team = key([
      { actions: ["secretsmanager:Get*", "DescribeSecret"], names: ["team-a/*"] },
      { effect: "Deny", actions: ["*"], names: ["team-a/private/*"] },
    ]);
    expect(isAllowed(team, "GetSecretValue", "team-a/x")).toBe(true);
    expect(isAllowed(team, "GetSecretValue", "team-b/x")).toBe(false);
    expect(isAllowed(team, "PutSecretValue", "team-a/x")).toBe(false);
    expect(isAllowed(team, "GetSecretValue", "team-a/private/x")).toBe(false);
  });
  it("listing cannot be limited to names", () => {
    expect(isAllowed(key([{ actions: ["ListSecrets"], names: ["team-a/*"] }]), "ListSecrets", undefined)).toBe(false);
    expect(isAllowed(key([{ actions: ["ListSecrets"] }]), "ListSecrets", undefined)).toBe(true);
    expect(isAllowed(key(undefined), "ListSecrets", undefined)).toBe(true);
    expect(isAllowed(key([]), "ListSecrets", undefined)).toBe(false);
  });
});

describe("fault rules", () => {
  const subject = { action: "GetSecretValue", accessKeyId: "A", names: ["prod/a"] };
  it("strike the same calls each time", () => {
    const faults = new Faults();
    const every = faults.add({ kind: "throttle", every: 3 });
    const twice = faults.add({ kind: "error", times: 2, actions: ["GetSecretValue"] });
    const pattern = Array.from({ length: 6 }, () =>
      faults
        .strike(subject)
        .map(({ kind }) => kind)
        .join("+"),
    );
    expect(pattern).toEqual(["error", "error", "throttle", "", "", "throttle"]);
    expect([faults.struck(every), faults.struck(twice)]).toEqual([2, 2]);
    faults.remove(every);
    expect(faults.strike(subject)).toEqual([]);
  });
  it("strike only what they name", () => {
    const faults = new Faults();
    faults.add({ kind: "deny", names: ["prod/*"], accessKeys: ["A"] });
    expect(faults.strike(subject)).toHaveLength(1);
    expect(faults.strike({ ...subject, accessKeyId: "B" })).toHaveLength(0);
    expect(faults.strike({ ...subject, names: ["test/a"] })).toHaveLength(0);
  });
});

describe("texts", () => {
  it("globs agree with a plain definition", () => {
    const slow = (pattern: string, text: string): boolean => {
      if (pattern === "") return text === "";
      if (pattern.startsWith("*")) return slow(pattern.slice(1), text) || (text !== "" && slow(pattern, text.slice(1)));
      return text.startsWith(pattern.charAt(0)) && slow(pattern.slice(1), text.slice(1));
    };
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 7 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 6 });
    fc.assert(
      fc.property(pattern, letters, (glob, text) => {
        expect(matchGlob(glob, text)).toBe(slow(glob, text));
      }),
    );
  });
  it("takes boto's prefix and line breaks away", () => {
    const raw =
      "An error occurred (InvalidRequestException) when calling the GetSecretValue operation: You tried to                 perform it";
    expect(cleanMessage(raw)).toBe("You tried to perform it");
    expect(motoError(404, { __type: "x#ResourceNotFoundException", message: "gone" })).toMatchObject({
      code: "ResourceNotFoundException",
      status: 400,
      message: "gone",
    });
    expect(motoError(500, {})).toMatchObject({ code: "InternalServiceError", status: 500 });
  });
});
