// The policies of docs/rights.md, run exactly as they stand there: whole, and without each of their rights.
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AccessKey } from "../../local/asm-proxy.ts";
import type { PolicyRule } from "../../scaivault-server/auth/policies.ts";
import {
  backend,
  type BackendThing,
  condition,
  credential,
  type Harness,
  REGION,
  startOperator,
  sync,
  type SyncThing,
  VAULT_HOST,
} from "../support/operator.ts";
import { checkOf } from "./checks.ts";
import { type Block, readPages, type Table } from "./markdown.ts";
import {
  actionsOf,
  type IamPolicy,
  statementsOf,
  vaultHcl,
  vaultRules,
  type VaultRule,
  withoutAction,
  withoutCapability,
} from "./policies.ts";

const pages = await readPages();
const blocks = pages.flatMap((page) => page.blocks);
const blocksOf = (kind: string): Block[] =>
  blocks.filter((block) => {
    const check = checkOf(block);
    return typeof check !== "string" && check.kind === kind;
  });
const page = pages.find(({ name }) => name === "docs/rights.md");

/** The table of the page whose rows are about these rights, by the first cell without its code marks. */
function documented(title: string): Map<string, string> {
  const table = page?.tables.find(({ rows }) => rows.some((row) => row.at(-1)?.includes(title))) as Table;
  return new Map(table.rows.map((row) => [(row[0] ?? "").replaceAll("`", ""), row.at(-2) ?? ""]));
}

let op: Harness<"rights">;
beforeAll(async () => {
  op = await startOperator({ namespaces: ["rights"] });
});
afterAll(() => op?.stop());

const message = (thing: SyncThing): string => condition(thing, "Ready")?.message ?? "";
const inSync = "True InSync";
const denied = "False AccessDenied";

/** A backend with two objects: one secret, and all of them. */
interface Variant {
  readonly id: string;
  readonly block: Block;
  /** What was taken away. */
  readonly lacks?: string;
}

/** Objects of a variant that read one path and one subtree. */
function objectsOf({ id }: Variant, path: string, subtree: string) {
  const ns = op.ns.rights;
  const backendRef = { name: id };
  return [
    sync(ns, `${id}-one`, { source: { backendRef, path }, targets: { kubernetesSecret: {} } }),
    sync(ns, `${id}-all`, {
      source: { backendRef, subtree },
      targets: { kubernetesSecret: { nameTemplate: `${id}-{path}` } },
    }),
  ];
}

const backendOf = async (id: string): Promise<BackendThing> =>
  (await op.cluster.get<BackendThing>("FederationBackend", op.ns.rights, id)) as BackendThing;

