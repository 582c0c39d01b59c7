import type { Clock } from "../../src/time/clock.ts";
import { EXCHANGE_REFUSED } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import type { ExchangeMapping, ExchangeTrust } from "../settings.ts";
import { decodeJwt, keyOfPem, keysOfJwks, verifyJwt } from "./jwt.ts";
import type { DecodedJwt, VerificationKey } from "./jwt.ts";

interface Trusted {
  readonly trust: ExchangeTrust;
  readonly keys: readonly VerificationKey[];
}

/** Seconds that a foreign clock may be off. */
const skewSeconds = 30;

/** Foreign issuers and what their subjects become. Trust is set up by the administrator, never by the request. */
export class Exchange {
  readonly #clock: Clock;
  readonly #unsignedAllowed: boolean;
  #trusted: readonly Trusted[] = [];

  /** @param unsignedAllowed whether an issuer may be trusted without signatures: on a loopback address only. */
  constructor(clock: Clock, trusts: readonly ExchangeTrust[], unsignedAllowed: boolean) {
    this.#clock = clock;
    this.#unsignedAllowed = unsignedAllowed;
    this.setTrust(trusts);
  }

  /** Replaces all trust. @throws when a key cannot be read, or unsigned tokens are not allowed. */
  setTrust(trusts: readonly ExchangeTrust[]): void {
    if (!this.#unsignedAllowed && trusts.some((trust) => trust.acceptUnsigned === true))
      throw new Error("unsigned tokens are accepted on a loopback address only");
    this.#trusted = trusts.map((trust) => ({
      trust,
      keys: [
        ...(trust.jwks === undefined ? [] : keysOfJwks(trust.jwks)),
        ...(trust.pem ?? []).map((pem) => keyOfPem(pem)),
      ],
    }));
  }

  /**
   * What the bearer of a foreign token may become.
   * @param role identity asked for, when the request names one.
   * @throws ApiError as the assumption `exchange-refused` says.
   */
  resolve(subjectToken: string, role: string | undefined): ExchangeMapping {
    const jwt = decodeJwt(subjectToken);
    const trusted = this.#trusted.find(({ trust }) => trust.issuer === jwt?.claims["iss"]);
    if (jwt === undefined || trusted === undefined) throw refused("untrusted");
    if (trusted.trust.acceptUnsigned !== true && !verifyJwt(jwt, trusted.keys)) throw refused("untrusted");
    this.#checkTimes(jwt);
    const audience = jwt.claims["aud"];
    const given: readonly unknown[] = Array.isArray(audience) ? audience : [audience];
    if (!(trusted.trust.audiences ?? ["scaivault"]).some((wanted) => given.includes(wanted)))
      throw refused("untrusted");
    const mappings = trusted.trust.mappings.filter((mapping) => mapping.subject === jwt.claims["sub"]);
    if (mappings.length === 0) throw refused("unmapped");
    const mapping = role === undefined ? mappings[0] : mappings.find((item) => item.identity === role);
    if (mapping === undefined) throw refused("role");
    return mapping;
  }

  #checkTimes(jwt: DecodedJwt): void {
    const now = this.#clock.now() / 1000;
    const { exp, nbf } = jwt.claims;
    if (typeof exp !== "number") throw refused("untrusted");
    if (now >= exp + skewSeconds) throw refused("expired");
    if (typeof nbf === "number" && now < nbf - skewSeconds) throw refused("untrusted");
  }
}

function refused(why: keyof typeof EXCHANGE_REFUSED): ApiError {
  return new ApiError(EXCHANGE_REFUSED[why] as ErrorCode, "the subject token is not accepted");
}
