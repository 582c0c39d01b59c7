import { SyncError } from "../errors/index.ts";
import type { SecretValue } from "../model/index.ts";
import type { TokenProvider } from "../scaivault/index.ts";
import type { FollowedConnection } from "./followed.ts";
import type { ConnectionSettings } from "./settings.ts";

/** How {@link followedTokens} logs in. */
export interface FollowedTokensOptions {
  readonly connection: FollowedConnection;
  /** Makes the login of a connection; asks nothing yet. */
  readonly make: (settings: ConnectionSettings) => TokenProvider;
  /** Asks ScaiVault whether it accepts a login. @throws SyncError when not */
  readonly verify: (tokens: TokenProvider) => Promise<void>;
}

/**
 * Tokens of a connection that may be replaced: a new one is logged in with and asked about first, and then serves all calls. Where
 * ScaiVault refuses, the secret is looked at before the call fails.
 */
export function followedTokens({ connection, make, verify }: FollowedTokensOptions): TokenProvider {
  let current = make(connection.settings);
  connection.onChange(async (settings) => {
    const next = make(settings);
    await verify(next);
    current = next;
  });
  return {
    async token(signal: AbortSignal): Promise<SecretValue> {
      try {
        return await current.token(signal);
      } catch (error) {
        const refused = error instanceof SyncError && error.reason === "ScaiVaultDenied";
        if (!refused || !(await connection.lookAfterRefusal())) throw error;
        return current.token(signal);
      }
    },
    async renew(refused: SecretValue, signal: AbortSignal): Promise<SecretValue | undefined> {
      const used = current;
      // The connection may have been replaced while the caller's request was under way.
      const now = await used.token(signal).catch(() => undefined);
      if (now !== undefined && !now.equals(refused)) return now;
      if ((await connection.lookAfterRefusal()) || current !== used) return current.token(signal);
      return current.renew(refused, signal);
    },
  };
}

/** A login by a token that never changes. */
export function fixedToken(token: SecretValue): TokenProvider {
  return { token: () => Promise.resolve(token), renew: () => Promise.resolve(undefined) };
}
