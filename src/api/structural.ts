import * as z from "zod";

/** A JSON schema as Kubernetes takes it in CRDs. */
export type StructuralSchema = { readonly [keyword: string]: unknown };

const COPIED = new Set([
  "type",
  "format",
  "description",
  "enum",
  "required",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "minimum",
  "maximum",
  "x-kubernetes-validations",
  "x-kubernetes-list-type",
  "x-kubernetes-list-map-keys",
]);

/**
 * The structural schema of a zod schema. Everything that a structural schema cannot say, or that would be lost, is an
 * error here and not in a cluster.
 */
export function structuralSchema(schema: z.ZodType): StructuralSchema {
  const json = z.toJSONSchema(schema, {
    target: "openapi-3.0",
    io: "input",
    unrepresentable: "throw",
    reused: "inline",
    override: ({ zodSchema }) => refuseLost(zodSchema),
  });
  return convert(json, "");
}

/** What JSON schema would leave out without a word: transforms, and refinements that are not rules. */
function refuseLost(schema: z.core.$ZodType): void {
  const { type, checks } = schema._zod.def;
  if (type === "pipe" || type === "transform") throw new Error("transforms cannot be in a structural schema");
  if (checks?.some((item) => item._zod.def.check === "custom") === true)
    throw new Error("refinements would be lost; put a rule on the schema instead");
}

function convert(json: Record<string, unknown>, path: string): StructuralSchema {
  const where = path === "" ? "the schema" : path;
  if (json["description"] === undefined && path !== "") throw new Error(`${where} has no description`);
  if (json["x-kubernetes-int-or-string"] === true) return intOrString(json, where);
  if (typeof json["type"] !== "string") throw new Error(`${where} has no single type`);
  const result: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(json)) {
    if (keyword === "properties") {
      result[keyword] = Object.fromEntries(
        Object.entries(value as Record<string, Record<string, unknown>>).map(([name, child]) => [
          name,
          convert(child, `${path}.${name}`),
        ]),
      );
    } else if (keyword === "items") {
      result[keyword] = convert(value as Record<string, unknown>, `${path}[]`);
    } else if (keyword === "additionalProperties" && value === false) {
      continue; // Forbidden beside properties; the API server prunes unknown fields itself.
    } else if (COPIED.has(keyword)) {
      result[keyword] = value;
    } else {
      throw new Error(`${where} has the keyword ${keyword}, which a structural schema cannot say`);
    }
  }
  requireBounds(result, where);
  if (result["type"] === "integer") result["format"] = "int64";
  const properties = result["properties"] as object | undefined;
  if (properties !== undefined && Object.keys(properties).length === 0) delete result["properties"];
  return result;
}

/** CEL's cost estimate, and etcd, need everything bounded. */
function requireBounds(schema: Record<string, unknown>, where: string): void {
  const closed = schema["enum"] !== undefined || schema["format"] === "date-time";
  if (schema["type"] === "string" && !closed && schema["maxLength"] === undefined)
    throw new Error(`${where} has no maxLength`);
  if (schema["type"] === "array" && schema["maxItems"] === undefined) throw new Error(`${where} has no maxItems`);
  if (schema["type"] === "array" && schema["x-kubernetes-list-type"] === undefined)
    throw new Error(`${where} does not say its list type`);
}

function intOrString(json: Record<string, unknown>, where: string): StructuralSchema {
  const branches = (json["anyOf"] ?? []) as readonly Record<string, unknown>[];
  const types = branches.map((branch) => branch["type"]).sort();
  if (types.join() !== "integer,string") throw new Error(`${where} is not exactly integer or string`);
  const maxLength = branches.find((branch) => branch["type"] === "string")?.["maxLength"];
  if (maxLength === undefined) throw new Error(`${where} has no maxLength`);
  return {
    description: json["description"],
    maxLength,
    "x-kubernetes-int-or-string": true,
    ...(json["x-kubernetes-validations"] === undefined
      ? {}
      : { "x-kubernetes-validations": json["x-kubernetes-validations"] }),
  };
}
