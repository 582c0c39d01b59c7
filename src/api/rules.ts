import type * as z from "zod";

/**
 * One validation rule, said once for everybody: `cel` goes into the CRD and is checked by the API server, `test` is the
 * same in TypeScript for `validate`, and both show `message`. test/integration/api proves on a real API server that the
 * two agree.
 */
export interface Rule {
  /** Stable name, such as `source-path-or-subtree`; the code of a finding. */
  readonly id: string;
  readonly cel: string;
  /** One line that says what to write instead. */
  readonly message: string;
  /** Child of the checked value that the message is about, as in CEL's `fieldPath` but in segments. */
  readonly at: readonly string[];
  /** How the API server words it: `Invalid value: "x": message`, `Forbidden: message` or `Required value: message`. */
  readonly reason: "FieldValueInvalid" | "FieldValueForbidden" | "FieldValueRequired";
  /** True when the rule compares with the stored object (`oldSelf`); such rules hold on updates only. */
  readonly transition: boolean;
  /** True when the value obeys the rule. May throw or answer anything for values that do not fit the schema. */
  readonly test: (self: unknown, oldSelf: unknown) => boolean;
}

interface RuleOptions<T> {
  readonly id: string;
  readonly cel: string;
  readonly message: string;
  readonly at?: readonly string[];
  readonly reason?: Rule["reason"];
  readonly test: (self: T, oldSelf: T) => boolean;
}

/** A rule on a value of type `T`. */
export function rule<T>(options: RuleOptions<T>): Rule {
  const { id, cel, message, at = [], reason = "FieldValueInvalid", test } = options;
  const unchecked = test as (self: unknown, oldSelf: unknown) => boolean;
  return { id, cel, message, at, reason, transition: cel.includes("oldSelf"), test: unchecked };
}

/** Text as a CEL string literal. */
export function celString(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** The expression of a pattern that the API server reads as well; written for RE2, so without JavaScript's shorthands. */
export function compile(pattern: string): RegExp {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  const expression = new RegExp(pattern);
  compiled.set(pattern, expression);
  return expression;
}
const compiled = new Map<string, RegExp>();

/**
 * A rule that a text matches `pattern`: linear in RE2 (API server) and in JavaScript alike. The text is checked by CEL
 * and not by the schema's own `pattern`, whose message would show the expression instead of saying what to write.
 */
export function matches(id: string, pattern: string, message: string): Rule {
  const expression = compile(pattern);
  return rule<string>({
    id,
    cel: `self.matches(${celString(pattern)})`,
    message,
    test: (self) => expression.test(self),
  });
}

/** The opposite of {@link matches}. */
export function matchesNot(id: string, pattern: string, message: string): Rule {
  const expression = compile(pattern);
  return rule<string>({
    id,
    cel: `!self.matches(${celString(pattern)})`,
    message,
    test: (self) => !expression.test(self),
  });
}

const rulesBySchema = new WeakMap<z.core.$ZodType, readonly Rule[]>();

/** The rules that were put on this very schema with {@link withRules}. */
export function rulesOf(schema: z.core.$ZodType): readonly Rule[] {
  return rulesBySchema.get(schema) ?? [];
}

/** The schema with a description, Kubernetes keywords and rules. Nothing may be chained to it but `.optional()`. */
export function described<S extends z.ZodType>(
  schema: S,
  description: string,
  rules: readonly Rule[] = [],
  keywords: Readonly<Record<string, unknown>> = {},
): S {
  const validations = rules.map((r) => ({
    rule: r.cel,
    message: r.message,
    ...(r.reason === "FieldValueInvalid" ? {} : { reason: r.reason }),
    ...(r.at.length === 0 ? {} : { fieldPath: r.at.map((name) => `.${name}`).join("") }),
  }));
  const result = schema.meta({
    description,
    ...keywords,
    ...(validations.length === 0 ? {} : { "x-kubernetes-validations": validations }),
  });
  rulesBySchema.set(result, rules);
  return result;
}
