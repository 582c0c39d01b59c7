import { randomBytes } from "node:crypto";
import { assumptions } from "../assumptions.ts";
import type { Scope } from "../auth/principal.ts";
import { at, CannotCheck, DoesNotHold } from "./check.ts";
import type { Check, CheckContext, Extras } from "./check.ts";
import { checks as allChecks } from "./checks/all.ts";
import type { Client, Reply } from "./client.ts";

/** How one check came out. */
export interface CheckResult {
  readonly id: string;
  readonly section: string;
  readonly kind: "fact" | "assumption";
  readonly text: string;
  readonly source: string | undefined;
  readonly outcome: "holds" | "does not hold" | "not checked";
  /** Why not; statuses, codes and names only. */
  readonly reason: string | undefined;
}

export interface Report {
  readonly results: readonly CheckResult[];
  /** Paths below the prefix, and names of other things, that could not be removed. */
  readonly leftBehind: readonly string[];
  /** Whether no fact failed and at least one was checked. */
  readonly ok: boolean;
}

export interface RunOptions {
  readonly client: Client;
  /** Path prefix that everything is written below, such as `scratch/`. */
  readonly prefix: string;
  readonly extras?: Extras;
  readonly checks?: readonly Check[];
  /** Stops before the next check; cleaning up still happens. */
  readonly signal?: AbortSignal;
  readonly onResult?: (result: CheckResult) => void;
}

/** Runs checks one after another and cleans up behind itself. */
export async function runChecks(options: RunOptions): Promise<Report> {
  const folder = `${checkedPrefix(options.prefix)}conformance-${randomBytes(4).toString("hex")}`;
  const written = new Set<string>();
  const later = new Map<string, () => Promise<Reply>>();
  const whoami = await options.client.get("/v1/auth/whoami");
  if (whoami.status === 401) throw new Error(`the token is not accepted: ${String(at(whoami.json, "error", "code"))}`);
  const context: CheckContext = {
    client: options.client,
    extras: options.extras ?? {},
    whoami: (typeof whoami.json === "object" && whoami.json !== null ? whoami.json : {}) as Record<string, unknown>,
    path: (suffix) => {
      const path = `${folder}/${suffix}`;
      written.add(path);
      return path;
    },
    later: (what, work) => void later.set(what, work),
  };
  const results: CheckResult[] = [];
  try {
    for (const check of options.checks ?? allChecks) {
      if (options.signal?.aborted === true) break;
      const result = await runOne(check, context);
      results.push(result);
      options.onResult?.(result);
    }
    if (options.checks === undefined && options.signal?.aborted !== true) {
      for (const result of withoutCheck()) {
        results.push(result);
        options.onResult?.(result);
      }
    }
  } finally {
    await takeAway(later);
    await cleanUp(options.client, written);
  }
  const facts = results.filter((result) => result.kind === "fact");
  return {
    results,
    leftBehind: [...later.keys(), ...written],
    ok:
      facts.some((result) => result.outcome === "holds") && facts.every((result) => result.outcome !== "does not hold"),
  };
}

/** The assumptions that no check looks at, so that a report leaves none out. */
function withoutCheck(): CheckResult[] {
  const checked = new Set(allChecks.filter((check) => check.kind === "assumption").map((check) => check.id));
  return assumptions()
    .filter(({ id }) => !checked.has(id))
    .map(({ id, section, sentence }) => ({
      id,
      section,
      kind: "assumption",
      text: sentence,
      source: undefined,
      outcome: "not checked",
      reason: "there is no check for it",
    }));
}

function checkedPrefix(prefix: string): string {
  if (!/^(?:[a-z0-9_-]+\/){1,5}$/.test(prefix) || prefix.length > 100)
    throw new Error("the prefix must be one to five segments of a-z, 0-9, - and _, each with a / behind it");
  return prefix;
}

async function runOne(check: Check, context: CheckContext): Promise<CheckResult> {
  const base = { id: check.id, section: check.section, kind: check.kind, text: check.text, source: check.source };
  const missing = missingScope(check.scopes, context.whoami);
  if (missing !== undefined) return { ...base, outcome: "not checked", reason: `the token lacks ${missing}` };
  try {
    await check.run(context);
    return { ...base, outcome: "holds", reason: undefined };
  } catch (error) {
    if (error instanceof DoesNotHold) return { ...base, outcome: "does not hold", reason: error.message };
    if (error instanceof CannotCheck) return { ...base, outcome: "not checked", reason: error.message };
    // A foreign message could quote an answer, so only its code is told.
    const code = at(error, "code");
    return { ...base, outcome: "not checked", reason: `no answer (${typeof code === "string" ? code : "failure"})` };
  }
}

/** A server that does not tell the scopes is asked anyway. */
function missingScope(needed: readonly Scope[], whoami: unknown): Scope | undefined {
  const granted = at(whoami, "scopes");
  if (!Array.isArray(granted) || granted.includes("admin")) return undefined;
  return needed.find((scope) => !granted.includes(scope));
}

/** Takes away what is no secret; what is gone leaves the map. */
async function takeAway(later: Map<string, () => Promise<Reply>>): Promise<void> {
  for (const [what, work] of [...later].reverse()) {
    try {
      const { status } = await work();
      if (status < 300 || status === 404) later.delete(what);
    } catch {
      // Stays in the map and is reported.
    }
  }
}

/** Removes what was written, for good where the server lets us; what is gone leaves the set. */
async function cleanUp(client: Client, written: Set<string>): Promise<void> {
  for (const path of [...written]) {
    try {
      const permanent = await client.delete(`/v1/secrets/${path}?permanent=true`);
      const done = permanent.status < 300 || permanent.status === 404 || permanent.status === 400;
      const soft = done ? permanent : await client.delete(`/v1/secrets/${path}`);
      if (soft.status < 300 || soft.status === 404 || soft.status === 400) written.delete(path);
    } catch {
      // Stays in the set and is reported.
    }
  }
}
