import fc from "fast-check";
import { expect, test } from "vitest";
import { rawMembers } from "./raw.ts";

test("members keep their source text: digits, escapes, white space inside", () => {
  const members = rawMembers(
    ' { "a" : 12345678901234567890 , "b":{"x": [1.0, "}\\""] },"c":"\\u00e9\\/", "d":null,"__proto__":{"y":1e3}} ',
  );
  expect(members).toEqual(
    new Map([
      ["a", "12345678901234567890"],
      ["b", '{"x": [1.0, "}\\""] }'],
      ["c", '"\\u00e9\\/"'],
      ["d", "null"],
      ["__proto__", '{"y":1e3}'],
    ]),
  );
});

test("what is no object has no members", () => {
  for (const text of ["", "[]", "1", "null", '"x"', "{", '{"a":}', "hunter2"]) expect(rawMembers(text)).toBeUndefined();
  expect(rawMembers("{}")).toEqual(new Map());
});

test("members are what JSON.parse finds, however the text is laid out", () => {
  const layouts = [0, 1, "\t"] as const;
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(...layouts), (object, indent) => {
      const members = rawMembers(JSON.stringify(object, undefined, indent));
      const parsed = JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
      expect(members?.size).toBe(Object.keys(parsed).length);
      for (const [key, text] of members ?? []) expect(JSON.parse(text)).toEqual(parsed[key]);
    }),
  );
});
