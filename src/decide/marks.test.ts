import fc from "fast-check";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { type Mark, payloadFromText } from "../model/index.ts";
import {
  createKeyRing,
  createMarkSeal,
  fingerprint,
  fingerprintMatches,
  fitField,
  identityKey,
  incumbentOf,
  markFieldNames,
  opaqueID,
  ownerMatches,
  ownerOf,
  parseOwner,
  parsePolicyField,
  policyField,
  renderSecret,
  shapeDigest,
  sourceIDOf,
} from "./index.ts";

const [k1, k2] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const ring = createKeyRing([k1]);
const seal = createMarkSeal(ring);
const TARGET = "scaivault:environments/production/billing/stripe";
const mark: Mark = {
  owner: "east/billing/SecretSync/stripe",
  source: "billing/aws@12345678:prod/billing/stripe",
  version: "a1b2",
  targetVersion: "7",
  authority: "Source",
  policy: policyField("Retain", "Delete", "shape"),
  fingerprint: "f".repeat(43),
};
const FIELD = /^[\w .:/=+@-]{1,256}$/;

describe("key ring", () => {
  it("refuses no key and short keys, and never shows one", () => {
    expect(() => createKeyRing([])).toThrow(RangeError);
    expect(() => createKeyRing([Buffer.alloc(31)])).toThrow(RangeError);
    const shown =
      inspect(createKeyRing([Buffer.from("canary-key-canary-key-canary-key")]), { depth: 9 }) + JSON.stringify(ring);
    expect(shown).not.toContain("canary");
    expect(shown).not.toContain(Buffer.from("canary-key").toString("hex").slice(0, 8));
  });

  it("signs with the first key, verifies with all, and keeps purposes apart", () => {
    const [old, both] = [createKeyRing([k2]), createKeyRing([k1, k2])];
    const tag = old.sign("mark", ["a", "b"]);
    expect(both.verify("mark", ["a", "b"], tag)).toBe(true);
    expect(both.sign("mark", ["a", "b"])).toBe(ring.sign("mark", ["a", "b"]));
    expect(ring.verify("mark", ["a", "b"], tag)).toBe(false);
    expect(both.verify("plan", ["a", "b"], tag)).toBe(false);
  });

  it("never takes one list of parts for another, nor a tag in another spelling", () => {
    const lists = fc.array(fc.string(), { maxLength: 4 });
    fc.assert(
      fc.property(lists, lists, (a, b) => {
        const same = a.length === b.length && a.every((part, at) => part.toWellFormed() === b[at]?.toWellFormed());
        expect(ring.verify("mark", a, ring.sign("mark", b))).toBe(same);
      }),
    );
    const tag = ring.sign("mark", []);
    for (const other of [`${tag}=`, `${tag} `, tag.slice(0, -1), "", `${tag}A`])
      expect(ring.verify("mark", [], other)).toBe(false);
  });
});

