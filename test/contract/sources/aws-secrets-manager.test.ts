import {
  CreateSecretCommand,
  DeleteSecretCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  SecretsManagerClient,
  TagResourceCommand,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AsmProxy, Statement } from "../../../local/asm-proxy.ts";
import { SecretValue } from "../../../src/model/index.ts";
import { Network } from "../../../src/net/index.ts";
import type { PollDemand, SecretSource } from "../../../src/ports/index.ts";
import { awsEndpoint, createAwsSource, operatorCredentials } from "../../../src/sources/index.ts";
import { systemClock, VirtualClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";
import { CANARY, describeSecretSource } from "./source-contract.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

const region = "us-east-1";
const reader = { accessKeyId: "AKIAREADERREADER0001", secretAccessKey: "reader-secret-canary" };
const admin = { accessKeyId: "AKIAADMINADMIN000001", secretAccessKey: "admin-secret" };
const principal = (name: string): string => `arn:aws:iam::123456789012:user/${name}`;
const all: Statement[] = [
  { actions: ["*"] },
  { effect: "Deny", actions: ["GetSecretValue", "DescribeSecret"], names: ["denied/*"] },
];

interface Setup {
  readonly asm: AsmProxy;
  readonly writer: SecretsManagerClient;
  readonly clock: VirtualClock;
  readonly network: Network;
  put(name: string, value: string | Uint8Array): Promise<string>;
  source(secret?: string): SecretSource;
  rights(statements: Statement[]): void;
  close(): Promise<void>;
}

async function setup(): Promise<Setup> {
  const clock = new VirtualClock();
  const asm = await testEnvironment().ownAsm({ clock });
  const writer = new SecretsManagerClient({ region, endpoint: asm.url, credentials: admin, maxAttempts: 1 });
  const rights = (statements: Statement[]): void =>
    asm.setKeys([
      { ...admin, principalArn: principal("admin") },
      { ...reader, principalArn: principal("reader"), statements },
    ]);
  rights(all);
  const network = new Network({
    userAgent: "scaivault-operator/test",
    allowLoopback: true,
    endpointOverrides: { [new URL(awsEndpoint(region)).host]: asm.url },
    timeouts: { totalMs: 1_000 },
  });
  const sources: SecretSource[] = [];
  return {
    asm,
    writer,
    clock,
    network,
    rights,
    async put(name, value) {
      const content = typeof value === "string" ? { SecretString: value } : { SecretBinary: value };
      try {
        return (await writer.send(new CreateSecretCommand({ Name: name, ...content }))).VersionId ?? "";
      } catch (error) {
        if (!(error instanceof ResourceExistsException)) throw error;
        return (await writer.send(new PutSecretValueCommand({ SecretId: name, ...content }))).VersionId ?? "";
      }
    },
    source(secret = reader.secretAccessKey) {
      const access = network.bind({
        service: "AWS" as const,
        owner: { kind: "Namespace", namespace: "team" },
        credential: {
          kind: "Static" as const,
          accessKeyID: reader.accessKeyId,
          secretAccessKey: SecretValue.fromText(secret),
        },
        endpoint: awsEndpoint(region),
        allowed: [],
      });
      const made = createAwsSource({ access, region, network, clock, gatherClock: systemClock });
      sources.push(made);
      return made;
    },
    async close() {
      for (const made of sources) await made.close();
      writer.destroy();
      await network.close();
      await asm.stop();
    },
  };
}

describeSecretSource(
  "AWS Secrets Manager",
  {
    binary: true,
    versions: true,
    defaultStage: "AWSCURRENT",
    softDeleted: "PendingDeletion",
    listTellsDenied: true,
    badPaths: [
      "",
      "a//b",
      "a/../b",
      "a%2e%2e/b",
      "a b",
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf",
      "x".repeat(600),
    ],
  },
  async () => {
    // The way goes through a proxy that can hang; its target is known only after the emulator has started.
    const direct = await setup();
    const way = await startTcpProxy(Number(new URL(direct.asm.url).port));
    const network = new Network({
      userAgent: "scaivault-operator/test",
      allowLoopback: true,
      endpointOverrides: { [new URL(awsEndpoint(region)).host]: `http://127.0.0.1:${way.port}` },
      timeouts: { totalMs: 1_000 },
    });
    const access = network.bind({
      service: "AWS",
      owner: { kind: "Namespace", namespace: "team" },
      credential: {
        kind: "Static" as const,
        accessKeyID: reader.accessKeyId,
        secretAccessKey: SecretValue.fromText(reader.secretAccessKey),
      },
      endpoint: awsEndpoint(region),
      allowed: [],
    });
    const source = createAwsSource({ access, region, network, clock: direct.clock, gatherClock: systemClock });
    return {
      source,
      clock: direct.clock,
      path: (name) => name,
      put: direct.put,
      remove: async (name) =>
        void (await direct.writer.send(new DeleteSecretCommand({ SecretId: name, ForceDeleteWithoutRecovery: true }))),
      softDelete: async (name) =>
        void (await direct.writer.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }))),
      putEmpty: async (name) => void (await direct.writer.send(new CreateSecretCommand({ Name: name }))),
      throttle() {
        const id = direct.asm.addFault({ kind: "throttle", accessKeys: [reader.accessKeyId] });
        return Promise.resolve(() => Promise.resolve(direct.asm.removeFault(id)));
      },
      hang: way.hang,
      reset: way.reset,
      counts: () => Promise.resolve({ calls: direct.asm.counts().total, values: direct.asm.counts().valueReads }),
      resetCounts: () => Promise.resolve(direct.asm.resetCounts()),
      async close() {
        await source.close();
        await network.close();
        await way.close();
        await direct.close();
      },
    };
  },
);

