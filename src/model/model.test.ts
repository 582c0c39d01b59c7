import fc from "fast-check";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import {
  canonicalData,
  canonicalJSON,
  fieldOf,
  fromScaiVaultData,
  JSONError,
  parseJSON,
  payloadFromBinary,
  payloadFromObjectText,
  payloadFromText,
  type SecretPayload,
  SecretValue,
  toScaiVaultData,
  valueText,
} from "./index.ts";

const texts = (payload: SecretPayload) => Object.fromEntries([...payload.keys].map(([k, v]) => [k, v.text()]));
function refusal(what: () => unknown): SyncError {
  try {
    what();
  } catch (error) {
    if (error instanceof SyncError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("parseJSON", () => {
  it("keeps the source text of numbers", () => {
    const root = parseJSON('{ "id": 12345678901234567890, "f": 1.0, "s": "a\\u0041" }');
    expect(root.members.get("id")?.text).toBe("12345678901234567890");
    expect(root.members.get("f")?.text).toBe("1.0");
    expect(valueText(root.members.get("s") ?? root)).toBe("aA");
  });

  it.each([
    ['{"a":1,"a":2}', "DuplicateKey"],
    ['{"x":{"a":1,"\\u0061":2}}', "DuplicateKey"],
    ['[{"a":1,"a":1}]', "DuplicateKey"],
    ["[".repeat(65) + "]".repeat(65), "TooDeep"],
    ["[".repeat(100_000), "TooDeep"],
    [`{${Array.from({ length: 1001 }, (_, i) => `"k${i}":1`).join(",")}}`, "TooManyKeys"],
    ["hunter2-canary-value", "NotJSON"],
    ['{"a":1,}', "NotJSON"],
    ['{"a":1}//c', "NotJSON"],
    ["", "NotJSON"],
    ["01", "NotJSON"],
  ])("refuses %#", (text, problem) => {
    expect(() => parseJSON(text)).toThrow(JSONError);
    try {
      parseJSON(text);
    } catch (error) {
      expect((error as JSONError).problem).toBe(problem);
      expect(inspect(error, { depth: 5 })).not.toContain("hunter2");
    }
  });

  it("takes 64 levels", () => {
    expect(parseJSON("[".repeat(64) + "]".repeat(64)).kind).toBe("array");
  });

  it("has __proto__ and constructor as ordinary keys", () => {
    const root = parseJSON('{"__proto__":{"polluted":"yes"},"constructor":"c"}');
    expect([...root.members.keys()]).toEqual(["__proto__", "constructor"]);
    expect(fieldOf(root, ["__proto__", "polluted"])?.text).toBe('"yes"');
    expect(fieldOf(root, ["toString"])).toBeUndefined();
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("agrees with JSON.parse on every document", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 1, 2), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(JSON.parse(parseJSON(text).text)).toEqual(JSON.parse(text));
        expect(canonicalJSON(text)).toBe(canonicalJSON(JSON.stringify(value)));
      }),
    );
  });

  it("finds fields by their keys and keeps their text", () => {
    const root = parseJSON('{"a":{"b":{"tls.crt":[1, 2.50]}}}');
    expect(fieldOf(root, ["a", "b", "tls.crt"])?.text).toBe("[1, 2.50]");
    expect(fieldOf(root, ["a", "x"])).toBeUndefined();
    expect(fieldOf(root, ["a", "b", "tls.crt", "0"])).toBeUndefined();
  });
});

describe("canonicalJSON", () => {
  it.each([
    ["1", "1.0"],
    ["1", "1e0"],
    ["100", "1E+2"],
    ["0.001", "1e-3"],
    ["-0", "0.000e7"],
    ["12e100", "1.20e101"],
    ['{"a":1,"b":[true,null]}', '{ "b" : [ true , null ] , "a" : 1.0 }'],
    ['"A\\/"', '"\\u0041/"'],
  ])("%s equals %s", (a, b) => {
    expect(canonicalJSON(a)).toBe(canonicalJSON(b));
  });

  it.each([
    ["12345678901234567890", "12345678901234567891"],
    ["1", "-1"],
    ["1", '"1"'],
    ["10", "1"],
    ["1e400", "1e401"],
    ["1e99999999999999999999", "1e99999999999999999998"],
    ["[1,2]", "[2,1]"],
    ['{"a":null}', "{}"],
  ])("%s differs from %s", (a, b) => {
    expect(canonicalJSON(a)).not.toBe(canonicalJSON(b));
  });

  it("is exact: equal texts exactly for equal decimals", () => {
    const decimal = fc.record({
      n: fc.bigInt(-(10n ** 25n), 10n ** 25n),
      zeros: fc.nat(6),
      shift: fc.integer({ min: -9, max: 9 }),
    });
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        const spell = (x: { n: bigint; zeros: number; shift: number }) =>
          `${x.n}.${"0".repeat(x.zeros + 1)}e${x.shift}`;
        const value = (x: { n: bigint; shift: number }) => x.n * 10n ** BigInt(x.shift + 9);
        expect(canonicalJSON(spell(a)) === canonicalJSON(spell(b))).toBe(value(a) === value(b));
        expect(canonicalJSON(spell(a))).toBe(canonicalJSON(`${a.n}e${a.shift}`));
      }),
    );
  });
});

