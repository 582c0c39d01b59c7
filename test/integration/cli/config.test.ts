/**
 * The operator's own connection in a secret of AWS: `config init|show|clear` as people start them, what a start says when the
 * secret is not right, and a connection that is replaced while the operator works.
 */
import { createServer, type Server } from "node:http";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AccessKey } from "../../../local/asm-proxy.ts";
import { loadConfig } from "../../../src/config/index.ts";
import { openConnection } from "../../../src/connect.ts";
import { createLogger } from "../../../src/telemetry/index.ts";
import { readPages } from "../../docs/markdown.ts";
import { type IamPolicy, statementsOf, withoutAction } from "../../docs/policies.ts";
import { copyOf, expectCopies } from "../../faults/support.ts";
import { Harness, REGION, verdict } from "../../support/operator.ts";
import { Program, type Ran } from "./support.ts";

const SECRET = "scaivault-operator-config";
const URL_OF_SCAIVAULT = "https://scaivault.scailabs.ai";
const TOKEN_URL = `${URL_OF_SCAIVAULT}/oauth/token`;
const scopes = ["secrets:read", "secrets:write", "secrets:delete", "secrets:list"];
const rules = [{ path_pattern: "**", permissions: ["read", "write", "delete", "list"] as const }];
const seed = { accessKeyId: "AKIASEEDSEEDSEEDSEED", principalArn: "arn:aws:iam::123456789012:user/seed" };
const own = { AWS_ACCESS_KEY_ID: "AKIACONFIGCONFIGCONF", AWS_SECRET_ACCESS_KEY: "config-secret" };

let op: Harness<"team">;
let ns: string;
let program: Program;
const texts: string[] = [];

beforeAll(async () => {
  [op, program] = await Promise.all([Harness.prepare({ namespaces: ["team"] }), Program.build()]);
  ns = op.ns.team;
  op.otherTexts.push(() => [["commands", texts.join("\n")]]);
}, 300_000);
afterAll(async () => {
  op?.asm.setKeys(null);
  await op?.stop();
  await program?.close();
});

const admin = () => op.scaivault.server.admin;
const connectionFrom = (awsSecret: object = {}) => ({
  ...op.file,
  scaivault: { connectionFrom: { awsSecret: { region: REGION, ...awsSecret } }, news: "Polling" },
});
let files = 0;
const configFile = (awsSecret: object = {}, more: object = {}) =>
  program.write(`config-${(files += 1)}.json`, { ...connectionFrom(awsSecret), ...more });

async function run(
  args: readonly string[],
  options: { env?: Record<string, string>; stdin?: string } = {},
): Promise<Ran> {
  const ran = await program.run(args, { ...options, env: { ...own, ...options.env } });
  texts.push(ran.stdout, ran.stderr);
  return ran;
}
const config = (
  args: readonly string[],
  options: { env?: Record<string, string>; stdin?: string; file?: string } = {},
) => run(["config", ...args, "-c", options.file ?? configFile()], options);
const json = <T = Record<string, unknown>>(ran: Ran): T => JSON.parse(ran.stdout) as T;

/** A token that ScaiVault knows; a canary would not be one. */
const newToken = (identity: string): string => admin().createToken({ identity, scopes, rules });
const newClient = (identity: string) => admin().createClient({ identity, scopes, rules });

/** No value of a connection stands in what the commands printed. */
function expectNowhere(...values: readonly string[]): void {
  for (const value of values) expect(texts.join("\n").includes(value)).toBe(false);
}

const tokenFile = (token: string): string => program.write(`token-${(files += 1)}`, `${token}\n`);
const initToken = (token: string, ...more: string[]) =>
  config(["init", "--url", URL_OF_SCAIVAULT, "--token-file", tokenFile(token), ...more]);
const stored = async (name = SECRET): Promise<unknown> => JSON.parse((await op.aws.read(name)) ?? "null");

