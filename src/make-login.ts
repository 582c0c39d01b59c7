/** Logins to ScaiVault with a connection out of a secret of AWS. */
import { type ConnectionSettings, fixedToken, type FollowedConnection, followedTokens } from "./connection/index.ts";
import { SyncError } from "./errors/index.ts";
import { SecretValue } from "./model/index.ts";
import type { Network } from "./net/index.ts";
import { clientCredentials, type ScaiVaultClient, type TokenProvider } from "./scaivault/index.ts";
import type { Clock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

/** A URL of the configuration as the address that is connected to, checked, and the path there (without a slash at its end). */
export function place(network: Network, text: string): { readonly url: URL; readonly path: string } {
  const { origin, pathname } = new URL(text);
  return { url: network.endpoint(origin), path: pathname.replace(/\/$/, "") };
}

interface LoginParts {
  readonly network: Network;
  readonly clock: Clock;
  readonly onFailure?: (error: SyncError) => void;
}

/** The login of a connection that is followed. @throws SyncError InvalidSpec when it was not loaded */
export function followedLogin(
  connection: FollowedConnection | undefined,
  parts: LoginParts & {
    /** A client that uses these tokens, and else is as the operator's own. */
    readonly clientWith: (tokens: TokenProvider) => ScaiVaultClient;
  },
): TokenProvider {
  if (connection === undefined) throw new SyncError("InvalidSpec", "the connection in the AWS secret was not read");
  const { signal } = new AbortController();
  return followedTokens({
    connection,
    make: (settings) => loginOf(settings, parts),
    async verify(tokens) {
      await parts.clientWith(tokens).whoami({ signal, lane: "user" });
    },
  });
}

/** The login of a connection out of a secret of AWS. */
export function loginOf({ login, ca }: ConnectionSettings, { network, clock, onFailure }: LoginParts): TokenProvider {
  if (login.method === "Token") return fixedToken(login.token);
  const { url, path } = place(network, login.tokenURL);
  const fixed = (value: SecretValue) => ({ read: () => Promise.resolve(value), readNow: () => Promise.resolve(value) });
  return clientCredentials({
    clock,
    userAgent: `scaivault-operator/${VERSION}`,
    onFailure,
    http: network.open({ url, ...(ca === undefined ? {} : { ca }) }, 2),
    tokenPath: path,
    clientID: fixed(SecretValue.fromText(login.clientID)),
    clientSecret: fixed(login.clientSecret),
    clientAuth: "Form",
    ...(login.scope === undefined ? {} : { scope: login.scope }),
  });
}
