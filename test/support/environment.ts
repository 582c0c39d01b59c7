/** The shared environment, as tests see it. */
import { readFileSync } from "node:fs";
import { inject } from "vitest";
import { startAsmProxy, type AsmProxy } from "../../local/asm-proxy.ts";
import { loadAuthority, type CertificateAuthority } from "../../local/certificates.ts";
import { controlPlaneClient, type ControlPlaneClient } from "../../local/control-plane-client.ts";
import type { EnvironmentFacts, HarnessObjects } from "../../local/environment.ts";
import { remoteObjects, type RemoteObjects } from "../../local/remote.ts";
import { federationNetwork, startScaiVault, type ScaiVaultPart } from "../../local/scaivault.ts";
import { vaultClient, type VaultClient } from "../../local/vault-client.ts";
import type { ServerOptions } from "../../scaivault-server/server.ts";
import type { Clock } from "../../src/time/clock.ts";
import "./global-setup.ts";

/** Typed handles on the shared environment. */
export interface TestEnvironment {
  readonly facts: EnvironmentFacts;
  readonly kube: ControlPlaneClient;
  readonly vault: VaultClient;
  /** The shared AWS emulator's URL; its counters and faults are `remote.asm`. */
  readonly asmUrl: string;
  readonly scaivaultUrl: string;
  readonly scaivaultToken: string;
  /** Objects of the process that started the environment: `programs`, `asm`, `scaivault`, `scaivaultServer`. */
  readonly remote: RemoteObjects<Required<HarnessObjects>>;
  /**
   * A proxy of this test's own on the shared moto, in this process: own account (so nothing is shared), own clock, own counters.
   * The test stops it.
   */
  ownAsm(options?: { clock?: Clock }): Promise<AsmProxy>;
  /**
   * A reference server of this test's own, in this process: empty, own clock, own limits, TLS under the environment's authority
   * (for plain HTTP use `startServer`). Its federation reaches the shared Vault as `vault.internal` and the shared AWS emulator by
   * AWS's names; `federationNetwork` makes settings for an emulator of the test's own. The test stops it.
   */
  ownScaiVault(options?: ServerOptions): Promise<ScaiVaultPart>;
  /** The authority of all servers here. */
  readonly authority: CertificateAuthority;
}

let accounts = 0;

/** A twelve-digit account that no other test uses. */
function freshAccount(): string {
  accounts += 1;
  return `2${String(process.pid % 10_000_000).padStart(7, "0")}${String(accounts).padStart(4, "0")}`;
}

function present<T>(part: T | undefined, name: string): T {
  if (part === undefined) throw new Error(`The environment of this run was started without ${name}.`);
  return part;
}

/** The environment of this worker. Several workers never use the same one at a time. */
function ofThisWorker(): EnvironmentFacts {
  const worker = Number(process.env["VITEST_POOL_ID"] ?? 1);
  return present(inject("environments")[worker - 1], `a part for worker ${worker}`);
}

/** The shared environment, or one of a test's own. Only in the project `integration`. */
export function testEnvironment(own?: EnvironmentFacts): TestEnvironment {
  const facts = own ?? ofThisWorker();
  const asm = present(facts.asm, "asm");
  const scaivault = present(facts.scaivault, "scaivault");
  const authority = loadAuthority({
    cert: readFileSync(facts.caFile, "utf8"),
    key: readFileSync(facts.caKeyFile, "utf8"),
  });
  return {
    facts,
    kube: controlPlaneClient(present(facts.controlPlane, "control-plane")),
    vault: vaultClient(present(facts.vault, "vault")),
    asmUrl: asm.url,
    scaivaultUrl: scaivault.url,
    scaivaultToken: scaivault.token,
    remote: remoteObjects<Required<HarnessObjects>>(facts.harness),
    authority,
    ownAsm: (options = {}) => startAsmProxy({ motoUrl: asm.motoUrl, account: freshAccount(), authority, ...options }),
    ownScaiVault: (options = {}) =>
      startScaiVault({
        authority,
        federation: federationNetwork({ vault: facts.vault?.url, asm: asm.tlsUrl }, authority.cert),
        ...options,
      }),
  };
}
