import { UNKNOWN_ROUTE } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { Route } from "./call.ts";

/** A route that fits, with what its placeholders stand for. */
export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
  /** Tenant of a `/v1/t/{tenant_id}/` prefix. */
  readonly tenant: string | undefined;
  readonly partnerWide: boolean;
}

interface Compiled {
  readonly route: Route;
  readonly segments: readonly string[];
}

/** Finds routes by method and path; the first that fits wins. */
export class Router {
  readonly #routes: readonly Compiled[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.pattern.split("/").slice(1) }));
  }

  /** @throws ApiError `not_found`, `method_not_allowed`. */
  find(method: string, path: string): Match {
    let segments = path.split("/").slice(1);
    let tenant: string | undefined;
    let partnerWide = false;
    if (segments[0] === "v1" && segments[1] === "t" && segments.length > 3) {
      tenant = decodeSegment(segments[2] as string);
      segments = ["v1", ...segments.slice(3)];
    } else if (segments[0] === "v1" && segments[1] === "partner" && segments[2] === "secrets") {
      partnerWide = true;
      segments = ["v1", ...segments.slice(2)];
    }
    let otherMethod = false;
    for (const { route, segments: pattern } of this.#routes) {
      const params = fit(pattern, segments);
      if (params === undefined) continue;
      if (route.method === method) return { route, params, tenant, partnerWide };
      otherMethod = true;
    }
    throw new ApiError(
      (otherMethod ? UNKNOWN_ROUTE.method.code : UNKNOWN_ROUTE.path.code) as ErrorCode,
      otherMethod ? "the endpoint does not have this method" : "no such endpoint",
    );
  }
}

function fit(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  const rest = pattern.findIndex((part) => part.endsWith("+}"));
  if (rest < 0 ? pattern.length !== segments.length : segments.length < pattern.length) return undefined;
  const behind = rest < 0 ? 0 : pattern.length - rest - 1;
  for (const [index, part] of pattern.entries()) {
    // Parts behind the long placeholder are counted from the end.
    const at = rest >= 0 && index > rest ? segments.length - (pattern.length - index) : index;
    const segment = segments[at] as string;
    if (index === rest) params[part.slice(1, -2)] = segments.slice(rest, segments.length - behind).join("/");
    else if (part.startsWith("{")) params[part.slice(1, -1)] = decodeSegment(segment);
    else if (part !== segment) return undefined;
  }
  return params;
}

/** Percent-decoding of one segment; what cannot be decoded stays as it is. Secret paths are never decoded. */
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
