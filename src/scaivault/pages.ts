import * as z from "zod";
import { SyncError } from "../errors/index.ts";
import type { Caller, ScaiVaultCall } from "./caller.ts";
import type { CallContext } from "./types.ts";
import { checked, readJSON } from "./wire.ts";

const pageEnd = z.object({ cursor: z.string().nullish(), has_more: z.boolean().nullish() });
const pageBody = z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]);
/** More than any page holds. */
const MAX_ENTRIES = 10_000;

/** One page of a listing. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page begins; undefined at the end. */
  readonly cursor: string | undefined;
}

/** A listing: the array stands under one of several names, and may be the answer itself. */
export interface Listing<Entry, T> {
  readonly call: Omit<ScaiVaultCall, "path">;
  /** Without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly keys: readonly string[];
  readonly entry: z.ZodType<Entry>;
  readonly read: (entry: Entry) => T;
}

/**
 * One page, which begins at the cursor.
 * @param more reads what else stands in the answer
 * @throws SyncError
 */
export async function onePage<Entry, T>(
  caller: Caller,
  listing: Listing<Entry, T>,
  cursor: string | undefined,
  context: CallContext,
  more?: (body: Uint8Array) => void,
): Promise<Page<T>> {
  const query = new URLSearchParams(listing.query);
  if (cursor !== undefined) query.set("cursor", cursor);
  const text = query.toString();
  const path = text === "" ? listing.path : `${listing.path}?${text}`;
  const { action } = listing.call;
  const answer = await caller.call({ ...listing.call, path }, context);
  const body = readJSON(pageBody, answer.body, action);
  const found = Array.isArray(body) ? body : listing.keys.map((key) => body[key]).find((value) => value !== undefined);
  const entries = checked(z.array(listing.entry).max(MAX_ENTRIES), found, action);
  const end = Array.isArray(body) ? {} : checked(pageEnd, body, action);
  more?.(answer.body);
  return { items: entries.map(listing.read), cursor: nextCursor(end) };
}

/** `has_more: false` ends the listing whatever the cursor says. */
function nextCursor({ cursor, has_more }: z.infer<typeof pageEnd>): string | undefined {
  return has_more === false || cursor === null || cursor === "" ? undefined : cursor;
}

/** All pages. A server whose cursors go round in circles is no listing. @throws SyncError */
export async function* allPages<Entry, T>(
  caller: Caller,
  listing: Listing<Entry, T>,
  context: CallContext,
): AsyncGenerator<readonly T[]> {
  const seen = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await onePage(caller, listing, cursor, context);
    yield page.items;
    cursor = page.cursor;
    const { action } = listing.call;
    if (cursor !== undefined && seen.has(cursor))
      throw new SyncError("ScaiVaultUnavailable", `ScaiVault's listing goes round in circles (${action})`, { action });
    if (cursor !== undefined) seen.add(cursor);
  } while (cursor !== undefined);
}
