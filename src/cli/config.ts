import {
  AWS_SECRET_VARIABLE,
  type AwsLogin,
  type AwsSecretLocation,
  type Config,
  CONFIG_FILE_VARIABLE,
  DEFAULT_AWS_SECRET,
  isAwsRegion,
  parseAwsSecretRef,
} from "../config/index.ts";
import { errorCode, SyncError } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";
import { configurationFacts } from "../support/index.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { configFileOf, configOf, configOption, isConfig } from "./run.ts";
import { textOption } from "./status.ts";

/** The secret that a command works on, and how it is reached. */
export interface ConnectionPlace {
  readonly secret: AwsSecretLocation;
  /** Proxy, CA and so on; absent: none of them, for a workstation without the operator's file. */
  readonly config: Config | undefined;
}

/** A connection as it was typed; `init` checks it. */
export interface GivenConnection {
  readonly url: string;
  readonly tokenURL?: string | undefined;
  readonly clientID?: string | undefined;
  readonly clientSecret?: SecretValue | undefined;
  readonly token?: SecretValue | undefined;
  readonly scope?: string | undefined;
  readonly tenantID?: string | undefined;
  readonly ca?: string | undefined;
}

/** What the secret holds; nothing of it is a value. */
export interface ShownSecret {
  readonly secret: string;
  readonly region: string;
  readonly version: string;
  /** `Empty`: `{}`, not initialised yet. */
  readonly state: "Connection" | "Empty" | "Invalid";
  /** Values are `[redacted]`. */
  readonly connection?: Readonly<Record<string, string>>;
  readonly problems?: readonly string[];
}

/** What a write came to. */
export interface WrittenSecret {
  readonly secret: string;
  readonly region: string;
  /** The version that is current now. */
  readonly version: string;
  /** False: it was so before, and nothing was written. */
  readonly changed: boolean;
  /** Whom ScaiVault knows the connection as; absent without a check. */
  readonly identity?: string;
}

/** The work itself. All throw SyncError: with what to do, and nothing was changed. */
export interface ConnectionWork {
  show(place: ConnectionPlace, io: CommandIO): Promise<ShownSecret>;
  init(
    place: ConnectionPlace,
    given: GivenConnection,
    options: { readonly force: boolean; readonly check: boolean },
    io: CommandIO,
  ): Promise<WrittenSecret>;
  clear(place: ConnectionPlace, io: CommandIO): Promise<WrittenSecret>;
}

const description =
  "The connection to ScaiVault can be kept in one secret of AWS Secrets Manager (scaivault.connectionFrom.awsSecret). " +
  "init asks ScaiVault whether it accepts a connection and writes it; show prints it without values; clear makes the secret {}. " +
  "The secret is never made and never deleted: make it with aws secretsmanager create-secret --secret-string '{}'. " +
  "Region, proxy, CA and AWS login are those of the configuration file where there is one, unless a flag says otherwise. " +
  "Of two writers at a time one wins, and the other is told and changes nothing. " +
  "Exit codes: 0 done, 2 the secret holds no usable connection (show), 1 it could not be done, 64 wrong usage.";

const option = (name: string, flags: string, text: string) => ({ name, flags, description: text });

/** `config init|show|clear`. */
export function configCommand(work: ConnectionWork): CommandDefinition {
  return {
    name: "config",
    summary: "Writes, shows or clears the ScaiVault connection in its AWS secret.",
    description,
    examples: [
      "scaivault-operator config init --url https://scaivault.scailabs.ai --token-file ./token --region eu-central-1",
      "scaivault-operator config init --url https://scaivault.scailabs.ai --token-url https://scaikey.scailabs.ai/oauth/token --client-id operator --client-secret-file -",
      "scaivault-operator config show -o json",
      "scaivault-operator config clear --yes",
    ],
    arguments: [{ name: "action", description: "init, show or clear", required: true }],
    options: [
      option("secret", "--secret <name>", "name, id or ARN of the AWS secret"),
      option("region", "--region <region>", "region of the AWS secret"),
      {
        ...option("credentials", "--credentials <mode>", "whose rights are used at AWS"),
        choices: ["InstanceRole", "Default", "Profile", "Explicit"],
      },
      option("profile", "--profile <name>", "AWS profile; with --credentials Profile, which it implies"),
      option("url", "--url <url>", "init: base URL of ScaiVault"),
      option("tokenFile", "--token-file <file>", "init: file with a ScaiVault token; - for standard input"),
      option("tokenUrl", "--token-url <url>", "init: OAuth2 token endpoint"),
      option("clientId", "--client-id <id>", "init: client id"),
      option(
        "clientSecretFile",
        "--client-secret-file <file>",
        "init: file with the client secret; - for standard input",
      ),
      option("scope", "--scope <scopes>", "init: scopes to ask for, separated by spaces"),
      option("tenantId", "--tenant-id <id>", "init: tenant to work in"),
      option("caFile", "--ca-file <file>", "init: PEM of the authorities that ScaiVault's certificate may come from"),
      option("force", "--force", "init: write over what the secret holds"),
      option("check", "--no-check", "init: do not ask ScaiVault first"),
      option("all", "--all", "show: the whole effective configuration too"),
      option("yes", "--yes", "clear: really"),
      configOption,
    ],
    handler: (args, io) => handle(work, args, io),
  };
}

