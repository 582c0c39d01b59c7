import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentOfBytes, contentOfText, objectAt, sameContent } from "./content.ts";

describe("a text of AWS", () => {
  it.each([
    ['{"a":1.0,"b":12345678901234567890}', '{"a":1.0,"b":12345678901234567890}', "json"],
    [' { "a" : 1e2 }\n', '{ "a" : 1e2 }', "json"],
    ["[1.0,2]", '{"value":[1.0,2]}', "json"],
    ["42", '{"value":42}', "json"],
    ["null", '{"value":null}', "json"],
    ["plain text", '{"value":"plain text"}', "kv"],
    ["", '{"value":""}', "kv"],
    ['{"a":', '{"value":"{\\"a\\":"}', "kv"],
    ['he said "hi"\n', '{"value":"he said \\"hi\\"\\n"}', "kv"],
  ])("%j is %s", (text, data, secretType) => expect(contentOfText(text)).toEqual({ data, secretType }));

  it("that is bytes goes in as base64", () => {
    expect(contentOfBytes(Buffer.from([0, 255, 16]))).toEqual({ data: '{"value_base64":"AP8Q"}', secretType: "kv" });
  });

  it("is JSON afterwards, whatever it was, and texts that are no JSON come back as they were", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const { data, secretType } = contentOfText(text);
        const parsed = JSON.parse(data) as { value?: unknown };
        if (secretType === "kv") expect(parsed.value).toBe(text);
      }),
    );
  });
});

describe("content", () => {
  it.each([
    ['{"a":1,"b":[1,2]}', '{ "b": [1, 2], "a": 1 }', true],
    ['{"a":"\\u0041"}', '{"a":"A"}', true],
    ['{"a":1}', '{"a":1.0}', false],
    ['{"a":100}', '{"a":1e2}', false],
    ['{"a":12345678901234567890}', '{"a":12345678901234567891}', false],
    ['{"a":[1,2]}', '{"a":[2,1]}', false],
    ['{"a":null}', "{}", false],
    ['{"a":"1"}', '{"a":1}', false],
    ['{"__proto__":1}', '{"__proto__":2}', false],
  ])("%s and %s are the same: %s", (a, b, expected) => expect(sameContent(a, b)).toBe(expected));

  it("that is nested too deep to compare counts as different unless its text is equal", () => {
    const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    expect(sameContent(deep, deep)).toBe(true);
    expect(sameContent(deep, ` ${deep}`)).toBe(false);
  });

  it("is the same in any spelling of spaces and order of keys", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse());
        expect(sameContent(JSON.stringify(value), JSON.stringify(turned, null, 2))).toBe(true);
      }),
    );
  });
});

describe("an answer of Vault", () => {
  it("gives the inner object in its own spelling", () => {
    const body = '{"request_id":"x","data":{"data":{"n":1.0,"s":"}"},"metadata":{"version":3}}}';
    expect(objectAt(body, "data", "data")).toBe('{"n":1.0,"s":"}"}');
    expect(objectAt('{"data":{"data":null}}', "data", "data")).toBeUndefined();
    expect(objectAt("{}", "data", "data")).toBeUndefined();
  });
});
