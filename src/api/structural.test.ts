import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { customResourceDefinitions } from "./crds.ts";
import { described } from "./rules.ts";
import { structuralSchema } from "./structural.ts";

const wrap = (schema: z.ZodType): z.ZodType => z.object({ x: schema });
const text = z.string().max(5);

describe("structuralSchema", () => {
  it("says types, bounds, enums and rules, and that members are optional", () => {
    const schema = wrap(described(z.enum(["a", "b"]), "A or b.").optional());
    expect(structuralSchema(schema)).toEqual({
      type: "object",
      properties: { x: { type: "string", enum: ["a", "b"], description: "A or b." } },
    });
  });

  it("says int-or-string", () => {
    const schema = described(z.union([z.int(), text]), "Either.", [], { "x-kubernetes-int-or-string": true });
    expect(structuralSchema(wrap(schema))["properties"]).toEqual({
      x: { description: "Either.", maxLength: 5, "x-kubernetes-int-or-string": true },
    });
  });

  const list = { "x-kubernetes-list-type": "atomic" };
  it.each<[string, z.ZodType, string]>([
    ["a union", described(z.union([text, z.int()]), "."), "no single type"],
    ["a record", described(z.record(z.string(), text), "."), "additionalProperties"],
    ["a loose object", described(z.looseObject({}), "."), "additionalProperties"],
    ["a default", described(text.default("a"), "."), "keyword default"],
    ["a pattern", described(z.string().max(5).regex(/a/), "."), "keyword pattern"],
    ["a nullable", described(text.nullable(), "."), "keyword nullable"],
    ["unknown", described(z.unknown(), "."), "no single type"],
    ["an unbounded text", described(z.string(), "."), "no maxLength"],
    ["an unbounded list", described(z.array(described(text, ".")), ".", [], list), "no maxItems"],
    ["a list without its type", described(z.array(described(text, ".")).max(3), "."), "list type"],
    ["no description", text, "no description"],
  ])("refuses %s", (_name, schema, message) => {
    expect(() => structuralSchema(wrap(schema))).toThrow(message);
  });

  it("refuses what would be lost: transforms and refinements", () => {
    expect(() => structuralSchema(wrap(described(text.transform(Number), ".")))).toThrow("transforms");
    expect(() =>
      structuralSchema(
        wrap(
          described(
            text.refine((x) => x !== "a"),
            ".",
          ),
        ),
      ),
    ).toThrow("refinements");
  });
});

describe("the CRDs", () => {
  const crds = [...customResourceDefinitions()];

  it("are those of crds/", () => {
    for (const [name, crd] of crds) expect(parse(readFileSync(`crds/${name}`, "utf8"))).toEqual(crd);
    expect(readdirSync("crds").toSorted()).toEqual(crds.map(([name]) => name).toSorted());
  });

  it("are small, have no defaults but that of a status, and every message is one line", () => {
    for (const [name, crd] of crds) {
      expect(readFileSync(`crds/${name}`).length).toBeLessThan(256 * 1024);
      visit(crd, (node) => {
        // Defaults of a spec are drift for GitOps tools; they do not look at status.
        if (node["default"] !== undefined) expect(node["default"]).toEqual({ observedGeneration: 0 });
        if (typeof node["rule"] !== "string") return;
        const message = String(node["message"]);
        expect(message).not.toMatch(/[\n\r]/);
        expect(message.length).toBeLessThan(260);
      });
    }
  });
});

function visit(value: unknown, look: (node: Record<string, unknown>) => void): void {
  if (Array.isArray(value)) value.forEach((item) => visit(item, look));
  else if (typeof value === "object" && value !== null) {
    look(value as Record<string, unknown>);
    Object.values(value).forEach((item) => visit(item, look));
  }
}
