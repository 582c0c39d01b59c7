/** `npm run conformance`: which documented facts and which assumptions hold for a ScaiVault at some URL. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { systemClock } from "../../src/time/clock.ts";
import type { Extras } from "./check.ts";
import { Client } from "./client.ts";
import { runChecks } from "./run.ts";
import type { CheckResult, Report } from "./run.ts";

interface Flags {
  readonly url: string;
  readonly tokenFile: string;
  readonly prefix: string;
  readonly ca?: string;
  readonly limitedTokenFile?: string;
  readonly tokenUrl?: string;
  readonly clientId?: string;
  readonly clientSecretFile?: string;
  readonly exhaust?: boolean;
  readonly json?: boolean;
}

const marks = { holds: "holds        ", "does not hold": "DOES NOT HOLD", "not checked": "not checked  " } as const;

function parseFlags(): Flags {
  return new Command("conformance")
    .description(
      "Checks documented facts and assumptions against a ScaiVault; writes below the prefix only and cleans up",
    )
    .requiredOption("--url <url>", "base URL")
    .requiredOption("--token-file <file>", "file with a bearer token")
    .requiredOption("--prefix <path>", "path prefix to write below, such as scratch/")
    .option("--ca <file>", "PEM certificate authority besides the system's")
    .option("--limited-token-file <file>", "token of the same tenant without secrets:write, for the check of scopes")
    .option("--token-url <url>", "token endpoint, with --client-id and --client-secret-file")
    .option("--client-id <id>", "client for the token endpoint")
    .option("--client-secret-file <file>", "secret of that client")
    .option("--exhaust", "allow using up the rate limit of audit queries")
    .option("--json", "print the report as JSON")
    .parse()
    .opts<Flags>();
}

function secretFrom(file: string): string {
  return readFileSync(file, "utf8").trim();
}

function extrasOf(flags: Flags): Extras {
  const { tokenUrl, clientId, clientSecretFile } = flags;
  return {
    ...(flags.limitedTokenFile === undefined ? {} : { limitedToken: secretFrom(flags.limitedTokenFile) }),
    ...(tokenUrl === undefined || clientId === undefined || clientSecretFile === undefined
      ? {}
      : { oauth: { tokenUrl, clientId, clientSecret: secretFrom(clientSecretFile) } }),
    ...(flags.exhaust === true ? { exhaust: true } : {}),
  };
}

function printLine(result: CheckResult): void {
  const source = result.source === undefined ? "" : ` [${result.source}]`;
  console.log(
    `${marks[result.outcome]} ${result.kind.padEnd(10)} ${result.section.padEnd(4)} ${result.id}: ${result.text}${source}`,
  );
  if (result.reason !== undefined) console.log(`              ${result.reason}`);
}

function printTotals(report: Report): void {
  for (const kind of ["fact", "assumption"] as const) {
    const count = (outcome: CheckResult["outcome"]): number =>
      report.results.filter((result) => result.kind === kind && result.outcome === outcome).length;
    console.log(
      `${kind}s: ${count("holds")} hold, ${count("does not hold")} do not hold, ${count("not checked")} not checked`,
    );
  }
  for (const path of report.leftBehind) console.log(`left behind: ${path}`);
}

async function run(): Promise<void> {
  const flags = parseFlags();
  const client = new Client({
    url: flags.url,
    token: secretFrom(flags.tokenFile),
    clock: systemClock,
    onWait: (seconds) => console.error(`rate limit: waiting ${seconds} s`),
    ...(flags.ca === undefined ? {} : { ca: readFileSync(flags.ca, "utf8") }),
  });
  const abort = new AbortController();
  process.on("SIGINT", () => abort.abort());
  process.on("SIGTERM", () => abort.abort());
  try {
    const report = await runChecks({
      client,
      prefix: flags.prefix,
      extras: extrasOf(flags),
      signal: abort.signal,
      ...(flags.json === true ? {} : { onResult: printLine }),
    });
    if (flags.json === true) console.log(JSON.stringify(report, undefined, 2));
    else printTotals(report);
    process.exitCode = report.ok && !abort.signal.aborted ? 0 : 1;
  } finally {
    await client.close();
  }
}

run().catch((error: unknown) => {
  // Messages of the HTTP client can hold what was sent, so only its code is printed.
  const code = (error as { code?: unknown } | null)?.code;
  const known = error instanceof Error && typeof code !== "string" ? error.message : String(code);
  console.error(`conformance: ${known}`);
  process.exitCode = 1;
});
