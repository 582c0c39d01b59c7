import { SyncError } from "../../errors/index.ts";
import { SecretValue } from "../../model/index.ts";
import { NetError, unavailable } from "../../net/index.ts";
import type { Clock } from "../../time/clock.ts";
import { aborted } from "../limits.ts";
import { bodyOf, errorText, objectOf, storeWide, unusable } from "./answers.ts";
import type { VaultAnswer, VaultAPI } from "./api.ts";
import type { Segments } from "./paths.ts";

/** How a backend authenticates at Vault. */
export type VaultAuth =
  | {
      readonly kind: "AppRole";
      /** Where the method is mounted, `approle` by default; may have several segments. */
      readonly mount: string;
      readonly roleID: SecretValue;
      readonly secretID: SecretValue;
    }
  | { readonly kind: "Token"; readonly token: SecretValue };

/** A token and what is known of its life. Times are those of the monotonic clock. */
interface Lease {
  readonly token: SecretValue;
  /** Made by our login, so it is ours to revoke and to replace. */
  readonly own: boolean;
  gotAtMs: number;
  /** Infinity: it does not end, or nobody told. */
  ttlMs: number;
  renewable: boolean;
  /** When it was last seen to be good although something was refused. */
  confirmedAtMs: number;
}

const MIN_TTL_MS = 10_000;
const FIRST_COOLDOWN_MS = 5_000;
const LONGEST_COOLDOWN_MS = 60_000;
const CONFIRMED_MS = 30_000;
const self = ["auth", "token"] as const;

export interface TokenKeeperOptions {
  readonly auth: VaultAuth;
  /** The login's mount as segments; checked. */
  readonly mount: Segments;
  readonly api: VaultAPI;
  readonly clock: Clock;
  /** For the jitter of renewals; default Math.random. */
  readonly random?: (() => number) | undefined;
  readonly throttled: (adviceMs: number | undefined) => number;
}

/**
 * Keeps one good token for one identity: logs in once for all who wait, renews at two thirds of the life, logs in anew
 * when renewal no longer prolongs (the maximum is near) or the token is refused, and revokes what it made.
 */
export class TokenKeeper {
  readonly #options: TokenKeeperOptions;
  readonly #stop = new AbortController();
  #lease: Lease | undefined;
  #running: Promise<Lease> | undefined;
  #cancelTimer: () => void = () => undefined;
  #refusal: { error: SyncError; untilMs: number; nextMs: number } | undefined;
  #checking: Promise<boolean> | undefined;

  constructor(options: TokenKeeperOptions) {
    this.#options = options;
  }

