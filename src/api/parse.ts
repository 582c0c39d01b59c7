import type * as z from "zod";
import { check, type SchemaProblem } from "./check.ts";
import { type FederationBackend, federationBackend } from "./federation-backend.ts";
import { type SecretSync, secretSync } from "./secret-sync.ts";

export type ParseResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly SchemaProblem[]; readonly message: string };

/**
 * An object from the cluster. Unknown members are dropped (a newer CRD may have them); everything else must fit,
 * although the API server has checked it: an object may be older than its CRD.
 */
export function parseFederationBackend(value: unknown): ParseResult<FederationBackend> {
  return parse(federationBackend, value);
}

/** See {@link parseFederationBackend}. */
export function parseSecretSync(value: unknown): ParseResult<SecretSync> {
  return parse(secretSync, value);
}

function parse<S extends z.ZodType>(schema: S, value: unknown): ParseResult<z.infer<S>> {
  const problems = check(schema, value);
  if (problems.length === 0) {
    const parsed = schema.safeParse(dropNulls(value));
    if (parsed.success) return { ok: true, value: parsed.data };
  }
  const first = problems[0];
  const message =
    first === undefined
      ? "the object does not fit the schema"
      : `${first.path.join(".")}: ${first.message}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ""}`;
  return { ok: false, problems, message };
}

/** The API server prunes nulls; so do we. */
function dropNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null && item !== undefined)
      .map(([key, item]) => [key, dropNulls(item)]),
  );
}