const usage = (message: string): CommandResult => ({
  exitCode: exitCodes.usage,
  data: { error: { reason: "InvalidSpec", message } },
  text: message,
});
const isResult = (value: object): value is CommandResult => "exitCode" in value;

const ofInit = ["url", "tokenFile", "tokenUrl", "clientId", "clientSecretFile", "scope", "tenantId", "caFile", "force"];

async function handle(work: ConnectionWork, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const [action = ""] = args.positionals;
  const wrong = wrongUsage(action, args);
  if (wrong !== undefined) return usage(wrong);
  const place = await placeOf(args, io);
  if (isResult(place)) return place;
  try {
    if (action === "show") return shown(await work.show(place, io), args, place);
    if (action === "clear") return cleared(await work.clear(place, io));
    const given = await connectionOf(args, io);
    if (typeof given === "string") return usage(given);
    const { force, check } = args.options;
    return written(await work.init(place, given, { force: force === true, check: check !== false }, io), place);
  } catch (error) {
    return failedResult(error);
  }
}

/** What is wrong with the action and the flags that stand beside it. */
function wrongUsage(action: string, { options }: CommandArguments): string | undefined {
  if (action !== "init" && action !== "show" && action !== "clear")
    return "write config init, config show or config clear";
  const foreign = ofInit.some((name) => options[name] !== undefined) || options["check"] === false;
  if (action !== "init" && foreign) return `flags of the connection go with config init, not with config ${action}`;
  if (action === "clear" && options["yes"] !== true)
    return "config clear takes the connection away from every operator that reads this secret; write --yes to do it";
  return undefined;
}

/** Flags go before the file; without a file the flags are all there is. */
async function placeOf(args: CommandArguments, io: CommandIO): Promise<ConnectionPlace | CommandResult> {
  const config = await configIfThere(args, io);
  if (config !== undefined && !isConfig(config)) return config;
  const secret = secretOf(args, configuredSecret(config, io));
  return typeof secret === "string" ? usage(secret) : { config, secret };
}

/** A file that was named has to be there; the one at the usual place may be missing. */
async function configIfThere(args: CommandArguments, io: CommandIO): Promise<Config | CommandResult | undefined> {
  const named = args.options["config"] !== undefined || io.environment[CONFIG_FILE_VARIABLE] !== undefined;
  const there =
    named ||
    (await io.readFile(configFileOf(args, io)).then(
      () => true,
      () => false,
    ));
  return there ? configOf(args, io) : undefined;
}

/** The secret that is meant when no flag says otherwise. */
function configuredSecret(config: Config | undefined, io: CommandIO): AwsSecretLocation {
  const auth = config?.scaivault?.auth;
  if (auth?.method === "AwsSecret") return auth.secret;
  const name = io.environment[AWS_SECRET_VARIABLE] ?? DEFAULT_AWS_SECRET;
  return { name, intervalMs: 0, credentials: { mode: "Default" } };
}

/** The secret that the flags name, or what is wrong with them. */
function secretOf(args: CommandArguments, base: AwsSecretLocation): AwsSecretLocation | string {
  const name = textOption(args, "secret") ?? base.name;
  const ref = parseAwsSecretRef(name);
  if (ref === undefined) return "--secret: write the name of a secret, its id, or its ARN";
  const asked = textOption(args, "region");
  if (asked !== undefined && !isAwsRegion(asked)) return "--region: write a region, such as eu-central-1";
  if (asked !== undefined && ref.region !== undefined && asked !== ref.region)
    return "--region: write the region of the ARN, or leave it out";
  const region = ref.region ?? asked ?? base.region;
  const credentials = loginOf(args, base.credentials);
  if (typeof credentials === "string") return credentials;
  return { name, ...(region === undefined ? {} : { region }), intervalMs: base.intervalMs, credentials };
}