  /**
   * A token that is good as far as is known.
   * @throws SyncError LoginFailed (kept for 5 to 60 s, so that many waiting objects do not become many logins) or store-wide
   */
  async token(signal: AbortSignal): Promise<SecretValue> {
    if (signal.aborted || this.#stop.signal.aborted) throw aborted("log in");
    const lease = this.#lease;
    if (lease !== undefined && this.#usable(lease)) return lease.token;
    const refusal = this.#refusal;
    if (refusal !== undefined && this.#now() < refusal.untilMs) throw refusal.error;
    this.#running ??= this.#begin().finally(() => (this.#running = undefined));
    return (await orAborted(this.#running, signal)).token;
  }

  /**
   * Vault has answered 403 to this token. Tells whether another try can help: the token was bad and there is or will be
   * a new one.
   * @throws SyncError LoginFailed when the token is bad and there is no way to another one
   */
  async refused(token: SecretValue, answer: VaultAnswer, signal: AbortSignal): Promise<boolean> {
    const lease = this.#lease;
    if (lease?.token !== token) return true;
    const now = this.#now();
    if (!errorText(answer).includes("invalid token")) {
      if (now - lease.confirmedAtMs < CONFIRMED_MS) return false;
      this.#checking ??= this.#stillGood(lease).finally(() => (this.#checking = undefined));
      if (await orAborted(this.#checking, signal)) {
        lease.confirmedAtMs = now;
        return false;
      }
    }
    this.#drop(lease);
    if (!lease.own)
      throw this.#refuse(
        new SyncError("LoginFailed", "Vault refuses the token", { action: "use the token", code: "403" }),
      );
    return true;
  }

  /** Revokes a token of our own login and ends the timer. */
  async close(): Promise<void> {
    this.#cancelTimer();
    const lease = this.#lease;
    this.#lease = undefined;
    this.#stop.abort();
    if (lease?.own !== true) return;
    try {
      // Not our stop signal: it has just been raised.
      await this.#options.api.write(
        self,
        ["revoke-self"],
        {},
        { token: lease.token, signal: AbortSignal.timeout(3_000) },
      );
    } catch {
      // It ends by itself.
    }
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  /** Our own tokens are replaced a little before they end, others are used to the end. */
  #usable(lease: Lease): boolean {
    return this.#now() - lease.gotAtMs < lease.ttlMs * (lease.own ? 0.9 : 1);
  }

  async #begin(): Promise<Lease> {
    try {
      const { auth } = this.#options;
      if (auth.kind === "Token" && this.#lease !== undefined)
        throw new SyncError("LoginFailed", "the token has expired", { action: "use the token" });
      const lease = auth.kind === "Token" ? await this.#lookUp(auth.token) : await this.#login(auth);
      this.#lease = lease;
      this.#refusal = undefined;
      this.#arm(lease);
      return lease;
    } catch (error) {
      const known = error instanceof NetError ? unavailable(error, "SourceUnavailable", "log in") : error;
      if (known instanceof SyncError && known.reason === "LoginFailed") this.#refuse(known);
      throw known;
    }
  }

  #refuse(error: SyncError): SyncError {
    const nextMs = this.#refusal?.nextMs ?? FIRST_COOLDOWN_MS;
    this.#refusal = { error, untilMs: this.#now() + nextMs, nextMs: Math.min(nextMs * 2, LONGEST_COOLDOWN_MS) };
    return error;
  }

  async #login(auth: Extract<VaultAuth, { kind: "AppRole" }>): Promise<Lease> {
    const action = "log in";
    const role = auth.roleID.text();
    const secret = auth.secretID.text();
    if (role === undefined || secret === undefined)
      throw new SyncError("CredentialInvalid", "role_id and secret_id must be text", { action });
    const { api, mount } = this.#options;
    const answer = await api.write(
      ["auth", ...mount],
      ["login"],
      { role_id: role, secret_id: secret },
      { signal: this.#stop.signal },
    );
    this.#throwStoreWide(answer, action);
    if (answer.status !== 200)
      throw new SyncError("LoginFailed", "Vault refuses the AppRole login", { action, code: String(answer.status) });
    const given = objectOf(bodyOf(answer)["auth"]);
    const token = given["client_token"];
    if (typeof token !== "string" || token === "") throw unusable(action, "no token in the answer");
    return this.#leaseOf(SecretValue.fromText(token), true, given["lease_duration"], given["renewable"]);
  }

  /** A given token is looked up once; one without the right to do so is taken as it is. */
  async #lookUp(token: SecretValue): Promise<Lease> {
    const action = "look the token up";
    const answer = await this.#options.api.read(self, ["lookup-self"], { token, signal: this.#stop.signal });
    this.#throwStoreWide(answer, action);
    if (answer.status === 403 && !errorText(answer).includes("invalid token"))
      return this.#leaseOf(token, false, 0, false);
    if (answer.status !== 200)
      throw new SyncError("LoginFailed", "Vault refuses the token", { action, code: String(answer.status) });
    const data = objectOf(bodyOf(answer)["data"]);
    return this.#leaseOf(token, false, data["ttl"], data["renewable"]);
  }

  #leaseOf(token: SecretValue, own: boolean, seconds: unknown, renewable: unknown): Lease {
    return {
      token,
      own,
      gotAtMs: this.#now(),
      ttlMs: ttlOf(seconds),
      renewable: renewable === true,
      confirmedAtMs: Number.NEGATIVE_INFINITY,
    };
  }

  #throwStoreWide(answer: VaultAnswer, action: string): void {
    const error = storeWide(answer, action, this.#options.clock.now(), this.#options.throttled);
    if (error !== undefined) throw error;
    if (answer.status === 500) throw unusable(action, "HTTP 500");
  }

  /** Sets the timer of the next renewal: two thirds of the life, up to a tenth earlier. */
  #arm(lease: Lease): void {
    this.#cancelTimer();
    if (!lease.renewable || lease.ttlMs === Infinity) return;
    const jitter = 1 - (this.#options.random ?? Math.random)() * 0.1;
    this.#timer(lease, (lease.ttlMs * 2 * jitter) / 3);
  }

  #timer(lease: Lease, ms: number): void {
    this.#cancelTimer = this.#options.clock.setTimeout(() => void this.#renew(lease), ms, { unref: true });
  }

