import {
  BatchGetSecretValueCommand,
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  RestoreSecretCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
  ValidateResourcePolicyCommand,
} from "@aws-sdk/client-secrets-manager";
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AsmProxy } from "../../../local/asm-proxy.ts";
import { call } from "../../../local/http.ts";
import { waitFor } from "../../../local/process.ts";
import { VirtualClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";

const credentials = { accessKeyId: "AKIALOCALTENANT00000", secretAccessKey: "signing-secret" };

describe("the AWS emulator", () => {
  let proxy: AsmProxy;
  let clock: VirtualClock;
  let client: SecretsManagerClient;
  const open = (url: string, agent?: Agent): SecretsManagerClient =>
    new SecretsManagerClient({
      region: "eu-central-1",
      endpoint: url,
      credentials,
      maxAttempts: 1,
      ...(agent === undefined ? {} : { requestHandler: { httpsAgent: agent } }),
    });

  beforeEach(async () => {
    clock = new VirtualClock();
    proxy = await testEnvironment().ownAsm({ clock });
    client = open(proxy.url);
  });
  afterEach(async () => {
    client.destroy();
    await proxy.stop();
  });

  const create = async (name: string, value = "one"): Promise<string> =>
    (await client.send(new CreateSecretCommand({ Name: name, SecretString: value }))).ARN ?? "";

  describe("enforces what moto lets pass", () => {
    const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${index}`);
    it.each([
      ["21 ids in a batch", new BatchGetSecretValueCommand({ SecretIdList: many(21) }), "ValidationException"],
      ["neither ids nor filters", new BatchGetSecretValueCommand({}), "InvalidParameterException"],
      [
        "a value of 70 kB",
        new CreateSecretCommand({ Name: "a", SecretString: "x".repeat(70_000) }),
        "ValidationException",
      ],
      ["an illegal name", new CreateSecretCommand({ Name: "sp ace*", SecretString: "x" }), "ValidationException"],
      ["pages of 500", new ListSecretsCommand({ MaxResults: 500 }), "ValidationException"],
      [
        "an operation that moto breaks on",
        new ValidateResourcePolicyCommand({ ResourcePolicy: "{}" }),
        "UnknownOperationException",
      ],
    ])("%s", async (_name, command, code) => {
      await expect(client.send(command as ListSecretsCommand)).rejects.toMatchObject({
        name: code,
        $metadata: { httpStatusCode: 400 },
      });
    });

    it("a write to a secret that is scheduled for deletion", async () => {
      await create("gone");
      await client.send(new DeleteSecretCommand({ SecretId: "gone" }));
      for (const command of [
        new PutSecretValueCommand({ SecretId: "gone", SecretString: "x" }),
        new GetSecretValueCommand({ SecretId: "gone" }),
      ]) {
        await expect(client.send(command as GetSecretValueCommand)).rejects.toMatchObject({
          name: "InvalidRequestException",
          message: "You can't perform this operation on the secret because it was marked for deletion.",
        });
      }
      await client.send(new RestoreSecretCommand({ SecretId: "gone" }));
      expect((await client.send(new GetSecretValueCommand({ SecretId: "gone" }))).SecretString).toBe("one");
    });

    it("versions without a label are not shown", async () => {
      await create("rotated");
      for (const value of ["two", "three"])
        await client.send(new PutSecretValueCommand({ SecretId: "rotated", SecretString: value }));
      const described = await client.send(new DescribeSecretCommand({ SecretId: "rotated" }));
      expect(
        Object.values(described.VersionIdsToStages ?? {})
          .flat()
          .sort(),
      ).toEqual(["AWSCURRENT", "AWSPREVIOUS"]);
      const listed = await client.send(new ListSecretsCommand({}));
      expect(Object.keys(listed.SecretList?.[0]?.SecretVersionsToStages ?? {})).toHaveLength(2);
      expect((await client.send(new ListSecretVersionIdsCommand({ SecretId: "rotated" }))).Versions).toHaveLength(2);
      const all = await client.send(new ListSecretVersionIdsCommand({ SecretId: "rotated", IncludeDeprecated: true }));
      expect(all.Versions).toHaveLength(3);
    });
  });

  it("names what is missing in a batch one by one", async () => {
    await create("there");
    await client.send(new CreateSecretCommand({ Name: "empty" }));
    const answer = await client.send(new BatchGetSecretValueCommand({ SecretIdList: ["there", "empty", "nowhere"] }));
    expect(answer.SecretValues?.map(({ Name, SecretString }) => [Name, SecretString])).toEqual([["there", "one"]]);
    expect(answer.Errors?.map(({ SecretId, ErrorCode }) => [SecretId, ErrorCode]).sort()).toEqual([
      ["empty", "ResourceNotFoundException"],
      ["nowhere", "ResourceNotFoundException"],
    ]);
  });

  it("moves stages, also back, and tells when versions were made by its own clock", async () => {
    await create("staged");
    await clock.advance(60_000);
    const second = await client.send(new PutSecretValueCommand({ SecretId: "staged", SecretString: "two" }));
    const { Versions: versions = [] } = await client.send(new ListSecretVersionIdsCommand({ SecretId: "staged" }));
    const [older, newer] = versions.map(({ CreatedDate }) => CreatedDate?.getTime() ?? 0);
    expect((newer ?? 0) - (older ?? 0)).toBe(60_000);
    const first = versions.find(({ VersionId }) => VersionId !== second.VersionId)?.VersionId;
    await client.send(
      new UpdateSecretVersionStageCommand({
        SecretId: "staged",
        VersionStage: "AWSCURRENT",
        MoveToVersionId: first,
        RemoveFromVersionId: second.VersionId,
      }),
    );
    expect((await client.send(new GetSecretValueCommand({ SecretId: "staged" }))).SecretString).toBe("one");
  });

  it("counts calls and the values that left", async () => {
    for (const name of ["c/1", "c/2", "c/3"]) await create(name);
    proxy.resetCounts();
    await client.send(new ListSecretsCommand({ Filters: [{ Key: "name", Values: ["c/"] }], MaxResults: 2 }));
    await client.send(new BatchGetSecretValueCommand({ SecretIdList: ["c/1", "c/2", "c/9"] }));
    await client.send(new GetSecretValueCommand({ SecretId: "c/3" }));
    expect(proxy.counts()).toMatchObject({
      calls: { ListSecrets: 1, BatchGetSecretValue: 1, GetSecretValue: 1 },
      total: 3,
      valueReads: 3,
      errors: {},
    });
    expect(proxy.calls().at(-1)).toMatchObject({
      action: "GetSecretValue",
      secretIds: ["c/3"],
      accessKeyId: credentials.accessKeyId,
      status: 200,
    });
  });

  it("breaks as told, and only then", async () => {
    await create("prod/a");
    await create("prod/b");
    const get = (name = "prod/a"): Promise<unknown> => client.send(new GetSecretValueCommand({ SecretId: name }));
    proxy.addFault({ kind: "throttle", actions: ["GetSecretValue"], times: 2 });
    await expect(get()).rejects.toMatchObject({ name: "ThrottlingException" });
    await expect(get()).rejects.toMatchObject({ name: "ThrottlingException" });
    await get();
    proxy.addFault({ kind: "error", times: 1 });
    await expect(get()).rejects.toMatchObject({ name: "InternalServiceError", $metadata: { httpStatusCode: 500 } });
    proxy.addFault({ kind: "reset", times: 1 });
    await expect(get()).rejects.toMatchObject({ code: "ECONNRESET" });
    proxy.addFault({ kind: "deny", names: ["prod/b"] });
    await get();
    await expect(get("prod/b")).rejects.toMatchObject({ name: "AccessDeniedException" });
    const batch = await client.send(new BatchGetSecretValueCommand({ SecretIdList: ["prod/a", "prod/b"] }));
    expect([batch.SecretValues?.length, batch.Errors?.[0]?.ErrorCode]).toEqual([1, "AccessDeniedException"]);
    expect(proxy.counts().errors).toEqual({
      ThrottlingException: 2,
      InternalServiceError: 1,
      reset: 1,
      AccessDeniedException: 1,
    });
  });

  it("hangs until it is released, and waits on its own clock", async () => {
    await create("slow");
    const get = (): Promise<unknown> => client.send(new GetSecretValueCommand({ SecretId: "slow" }));
    proxy.addFault({ kind: "hang" });
    const hanging = get();
    expect(await waitFor(() => Promise.resolve(proxy.hanging() === 1), 5_000, 5)).toBe(true);
    proxy.clearFaults();
    await hanging;
    proxy.addFault({ kind: "latency", ms: 3_600_000 });
    const late = get();
    expect(await waitFor(() => Promise.resolve(clock.pending === 1), 5_000, 5)).toBe(true);
    await clock.advance(3_600_000);
    await late;
  });

  it("lists are as old as they are told to be", async () => {
    await create("old");
    proxy.setListStaleness(300_000);
    await create("new");
    const names = async (): Promise<(string | undefined)[]> =>
      ((await client.send(new ListSecretsCommand({}))).SecretList ?? []).map(({ Name }) => Name);
    expect(await names()).toEqual(["old"]);
    await client.send(new GetSecretValueCommand({ SecretId: "new" }));
    await clock.advance(300_000);
    expect(await names()).toEqual(["old", "new"]);
    proxy.setListStaleness(0);
    await create("newest");
    expect(await names()).toHaveLength(3);
  });

  it("holds an access key to its rights, with the words of AWS, and checks its signature", async () => {
    const arn = await create("team-a/db");
    const other = await create("team-b/db");
    const principalArn = `arn:aws:iam::${proxy.account}:user/team-a`;
    proxy.setKeys([
      {
        ...credentials,
        principalArn,
        statements: [
          { actions: ["GetSecretValue", "DescribeSecret"], names: ["team-a/*"] },
          { actions: ["BatchGetSecretValue"] },
        ],
      },
    ]);
    const get = (id: string): Promise<unknown> => client.send(new GetSecretValueCommand({ SecretId: id }));
    await get("team-a/db");
    await get(arn);
    for (const id of ["team-b/db", other]) {
      await expect(get(id)).rejects.toMatchObject({
        name: "AccessDeniedException",
        message: expect.stringContaining(
          `User: ${principalArn} is not authorized to perform: secretsmanager:GetSecretValue on resource: ${other}`,
        ) as string,
      });
    }
    // Whether a secret exists is not told to who may not know.
    await expect(get("team-b/none")).rejects.toMatchObject({ name: "AccessDeniedException" });
    await expect(client.send(new ListSecretsCommand({}))).rejects.toMatchObject({ name: "AccessDeniedException" });
    const batch = await client.send(new BatchGetSecretValueCommand({ SecretIdList: ["team-a/db", "team-b/db"] }));
    expect([batch.SecretValues?.length, batch.Errors?.[0]?.ErrorCode]).toEqual([1, "AccessDeniedException"]);

    proxy.setKeys([{ ...credentials, secretAccessKey: "another", principalArn }]);
    await expect(get("team-a/db")).rejects.toMatchObject({ name: "InvalidSignatureException" });
    proxy.setKeys([]);
    await expect(get("team-a/db")).rejects.toMatchObject({ name: "UnrecognizedClientException" });
  });

  it("gives temporary keys through STS that have the role's rights", async () => {
    await create("team-a/db");
    const role = `arn:aws:iam::${proxy.account}:role/team-a`;
    proxy.setKeys([]);
    proxy.setRoles([{ arn: role, statements: [{ actions: ["*"], names: ["team-a/*"] }] }]);
    const assume = (arn: string): ReturnType<typeof call> =>
      call({
        method: "POST",
        url: proxy.url,
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({
          Action: "AssumeRoleWithWebIdentity",
          Version: "2011-06-15",
          RoleArn: arn,
          RoleSessionName: "test",
          WebIdentityToken: "e30.e30.e30",
        }).toString(),
      });
    expect((await assume(`${role}-other`)).status).toBe(403);
    const { text, status } = await assume(role);
    expect(status).toBe(200);
    const field = (name: string): string => text.split(`<${name}>`)[1]?.split("<")[0] ?? "";
    const temporary = new SecretsManagerClient({
      region: "eu-central-1",
      endpoint: proxy.url,
      maxAttempts: 1,
      credentials: {
        accessKeyId: field("AccessKeyId"),
        secretAccessKey: field("SecretAccessKey"),
        sessionToken: field("SessionToken"),
      },
    });
    expect((await temporary.send(new GetSecretValueCommand({ SecretId: "team-a/db" }))).SecretString).toBe("one");
    await expect(temporary.send(new ListSecretsCommand({}))).rejects.toMatchObject({ name: "AccessDeniedException" });
    temporary.destroy();
    expect(proxy.counts().calls).toMatchObject({ "sts:AssumeRoleWithWebIdentity": 2 });
  });

  it("keeps accounts and regions apart", async () => {
    await create("mine");
    const elsewhere = await testEnvironment().ownAsm();
    const there = open(elsewhere.url);
    expect((await there.send(new ListSecretsCommand({}))).SecretList).toEqual([]);
    there.destroy();
    await elsewhere.stop();
  });
});

describe("the shared emulator", () => {
  it("speaks TLS with the environment's authority and is steered from test processes", async () => {
    const { facts, remote } = testEnvironment();
    const agent = new Agent({ ca: readFileSync(facts.caFile) });
    const client = new SecretsManagerClient({
      region: "eu-central-1",
      endpoint: facts.asm?.tlsUrl ?? "",
      credentials,
      maxAttempts: 1,
      requestHandler: { httpsAgent: agent },
    });
    const id = await remote.asm.addFault({ kind: "throttle", actions: ["DescribeSecret"], times: 1 });
    await expect(client.send(new DescribeSecretCommand({ SecretId: "any" }))).rejects.toMatchObject({
      name: "ThrottlingException",
    });
    expect(await remote.asm.faultStruck(id)).toBe(1);
    await remote.asm.clearFaults();
    expect((await remote.asm.counts()).errors).toMatchObject({ ThrottlingException: 1 });
    client.destroy();
    agent.destroy();
  });
});
