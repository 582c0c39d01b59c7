import * as z from "zod";
import { nearest } from "./nearest.ts";
import { rulesOf } from "./rules.ts";

/** Where a value is: member names and list indexes from the root of the object. */
export type SchemaPath = readonly (string | number)[];

export type SchemaProblemCode =
  "UnknownField" | "Required" | "Empty" | "WrongType" | "NotAllowed" | "Length" | "OutOfRange" | "Duplicate" | "Rule";

/** One thing that is wrong with an object. It never quotes a value that is not out of the schema itself. */
export interface SchemaProblem {
  readonly code: SchemaProblemCode;
  readonly path: SchemaPath;
  /** One line that says what to write instead. */
  readonly message: string;
  /** Id of the rule, for `Rule`. */
  readonly rule?: string;
}

export interface CheckOptions {
  /** `Refuse`: unknown members and empty values (YAML null) are problems, as people write specs. Default `Ignore`. */
  readonly unknown?: "Refuse" | "Ignore";
  /** The stored object at the same place, for rules that compare; without it those rules are not asked. */
  readonly old?: unknown;
}

interface Walk {
  readonly refuse: boolean;
  readonly problems: SchemaProblem[];
}

/**
 * All problems of a value at once: shape, bounds, list keys and rules, as the API server would judge it. The schema is
 * one of this folder: objects, arrays, records, texts, integers, booleans, enums, literals, int-or-string.
 */
export function check(schema: z.core.$ZodType, value: unknown, options: CheckOptions = {}): readonly SchemaProblem[] {
  const walk: Walk = { refuse: options.unknown === "Refuse", problems: [] };
  visit(walk, schema, value, options.old, []);
  return walk.problems;
}

function visit(walk: Walk, given: z.core.$ZodType, value: unknown, old: unknown, path: SchemaPath): void {
  const schema = unwrap(given);
  const before = walk.problems.length;
  checkShape(walk, schema, value, old, path);
  const typeIsWrong = walk.problems
    .slice(before)
    .some((p) => p.path.length === path.length && p.code !== "UnknownField");
  if (typeIsWrong) return;
  for (const rule of rulesOf(schema)) {
    if (rule.transition && old === undefined) continue;
    if (holds(rule.test, value, old)) continue;
    walk.problems.push({ code: "Rule", path: [...path, ...rule.at], message: rule.message, rule: rule.id });
  }
}

/** A rule that cannot be asked, because the value has other problems, is not broken. */
function holds(test: (self: unknown, old: unknown) => boolean, value: unknown, old: unknown): boolean {
  try {
    return test(value, old);
  } catch {
    return true;
  }
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional ? unwrap(schema.def.innerType) : schema;
}

function checkShape(walk: Walk, schema: z.core.$ZodType, value: unknown, old: unknown, path: SchemaPath): void {
  const wrong = (message: string, code: SchemaProblemCode = "WrongType"): void => {
    walk.problems.push({ code, path, message });
  };
  if (schema instanceof z.ZodObject) {
    if (!isRecord(value)) return wrong("write a mapping (`name: value` lines, or `{}`)");
    return checkMembers(walk, schema, value, isRecord(old) ? old : undefined, path);
  }
  if (schema instanceof z.ZodArray) {
    if (!Array.isArray(value)) return wrong("write a list (`- item` lines, or `[]`)");
    return checkItems(walk, schema, value, old, path);
  }
  if (schema instanceof z.ZodRecord) {
    if (!isRecord(value)) return wrong("write a mapping (`name: value` lines, or `{}`)");
    for (const [key, item] of Object.entries(value)) visit(walk, schema.def.valueType, item, undefined, [...path, key]);
    return;
  }
  if (schema instanceof z.ZodEnum || schema instanceof z.ZodLiteral) {
    const allowed = schema instanceof z.ZodEnum ? schema.options : [...schema.values];
    if (!allowed.some((item) => item === value)) wrong(choiceMessage(allowed.map(String), value), "NotAllowed");
    return;
  }
  const parsed = z.safeParse(schema, value);
  if (!parsed.success) wrong(scalarMessage(schema, value), scalarCode(schema, value));
}