describe("marks", () => {
  it("come back as they were written, within what every store takes", () => {
    const fields = seal.seal(TARGET, mark);
    expect([...fields.keys()]).toEqual([...markFieldNames]);
    for (const value of fields.values()) expect(value).toMatch(FIELD);
    expect(seal.read(TARGET, fields)).toEqual({ state: "Valid", mark });
    expect(seal.read(TARGET, new Map([...fields].reverse()))).toEqual({ state: "Valid", mark });
    expect(seal.read(TARGET, new Map())).toEqual({ state: "None" });
  });

  const sealed = () => new Map(seal.seal(TARGET, mark));
  it.each<[string, () => [string, ReadonlyMap<string, string>]]>([
    ["copied to another path", () => [`${TARGET}2`, sealed()]],
    ["copied to another store", () => [TARGET.replace("scaivault:", "kubernetes:"), sealed()]],
    ["made with an unknown key", () => [TARGET, createMarkSeal(createKeyRing([k2])).seal(TARGET, mark)]],
    ["cut", () => [TARGET, new Map([...sealed()].filter(([name]) => name !== "policy"))]],
    ["with one field more", () => [TARGET, sealed().set("note", "x")]],
    ["of the proof alone", () => [TARGET, new Map([["proof", "x"]])]],
    ["with two fields exchanged", () => [TARGET, sealed().set("version", "7").set("target-version", "a1b2")]],
    ["with an empty field", () => [TARGET, sealed().set("version", "")]],
    ["with a control character", () => [TARGET, sealed().set("version", "a\n")]],
    ["with another authority", () => [TARGET, sealed().set("authority", "ScaiVault")]],
    ["with an authority that there is not", () => [TARGET, sealed().set("authority", "Nobody")]],
    ["with a longer field", () => [TARGET, sealed().set("source", "a".repeat(257))]],
  ])("are refused when %s", (_what, make) => {
    const [target, fields] = make();
    expect(seal.read(target, fields)).toEqual({ state: "Unverified" });
  });

  it("are refused after any change of any field", () => {
    fc.assert(
      fc.property(fc.constantFrom(...markFieldNames), fc.string({ minLength: 1, maxLength: 60 }), (name, value) => {
        const fields = sealed();
        if (fields.get(name) === value) return;
        expect(seal.read(TARGET, fields.set(name, value)).state).toBe("Unverified");
      }),
    );
  });

  it("stay valid when a key is added in front", () => {
    expect(createMarkSeal(createKeyRing([k2, k1])).read(TARGET, sealed()).state).toBe("Valid");
  });

  it("need room: a field that no store can carry is refused", () => {
    expect(() => seal.seal(TARGET, { ...mark, version: "v".repeat(257) })).toThrow(
      expect.objectContaining({ reason: "NoRoomForMark" }),
    );
    expect(() => seal.seal(TARGET, { ...mark, version: "a,b" })).toThrow(
      expect.objectContaining({ reason: "NoRoomForMark" }),
    );
  });
});

describe("fields", () => {
  it("fit every text, differ for different ones, and stay as they are when they fit", () => {
    expect(fitField(ring, "east/billing/SecretSync/stripe")).toBe("east/billing/SecretSync/stripe");
    const texts = fc.oneof(
      fc.string({ unit: "grapheme", minLength: 1 }),
      fc.string({ minLength: 200, maxLength: 600 }),
    );
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        expect(fitField(ring, a)).toMatch(FIELD);
        expect(fitField(ring, a).trim()).toBe(fitField(ring, a));
        if (a.toWellFormed() !== b.toWellFormed()) expect(fitField(ring, a)).not.toBe(fitField(ring, b));
      }),
    );
    const long = "x".repeat(300);
    expect(fitField(ring, `${long}a`)).not.toBe(fitField(ring, `${long}b`));
    expect(fitField(ring, "a=b")).not.toBe(fitField(ring, "a=3Db"));
  });

  it("know owners, cut ones too, by any key", () => {
    const long = { cluster: "east", namespace: "n".repeat(63), kind: "SecretSync", name: "s".repeat(253) };
    const stored = ownerOf(createKeyRing([k2]), long);
    expect(stored).toHaveLength(256);
    expect(parseOwner(stored)).toMatchObject({ cluster: "east", namespace: long.namespace, cut: true });
    expect(ownerMatches(createKeyRing([k1, k2]), stored, long)).toBe(true);
    expect(ownerMatches(createKeyRing([k1, k2]), stored, { ...long, name: `${"s".repeat(252)}t` })).toBe(false);
    expect(parseOwner(mark.owner)).toEqual({
      cluster: "east",
      namespace: "billing",
      kind: "SecretSync",
      name: "stripe",
      cut: false,
    });
    expect(parseOwner("a/b")).toBeUndefined();
  });

  it("make another source of another location", () => {
    const store = { namespace: "billing", name: "aws", location: "aws us-east-1" };
    expect(sourceIDOf(ring, store, "prod/x")).toMatch(/^billing\/aws@[0-9a-f]{8}:prod\/x$/);
    expect(sourceIDOf(ring, store, "prod/x")).not.toBe(
      sourceIDOf(ring, { ...store, location: "aws eu-west-1" }, "prod/x"),
    );
  });

  it("carry policies and shape", () => {
    expect(parsePolicyField(mark.policy)).toEqual({
      deletionPolicy: "Retain",
      cleanupPolicy: "Delete",
      shape: "shape",
      kept: false,
      reverts: 0,
    });
    for (const text of ["", "Retain", "Retain/Keep/x", "Delete/Delete/x/y", "delete/Delete/x"])
      expect(parsePolicyField(text)).toBeUndefined();
    expect(shapeDigest({ a: 1, b: [1, 2], c: undefined })).toBe(shapeDigest({ b: [1, 2], a: 1 }));
    expect(shapeDigest({ b: [1, 2] })).not.toBe(shapeDigest({ b: [2, 1] }));
    expect(shapeDigest({ type: "Opaque" })).toMatch(/^[\w-]{16}$/);
  });
});