describe("AWS", () => {
  // Those of the operator's own connection run in integration/cli/config.
  const policies = blocksOf("iam").filter(({ note }) => note?.options["connection"] === undefined);
  const variants: Variant[] = policies.flatMap((block, index) => {
    const whole = { id: `aws-${index}`, block };
    if (index > 0) return [whole];
    const actions = actionsOf(JSON.parse(block.text) as IamPolicy);
    return [whole, ...actions.map((lacks) => ({ id: `aws-${index}-${lacks.toLowerCase()}`, block, lacks }))];
  });
  // The last four characters are part of a store's identity.
  const keyOf = ({ id }: Variant): string =>
    `AKIARIGHTSRIGHTS${String(variants.findIndex((one) => one.id === id)).padStart(4, "0")}`;
  const names = ["prod/a", "prod/b", "prod/c", "prod/d", "prod/e"];

  beforeAll(async () => {
    for (const name of names) await op.aws.put(name, `{"key":"${name}"}`);
    const keys = variants.map((variant): AccessKey => {
      const policy = JSON.parse(variant.block.text) as IamPolicy;
      return {
        accessKeyId: keyOf(variant),
        secretAccessKey: "made-up-secret-access-key",
        principalArn: `arn:aws:iam::111122223333:user/${variant.id}`,
        statements: statementsOf(variant.lacks === undefined ? policy : withoutAction(policy, variant.lacks)),
      };
    });
    const team = { accessKeyId: "AKIASEEDSEEDSEEDSEED", principalArn: "arn:aws:iam::111122223333:user/team" };
    op.asm.setKeys([team, ...keys]);
    for (const variant of variants) {
      const keys = { access_key_id: keyOf(variant), secret_access_key: "made-up-secret-access-key" };
      const auth = { secretRef: { name: `${variant.id}-key` } };
      await op.cluster.apply(
        credential(op.ns.rights, `${variant.id}-key`, keys),
        backend(op.ns.rights, variant.id, {
          type: "aws-secrets-manager",
          awsSecretsManager: { region: REGION, auth },
          syncInterval: "5m",
        }),
        ...objectsOf(variant, "prod/a", "prod/**"),
      );
    }
  });

  const verdicts = async (id: string, one: string, all: string) => ({
    one: await op.verdict("SecretSync", op.ns.rights, `${id}-one`, one),
    all: await op.verdict("SecretSync", op.ns.rights, `${id}-all`, all),
  });
  const calls = (variant: Variant): Set<string> =>
    new Set(
      op.asm
        .calls()
        .filter(({ accessKeyId, status }) => accessKeyId === keyOf(variant) && status === 200)
        .map(({ action }) => action),
    );

  it.each(policies.map((block, index) => ({ at: block.at, block, id: `aws-${index}` })))(
    "$at is enough, and polls as the page says",
    async ({ block, id }) => {
      const mode = block.note?.options["mode"];
      const found = await verdicts(id, inSync, mode === "List" ? inSync : denied);
      if (mode !== "List") expect(message(found.all)).toContain("secretsmanager:ListSecrets");
      if (mode === "List") {
        // Few are described by themselves whatever the rights.
        const source = (path: string) => ({ backendRef: { name: id }, path });
        const more = names
          .slice(1)
          .map((path, at) =>
            sync(op.ns.rights, `${id}-more-${at}`, { source: source(path), targets: { kubernetesSecret: {} } }),
          );
        await op.cluster.apply(...more);
        for (const { metadata } of more) await op.ready(op.ns.rights, metadata.name);
        await op.interval();
      }
      await op.eventually(`poll by ${mode}`, async () => (await backendOf(id)).status?.effective?.poll === mode);
    },
  );

  /** What happens without an action: both objects, what their messages name, and what was called instead. */
  const expected: Readonly<
    Record<string, { one: string; all: string; names?: string; calls?: string; noCalls?: string; notes?: string }>
  > = {
    ListSecrets: { one: inSync, all: denied, names: "secretsmanager:ListSecrets", calls: "DescribeSecret" },
    BatchGetSecretValue: { one: inSync, all: inSync, calls: "GetSecretValue", noCalls: "BatchGetSecretValue" },
    GetSecretValue: { one: denied, all: denied, names: "secretsmanager:GetSecretValue" },
    DescribeSecret: { one: inSync, all: inSync, calls: "ListSecrets", noCalls: "DescribeSecret" },
    ListSecretVersionIds: { one: inSync, all: inSync, notes: "secretsmanager:ListSecretVersionIds is denied" },
  };

  it.each(variants.filter(({ lacks }) => lacks !== undefined))(
    "$block.at without $lacks: without one of its actions does what the page says",
    async (variant) => {
      const { id, lacks = "" } = variant;
      const want = expected[lacks];
      if (want === undefined) throw new Error(`the page has an action that nobody expects: ${lacks}`);
      const found = await verdicts(id, want.one, want.all);
      if (want.names !== undefined) expect(message(found.all) + message(found.one)).toContain(want.names);
      if (want.calls !== undefined) expect(calls(variant)).toContain(want.calls);
      if (want.noCalls !== undefined) expect(calls(variant)).not.toContain(want.noCalls);
      if (want.notes === undefined) return;
      // It is asked only when a version moved.
      await op.aws.put("prod/a", '{"key":"new"}');
      await op.interval();
      const { notes } = want;
      await op.eventually("a note", async () =>
        (await backendOf(id)).status?.effective?.notes?.some((note) => note.includes(notes)),
      );
    },
  );

  it("says of each action on the page what was seen", () => {
    const rows = documented("without one of its actions does what the page says");
    expect([...rows.keys()].toSorted()).toEqual(Object.keys(expected).toSorted());
    for (const [action, { one, all, names: right }] of Object.entries(expected)) {
      const text = rows.get(action) ?? "";
      if (one === denied || all === denied) expect(text).toContain("`AccessDenied`");
      if (right !== undefined) expect(text).toContain(right);
    }
  });

  it("without DescribeSecret says so of what the list lacks", async () => {
    const source = { backendRef: { name: "aws-0-describesecret" }, path: "prod/none" };
    await op.cluster.apply(sync(op.ns.rights, "none", { source, targets: { kubernetesSecret: {} } }));
    const found = await op.verdict("SecretSync", op.ns.rights, "none", denied);
    expect(message(found)).toContain("secretsmanager:DescribeSecret");
  });
});