  async #renew(lease: Lease): Promise<void> {
    if (this.#lease !== lease || this.#stop.signal.aborted) return;
    const leftMs = (): number => lease.ttlMs - (this.#now() - lease.gotAtMs);
    const before = leftMs();
    const askedAtMs = this.#now();
    let answer: VaultAnswer | undefined;
    try {
      answer = await this.#options.api.write(
        self,
        ["renew-self"],
        {},
        { token: lease.token, signal: this.#stop.signal },
      );
    } catch {
      answer = undefined;
    }
    if (this.#lease !== lease) return;
    if (answer?.status === 200) {
      const given = objectOf(bodyOf(answer)["auth"]);
      const ttlMs = ttlOf(given["lease_duration"]);
      // Near the maximum a renewal gives less and less: the rest is used up, then we log in anew.
      const grows = ttlMs > before + 1_000 && ttlMs >= lease.ttlMs / 2;
      lease.gotAtMs = askedAtMs;
      lease.ttlMs = ttlMs;
      lease.renewable = given["renewable"] === true && grows;
      this.#arm(lease);
    } else if (answer !== undefined && [400, 403, 404].includes(answer.status)) {
      lease.renewable = false;
      if (errorText(answer).includes("invalid token") && lease.own) this.#drop(lease);
    } else if (leftMs() > lease.ttlMs / 10) {
      this.#timer(lease, Math.max(1_000, leftMs() / 4));
    }
  }

  /** @returns whether lookup-self still takes the token */
  async #stillGood(lease: Lease): Promise<boolean> {
    const action = "look the token up";
    let answer: VaultAnswer;
    try {
      answer = await this.#options.api.read(self, ["lookup-self"], { token: lease.token, signal: this.#stop.signal });
    } catch (error) {
      throw error instanceof NetError ? unavailable(error, "SourceUnavailable", action) : error;
    }
    this.#throwStoreWide(answer, action);
    if (answer.status === 200) return true;
    if (errorText(answer).includes("invalid token")) return false;
    // A token without the default policy may not look itself up. Ours is replaced when it is not brand new; a given
    // one has to be taken as good.
    return lease.own ? this.#now() - lease.gotAtMs < CONFIRMED_MS : true;
  }

  #drop(lease: Lease): void {
    if (this.#lease !== lease) return;
    this.#cancelTimer();
    this.#lease = undefined;
  }
}

/** Seconds of a server as a life in milliseconds; 0 is a token without end, nonsense is the shortest life. */
function ttlOf(seconds: unknown): number {
  if (seconds === 0) return Infinity;
  const ms = typeof seconds === "number" && Number.isFinite(seconds) ? seconds * 1_000 : MIN_TTL_MS;
  return Math.max(MIN_TTL_MS, ms);
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(aborted("log in"));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