describe("fingerprints", () => {
  const content = (text: string) => renderSecret(payloadFromText(text));
  it("bind target, key names, bytes and type; equal values of two targets differ", () => {
    const print = fingerprint(ring, "a", content('{"pin":"1234"}'));
    expect(print).toMatch(/^[\w-]{43}$/);
    expect(fingerprintMatches(ring, "a", content('{"pin":"1234"}'), print)).toBe(true);
    expect(fingerprintMatches(createKeyRing([k2, k1]), "a", content('{"pin":"1234"}'), print)).toBe(true);
    for (const [target, text] of [
      ["b", '{"pin":"1234"}'],
      ["a", '{"pin":"1235"}'],
      ["a", '{"pi":"n1234"}'],
      ["a", '{"pin":"1234","x":""}'],
    ] as const)
      expect(fingerprintMatches(ring, target, content(text), print)).toBe(false);
    const typed = { ...content('{"pin":"1234"}'), type: "example.com/pin" };
    expect(fingerprintMatches(ring, "a", typed, print)).toBe(false);
  });

  it("are no oracle: a guess in another target's name says nothing", () => {
    const stored = fingerprint(ring, "victim", content('{"pin":"1234"}'));
    for (let pin = 1230; pin < 1240; pin += 1)
      expect(fingerprint(ring, "attacker", content(`{"pin":"${pin}"}`))).not.toBe(stored);
  });

  it("hide what they name", () => {
    expect(opaqueID(ring, "shop/db")).toMatch(/^other-[0-9a-f]{12}$/);
    expect(opaqueID(ring, "shop/db")).not.toBe(opaqueID(createKeyRing([k2]), "shop/db"));
    expect(identityKey(ring, ["a", "bc"])).not.toBe(identityKey(ring, ["ab", "c"]));
  });
});

describe("incumbents", () => {
  const self = { cluster: "east", namespace: "billing", kind: "SecretSync", name: "stripe" };
  const by = (owner: Partial<typeof self>) => ({
    state: "Valid" as const,
    mark: { ...mark, owner: ownerOf(ring, { ...self, ...owner }) },
  });
  it.each([
    ["its own", by({}), true, { incumbent: "Self" }],
    ["a living neighbour's", by({ name: "other" }), true, { incumbent: "Other", otherOwner: "SecretSync other" }],
    ["a gone neighbour's", by({ name: "other" }), false, { incumbent: "Gone", otherOwner: "SecretSync other" }],
    ["another cluster's", by({ cluster: "west" }), true, { incumbent: "OtherCluster", otherOwner: "cluster west" }],
    ["none", { state: "None" as const }, true, { incumbent: "None" }],
    ["one that cannot be checked", { state: "Unverified" as const }, true, { incumbent: "None" }],
  ])("%s", (_what, reading, lives, expected) => {
    expect(incumbentOf(reading, self, ring, () => lives)).toEqual(expected);
  });

  it("names another namespace's object by one opaque id", () => {
    for (const lives of [true, false]) {
      const verdict = incumbentOf(by({ namespace: "shop", name: "payroll" }), self, ring, () => lives);
      expect(verdict.incumbent).toBe(lives ? "Other" : "OtherNamespaceGone");
      expect(verdict.otherOwner).toBe(opaqueID(ring, "shop/payroll"));
      expect(JSON.stringify(verdict)).not.toMatch(/shop|payroll/);
    }
  });

  it("does not take over from an owner whose name it cannot read whole", () => {
    const verdict = incumbentOf(by({ name: "s".repeat(253) }), { ...self, name: "t" }, ring, () => false);
    expect(verdict.incumbent).toBe(ownerOf(ring, { ...self, name: "s".repeat(253) }).length === 256 ? "Other" : "Gone");
  });
});
