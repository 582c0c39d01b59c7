import * as z from "zod";
import { described, durationRules, matches, type Rule, rule } from "../api/index.ts";

// What the schema of the configuration file is made of.

export const text = (description: string, max = 512, rules: readonly Rule[] = []): z.ZodString =>
  described(z.string().min(1).max(max), description, rules);
export const flag = (description: string): z.ZodBoolean => described(z.boolean(), description);
export const list = <S extends z.ZodType>(item: S, description: string, max = 1000) =>
  described(z.array(item).max(max), description, [], { "x-kubernetes-list-type": "set" });
export const number = (description: string, min: number, max: number): z.ZodInt =>
  described(z.int().min(min).max(max), description);
export const duration = (description: string, min: string, max: string): z.ZodString =>
  text(description, 32, durationRules(min, max));

/** A rule that only `check` asks; the configuration has no API server. */
export const own = <T>(id: string, message: string, at: readonly string[], test: (self: T) => boolean): Rule =>
  rule<T>({ id, cel: "", message, at, test });

export const has = (object: object | undefined, key: string): boolean =>
  (object as Record<string, unknown> | undefined)?.[key] !== undefined;
export const countOf = (self: object, keys: readonly string[]): number => keys.filter((key) => has(self, key)).length;

export const file = (description: string): z.ZodString =>
  text(description, 4096, [
    matches("absolute-file", "^/[^\\x00-\\x1f]*$", "write an absolute path, such as /etc/scaivault-operator/token"),
  ]);

const urlRule = matches(
  "https-url",
  "^https?://[A-Za-z0-9.:\\[\\]-]+(/[A-Za-z0-9._~/-]*)?$",
  "write a URL such as https://scaivault.scailabs.ai, without user, password, `?` or `#`",
);
export const url = (description: string): z.ZodString => text(description, 512, [urlRule]);
