import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { CURSOR_LIFETIME_MS } from "../assumptions.ts";
import { ApiError } from "../errors.ts";

/** Opaque cursors: a position bound to the query and caller it was made for, with a lifetime. */
export class Cursors {
  readonly #clock: Clock;
  readonly #key = randomBytes(32);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param scope everything that must be the same on the next page. */
  issue(scope: string, position: string): string {
    const body = Buffer.from(JSON.stringify([this.#clock.now(), position])).toString("base64url");
    return `${body}.${this.#mac(scope, body)}`;
  }

  /** The position, undefined on the first page. @throws ApiError `invalid_cursor`. */
  read(scope: string, cursor: string | null): string | undefined {
    if (cursor === null || cursor === "") return undefined;
    const [body, mac] = cursor.split(".");
    if (body === undefined || mac !== this.#mac(scope, body))
      throw new ApiError("invalid_cursor", "not a cursor of this query");
    const [issuedAt, position] = JSON.parse(Buffer.from(body, "base64url").toString()) as [number, string];
    if (this.#clock.now() - issuedAt > CURSOR_LIFETIME_MS)
      throw new ApiError("invalid_cursor", "the cursor has expired");
    return position;
  }

  #mac(scope: string, body: string): string {
    return createHmac("sha256", this.#key).update(`${scope}\n${body}`).digest("base64url");
  }
}
