/** A Vault server in production mode (file storage, so that it survives seal, kill and restart) on loopback. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Binary } from "./binaries.ts";
import { writePair, type CertificateAuthority } from "./certificates.ts";
import { call } from "./http.ts";
import { freePort, loopback } from "./ports.ts";
import { createProgram, type Program } from "./process.ts";
import { vaultClient, type VaultClient, type VaultFacts } from "./vault-client.ts";

/** A running Vault. */
export interface Vault {
  readonly facts: VaultFacts;
  readonly client: VaultClient;
  /** Kill, pause, restart. After a restart Vault is sealed, as in production: `client.unseal()`. */
  readonly program: Program;
  stop(): Promise<void>;
}

/** What a Vault is started with. */
export interface VaultOptions {
  readonly folder: string;
  readonly binary: Binary;
  readonly authority: CertificateAuthority;
  /** Host names beside loopback that its certificate is valid for. */
  readonly names?: readonly string[];
}

/** Starts, initialises and unseals a Vault; turns its file audit device on. @throws ProgramFailed */
export async function startVault(options: VaultOptions): Promise<Vault> {
  const { folder, authority } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const pair = authority.issue({
    commonName: "vault",
    names: [loopback, "::1", "localhost", ...(options.names ?? [])],
  });
  const { certFile, keyFile } = writePair(join(folder, "certificates"), "vault", pair);
  const caFile = join(folder, "certificates", "ca.crt");
  writeFileSync(caFile, authority.cert);
  const [port, clusterPort, plainPort] = [await freePort(), await freePort(), await freePort()];
  const url = `https://${loopback}:${port}`;
  const plainUrl = `http://${loopback}:${plainPort}`;
  const config = {
    storage: { file: { path: join(folder, "data") } },
    listener: [
      {
        tcp: {
          address: `${loopback}:${port}`,
          cluster_address: `${loopback}:${clusterPort}`,
          tls_cert_file: certFile,
          tls_key_file: keyFile,
        },
      },
      {
        tcp: {
          address: `${loopback}:${plainPort}`,
          cluster_address: `${loopback}:${await freePort()}`,
          tls_disable: true,
        },
      },
    ],
    api_addr: url,
    cluster_addr: `https://${loopback}:${clusterPort}`,
    disable_mlock: true,
    ui: false,
    log_level: "warn",
    default_lease_ttl: "768h",
    max_lease_ttl: "768h",
  };
  const configFile = join(folder, "config.json");
  writeFileSync(configFile, JSON.stringify(config, null, 2), { mode: 0o600 });
  const health = (): ReturnType<typeof call> =>
    call({ url: `${url}/v1/sys/health?standbyok=true`, ca: authority.cert, timeoutMs: 1_000 });
  const program = createProgram({
    name: "vault",
    file: options.binary.path,
    args: ["server", `-config=${configFile}`],
    logFile: join(folder, "vault.log"),
    // Vault reads VAULT_* of its surroundings; ours must not depend on them.
    env: { VAULT_ADDR: undefined, VAULT_TOKEN: undefined, VAULT_NAMESPACE: undefined, VAULT_API_ADDR: undefined },
    // 501: not initialised, 503: sealed. Both mean that it serves.
    ready: async () => [200, 429, 501, 503].includes((await health()).status),
  });
  await program.start();
  try {
    const initialised = await call({
      method: "PUT",
      url: `${url}/v1/sys/init`,
      ca: authority.cert,
      body: { secret_shares: 1, secret_threshold: 1 },
      timeoutMs: 30_000,
    });
    const keys = initialised.json<{ keys_base64?: string[]; root_token?: string }>();
    if (keys.root_token === undefined || keys.keys_base64?.[0] === undefined)
      throw new Error(`Vault did not initialise: ${initialised.status}`);
    const auditFile = join(folder, "audit.log");
    const facts: VaultFacts = {
      url,
      plainUrl,
      caFile,
      rootToken: keys.root_token,
      unsealKey: keys.keys_base64[0],
      auditFile,
    };
    const client = vaultClient(facts);
    await client.unseal();
    const audited = await client.request("PUT", "sys/audit/file", { type: "file", options: { file_path: auditFile } });
    if (audited.status >= 300)
      throw new Error(`Vault refused the audit device: ${audited.status} ${audited.text.trim()}`);
    return { facts, client, program, stop: () => program.stop() };
  } catch (error) {
    await program.kill();
    throw error;
  }
}
