import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { appliedFields, fieldOwnership, ownsExactly } from "./apply.ts";
import type { ManagedFieldsEntry } from "./types.ts";

function entry(
  manager: string,
  operation: string,
  keys: readonly string[],
  more: Partial<ManagedFieldsEntry> = {},
): ManagedFieldsEntry {
  const data = Object.fromEntries([[".", {}], ...keys.map((key) => [`f:${key}`, {}])]) as Record<string, unknown>;
  return {
    manager,
    operation,
    apiVersion: "v1",
    fieldsType: "FieldsV1",
    fieldsV1: { "f:data": data, "f:type": {} },
    ...more,
  };
}

describe("fieldOwnership", () => {
  it("tells ours from foreign and from what was written under our name", () => {
    const ownership = fieldOwnership(
      [
        entry("us", "Apply", ["a", "b"]),
        entry("us", "Update", ["c"]),
        entry("kubectl-edit", "Update", ["b"]),
        entry("eso", "Apply", ["d"]),
        entry("eso", "Update", ["e"]),
        entry("labels-only", "Update", []),
      ],
      "us",
    );
    expect(ownership).toEqual({
      applied: true,
      ours: new Set(["a", "b"]),
      writtenAsUs: true,
      written: new Set(["c"]),
      foreign: new Map([
        ["kubectl-edit", new Set(["b"])],
        ["eso", new Set(["d", "e"])],
      ]),
    });
  });

  it.each([
    ["exactly ours", [entry("us", "Apply", ["a", "b"])], true],
    ["a key less", [entry("us", "Apply", ["a"])], false],
    ["a key more", [entry("us", "Apply", ["a", "b", "c"])], false],
    ["never applied", [entry("us", "Update", ["a", "b"])], false],
    ["shared", [entry("us", "Apply", ["a", "b"]), entry("x", "Apply", ["a"])], false],
    ["a foreign key", [entry("us", "Apply", ["a", "b"]), entry("x", "Update", ["z"])], false],
    ["written as us", [entry("us", "Apply", ["a", "b"]), entry("us", "Update", [])], false],
    [
      "a status entry of ours",
      [entry("us", "Apply", ["a", "b"]), entry("us", "Apply", ["z"], { subresource: "status" })],
      false,
    ],
    [
      "a foreign label",
      [entry("us", "Apply", ["a", "b"]), { manager: "x", operation: "Update", fieldsV1: { "f:metadata": {} } }],
      true,
    ],
    ["nothing known", undefined, false],
  ])("owns exactly: %s", (_name, entries, expected) => {
    expect(ownsExactly(fieldOwnership(entries, "us"), ["b", "a"])).toBe(expected);
  });

  it("takes hostile key names and broken entries", () => {
    const broken = [
      {},
      { manager: "us", operation: "Apply" },
      { manager: "us", operation: "Apply", fieldsV1: { "f:data": "text" } },
      {
        manager: "x",
        operation: "Update",
        fieldsV1: JSON.parse('{"f:data":{"f:__proto__":{},"f:constructor":{},"k:x":{}}}') as object,
      },
    ] as ManagedFieldsEntry[];
    const ownership = fieldOwnership(broken, "us");
    expect(ownership.foreign.get("x")).toEqual(new Set(["__proto__", "constructor"]));
    expect(ownership.ours.size).toBe(0);
  });

  it("finds every key of any apply, and nobody else's", () => {
    const keys = fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 20 });
    fc.assert(
      fc.property(keys, keys, (ours, theirs) => {
        const ownership = fieldOwnership([entry("us", "Apply", ours), entry("them", "Update", theirs)], "us");
        expect([...ownership.ours].sort()).toEqual([...ours].sort());
        expect([...(ownership.foreign.get("them") ?? [])].sort()).toEqual([...theirs].sort());
        expect(ownsExactly(ownership, ours)).toBe(theirs.length === 0);
      }),
    );
  });
});

describe("appliedFields", () => {
  it("lists the ends of our apply only", () => {
    const fieldsV1 = {
      "f:data": { ".": {}, "f:tls.crt": {} },
      "f:metadata": { "f:labels": { "f:app.kubernetes.io/name": {} } },
      "f:type": {},
    };
    const entries = [
      { manager: "us", operation: "Apply", fieldsV1 },
      { manager: "us", operation: "Update", fieldsV1: { "f:immutable": {} } },
    ];
    expect(appliedFields(entries, "us")).toEqual([
      ["data", "tls.crt"],
      ["metadata", "labels", "app.kubernetes.io/name"],
      ["type"],
    ]);
  });
});