describe("Vault", () => {
  const policies = blocksOf("vault-policy");
  const mountOf = (block: Block): string => block.note?.options["mount"] ?? "";
  const metadata = "kv/metadata/";
  const whole = vaultRules(policies[0]?.text ?? "");
  const lacking: Readonly<Record<string, readonly VaultRule[]>> = {
    "list on metadata": withoutCapability(whole, metadata, "list"),
    "read on metadata": withoutCapability(whole, metadata, "read"),
    "read on data": withoutCapability(whole, "kv/data/", "read"),
  };
  const variants = [
    ...policies.map((block, index) => ({ id: `vault-${index}`, block, rules: vaultRules(block.text) })),
    ...Object.entries(lacking).map(([lacks, rules]) => ({
      id: `vault-without-${lacks.replaceAll(" ", "-")}`,
      block: policies[0] as Block,
      rules,
      lacks,
    })),
  ];

  beforeAll(async () => {
    const { vault } = op.env;
    for (const block of policies) {
      const version = block.note?.options["version"] === "1" ? 1 : 2;
      await vault.enableKv(mountOf(block), version);
      for (const key of ["a", "b"]) await vault.put(mountOf(block), `prod/rights/${key}`, { key });
    }
    for (const variant of variants) {
      await vault.writePolicy(variant.id, vaultHcl(variant.rules));
      const { roleId, secretId } = await vault.createAppRole({ name: variant.id, policies: [variant.id] });
      const mount = mountOf(variant.block);
      await op.cluster.apply(
        credential(op.ns.rights, `${variant.id}-approle`, { role_id: roleId, secret_id: secretId }),
        backend(op.ns.rights, variant.id, {
          type: "hashicorp-vault",
          hashicorpVault: {
            address: `https://${VAULT_HOST}`,
            auth: { appRole: { secretRef: { name: `${variant.id}-approle` } } },
          },
          syncInterval: "5m",
        }),
        ...objectsOf(variant, `${mount}/prod/rights/a`, `${mount}/prod/rights/**`),
      );
    }
  });

  it.each(policies.map((block, index) => ({ at: block.at, id: `vault-${index}` })))("$at is enough", async ({ id }) => {
    await op.ready(op.ns.rights, `${id}-one`);
    await op.ready(op.ns.rights, `${id}-all`);
  });

  const expected: Readonly<Record<string, { one: string; all: string; names?: string; poll?: string }>> = {
    "list on metadata": { one: inSync, all: denied, names: "kv/metadata/prod/rights" },
    "read on metadata": { one: inSync, all: inSync, poll: "Read" },
    "read on data": { one: denied, all: denied, names: "kv/data/prod/rights/a" },
  };

  it.each(Object.keys(lacking))("without %s: without one of its rules does what the page says", async (lacks) => {
    const id = `vault-without-${lacks.replaceAll(" ", "-")}`;
    const want = expected[lacks] as (typeof expected)[string];
    const one = await op.verdict("SecretSync", op.ns.rights, `${id}-one`, want.one);
    const all = await op.verdict("SecretSync", op.ns.rights, `${id}-all`, want.all);
    if (want.names !== undefined) expect(message(one) + message(all)).toContain(want.names);
    if (want.poll !== undefined) {
      await op.interval();
      await op.eventually("a poll by values, and a note", async () => {
        const { effective } = (await backendOf(id)).status ?? {};
        return effective?.poll === want.poll && effective?.notes?.join().includes("metadata/ is denied");
      });
    }
    expect([...documented("without one of its rules does what the page says").keys()]).toEqual(Object.keys(expected));
  });
});

