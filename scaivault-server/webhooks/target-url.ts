import { WEBHOOK_URLS } from "../assumptions.ts";
import { validationError } from "../errors.ts";
import { isLoopback } from "../http/guard.ts";

/**
 * A URL that events may be sent to.
 * @param field name of the field for the error.
 * @throws ApiError `validation_error`, without the URL.
 */
export function checkTargetUrl(text: string, field: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url?.protocol === "http:" && WEBHOOK_URLS.plainToLoopback && isLoopback(bare(url.hostname));
  const clean = url !== undefined && url.username === "" && url.password === "" && url.hash === "";
  if (url === undefined || !clean || (url.protocol !== "https:" && !plain))
    throw validationError({
      [field]: "must be an https URL, or http to a loopback address, without user and fragment",
    });
  return url.href;
}

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, "");
