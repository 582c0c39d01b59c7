/** The ScaiVault reference server as a part of the local environment. */
import {
  startServer,
  type OutgoingOptions,
  type ScaiVaultServer,
  type ServerOptions,
} from "../scaivault-server/server.ts";
import type { CertificateAuthority } from "./certificates.ts";
import { loopback } from "./ports.ts";

/** Where the reference server is and with what one gets in. Serialisable. */
export interface ScaiVaultFacts {
  /** `https://127.0.0.1:PORT`, certificate of the environment's authority. */
  readonly url: string;
  /** All rights. */
  readonly token: string;
  readonly tenantId: string;
  readonly partnerId: string;
}

/** A running reference server. */
export interface ScaiVaultPart {
  readonly facts: ScaiVaultFacts;
  /** Its handle: `admin` for identities, faults, counters and what is stored. */
  readonly server: ScaiVaultServer;
  stop(): Promise<void>;
}

/** Host names beside loopback that its certificate is valid for and that requests may name. */
export const scaivaultNames = ["scaivault.scailabs.ai", "localhost"];

/** Regions whose AWS host names lead to the emulator. */
const regions = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"];

/**
 * How the reference server reaches the environment's stores: by `vault.internal` and by AWS's own host names, as the
 * guides write them.
 * @param stores URLs of the parts that there are
 */
export function federationNetwork(
  stores: { readonly vault?: string | undefined; readonly asm?: string | undefined },
  ca: string,
): OutgoingOptions {
  const overrides: Record<string, string> = {};
  if (stores.vault !== undefined) overrides["vault.internal"] = stores.vault;
  if (stores.asm !== undefined)
    for (const region of regions) overrides[`secretsmanager.${region}.amazonaws.com`] = stores.asm;
  return { overrides, ca };
}

/** Starts the reference server in this process, with TLS. */
export async function startScaiVault(
  options: ServerOptions & { authority: CertificateAuthority },
): Promise<ScaiVaultPart> {
  const { authority, ...settings } = options;
  const server = await startServer({
    tls: authority.issue({ commonName: "scaivault", names: [loopback, "::1", ...scaivaultNames] }),
    allowedHosts: scaivaultNames,
    ...settings,
  });
  const { url, token, tenantId, partnerId } = server;
  return { facts: { url, token, tenantId, partnerId }, server, stop: () => server.stop() };
}