describe("ScaiVault", () => {
  const policies = blocksOf("scaivault-policy").map((block) => ({
    at: block.at,
    scopes: (block.note?.options["scopes"] ?? "").split(","),
    rules: (JSON.parse(block.text) as { rules: PolicyRule[] }).rules,
  }));
  const [writer, reader] = policies;
  let made = 0;

  beforeAll(async () => {
    op.asm.setKeys(null);
    await op.awsBackend(op.ns.rights, "aws");
    await op.aws.put("prod/sv", '{"key":"one"}');
  });

  /** Goes on with another login. */
  async function logInWith(policy: { scopes: readonly string[]; rules: readonly PolicyRule[] }): Promise<void> {
    made += 1;
    const spec = { identity: `sa:rights-${made}`, scopes: [...policy.scopes], rules: [...policy.rules] };
    const { auth } = op.file["scaivault"] as { auth: { tokenFile: string } };
    writeFileSync(auth.tokenFile, op.scaivault.server.admin.createToken(spec as never));
    await op.restart();
  }
  const copy = (name: string, more: object = {}) =>
    sync(op.ns.rights, name, {
      source: { backendRef: { name: "aws" }, path: "prod/sv" },
      targets: { scaivault: { path: `environments/rights/${name}` }, kubernetesSecret: {} },
      ...more,
    });

  it("the writer's policy and scopes are enough", async () => {
    await logInWith(writer as NonNullable<typeof writer>);
    await op.cluster.apply(copy("whole"));
    await op.ready(op.ns.rights, "whole");
    expect(op.stored("environments/rights/whole")?.data).toBe('{"key":"one"}');
  });

  it.each(["secrets:list", "secrets:write", "secrets:read"])(
    "without %s: without one of its scopes does what the page says",
    async (lacks) => {
      const { scopes, rules } = writer as NonNullable<typeof writer>;
      expect(scopes).toContain(lacks);
      await logInWith({ scopes: scopes.filter((scope) => scope !== lacks), rules });
      const name = lacks.replace(":", "-");
      if (lacks === "secrets:read") {
        await op.cluster.apply(copy("copied"));
        await op.ready(op.ns.rights, "copied");
        op.scaivault.server.admin.writeText(
          `environments/rights/${name}`,
          '{"data":{"key":"one"},"secret_type":"json"}',
        );
      }
      await op.cluster.apply(copy(name, { adopt: "IfEqual" }));
      const found = await op.verdict("SecretSync", op.ns.rights, name, "False ScaiVaultDenied");
      expect(message(found)).toContain(lacks);
      const text = documented("without one of its scopes does what the page says").get(lacks) ?? "";
      expect(text).toContain("`ScaiVaultDenied`");
      if (lacks !== "secrets:read") expect(op.stored(`environments/rights/${name}`)).toBeUndefined();
      if (lacks === "secrets:write") expect(await op.cluster.secretData(op.ns.rights, name)).toEqual({ key: "one" });
    },
  );

  it("a deletion without the scope keeps the copy", async () => {
    await logInWith(writer as NonNullable<typeof writer>);
    await op.aws.put("prod/going", '{"key":"gone"}');
    await op.cluster.apply(
      sync(op.ns.rights, "going", {
        source: { backendRef: { name: "aws" }, path: "prod/going" },
        targets: { scaivault: { path: "environments/rights/going" } },
        deletionPolicy: "Delete",
      }),
    );
    await op.ready(op.ns.rights, "going");
    await op.aws.remove("prod/going");
    await op.interval(600_000);
    await op.interval();
    await op.interval();
    const found = await op.verdict("SecretSync", op.ns.rights, "going", "False ScaiVaultDenied");
    expect(message(found)).toContain("secrets:delete");
    expect(op.stored("environments/rights/going")).toMatchObject({ deleted: false });
  });

  it("the reader's policy and scopes are enough to follow", async () => {
    op.file = { ...op.file, scaivault: { ...(op.file["scaivault"] as object), role: "Reader" } };
    await logInWith(reader as NonNullable<typeof reader>);
    await op.mark();
    await op.cluster.apply(
      sync(op.ns.rights, "follows", {
        source: { backendRef: { name: "aws" }, path: "prod/sv" },
        targets: { kubernetesSecret: {} },
      }),
    );
    await op.ready(op.ns.rights, "follows");
    await op.interval();
    await op.ready(op.ns.rights, "whole");
    expect(op.scaivault.server.admin.requests().filter(({ status }) => status === 403)).toEqual([]);
  });
});