describe("config init, show and clear", () => {
  beforeEach(() => op.aws.put(SECRET, "{}"));

  it("goes round: empty, written once, shown without values, refused, written over, cleared", async () => {
    const [first, second] = [newToken("sa:first"), newToken("sa:second")];
    const empty = await config(["show"]);
    expect(empty).toMatchObject({ code: 2, stderr: "" });
    expect(empty.stdout).toContain("not initialised yet: write the connection with config init");

    const done = await initToken(first);
    expect(done, done.stdout).toMatchObject({ code: 0, stderr: "" });
    expect(done.stdout).toContain(`wrote the connection into the AWS secret ${SECRET} in ${REGION}, version `);
    expect(done.stdout).toContain("ScaiVault accepts it as sa:first in tenant ");
    expect(await stored()).toEqual({ url: URL_OF_SCAIVAULT, token: first });

    const again = await initToken(first, "-o", "json");
    expect(again.code).toBe(0);
    const show = await config(["show", "-o", "json"]);
    expect(json(again)).toMatchObject({ changed: false, version: json(show)["version"] });
    expect(show.code).toBe(0);
    expect(json(show)).toEqual({
      secret: SECRET,
      region: REGION,
      version: json(again)["version"],
      state: "Connection",
      connection: { url: URL_OF_SCAIVAULT, token: "[redacted]" },
    });

    const refused = await initToken(second);
    expect(refused).toMatchObject({ code: 1, stderr: "" });
    expect(refused.stdout).toBe(
      `the AWS secret ${SECRET} holds another connection already; see config show; --force writes over it\n`,
    );
    expect(await stored()).toMatchObject({ token: first });
    expect((await initToken(second, "--force")).code).toBe(0);
    expect(await stored()).toMatchObject({ token: second });

    expect((await config(["clear"])).code).toBe(64);
    expect(await stored()).toMatchObject({ token: second });
    expect((await config(["clear", "--yes"])).stdout).toContain(`the AWS secret ${SECRET} in ${REGION} is {} now`);
    expect(await stored()).toEqual({});
    expect((await config(["clear", "--yes"])).stdout).toContain("is {} already; nothing was written");
    expectNowhere(first, second);
  });

  it("a client with its secret on standard input; --all shows the configuration too", async () => {
    const client = newClient("sa:client");
    const flags = ["--url", URL_OF_SCAIVAULT, "--token-url", TOKEN_URL, "--client-id", client.clientId];
    const done = await config(["init", ...flags, "--client-secret-file", "-"], { stdin: `${client.clientSecret}\n` });
    expect(done.stdout).toContain("ScaiVault accepts it as sa:client");
    const show = await config(["show", "--all", "-o", "json"]);
    expect(json(show)).toMatchObject({
      connection: { clientID: client.clientId, clientSecret: "[redacted]", tokenURL: TOKEN_URL },
      configuration: { scaivault: { auth: { method: "AwsSecret", secret: { name: SECRET, region: REGION } } } },
    });
    expect((await config(["show"])).stdout).toMatch(/^ {2}clientSecret +\[redacted\]$/m);
    expectNowhere(client.clientSecret);
  });

  it("what ScaiVault refuses is not written, unless nobody is to ask it", async () => {
    const wrong = op.canaries.value("wrong token");
    const refused = await initToken(wrong);
    expect(refused).toMatchObject({ code: 1, stderr: "" });
    expect(json(await initToken(wrong, "-o", "json"))).toMatchObject({ error: { reason: "ScaiVaultDenied" } });
    expect(await stored()).toEqual({});
    const client = newClient("sa:other");
    const flags = ["--url", URL_OF_SCAIVAULT, "--token-url", TOKEN_URL, "--client-id", client.clientId];
    const bad = await config(["init", ...flags, "--client-secret-file", tokenFile(wrong)]);
    expect(bad.code).toBe(1);
    expect(await stored()).toEqual({});
    const blind = await initToken(wrong, "--no-check");
    expect(blind.stdout).toContain("ScaiVault was not asked (--no-check)");
    expect(await stored()).toMatchObject({ token: wrong });
  });

  it.each([
    [["init"], "--url is missing", 64],
    [["init", "--url", URL_OF_SCAIVAULT], "write --token-file, or --token-url with", 64],
    [["init", "--url", URL_OF_SCAIVAULT, "--token-file", "/nope"], "--token-file: /nope cannot be read (ENOENT)", 1],
    [["init", "--url", URL_OF_SCAIVAULT, "--token-file", "-"], "--token-file: standard input is empty", 1],
    [["init", "--url", "ftp://x", "--token-file", "/etc/hostname"], "url: write a URL such as", 1],
    [["init", "--url", URL_OF_SCAIVAULT, "--client-secret-file", "/etc/hostname"], "login", 1],
    [["show", "--force"], "flags of the connection go with config init", 64],
    [["show", "--secret", "with space"], "--secret: write the name of a secret", 64],
    [["show", "--region", "Frankfurt"], "--region: write a region, such as eu-central-1", 64],
    [["drop"], "write config init, config show or config clear", 64],
  ] as const)("%j: one line", async (args, said, code) => {
    const ran = await config(args);
    expect(ran, ran.stdout).toMatchObject({ code, stderr: "" });
    if (said !== "login") expect(ran.stdout).toContain(said);
    expect(ran.stdout.trim().split("\n")).toHaveLength(1);
    expect(await stored()).toEqual({});
  });

  it("two at a time: one wins and stands whole, the other is told and changes nothing", async () => {
    const tokens = ["sa:left", "sa:right"].map(newToken) as [string, string];
    // Both have read before either writes.
    op.asm.addFault({ kind: "hang", actions: ["PutSecretValue"], times: 2 });
    const both = tokens.map((token) => initToken(token, "-o", "json"));
    try {
      await op.eventually("both are about to write", () => Promise.resolve(op.asm.hanging() === 2), { virtualMs: 0 });
    } finally {
      op.asm.clearFaults();
    }
    const ran = await Promise.all(both);
    expect(ran.map(({ code }) => code).sort()).toEqual([0, 1]);
    const winner = ran.findIndex(({ code }) => code === 0);
    expect(await stored()).toEqual({ url: URL_OF_SCAIVAULT, token: tokens[winner] });
    expect(json(ran[1 - winner] as Ran)).toMatchObject({
      error: { reason: "Conflict", message: expect.stringContaining("somebody else wrote the AWS secret") as string },
    });
    // The loser's value is nobody's version: only what was before and what is now have labels.
    const labels = Object.values(await op.aws.stages(SECRET)).flat();
    expect(labels.sort()).toEqual(["AWSCURRENT", "AWSPREVIOUS"]);
    expectNowhere(...tokens);
  });
});

