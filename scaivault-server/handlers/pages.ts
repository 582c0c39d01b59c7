import { LIST_LIMITS } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import type { Call } from "../http/call.ts";
import { wholeNumber } from "./query.ts";

/**
 * One page of objects in the order in which they were made; the cursor stands for the last one's id.
 * @throws ApiError `invalid_cursor` also when the last one is gone.
 */
export function listPage<T extends { readonly id: string }>(
  call: Call,
  key: string,
  items: readonly T[],
  shown: (item: T) => unknown,
): Record<string, unknown> {
  const limit = wholeNumber(call.query, "limit", { least: 1, most: LIST_LIMITS.most }) ?? LIST_LIMITS.byDefault;
  const query = [...call.query].filter(([name]) => name !== "cursor" && name !== "limit").sort();
  const scope = JSON.stringify([call.route.pattern, call.params, call.owner, call.principal.identityId, query]);
  const last = call.app.cursors.read(scope, call.query.get("cursor"));
  const from = last === undefined ? 0 : items.findIndex(({ id }) => id === last) + 1;
  if (last !== undefined && from === 0) throw new ApiError("invalid_cursor", "the cursor's place is gone");
  const page = items.slice(from, from + limit);
  const end = page.at(-1);
  const hasMore = items.length > from + limit && end !== undefined;
  return { [key]: page.map(shown), cursor: hasMore ? call.app.cursors.issue(scope, end.id) : null, has_more: hasMore };
}