function checkMembers(
  walk: Walk,
  schema: z.ZodObject,
  value: Record<string, unknown>,
  old: Record<string, unknown> | undefined,
  path: SchemaPath,
): void {
  const shape: Record<string, z.core.$ZodType> = schema.def.shape;
  for (const [name, member] of Object.entries(shape)) {
    const here = [...path, name];
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    const optional = member instanceof z.ZodOptional;
    if (given === undefined || given === null) {
      if (given === null && walk.refuse) {
        const inner = unwrap(member);
        const write =
          inner instanceof z.ZodObject ? `write \`${name}: {}\` or remove the line` : "give a value or remove the line";
        walk.problems.push({ code: "Empty", path: here, message: `${name} is empty: ${write}` });
      } else if (!optional) {
        walk.problems.push({ code: "Required", path: here, message: `${name} is missing: ${describe(member)}` });
      }
      continue;
    }
    visit(walk, member, given, old?.[name], here);
  }
  if (!walk.refuse) return;
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(shape, name)) continue;
    const guess = nearest(name, Object.keys(shape));
    const message =
      guess !== undefined
        ? `there is no such field here; did you mean ${guess}?`
        : Object.keys(shape).length === 0
          ? "there is no such field here; write `{}`"
          : `there is no such field here; the fields are ${Object.keys(shape).join(", ")}`;
    walk.problems.push({ code: "UnknownField", path: [...path, name], message });
  }
}

function checkItems(walk: Walk, schema: z.ZodArray, items: readonly unknown[], old: unknown, path: SchemaPath): void {
  const { minimum, maximum } = lengthBounds(schema);
  if (minimum !== undefined && items.length < minimum)
    walk.problems.push({ code: "Length", path, message: `write at least ${minimum} item${minimum === 1 ? "" : "s"}` });
  if (maximum !== undefined && items.length > maximum)
    walk.problems.push({ code: "Length", path, message: `write at most ${maximum} items` });
  const meta = (z.globalRegistry.get(schema) ?? {}) as Record<string, unknown>;
  const keys = meta["x-kubernetes-list-map-keys"] as readonly string[] | undefined;
  const unique = keys !== undefined || meta["x-kubernetes-list-type"] === "set";
  const keyOf = (item: unknown): string | undefined => {
    if (keys === undefined) return JSON.stringify(item);
    return isRecord(item) ? JSON.stringify(keys.map((key) => item[key])) : undefined;
  };
  const seen = new Set<string>();
  const oldByKey = new Map((Array.isArray(old) ? old : []).map((item: unknown) => [keyOf(item), item]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const here = [...path, index];
    if (unique && key !== undefined && seen.has(key))
      walk.problems.push({
        code: "Duplicate",
        path: here,
        message: `${keys?.join(", ") ?? "this item"} is there twice: remove one`,
      });
    if (key !== undefined) seen.add(key);
    visit(walk, schema.def.element, item, unique ? oldByKey.get(key) : undefined, here);
  });
}

function lengthBounds(schema: z.ZodArray): { readonly minimum?: number; readonly maximum?: number } {
  const bounds: { minimum?: number; maximum?: number } = {};
  for (const { _zod } of schema.def.checks ?? []) {
    const def = _zod.def as { readonly check: string; readonly minimum?: number; readonly maximum?: number };
    if (def.check === "min_length" && def.minimum !== undefined) bounds.minimum = def.minimum;
    if (def.check === "max_length" && def.maximum !== undefined) bounds.maximum = def.maximum;
  }
  return bounds;
}

function choiceMessage(allowed: readonly string[], value: unknown): string {
  const guess = typeof value === "string" && allowed.length > 1 ? nearest(value, allowed) : undefined;
  return `write ${alternatives(allowed)}${guess === undefined ? "" : ` (did you mean ${guess}?)`}`;
}

function scalarCode(schema: z.core.$ZodType, value: unknown): SchemaProblemCode {
  if (schema instanceof z.ZodString && typeof value === "string") return "Length";
  if (schema instanceof z.ZodNumber && (schema.format === null ? typeof value === "number" : Number.isInteger(value)))
    return "OutOfRange";
  return "WrongType";
}

function scalarMessage(schema: z.core.$ZodType, value: unknown): string {
  if (schema instanceof z.ZodBoolean) return "write true or false, without quotes";
  if (schema instanceof z.ZodUnion) return "write a text or a whole number";
  const { minLength, maxLength } = schema instanceof z.ZodString ? schema : { minLength: null, maxLength: null };
  if (schema instanceof z.ZodString)
    return typeof value === "string"
      ? value === "" && minLength !== null
        ? "write at least one character, or remove the line"
        : `write at most ${maxLength} characters`
      : "write a text; put it in quotes when it looks like a number, date or true/false";
  if (schema instanceof z.ZodNumber) {
    const { minValue, maxValue, format } = schema;
    const kind = format === null ? "number" : "whole number";
    return `write a ${kind} from ${minValue} to ${maxValue}, without quotes`;
  }
  return "write another value";
}

function describe(schema: z.core.$ZodType): string {
  const text = z.globalRegistry.get(unwrap(schema))?.description ?? "write it";
  const end = text.indexOf(". ");
  const sentence = end === -1 ? text.replace(/\.$/, "") : text.slice(0, end);
  // `Where copies are kept` goes on in lower case, `ScaiVault path` and `AWS region` do not.
  return /^[A-Z][a-z]*\b/.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;
}

function alternatives(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} or ${names.at(-1) ?? ""}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