describe("the secret", () => {
  it("by name, id, ARN, partial ARN, variable, and by flags alone without a file", async () => {
    await op.aws.put("ops/connection", JSON.stringify({ url: URL_OF_SCAIVAULT, token: "t" }));
    await op.aws.put(SECRET, "{}");
    const arn = await op.aws.arn("ops/connection");
    const id = arn.slice(arn.indexOf(":secret:") + 8);
    for (const name of ["ops/connection", id, arn, arn.slice(0, -7)]) {
      const file = configFile({ name, ...(name.startsWith("arn:") ? { region: undefined } : {}) });
      const show = await config(["show", "-o", "json"], { file });
      expect(json(show), name).toMatchObject({ state: "Connection", region: REGION, secret: name });
    }
    const byVariable = await config(["show", "-o", "json"], {
      env: { SCAIVAULT_OPERATOR_AWS_SECRET: "ops/connection" },
    });
    expect(json(byVariable)).toMatchObject({ state: "Connection", secret: "ops/connection" });
    const byFlag = await config(["show", "-o", "json", "--secret", arn]);
    expect(json(byFlag)).toMatchObject({ state: "Connection", secret: arn });
    expect(json(await config(["show", "-o", "json"]))).toMatchObject({ state: "Empty", secret: SECRET });
    // An id whose end is another's is not taken for this secret.
    const other = await config(["show"], { file: configFile({ name: "ops/connection-AbCdEf" }) });
    expect(other).toMatchObject({ code: 1 });
    expect(other.stdout).toContain("there is no AWS secret ops/connection-AbCdEf");
  });

  it("a variable without connectionFrom in the file is refused, not overlooked", async () => {
    const file = program.write("plain.json", op.file);
    const ran = await run(["run", "-c", file], { env: { SCAIVAULT_OPERATOR_AWS_SECRET: "x" } });
    expect(ran).toMatchObject({ code: 1 });
    expect(ran.stdout).toContain(
      "environment: SCAIVAULT_OPERATOR_AWS_SECRET: it names the secret of scaivault.connectionFrom",
    );
  });

  it.each([
    [
      "missing",
      undefined,
      `there is no AWS secret bad/missing in ${REGION}: aws secretsmanager create-secret --region ${REGION} --name bad/missing --secret-string '{}'`,
    ],
    ["empty", "{}", "is {}: it is not initialised yet; run scaivault-operator config init"],
    ["text", "hello", "it is not JSON; write a JSON object"],
    ["list", "[]", "write a JSON object"],
    ["typo", '{"url":"https://x","tokn":"t"}', "tokn: "],
    [
      "half",
      '{"url":"https://x","clientID":"a","clientSecret":"b"}',
      "tokenURL: tokenURL is missing: it goes with clientID",
    ],
    [
      "both",
      '{"url":"https://x","clientID":"a","clientSecret":"b","tokenURL":"https://x/t","token":"t"}',
      "token: write a token, or clientID",
    ],
    ["nothing", '{"url":"https://x"}', "token: write a token, or clientID"],
    ["place", '{"token":"t"}', "url: url is missing"],
  ])("%s: a start says what to do and ends with 1", async (name, content, said) => {
    if (content !== undefined) await op.aws.put(`bad/${name}`, content);
    const ran = await run(["run", "-c", configFile({ name: `bad/${name}` })]);
    expect(ran).toMatchObject({ code: 1, stderr: "" });
    expect(ran.stdout.trim().split("\n")).toHaveLength(1);
    expect(ran.stdout).toContain(said);
  });

  it("without the right, with wrong keys, without keys, scheduled for deletion: each says which", async () => {
    await op.aws.put("ops/rights", JSON.stringify({ url: URL_OF_SCAIVAULT, token: "t" }));
    const blind: AccessKey = {
      accessKeyId: own.AWS_ACCESS_KEY_ID,
      principalArn: "arn:aws:iam::123456789012:role/x",
      statements: [],
    };
    op.asm.setKeys([seed, blind]);
    const file = configFile({ name: "ops/rights" });
    const denied = await run(["run", "-c", file]);
    expect(denied.code).toBe(1);
    expect(denied.stdout).toContain(`AWS denies secretsmanager:GetSecretValue on the secret ops/rights in ${REGION}`);
    const doctor = await run(["doctor", "scaivault", "-c", file, "-o", "json"]);
    expect(doctor.code).toBe(2);
    expect(json<{ checks: object[] }>(doctor).checks).toEqual([
      expect.objectContaining({
        about: "ScaiVault",
        step: "configuration",
        outcome: "Failed",
        policy: expect.stringContaining("secret:ops/rights-??????") as string,
      }),
    ]);
    op.asm.setKeys([seed]);
    expect((await run(["run", "-c", file])).stdout).toContain("AWS refuses the credentials");
    op.asm.setKeys(null);
    const none = await run([
      "run",
      "-c",
      configFile({ name: "ops/rights", credentials: { mode: "Profile", profile: "nobody" } }),
    ]);
    expect(none.stdout).toContain("credentials of mode Profile are not to be had: there is no such profile");
    await op.aws.schedule("ops/rights");
    const gone = await run(["run", "-c", file]);
    expect(gone.stdout).toContain("is scheduled for deletion: aws secretsmanager restore-secret");
  });
});

