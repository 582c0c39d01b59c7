import { assumption } from "../assumptions.ts";
import type { Scope } from "../auth/principal.ts";
import type { Section } from "../sections.ts";
import type { Client, Reply } from "./client.ts";

/** What a check works with. All that it writes lies below `path()`, which remembers it for the cleaning up. */
export interface CheckContext {
  readonly client: Client;
  /** A secret path of this run that nothing else uses; `suffix` may hold more segments. */
  path(suffix: string): string;
  /** Something to be taken away at the end of the run, before the paths; `what` is reported when that fails. */
  later(what: string, work: () => Promise<Reply>): void;
  /** What the caller knows of its own token. */
  readonly whoami: Readonly<Record<string, unknown>>;
  readonly extras: Extras;
}

/** What some checks need besides a token. */
export interface Extras {
  /** A token of the same tenant without the scope `secrets:write`. */
  readonly limitedToken?: string;
  /** A client for the token endpoint. */
  readonly oauth?: { readonly tokenUrl: string; readonly clientId: string; readonly clientSecret: string };
  /** Use a rate limit up on purpose (audit queries, the smallest one). */
  readonly exhaust?: boolean;
}

/** One documented fact or one assumption, and how to see whether it holds. */
export interface Check {
  readonly id: string;
  readonly section: Section;
  readonly kind: "fact" | "assumption";
  /** The sentence that is checked. */
  readonly text: string;
  /** Page of the documentation that a fact comes from. */
  readonly source?: string;
  readonly scopes: readonly Scope[];
  /** Throws `DoesNotHold` or `CannotCheck`. */
  readonly run: (context: CheckContext) => Promise<void>;
}

/** The server answered otherwise. The message names statuses, codes and fields, never values. */
export class DoesNotHold extends Error {}

/** This token or this server does not let us see it. */
export class CannotCheck extends Error {}

/** A check of a documented fact. */
export function fact(
  id: string,
  section: Section,
  source: string,
  text: string,
  scopes: readonly Scope[],
  run: Check["run"],
): Check {
  return { id, section, kind: "fact", text, source, scopes, run };
}

/** A check of an entry of `assumptions.ts`; section and sentence come from there. */
export function assumed(id: string, scopes: readonly Scope[], run: Check["run"]): Check {
  const { section, sentence } = assumption(id);
  return { id, section, kind: "assumption", text: sentence, scopes, run };
}

export function holds(condition: boolean, otherwise: string): void {
  if (!condition) throw new DoesNotHold(otherwise);
}

/** Compares things that may be printed: statuses, codes, counts, names. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected)
    throw new DoesNotHold(`${what} is ${JSON.stringify(actual) ?? "absent"}, not ${JSON.stringify(expected)}`);
}

export function status(reply: Reply, expected: number, what: string): void {
  if (reply.status !== expected) throw new DoesNotHold(`${what} answers ${describe(reply)}, not ${expected}`);
}

/** An error envelope with this status and code. */
export function refused(reply: Reply, expected: number, code: string, what: string): void {
  const actual = at(reply.json, "error", "code");
  if (reply.status !== expected || actual !== code)
    throw new DoesNotHold(`${what} answers ${describe(reply)}, not ${expected} ${code}`);
}

/** Preparation that must work for the check to say anything. */
export function prepared(reply: Reply, what: string): Reply {
  if (reply.status >= 300) throw new CannotCheck(`${what} answers ${describe(reply)}`);
  return reply;
}

function describe(reply: Reply): string {
  const code = at(reply.json, "error", "code");
  return typeof code === "string" ? `${reply.status} ${code}` : String(reply.status);
}

/** A member deep in a JSON value, undefined when the way does not exist. */
export function at(value: unknown, ...keys: readonly (string | number)[]): unknown {
  let here = value;
  for (const key of keys) {
    if (typeof here !== "object" || here === null) return undefined;
    here = (here as Record<string | number, unknown>)[key];
  }
  return here;
}

/** A list deep in a JSON value. */
export function listAt(value: unknown, ...keys: readonly (string | number)[]): readonly unknown[] {
  const found = at(value, ...keys);
  if (!Array.isArray(found)) throw new DoesNotHold(`${keys.join(".")} is not a list`);
  return found;
}

/** Equal JSON values, whatever the order of keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson(at(a, key), at(b, key)))
  );
}