describe("AWS Secrets Manager", () => {
  let own: Setup;
  let source: SecretSource;
  const signal = new AbortController().signal;
  const poll = (demand: Partial<PollDemand>) =>
    source.poll({ paths: [], subtrees: [], fresh: false, ...demand }, signal);
  const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
  const calls = (): Readonly<Record<string, number>> => own.asm.counts().calls;

  beforeAll(async () => {
    own = await setup();
  });
  afterAll(async () => own.close());
  beforeEach(async () => {
    own.rights(all);
    own.asm.clearFaults();
    source = own.source();
    own.asm.resetCounts();
    await own.clock.advance(3_600_000);
  });

  it("polls a thousand names of an account that has exactly these with ten calls and no value, and reads them with fifty", async () => {
    const big = await setup();
    try {
      const names = Array.from({ length: 1_000 }, (_, n) => `bench/s${n}`);
      for (let at = 0; at < names.length; at += 50)
        await Promise.all(names.slice(at, at + 50).map((name) => big.put(name, `{"n":"${name}"}`)));
      const made = big.source();
      big.asm.resetCounts();
      const result = await made.poll({ paths: names, subtrees: [], fresh: false }, signal);
      expect(big.asm.counts()).toMatchObject({ calls: { ListSecrets: 10 }, total: 10, valueReads: 0 });
      expect(result.method).toBe("List");
      expect(result.facts.size).toBe(1_000);
      big.asm.resetCounts();
      const reads = await Promise.all(names.map((path) => made.read({ path }, signal)));
      expect(reads.map((read) => read.payload.keys.get("n")?.text())).toEqual(names);
      expect(big.asm.counts()).toMatchObject({ calls: { BatchGetSecretValue: 50 }, total: 50, valueReads: 1_000 });
    } finally {
      await big.close();
    }
  }, 180_000);

  it("works with the rights of the guide's policy, which denies list and batch, and remembers the denial", async () => {
    own.rights([{ actions: ["GetSecretValue", "DescribeSecret"], names: ["guide/*"] }]);
    const names = Array.from({ length: 6 }, (_, n) => `guide/s${n}`);
    for (const name of names) await own.put(name, `{"v":"${CANARY}"}`);
    own.asm.resetCounts();
    for (let n = 0; n < 2; n++) {
      const result = await poll({ paths: names, subtrees: ["guide"] });
      expect(result.facts.size).toBe(6);
      expect(result.method).toBe("Describe");
      expect(result.notes.join()).toContain("ListSecrets is denied");
      expect(result.subtrees.get("guide")).toMatchObject({
        reason: "AccessDenied",
        right: "secretsmanager:ListSecrets",
      });
    }
    expect(calls()).toEqual({ ListSecrets: 1, DescribeSecret: 12 });
    own.asm.resetCounts();
    for (let n = 0; n < 2; n++) await Promise.all(names.map((path) => source.read({ path }, signal)));
    expect(calls()).toEqual({ BatchGetSecretValue: 1, GetSecretValue: 12 });
  });

  it("a store that throttles one call of three is polled and read all the same", async () => {
    const names = Array.from({ length: 12 }, (_, n) => `busy/s${n}`);
    for (const name of names) await own.put(name, `{"v":"${CANARY}"}`);
    const fault = own.asm.addFault({ kind: "throttle", every: 3 });
    expect((await poll({ paths: names, fresh: true })).facts.size).toBe(12);
    const reads = await Promise.all(names.map((path) => source.read({ path, stage: "AWSCURRENT" }, signal)));
    expect(reads).toHaveLength(12);
    expect(own.asm.faultStruck(fault)).toBeGreaterThanOrEqual(4);
  });

  it("reads stages and tells a missing stage from a missing secret", async () => {
    const first = await own.put("stages/a", "one");
    const second = await own.put("stages/a", "two");
    const { facts } = await poll({ paths: ["stages/a"] });
    expect(facts.get("stages/a")).toMatchObject({
      stages: new Map([
        ["AWSCURRENT", second],
        ["AWSPREVIOUS", first],
      ]),
      versionKind: "Id",
    });
    expect((await source.read({ path: "stages/a", stage: "AWSPREVIOUS" }, signal)).payload.raw.text()).toBe("one");
    expect(await failure(source.read({ path: "stages/a", stage: "AWSPENDING" }, signal))).toMatchObject({
      reason: "VersionNotFound",
    });
    expect(await failure(source.read({ path: "stages/a", stage: "bad stage" }, signal))).toMatchObject({
      reason: "VersionNotFound",
    });
    expect(await failure(source.read({ path: "stages/none", stage: "AWSPREVIOUS" }, signal))).toMatchObject({
      reason: "SourceNotFound",
    });
  });

  it("notices that AWSCURRENT went back, asks once for that, and says so without the right", async () => {
    const one = await own.put("back/a", "one");
    await own.clock.advance(2_000);
    const two = await own.put("back/a", "two");
    const known = new Map([["back/a", new Set([one])]]);
    const forward = await poll({ paths: ["back/a"], known });
    expect(forward.facts.get("back/a")).toMatchObject({ olderThanCurrent: new Set([one]) });
    await own.writer.send(
      new UpdateSecretVersionStageCommand({
        SecretId: "back/a",
        VersionStage: "AWSCURRENT",
        MoveToVersionId: one,
        RemoveFromVersionId: two,
      }),
    );
    own.asm.resetCounts();
    for (let n = 0; n < 2; n++) {
      const back = await poll({ paths: ["back/a"], known: new Map([["back/a", new Set([two])]]) });
      const fact = back.facts.get("back/a");
      expect(fact).toMatchObject({ olderThanCurrent: new Set() });
    }
    expect(calls()).toEqual({ DescribeSecret: 2, ListSecretVersionIds: 1 });
    own.rights([...all, { effect: "Deny", actions: ["ListSecretVersionIds"] }]);
    const blind = own.source();
    const result = await blind.poll(
      { paths: ["back/a"], subtrees: [], known: new Map([["back/a", new Set([two])]]), fresh: false },
      signal,
    );
    expect(result.notes.join()).toContain("ListSecretVersionIds is denied");
    expect(result.facts.get("back/a")).not.toHaveProperty("olderThanCurrent");
  });

  it("asks for what a stale list lacks before it calls anything gone", async () => {
    for (let n = 0; n < 5; n++) await own.put(`lag/s${n}`, "x");
    own.asm.setListStaleness(300_000);
    try {
      await own.put("lag/new", "x");
      const paths = [...Array.from({ length: 5 }, (_, n) => `lag/s${n}`), "lag/new", "lag/never"];
      const { facts } = await poll({ paths });
      expect(facts.get("lag/new")?.state).toBe("Present");
      expect(facts.get("lag/never")).toMatchObject({ state: "Gone", how: "NotFound" });
      expect(calls()["DescribeSecret"]).toBe(2);
      const moved = await own.put("lag/s0", "y");
      expect((await poll({ paths: ["lag/s0"], fresh: true })).facts.get("lag/s0")).toMatchObject({
        stages: expect.toSatisfy((stages: Map<string, string>) => stages.get("AWSCURRENT") === moved) as unknown,
      });
    } finally {
      own.asm.setListStaleness(0);
    }
  });

  it("tells one batch's failures apart", async () => {
    for (const name of ["mixed/a", "mixed/b", "denied/c", "mixed/del"]) await own.put(name, CANARY);
    await own.writer.send(new DeleteSecretCommand({ SecretId: "mixed/del", RecoveryWindowInDays: 7 }));
    await own.writer.send(new CreateSecretCommand({ Name: "mixed/empty" }));
    const names = ["mixed/a", "denied/c", "mixed/b", "mixed/none", "mixed/del", "mixed/empty"];
    const results = await Promise.all(
      names.map((path) =>
        source.read({ path }, signal).then(
          (read) => read.payload.raw.text(),
          (error: { reason: string }) => error.reason,
        ),
      ),
    );
    expect(results).toEqual([CANARY, "AccessDenied", CANARY, "SourceNotFound", "SourcePendingDeletion", "SourceEmpty"]);
    expect(calls()["BatchGetSecretValue"]).toBe(1);
  });

  it("carries tags and description", async () => {
    await own.writer.send(new CreateSecretCommand({ Name: "meta/a", SecretString: "x", Description: "d" }));
    await own.writer.send(new TagResourceCommand({ SecretId: "meta/a", Tags: [{ Key: "team", Value: "billing" }] }));
    expect((await poll({ paths: ["meta/a"] })).facts.get("meta/a")).toMatchObject({
      tags: ["team=billing"],
      description: "d",
      changedAtMs: expect.any(Number) as unknown,
    });
  });

  it("refuses wrong keys as a failed login, also for a source of its own beside a good one", async () => {
    await own.put("login/a", CANARY);
    const bad = own.source("wrong-canary");
    for (const promise of [
      bad.probe(signal),
      bad.poll({ paths: ["login/a"], subtrees: [], fresh: true }, signal),
      bad.read({ path: "login/a" }, signal),
    ]) {
      const error = await failure(promise);
      expect(error).toMatchObject({ reason: "LoginFailed" });
      expect(JSON.stringify(error) + String(error)).not.toContain("canary");
    }
    expect((await source.read({ path: "login/a" }, signal)).version).not.toBe("");
    expect(source.identity).toBe("us-east-1/AKIA...0001");
  });

  it("gets the operator's identity from a web identity token through our transport, once for all sources", async () => {
    await own.put("irsa/a", CANARY);
    const folder = mkdtempSync(join(tmpdir(), "irsa-"));
    const tokenFile = join(folder, "token");
    writeFileSync(tokenFile, "jwt-canary");
    own.asm.setKeys(null);
    own.asm.setRoles(null);
    const environment = {
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/operator",
      AWS_EC2_METADATA_DISABLED: "true",
    };
    Object.assign(process.env, environment);
    const network = new Network({
      userAgent: "scaivault-operator/test",
      allowLoopback: true,
      endpointOverrides: {
        "sts.us-east-1.amazonaws.com": own.asm.url,
        [new URL(awsEndpoint(region)).host]: own.asm.url,
      },
    });
    try {
      const provider = operatorCredentials({ network, region, nowMs: () => Date.now() });
      const access = network.bind({
        service: "AWS" as const,
        owner: { kind: "Operator" },
        credential: { kind: "Operator" as const, provider },
        endpoint: awsEndpoint(region),
        allowed: [],
      });
      own.asm.resetCounts();
      const sources = [1, 2, 3].map(() =>
        createAwsSource({ access, region, network, clock: own.clock, gatherClock: systemClock }),
      );
      await Promise.all(
        sources.map((made) =>
          made.read({ path: "irsa/a" }, signal).then(
            () => undefined,
            () => undefined,
          ),
        ),
      );
      expect(calls()["sts:AssumeRoleWithWebIdentity"]).toBe(1);
      expect(calls()["GetSecretValue"]).toBe(3);
      expect(own.asm.calls().every((call) => call.userAgent.startsWith("scaivault-operator/test"))).toBe(true);
      expect(sources[0]?.identity).toBe("us-east-1/operator");
      for (const made of sources) await made.close();
    } finally {
      for (const name of Object.keys(environment)) delete process.env[name];
      rmSync(folder, { recursive: true });
      await network.close();
    }
  });

  it("never runs a credential process, nor reads profiles", async () => {
    const home = mkdtempSync(join(tmpdir(), "aws-home-"));
    const ran = join(home, "ran");
    writeFileSync(
      join(home, "config"),
      `[default]\ncredential_process = /bin/sh -c "touch ${ran}; echo {}"\n[profile p]\ncredential_process = /bin/sh -c "touch ${ran}"\n`,
    );
    writeFileSync(
      join(home, "credentials"),
      "[default]\naws_access_key_id = AKIAFROMPROFILE\naws_secret_access_key = x\n",
    );
    const environment = {
      AWS_CONFIG_FILE: join(home, "config"),
      AWS_SHARED_CREDENTIALS_FILE: join(home, "credentials"),
      AWS_PROFILE: "p",
      AWS_EC2_METADATA_DISABLED: "true",
    };
    Object.assign(process.env, environment);
    try {
      await expect(operatorCredentials({ network: own.network, region, nowMs: () => Date.now() })()).rejects.toThrow();
      const access = own.network.bind({
        service: "AWS" as const,
        owner: { kind: "Operator" },
        credential: {
          kind: "Operator" as const,
          provider: operatorCredentials({ network: own.network, region, nowMs: () => Date.now() }),
        },
        endpoint: awsEndpoint(region),
        allowed: [],
      });
      const made = createAwsSource({ access, region, network: own.network, clock: own.clock });
      expect(await failure(made.probe(signal))).toMatchObject({ reason: "LoginFailed" });
      await made.close();
      expect(existsSync(ran)).toBe(false);
    } finally {
      for (const name of Object.keys(environment)) delete process.env[name];
      rmSync(home, { recursive: true });
    }
  });

  it("retries nothing by itself", async () => {
    await own.put("retry/a", CANARY);
    own.asm.addFault({ kind: "error", actions: ["GetSecretValue"], status: 500 });
    own.asm.resetCounts();
    expect(await failure(source.read({ path: "retry/a" }, signal))).toMatchObject({ reason: "SourceUnavailable" });
    expect(calls()).toEqual({ GetSecretValue: 1 });
  });

  it("stops one of several joined reads without the others", async () => {
    await own.put("join/a", "a");
    await own.put("join/b", "b");
    own.asm.addFault({ kind: "hang", times: 1 });
    const stop = new AbortController();
    const first = failure(source.read({ path: "join/a" }, stop.signal));
    const second = source.read({ path: "join/b" }, signal);
    await expect.poll(() => own.asm.hanging()).toBe(1);
    stop.abort();
    expect(await first).toMatchObject({ reason: "SourceUnavailable" });
    own.asm.release();
    expect((await second).payload.raw.text()).toBe("b");
  });
});
