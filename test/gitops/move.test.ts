/**
 * A SecretSync gets another name, or moves to another file and name, with the same targets: the mark passes to the new
 * object. Nothing of the data is written, and the Secret is there all the time.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, type KubeThing, type Manifest, startOperator, sync } from "../support/operator.ts";

const MARK_OWNER = /\/SecretSync\/([\w-]+)/;
let op: Harness<"team">;
let ns: string;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"] });
  ns = op.ns.team;
  await op.awsBackend(ns);
});
afterAll(() => op?.stop());

/** An object with the targets of `target`, whatever its own name. */
function named(name: string, target: string, more: object = {}): Manifest {
  const object = sync(ns, name, {
    source: { backendRef: { name: "aws" }, path: `prod/${target}` },
    targets: { scaivault: { path: `environments/${ns}/${target}` }, kubernetesSecret: { name: target } },
    ...more,
  });
  return { ...object, metadata: { ...object.metadata, labels: { part: target } } };
}

/** What must be the same before and after: who the Secret is, its bytes, what ScaiVault stores and as which version. */
async function copiesOf(target: string) {
  const secret = await op.cluster.get("Secret", ns, target);
  const { data, version } = op.stored(`environments/${ns}/${target}`) ?? {};
  return { uid: secret?.metadata.uid, type: secret?.type, bytes: secret?.data, data, version };
}

/** Name of the object that a Secret's mark says it belongs to, and the one in ScaiVault's metadata. */
async function owners(target: string): Promise<(string | undefined)[]> {
  const owner = (text: string) => MARK_OWNER.exec(text)?.[1];
  const secret = await op.cluster.get<KubeThing>("Secret", ns, target);
  const there = op.scaivault.server.admin.peek(`environments/${ns}/${target}`)?.metadata;
  return [owner(JSON.stringify(secret?.metadata.annotations ?? {})), owner(JSON.stringify(there ?? {}))];
}

type Apply = (...manifests: Manifest[]) => Promise<void>;

async function first(
  target: string,
  more: object = {},
  apply: Apply = (...manifests) => op.cluster.apply(...manifests),
): Promise<Awaited<ReturnType<typeof copiesOf>>> {
  await op.aws.put(`prod/${target}`, JSON.stringify({ password: op.canaries.value(target) }));
  await apply(named(`${target}-old`, target, more));
  await op.ready(ns, `${target}-old`);
  expect(await owners(target)).toEqual([`${target}-old`, `${target}-old`]);
  const before = await copiesOf(target);
  expect(before).toMatchObject({ uid: expect.any(String), version: 1 });
  await op.mark();
  return before;
}

/** The new object has the targets, and nothing but marks was written on the way. */
async function expectMoved(target: string, before: object): Promise<void> {
  await op.ready(ns, `${target}-new`, { virtualMs: 60_000 });
  expect(await owners(target)).toEqual([`${target}-new`, `${target}-new`]);
  expect(await copiesOf(target)).toEqual(before);
  const { kubeWrites, scaivault } = await op.seen();
  expect(scaivault.versionsWritten).toBe(0);
  // The same uid and no deletion: there was no moment without the Secret. A mark takes two patches of metadata.
  const onSecret = kubeWrites.filter(({ resource }) => resource === "secrets");
  const patch = `patch ${target}`;
  expect(onSecret.map(({ verb, name }) => `${verb} ${name}`)).toEqual([patch, patch]);
  // A further poll finds nothing to do.
  await op.mark();
  await op.interval();
  const later = await op.seen();
  expect([later.scaivault.versionsWritten, later.aws.valueReads]).toEqual([0, 0]);
  expect(later.kubeWrites.filter(({ resource }) => resource === "secrets")).toEqual([]);
}

describe.each([{ cleanupPolicy: "Retain" }, { cleanupPolicy: "Delete" }])(
  "with $cleanupPolicy",
  ({ cleanupPolicy }) => {
    it("new first, then the old is pruned: the new one waits, then has the targets", async () => {
      const target = `after-${cleanupPolicy.toLowerCase()}`;
      const before = await first(target, { cleanupPolicy });
      await op.cluster.apply(named(`${target}-new`, target, { cleanupPolicy }));
      const waits = await op.verdict("SecretSync", ns, `${target}-new`, ["False Claimed", "False NotOwned"]);
      expect(condition(waits, "Ready")?.message).toContain(`${target}-old`);
      await op.cluster.delete("SecretSync", ns, `${target}-old`);
      await expectMoved(target, before);
    });

    it("in one apply that prunes", async () => {
      const target = `prune-${cleanupPolicy.toLowerCase()}`;
      const kind = "scaivault.scailabs.ai/v1alpha1/SecretSync";
      const flags = ["-n", ns, "apply", "--prune", `--prune-allowlist=${kind}`, "-l", `part=${target}`, "-f", "-"];
      let output = "";
      const apply: Apply = async (manifest) => {
        output = (await op.env.kube.kubectl(flags, { input: JSON.stringify(manifest) })).stdout;
      };
      const before = await first(target, { cleanupPolicy }, apply);
      await apply(named(`${target}-new`, target, { cleanupPolicy }));
      expect(output).toMatch(/-new created\n.*-old pruned/);
      await expectMoved(target, before);
    });
  },
);

describe("with Retain", () => {
  it("the old is pruned first, and the new one comes later, as when Argo CD prunes within a wave", async () => {
    const before = await first("before");
    await op.cluster.delete("SecretSync", ns, "before-old");
    await op.interval();
    expect(await copiesOf("before")).toEqual(before);
    await op.cluster.apply(named("before-new", "before"));
    await expectMoved("before", before);
  });

  it("a restart of the operator between the two changes nothing of it", async () => {
    const before = await first("restart");
    await op.end();
    await op.cluster.delete("SecretSync", ns, "restart-old");
    await op.cluster.apply(named("restart-new", "restart"));
    await op.start();
    await expectMoved("restart", before);
  });
});
