/** The store that is measured: filled and changed as its owners would, slow as a real one, broken as told, and counted. */
import { randomBytes } from "node:crypto";

/** What a store was asked since `resetCounts`, by the operator alone. */
export interface SourceSeen {
  /** Calls by kind, logins apart; those too that failed. */
  readonly calls: Readonly<Record<string, number>>;
  readonly logins: number;
  /** Secret values that left. */
  readonly valueReads: number;
  /** When the first call came, wall clock. */
  readonly firstAt: number | undefined;
}

/** Two store identities: the one that is measured, and another beside it. */
export type Identity = "store" | "other";

/** What an identity's FederationBackend needs. */
export interface BackendParts {
  /** Without `syncInterval`. */
  readonly spec: object;
  /** Data of the login Secret that `spec` names. */
  readonly login: Readonly<Record<string, string>>;
}

/** A store and what can be done to it. */
export interface SourceStage {
  /** What stands before a secret's name in `spec.source.path`. */
  readonly prefix: string;
  /** Host as specs name it to the URL on this machine. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Makes secrets `from` to `to - 1`. */
  seed(from: number, to: number, update: (text: string) => void): Promise<void>;
  /** Gives a secret a new value. @returns the version as marks name it */
  change(index: number): Promise<string>;
  /** @param login name of the Secret with the login */
  backend(identity: Identity, login: string): Promise<BackendParts>;
  /** Each call of the operator takes as long as in a data centre. */
  slow(): void;
  /** This share of the calls of `store` is throttled, evenly spread. */
  throttle(share: number): void;
  /** Each call of `store` fails with a server error. */
  fail(): void;
  /** No call of `other` is answered. */
  hangOther(): void;
  /** Calls of `other` that hang now. */
  hanging(): number;
  /** Ends `throttle`, `fail` and `hangOther`. */
  heal(): void;
  resetCounts(): void;
  /** Calls of `store` alone. */
  seen(): SourceSeen;
  /** Ends what it holds. */
  stop(): Promise<void>;
}

/** Folder of the secrets. */
export const folder = "prod/bench";

/** A new value; its length is that of a usual login. */
export const value = (): { username: string; password: string } => ({
  username: "bench",
  password: `local-${randomBytes(16).toString("hex")}`,
});

/** Latency of a call to AWS Secrets Manager inside a region, ms. */
export const asmLatencyMs = 15;
/** Latency of a call to a Vault in the same network, ms. */
export const vaultLatencyMs = 2;
/** Latency of a call to ScaiVault, ms. */
export const scaivaultLatencyMs = 10;
