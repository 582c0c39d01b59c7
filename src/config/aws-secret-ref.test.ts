import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAwsRegion, parseAwsSecretRef } from "./aws-secret-ref.ts";

const ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ops/connection-AbCdEf";

describe("a secret's name, id or ARN", () => {
  it.each([
    ["scaivault-operator-config", { region: undefined, nameOfID: "scaivault-operator" }],
    ["ops/connection", { region: undefined, nameOfID: undefined }],
    ["ops/connection-AbCdEf", { region: undefined, nameOfID: "ops/connection" }],
    [ARN, { region: "eu-central-1", nameOfID: undefined }],
    [ARN.slice(0, -7), { region: "eu-central-1", nameOfID: undefined }],
    ["arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x", { region: "us-gov-west-1" }],
    ["arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:x", { region: "cn-north-1" }],
  ])("%s", (text, wanted) => {
    expect(parseAwsSecretRef(text)).toMatchObject({ id: text, ...wanted });
  });

  it.each([
    [""],
    ["with space"],
    ["a\nb"],
    ["a:b"],
    ["x".repeat(513)],
    ["arn:aws:s3:::bucket"],
    ["arn:aws:secretsmanager:eu-central-1:123:secret:x"],
    ["arn:aws:secretsmanager::123456789012:secret:x"],
    ["arn:aws:secretsmanager:eu-central-1.evil.example:123456789012:secret:x"],
    ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:"],
  ])("%j is none", (text) => {
    expect(parseAwsSecretRef(text)).toBeUndefined();
  });

  const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
  const region = fc
    .tuple(
      fc.constantFrom("eu", "us", "ap", "us-gov", "cn", "me"),
      fc.constantFrom("west", "north", "central"),
      fc.nat(9),
    )
    .map(([area, side, number]) => `${area}-${side}-${number}`);
  const name = fc.array(word, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"];
  const suffix = fc.string({ unit: fc.constantFrom(...letters), minLength: 6, maxLength: 6 });

  it("an ARN gives its region, whatever its name, account and partition", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("aws", "aws-cn", "aws-us-gov", "aws-iso-b"),
        region,
        fc.stringMatching(/^\d{12}$/),
        name,
        suffix,
        (partition, where, account, called, end) => {
          const arn = `arn:${partition}:secretsmanager:${where}:${account}:secret:${called}-${end}`;
          expect(parseAwsSecretRef(arn)).toEqual({ id: arn, region: where, nameOfID: undefined });
          expect(isAwsRegion(where)).toBe(true);
        },
      ),
    );
  });

  it("a name has no region, and an id has the name that it was made of", () => {
    fc.assert(
      fc.property(name, suffix, (called, end) => {
        expect(parseAwsSecretRef(called)).toMatchObject({ id: called, region: undefined });
        expect(parseAwsSecretRef(`${called}-${end}`)).toEqual({
          id: `${called}-${end}`,
          region: undefined,
          nameOfID: called,
        });
      }),
    );
  });

  it("a region out of any text holds nothing that could name another host", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `arn:aws:secretsmanager:${text}:123456789012:secret:x`),
        ),
        (text) => {
          const found = parseAwsSecretRef(text);
          expect(found?.region ?? "eu-b-1").toMatch(/^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/);
          expect(found === undefined || found.id === text).toBe(true);
        },
      ),
    );
  });
});