function loginOf(args: CommandArguments, base: AwsLogin): AwsLogin | string {
  const profile = textOption(args, "profile");
  const mode = textOption(args, "credentials") ?? (profile === undefined ? undefined : "Profile");
  if (profile !== undefined && mode !== "Profile") return "--profile goes with --credentials Profile";
  if (mode === undefined || (mode === base.mode && profile === undefined)) return base;
  if (mode === "Profile") return profile === undefined ? "--credentials Profile needs --profile" : { mode, profile };
  return { mode: mode as "InstanceRole" | "Default" | "Explicit" };
}

async function connectionOf(args: CommandArguments, io: CommandIO): Promise<GivenConnection | string> {
  const [url, tokenFile, secretFile] = [
    textOption(args, "url"),
    textOption(args, "tokenFile"),
    textOption(args, "clientSecretFile"),
  ];
  if (url === undefined) return "--url is missing: the base URL of ScaiVault";
  if ((tokenFile === undefined) === (secretFile === undefined))
    return "write --token-file, or --token-url with --client-id and --client-secret-file";
  const ca = textOption(args, "caFile");
  return {
    url,
    tokenURL: textOption(args, "tokenUrl"),
    clientID: textOption(args, "clientId"),
    scope: textOption(args, "scope"),
    tenantID: textOption(args, "tenantId"),
    token: tokenFile === undefined ? undefined : SecretValue.fromText(await fileText(tokenFile, "--token-file", io)),
    clientSecret:
      secretFile === undefined
        ? undefined
        : SecretValue.fromText(await fileText(secretFile, "--client-secret-file", io)),
    ca: ca === undefined ? undefined : await fileText(ca, "--ca-file", io),
  };
}

/** A value never stands on a command line, which everybody on the machine can see and shells keep. */
async function fileText(path: string, flag: string, io: CommandIO): Promise<string> {
  let text: string;
  try {
    text = (path === "-" ? await io.readStdin() : await io.readFile(path)).trim();
  } catch (error) {
    throw new SyncError("InvalidSpec", `${flag}: ${path} cannot be read (${errorCode(error) ?? "unknown error"})`);
  }
  if (text === "") throw new SyncError("InvalidSpec", `${flag}: ${path === "-" ? "standard input" : path} is empty`);
  return text;
}

function shown(found: ShownSecret, args: CommandArguments, { config }: ConnectionPlace): CommandResult {
  const { secret, region, version, state, connection = {}, problems = [] } = found;
  const all = args.options["all"] === true && config !== undefined ? configurationFacts(config) : undefined;
  const lines = [`AWS secret ${secret} in ${region}, ${version === "" ? "without a version" : `version ${version}`}`];
  if (state === "Empty") lines.push("not initialised yet: write the connection with config init");
  if (state === "Invalid") lines.push("not valid; write it anew with config init --force");
  lines.push(...problems.map((problem) => `  ${problem}`));
  lines.push(...Object.entries(connection).map(([name, value]) => `  ${name.padEnd(13)} ${value}`));
  if (all !== undefined)
    lines.push(
      "configuration:",
      ...JSON.stringify(all, null, 2)
        .split("\n")
        .map((line) => `  ${line}`),
    );
  return {
    exitCode: state === "Connection" ? exitCodes.ok : exitCodes.changes,
    data: { ...found, ...(all === undefined ? {} : { configuration: all }) },
    text: lines.join("\n"),
  };
}

function written(done: WrittenSecret, { config }: ConnectionPlace): CommandResult {
  const { secret, region, version, changed, identity } = done;
  const lines = [
    changed
      ? `wrote the connection into the AWS secret ${secret} in ${region}, version ${version}`
      : `the AWS secret ${secret} in ${region} holds this connection already; nothing was written`,
    identity === undefined ? "ScaiVault was not asked (--no-check)" : `ScaiVault accepts it as ${identity}`,
  ];
  if (config !== undefined && config.scaivault?.auth.method !== "AwsSecret")
    lines.push("the configuration file does not read it yet: write scaivault.connectionFrom.awsSecret there");
  return { exitCode: exitCodes.ok, data: done, text: lines.join("\n") };
}

function cleared(done: WrittenSecret): CommandResult {
  const { secret, region, version, changed } = done;
  const text = changed
    ? `the AWS secret ${secret} in ${region} is {} now, version ${version}; running operators keep what they read until they restart`
    : `the AWS secret ${secret} in ${region} is {} already; nothing was written`;
  return { exitCode: exitCodes.ok, data: done, text };
}
