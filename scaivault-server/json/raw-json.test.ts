import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joinMembers, RawJson, rawMembers, toJson } from "./raw-json.ts";

describe("rawMembers", () => {
  it("keeps the source text of each value", () => {
    const text = ' { "big" : 12345678901234567890 , "one":1.0,"deep":{"a":[1,{"}":"]"}]} , "text":"\\"},{\\\\" } ';
    expect([...rawMembers(text)]).toEqual([
      ["big", "12345678901234567890"],
      ["one", "1.0"],
      ["deep", '{"a":[1,{"}":"]"}]}'],
      ["text", '"\\"},{\\\\"'],
    ]);
  });

  it("takes the last of a key given twice, whatever its spelling, and special names as they are", () => {
    expect([...rawMembers('{"a":1,"\\u0061":2,"__proto__":{"x":1},"":0}')]).toEqual([
      ["a", "2"],
      ["__proto__", '{"x":1}'],
      ["", "0"],
    ]);
    expect(rawMembers("{}").size).toBe(0);
    expect(rawMembers(" { } ").size).toBe(0);
  });

  it("does not run out of stack", () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    expect(rawMembers(`{"data":${deep}}`).get("data")).toBe(deep);
  });

  it("agrees with JSON.parse on any object, and joins back to it", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(undefined, 2), (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        const members = rawMembers(text);
        const parsed = JSON.parse(text) as Record<string, unknown>;
        expect(new Set(members.keys())).toEqual(new Set(Object.keys(parsed)));
        for (const [key, raw] of members) expect(JSON.parse(raw)).toEqual(parsed[key]);
        expect(JSON.parse(joinMembers(members))).toEqual(parsed);
      }),
    );
  });
});

describe("toJson", () => {
  it("writes what JSON.stringify writes, and raw pieces verbatim", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(toJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(toJson({ a: new RawJson("1.0"), b: undefined, c: new Map([["x", new RawJson("2e1")]]), d: null })).toBe(
      '{"a":1.0,"c":{"x":2e1},"d":null}',
    );
  });
});