describe("payloads", () => {
  it.each([
    ['{"a":"x","n":1.0}', "Object"],
    [' {"a":1}\n', "Object"],
    ["{}", "Object"],
    ["[1,2]", "JSON"],
    ["12345", "JSON"],
    ["true", "JSON"],
    ["null", "JSON"],
    ["[1, 2]", "Text"],
    ["12345678901234567890", "Text"],
    ["1e5", "Text"],
    ["1.0", "Text"],
    ["007", "Text"],
    ["-0", "Text"],
    ["12345\n", "Text"],
    ['[{"a":1,"a":1}]', "Text"],
    ['"quoted"', "Text"],
    ["{not json", "Text"],
    ["plain", "Text"],
    ["", "Text"],
    ["\u0000\r\n", "Text"],
  ])("%j is %s, byte for byte", (text, form) => {
    const payload = payloadFromText(text);
    expect(payload.form).toBe(form);
    expect(payload.raw.text()).toBe(text);
  });

  it("keeps keys as bytes, numbers as they are written", () => {
    const payload = payloadFromText(
      '{"id":12345678901234567890,"f":1.0,"s":"ü\\n","o":{ "x": 1 },"__proto__":"p","":"e"}',
    );
    expect([...payload.keys].map(([key, value]) => [key, value.text()])).toEqual([
      ["id", "12345678901234567890"],
      ["f", "1.0"],
      ["s", "ü\n"],
      ["o", '{ "x": 1 }'],
      ["__proto__", "p"],
      ["", "e"],
    ]);
  });

  it.each([
    '{"canary-7":1,"canary-7":2}',
    "{".repeat(1) + '"a":' + "[".repeat(70) + "]".repeat(70) + "}",
    '{"a":"\\ud800"}',
    '{"\\ud800":1}',
    "\ud800",
  ])("refuses what cannot be carried and does not quote it: %#", (text) => {
    const error = refusal(() => payloadFromText(text));
    expect(error.reason).toBe("NotRepresentable");
    expect(inspect(error, { depth: 5 })).not.toContain("canary");
  });

  it("refuses object text that is none", () => {
    for (const text of ["[1]", "x", "", '"s"'])
      expect(refusal(() => payloadFromObjectText(text)).reason).toBe("NotRepresentable");
  });

  it("prints nothing of a value", () => {
    const payload = payloadFromText('{"password":"canary-value"}');
    expect(JSON.stringify(payload) + inspect(payload, { depth: 9 }) + String(payload.raw)).not.toContain("canary");
  });
});

describe("ScaiVault data", () => {
  const same = (a: SecretPayload, b: SecretPayload) => {
    expect(b.form).toBe(a.form);
    expect(b.raw.bytes().equals(a.raw.bytes())).toBe(true);
    expect(texts(b)).toEqual(texts(a));
  };
  const roundTrip = (payload: SecretPayload, server: (data: SecretValue) => SecretValue) => {
    const { data, secretType } = toScaiVaultData(payload);
    return fromScaiVaultData(server(data), secretType);
  };
  const verbatim = (data: SecretValue) => data;
  const reprinting = (data: SecretValue) => SecretValue.fromText(JSON.stringify(JSON.parse(data.text() ?? "")));

  it("is reversible byte for byte", () => {
    const documents = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()),
      fc.json({ maxDepth: 4 }).filter((text) => JSON.parse(`[${text}]`) !== undefined),
      fc.constantFrom('{"value":"x"}', '{"value_base64":"eA=="}', '{"value":[1]}', "[1,2]", "5", "null", '"s"', "1.0"),
    );
    fc.assert(
      fc.property(documents, (text) => {
        let payload;
        try {
          payload = payloadFromText(text);
        } catch {
          return; // Lone surrogates inside JSON strings.
        }
        same(payload, roundTrip(payload, verbatim));
        // A server that prints the data anew changes no form but an object's own layout.
        if (payload.form !== "Object") same(payload, roundTrip(payload, reprinting));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) =>
        same(payloadFromBinary(Buffer.from(bytes)), roundTrip(payloadFromBinary(Buffer.from(bytes)), reprinting)),
      ),
    );
  });

  it("tells an object apart from a text of the same data", () => {
    const object = toScaiVaultData(payloadFromText('{"value":"x"}'));
    const text = toScaiVaultData(payloadFromText("x"));
    expect(canonicalData(object.data).equals(canonicalData(text.data))).toBe(true);
    expect([object.secretType, text.secretType]).toEqual(["json", "kv"]);
    expect(fromScaiVaultData(object.data, "json").form).toBe("Object");
    expect(fromScaiVaultData(text.data, "kv").form).toBe("Text");
  });

  it.each([
    ['{"value":"x","more":1}', "kv", "Object"],
    ['{"value":{"a":1}}', "kv", "Object"],
    ['{"value":1.0}', "kv", "Object"],
    ['{"value_base64":"not base64"}', "kv", "Object"],
    ['{"cert_pem":"x"}', "certificate", "Object"],
    ["{}", "kv", "Object"],
  ])("takes data of others as it is: %s", (data, type, form) => {
    const payload = fromScaiVaultData(SecretValue.fromText(data), type);
    expect(payload.form).toBe(form);
    expect(payload.raw.text()).toBe(data);
  });

  it("refuses text that is not UTF-8, and data that is no object", () => {
    const raw = SecretValue.fromBytes(Buffer.from([0xff, 0xfe]));
    expect(refusal(() => toScaiVaultData({ form: "Text", raw, keys: new Map() })).reason).toBe("NotRepresentable");
    expect(refusal(() => canonicalData(SecretValue.fromText("[1]"))).reason).toBe("NotRepresentable");
    expect(refusal(() => fromScaiVaultData(raw, "kv")).reason).toBe("NotRepresentable");
  });

  it("compares by content, not by layout", () => {
    const equal = (a: string, b: string) =>
      canonicalData(SecretValue.fromText(a)).equals(canonicalData(SecretValue.fromText(b)));
    expect(equal('{"a":1.0,"b":"x"}', '{ "b":"\\u0078", "a":1 }')).toBe(true);
    expect(equal('{"a":9007199254740993}', '{"a":9007199254740992}')).toBe(false);
  });
});