describe("the policies of docs/rights.md", async () => {
  const blocks = (await readPages()).flatMap((page) => page.blocks);
  const policy = (whose: string): IamPolicy =>
    JSON.parse(blocks.find(({ note }) => note?.options["connection"] === whose)?.text ?? "{}") as IamPolicy;
  /** The emulator knows secrets by their names, without the six characters of an ARN. */
  const allow = (given: IamPolicy): void => {
    const statements = statementsOf(given).map((one) => ({
      ...one,
      names: (one.names ?? []).map((name) => name.replace(/-\?{6}$/, "")),
    }));
    const { AWS_ACCESS_KEY_ID: accessKeyId } = own;
    op.asm.setKeys([seed, { accessKeyId, principalArn: "arn:aws:iam::123456789012:role/x", statements }]);
  };
  const filled = () => op.aws.put(SECRET, JSON.stringify({ url: URL_OF_SCAIVAULT, token: newToken("sa:policy") }));
  const follow = () => openConnection(loadedConfig(), { environment: own, clock: op.clock });
  const loadedConfig = () => {
    const text = JSON.stringify(connectionFrom({ credentials: { mode: "Explicit" } }));
    const loaded = loadConfig({ file: "test", text }, {});
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    return loaded.config;
  };
  const asked = () =>
    op.asm
      .calls()
      .filter(({ accessKeyId }) => accessKeyId === own.AWS_ACCESS_KEY_ID)
      .map(({ action, status }) => `${action} ${status}`);
  beforeEach(filled);
  afterEach(() => op.asm.setKeys(null));

  it("are enough: to read and look, to write and clear", async () => {
    allow(policy("operator"));
    const connection = await follow();
    await filled();
    expect(await connection?.look()).toBe(true);
    await connection?.close();
    expect((await config(["clear", "--yes"])).code).toBe(1);
    allow(policy("people"));
    expect((await config(["clear", "--yes"])).code).toBe(0);
    expect((await initToken(newToken("sa:people"))).code).toBe(0);
    expect(
      Object.values(await op.aws.stages(SECRET))
        .flat()
        .sort(),
    ).toEqual(["AWSCURRENT", "AWSPREVIOUS"]);
  });

  it.each(["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"])(
    "without one of its actions, %s: it is named and nothing changes",
    async (action) => {
      allow(withoutAction(policy("people"), action));
      const before = (await op.aws.read(SECRET)) ?? "";
      const ran = await config(["clear", "--yes"]);
      expect(ran).toMatchObject({ code: 1, stderr: "" });
      expect(ran.stdout).toContain(`AWS denies secretsmanager:${action} on the secret ${SECRET}`);
      expect((await op.aws.read(SECRET)) === before).toBe(true);
    },
  );

  it("without DescribeSecret each look reads the value", async () => {
    allow(withoutAction(policy("operator"), "DescribeSecret"));
    const connection = await follow();
    op.asm.resetCounts();
    expect([await connection?.look(), await connection?.look()]).toEqual([false, false]);
    await filled();
    expect(await connection?.look()).toBe(true);
    await connection?.close();
    const reads = ["GetSecretValue 200", "GetSecretValue 200", "GetSecretValue 200"];
    expect(asked()).toEqual(["DescribeSecret 400", ...reads]);
  });
});

