/** `npm run scaivault`: the reference server alone, until Ctrl-C. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { systemClock } from "../src/time/clock.ts";
import { readBackup, writeBackup } from "./backup/command.ts";
import type { BackupFlags } from "./backup/command.ts";
import { ApiError } from "./errors.ts";
import { writePrivateFile } from "./private-file.ts";
import { applySeed } from "./seed.ts";
import { startServer } from "./server.ts";
import type { AccessLine, ScaiVaultServer, ServerOptions } from "./server.ts";

interface Flags {
  readonly host: string;
  readonly port: number;
  readonly data?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly allowHost: readonly string[];
  readonly seed?: string;
  readonly adminPort?: number;
  readonly adminTokenFile?: string;
  readonly endpointOverride: Readonly<Record<string, string>>;
  readonly federationCa?: string;
  readonly accessLog?: boolean;
  readonly iKnow?: boolean;
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new InvalidArgumentError("a port is a number from 0 (any free port) to 65535");
  return port;
}

/** The command line; without `backup` and `restore` it is the server. */
function command(): Command {
  const program = new Command("scaivault")
    .description("ScaiVault reference server: for trying workflows on one machine, not for keeping real secrets")
    .option("--port <number>", "port to listen on, 0 for a free one", portNumber, 8443)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--i-know", "allow an address that other machines can reach")
    .option("--data <file>", "keep secrets and audit rows in this SQLite file (unencrypted); without it, in memory")
    .option("--token-file <file>", "write the token of this start to this file")
    .option("--seed <file>", "JSON file with identities, policies and secrets to start with")
    .option("--tls-cert <file>", "PEM certificate chain; with --tls-key the server speaks HTTPS")
    .option("--tls-key <file>", "PEM private key")
    .option("--allow-host <name>", "host name besides loopback that requests may name", collect, [])
    .option("--admin-port <number>", "open the admin port on 127.0.0.1, 0 for a free port", portNumber)
    .option("--admin-token-file <file>", "write the admin port's token to this file")
    .option("--endpoint-override <host=url>", "ask this URL when a federation backend names the host", override, {})
    .option("--federation-ca <file>", "PEM authorities that federation backends' certificates may come from besides")
    .option("--access-log", "print one line per request to standard error")
    .option("--json", "print one JSON line about the start instead of text")
    .action((_flags, self: Command) => serve(self.opts<Flags>()));
  const place = (name: string, text: string): Command =>
    program
      .command(`${name} <file>`)
      .description(text)
      .option("--data <file>", "the data file of a server")
      .option("--admin-url <url>", "instead of --data: the admin port of a running server")
      .option("--admin-token-file <file>", "file with the admin port's token");
  place("backup", "write all data, values too, to a file that only its owner can read").action(
    (file: string, _flags, self: Command) => writeBackup(file, self.optsWithGlobals<BackupFlags>(), systemClock.now()),
  );
  place("restore", "replace all data by a backup's").action((file: string, _flags, self: Command) =>
    readBackup(file, self.optsWithGlobals<BackupFlags>()),
  );
  return program;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function override(value: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const at = value.indexOf("=");
  const url = URL.parse(value.slice(at + 1));
  if (at < 1 || url === null || !/^https?:$/.test(url.protocol))
    throw new InvalidArgumentError("an override is a host name, =, and a URL");
  return { ...before, [value.slice(0, at)]: url.origin };
}

function toOptions(flags: Flags): ServerOptions {
  if ((flags.tlsCert === undefined) !== (flags.tlsKey === undefined))
    throw new Error("--tls-cert and --tls-key go together");
  return {
    host: flags.host,
    port: flags.port,
    allowedHosts: flags.allowHost,
    allowNonLoopback: flags.iKnow === true,
    federation: {
      overrides: flags.endpointOverride,
      ...(flags.federationCa === undefined ? {} : { ca: readFileSync(flags.federationCa, "utf8") }),
    },
    ...(flags.data === undefined ? {} : { dataFile: flags.data }),
    ...(flags.adminPort === undefined ? {} : { adminPort: flags.adminPort }),
    ...(flags.tlsCert === undefined || flags.tlsKey === undefined
      ? {}
      : { tls: { cert: readFileSync(flags.tlsCert, "utf8"), key: readFileSync(flags.tlsKey, "utf8") } }),
    ...(flags.accessLog === true ? { onAccess: printAccess } : {}),
  };
}

function printAccess(line: AccessLine): void {
  const who = line.identity ?? "-";
  console.error(`${line.status} ${line.method} ${line.path} ${who} ${line.requestId} ${line.durationMs.toFixed(1)}ms`);
}

/** Where tokens go when no file was named: a private folder that is removed at the end. */
function privateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "scaivault-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function announce(server: ScaiVaultServer, flags: Flags): void {
  let folder: string | undefined;
  const place = (named: string | undefined, name: string, token: string): string => {
    const file = named ?? join((folder ??= privateFolder()), name);
    writePrivateFile(file, `${token}\n`);
    return file;
  };
  const tokenFile = place(flags.tokenFile, "token", server.token);
  const port = server.adminPort;
  const adminTokenFile = port === undefined ? undefined : place(flags.adminTokenFile, "admin-token", port.token);
  if (flags.json === true) {
    console.log(
      JSON.stringify({ url: server.url, tokenFile, tenantId: server.tenantId, adminUrl: port?.url, adminTokenFile }),
    );
    return;
  }
  console.log(`ScaiVault reference server at ${server.url}`);
  console.log(`  token:  ${tokenFile} (new at each start)`);
  console.log(`  data:   ${flags.data ?? "in memory, gone when it ends"}`);
  if (port !== undefined) console.log(`  admin:  ${port.url}, token ${adminTokenFile ?? ""}`);
  console.log("Try:");
  console.log(`  export SCAIVAULT_URL=${server.url} SCAIVAULT_TOKEN="$(cat ${tokenFile})"`);
  console.log('  curl -H "Authorization: Bearer $SCAIVAULT_TOKEN" "$SCAIVAULT_URL/v1/auth/whoami"');
  console.log("Ctrl-C ends it.");
}

async function serve(flags: Flags): Promise<void> {
  const server = await startServer(toOptions(flags));
  const end = (): void => void server.stop().then(() => process.exit(0));
  // Launchers pass signals on, so one Ctrl-C can arrive twice: the handler stays.
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  try {
    if (flags.seed !== undefined) applySeed(server.admin, readFileSync(flags.seed, "utf8"));
    announce(server, flags);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

command()
  .parseAsync()
  .catch((error: unknown) => {
    const details = error instanceof ApiError ? ` ${JSON.stringify(error.details ?? {})}` : "";
    const taken = (error as { code?: unknown } | null)?.code === "EADDRINUSE";
    const message = taken
      ? "the port is taken; name another with --port"
      : error instanceof Error
        ? error.message
        : "failed";
    console.error(`scaivault: ${message}${details}`);
    process.exitCode = 1;
  });