describe("whose rights", () => {
  const askedAs = () => [...new Set(op.asm.calls().map(({ accessKeyId }) => accessKeyId))];
  beforeEach(async () => {
    await op.aws.put("ops/modes", JSON.stringify({ url: URL_OF_SCAIVAULT, token: "t" }));
    op.asm.resetCounts();
  });
  const show = (credentials: object, env: Record<string, string> = {}, more: object = {}) =>
    program.run(["config", "show", "-o", "json", "-c", configFile({ name: "ops/modes", credentials }, more)], { env });

  it("Explicit: files, or the environment", async () => {
    const files = {
      accessKeyIDFile: program.write("key-id", "AKIAFILESFILESFILESF\n"),
      secretAccessKeyFile: program.write("key-secret", "x\n"),
    };
    expect(json(await show({ mode: "Explicit", ...files }, own))).toMatchObject({ state: "Connection" });
    expect(json(await show({ mode: "Explicit" }, own))).toMatchObject({ state: "Connection" });
    expect(askedAs()).toEqual(["AKIAFILESFILESFILESF", own.AWS_ACCESS_KEY_ID]);
    const none = await show({ mode: "Explicit" });
    expect(none.code).toBe(1);
    expect(none.stdout).toContain("needs the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  });

  it("Profile: out of the shared file or one of its own, by field or flag", async () => {
    mkdirSync(join(program.folder, ".aws"), { recursive: true });
    const entry = (name: string, id: string) => `[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = x\n`;
    program.write(".aws/credentials", entry("default", "AKIADEFAULTDEFAULTDE") + entry("ops", "AKIAPROFILEPROFILEPR"));
    const alone = program.write("profiles", entry("ops", "AKIAALONEALONEALONEA"));
    expect((await show({ mode: "Profile", profile: "ops" })).code).toBe(0);
    expect((await show({ mode: "Profile", profile: "ops", profileFile: alone })).code).toBe(0);
    expect(
      (await program.run(["config", "show", "--profile", "ops", "-c", configFile({ name: "ops/modes" })])).code,
    ).toBe(0);
    expect(askedAs()).toEqual(["AKIAPROFILEPROFILEPR", "AKIAALONEALONEALONEA"]);
    op.asm.resetCounts();
    // The default chain ends at the default profile.
    expect((await show({ mode: "Default" }, { AWS_EC2_METADATA_DISABLED: "true" })).code).toBe(0);
    expect((await show({ mode: "Default" }, own)).code).toBe(0);
    expect(askedAs()).toEqual(["AKIADEFAULTDEFAULTDE", own.AWS_ACCESS_KEY_ID]);
  });

  describe("on an instance", () => {
    let imds: Server;
    let at: string;
    let role: string | undefined;
    const asked: string[] = [];
    beforeAll(async () => {
      // A stand-in for the metadata service, version 2: without a token nothing is told.
      imds = createServer((request, response) => {
        asked.push(`${request.method} ${request.url}`);
        const answer = (status: number, text: string): void => void response.writeHead(status).end(text);
        if (request.method === "PUT" && request.url === "/latest/api/token") return answer(200, "imds-token");
        if (request.headers["x-aws-ec2-metadata-token"] !== "imds-token") return answer(401, "");
        if (request.url === "/latest/meta-data/placement/region") return answer(200, REGION);
        const roles = "/latest/meta-data/iam/security-credentials/";
        if (role === undefined) return answer(404, "");
        if (request.url === roles) return answer(200, role);
        if (request.url !== roles + role) return answer(404, "");
        const Expiration = new Date(Date.now() + 3_600_000).toISOString();
        return answer(
          200,
          JSON.stringify({
            Code: "Success",
            AccessKeyId: "ASIAINSTANCEINSTANCE",
            SecretAccessKey: "x",
            Token: "session",
            Expiration,
          }),
        );
      });
      await new Promise<void>((resolve) => imds.listen(0, "127.0.0.1", resolve));
      at = `http://127.0.0.1:${(imds.address() as { port: number }).port}`;
    });
    afterAll(() => new Promise((resolve) => imds.close(resolve)));
    const instance = (url: string) => ({
      endpointOverrides: { ...(op.file["endpointOverrides"] as object), "169.254.169.254": url },
    });
    const withoutRegion = (credentials: object) =>
      configFile({ name: "ops/modes", region: undefined, credentials }, instance(at));

    it("InstanceRole: its role and its region; without a role the default chain", async () => {
      role = "operator-role";
      const file = withoutRegion({ mode: "InstanceRole" });
      expect(json(await program.run(["config", "show", "-o", "json", "-c", file], { env: own }))).toMatchObject({
        region: REGION,
        state: "Connection",
      });
      role = undefined;
      expect((await program.run(["config", "show", "-c", file], { env: own })).code).toBe(0);
      expect(askedAs()).toEqual(["ASIAINSTANCEINSTANCE", own.AWS_ACCESS_KEY_ID]);
      expect(asked).toContain("PUT /latest/api/token");
    });

    it("off an instance the region has to be written: one line says where", async () => {
      const ran = await program.run(
        ["run", "-c", configFile({ name: "ops/modes", region: undefined }, instance("http://127.0.0.1:9"))],
        { env: own },
      );
      expect(ran).toMatchObject({ code: 1, stderr: "" });
      expect(ran.stdout).toMatch(
        /^the region of the AWS secret is not known: no EC2 instance metadata \([^)]*\); write scaivault\.connectionFrom\.awsSecret\.region, or name the secret by its ARN\n$/,
      );
    });
  });
});

describe("a connection that is replaced while the operator works", () => {
  const write = (connection: object) => op.aws.put(SECRET, JSON.stringify({ url: URL_OF_SCAIVAULT, ...connection }));
  const asClient = ({ clientId, clientSecret }: { clientId: string; clientSecret: string }) => ({
    tokenURL: TOKEN_URL,
    clientID: clientId,
    clientSecret,
  });
  const identities = () =>
    [
      ...new Set(
        admin()
          .requests()
          .map(({ identity }) => identity),
      ),
    ].filter((identity) => identity !== undefined);
  const refusals = () =>
    admin()
      .requests()
      .filter(({ status }) => status === 401 || status === 403);
  const failures = async (): Promise<number> => {
    const metric = await op.operator.metrics.registry.getSingleMetric("scaivault_operator_failures_total")?.get();
    return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
  };
  const warnings = (from: number) =>
    op.lines
      .slice(from)
      .map((line) => JSON.parse(line) as { level: string; event: string; message?: string })
      .filter(({ level, event }) => level === "warn" || level === "error" || event === "status changed");

  /** Starts the operator with the connection that the secret holds. */
  async function start(interval = "1m"): Promise<void> {
    await op.end();
    op.file = connectionFrom({ interval, credentials: { mode: "Explicit" } });
    const log = createLogger({
      level: "debug",
      cluster: "test",
      destination: { write: (line: string) => void op.lines.push(line) },
    });
    const connection = await openConnection(op.config(), { environment: own, log, clock: op.clock });
    op.more = { connection };
    connection?.start();
    await op.start();
    await op.interval();
  }

  /** A new value arrives in ScaiVault and the cluster. */
  async function arrives(label: string): Promise<void> {
    const value = op.canaries.value(label);
    await op.aws.put("prod/app", JSON.stringify({ password: value }));
    await op.interval();
    await op.eventually(
      "the value arrives",
      async () => (await expectCopies(op, ns, "app", { password: value }), true),
      { virtualMs: 310_000 },
    );
  }

  beforeAll(async () => {
    await write({ token: newToken("sa:token-one") });
    await op.aws.put("prod/app", JSON.stringify({ password: op.canaries.value("first") }));
    await start();
    await op.awsBackend(ns);
    await op.cluster.apply(copyOf(ns, "app", { backend: "aws", path: "prod/app" }));
    await op.ready(ns, "app");
  });

  it("a new client is taken in at the next look; the old token is not used again, and nothing fails", async () => {
    const [failed, line] = [await failures(), op.lines.length];
    const client = newClient("sa:client-one");
    await write(asClient(client));
    await op.advance(65_000);
    await op.mark();
    await arrives("after a look");
    expect(identities()).toEqual(["sa:client-one"]);
    expect(refusals()).toEqual([]);
    expect(warnings(line)).toEqual([]);
    expect(await failures()).toBe(failed);
    expect(op.lines.slice(line).filter((text) => text.includes('"connection taken in"'))).toHaveLength(1);
  });

  it("a token that is withdrawn before anybody looked: the refusal looks at once, and no sync fails", async () => {
    const [old, next] = [newToken("sa:old"), newToken("sa:next")];
    await write({ token: old });
    await start("24h");
    const [failed, line] = [await failures(), op.lines.length];
    await write({ token: next });
    await admin().revokeToken(old);
    await op.mark();
    await arrives("after a refusal");
    expect(identities()).toContain("sa:next");
    expect(op.asm.calls().filter(({ action }) => action === "DescribeSecret").length).toBeLessThanOrEqual(2);
    expect(warnings(line)).toEqual([]);
    expect(await failures()).toBe(failed);
    expect(verdict(await op.cluster.sync(ns, "app"))).toBe("True InSync");
  });

  it("a client whose secret changes with the token's end: logs in with the new one", async () => {
    const [old, next] = [newClient("sa:client-old"), newClient("sa:client-next")];
    await write(asClient(old));
    await start("24h");
    const [failed, line] = [await failures(), op.lines.length];
    await write(asClient(next));
    admin().removeClient(old.clientId);
    // The token of the old client ends within the hour.
    for (let passed = 0; passed < 14; passed += 1) await op.interval();
    await op.mark();
    await arrives("after the end of the token");
    expect(identities()).toEqual(["sa:client-next"]);
    expect(await failures()).toBe(failed);
    expect(warnings(line).filter(({ event }) => event !== "ScaiVault login failed")).toEqual([]);
  });

  it.each([
    ["{}", "it is not initialised yet"],
    ["not json", "it is not JSON"],
    [JSON.stringify({ url: "https://other.example.com", token: "t" }), "url of the AWS secret"],
    [JSON.stringify({ url: URL_OF_SCAIVAULT, token: "nobody-knows-this-token" }), "ScaiVault"],
  ])("%s is not taken in: said once, what was read before serves on", async (content, said) => {
    await start();
    const line = op.lines.length;
    await op.aws.put(SECRET, content);
    await op.advance(65_000);
    await op.mark();
    await arrives("meanwhile");
    const told = warnings(line);
    expect(told).toHaveLength(1);
    expect(told[0]?.event).toBe("connection not taken in");
    expect(told[0]?.message).toContain(said);
    expect(told[0]?.message).toContain("the connection that was read before stays in use");
    await write({ token: newToken("sa:mended") });
    await op.advance(65_000);
    await op.mark();
    await arrives("mended");
    expect(identities()).toEqual(["sa:mended"]);
  });

  it("costs one describe an interval while nothing changes, and no value is read", async () => {
    await start();
    await op.mark();
    op.asm.resetCounts();
    for (let minute = 0; minute < 5; minute += 1) await op.advance(60_000);
    const calls = op.asm.calls().filter(({ accessKeyId }) => accessKeyId === own.AWS_ACCESS_KEY_ID);
    expect(calls.map(({ action }) => action)).toEqual(Array.from({ length: 5 }, () => "DescribeSecret"));
  });

  it("AWS away: the connection in use serves on, said once and once more when it is back", async () => {
    await start();
    const line = op.lines.length;
    op.asm.addFault({ kind: "deny", actions: ["DescribeSecret", "GetSecretValue"], names: [SECRET] });
    for (let minute = 0; minute < 3; minute += 1) await op.advance(61_000);
    op.asm.clearFaults();
    await op.advance(61_000);
    const events = op.lines.slice(line).map((text) => (JSON.parse(text) as { event: string }).event);
    expect(events.filter((event) => event.startsWith("connection"))).toEqual([
      "connection not looked at",
      "connection looked at again",
    ]);
    expect(verdict(await op.cluster.sync(ns, "app"))).toBe("True InSync");
  });
});
