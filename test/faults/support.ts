/** What the fault tests share: objects with both targets, their copies, and counting over virtual time. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { startVault, type Vault } from "../../local/vault.ts";
import { type TestEnvironment, testEnvironment } from "../support/environment.ts";
import { type Harness, type Manifest, type Seen, sync } from "../support/operator.ts";

/** Paths of a test file in ScaiVault. */
export const below = "environments/test";

/** A SecretSync from a backend of its namespace to a ScaiVault path and a Secret, both of its own name. */
export function copyOf(
  namespace: string,
  name: string,
  source: { readonly backend: string; readonly path: string },
  spec: object = {},
): Manifest {
  return sync(namespace, name, {
    source: { backendRef: { name: source.backend }, path: source.path },
    targets: { scaivault: { path: `${below}/${namespace}/${name}` }, kubernetesSecret: {} },
    ...spec,
  });
}

/** What both copies of {@link copyOf} hold: source text in ScaiVault with its version, decoded data of the Secret. */
export async function copies(op: Harness, namespace: string, name: string): Promise<Copies> {
  const stored = op.stored(`${below}/${namespace}/${name}`);
  return {
    scaivault: stored === undefined || stored.deleted ? undefined : (JSON.parse(stored.data) as unknown),
    version: stored?.version,
    secret: await op.cluster.secretData(namespace, name),
  };
}

export interface Copies {
  readonly scaivault: unknown;
  readonly version: number | undefined;
  readonly secret: Readonly<Record<string, string>> | undefined;
}

/** Both copies hold this and nothing else. */
export async function expectCopies(
  op: Harness,
  namespace: string,
  name: string,
  data: Readonly<Record<string, string>>,
): Promise<void> {
  const now = await copies(op, namespace, name);
  expect(now.secret).toEqual(data);
  expect(now.scaivault).toEqual(data);
}

/** Lets virtual minutes pass, one at a time. @returns what stores and API server saw meanwhile */
export async function during(op: Harness, minutes: number): Promise<Seen> {
  await op.mark();
  for (let passed = 0; passed < minutes; passed += 1) await op.advance(60_000);
  return op.seen();
}

/** Status writes of one object. */
export function statusWrites(seen: Seen, name: string): number {
  return seen.kubeWrites.filter((entry) => entry.name === name && entry.subresource === "status").length;
}

/** A Vault that a test may do anything to. */
export interface OwnVault {
  readonly env: TestEnvironment;
  readonly vault: Vault;
  /** Its storage as it is now. */
  backUp(): Promise<void>;
  /** Its storage as it was at the last back-up. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

/** A Vault of the test's own, which may be killed, paused and sealed; everything else is the shared environment's. */
export async function withOwnVault(): Promise<OwnVault> {
  const shared = testEnvironment();
  const file = shared.facts.binaries.vault;
  if (file === undefined) throw new Error("the environment has no vault binary");
  const folder = mkdtempSync(join(tmpdir(), "fault-vault-"));
  const binary = { name: "vault", path: file } as unknown as Parameters<typeof startVault>[0]["binary"];
  const vault = await startVault({ folder, binary, authority: shared.authority });
  const [data, backup] = [join(folder, "data"), join(folder, "backup")];
  const offline = async (work: () => void): Promise<void> => {
    await vault.program.stop();
    work();
    await vault.program.start();
    await vault.client.unseal();
  };
  return {
    env: { ...shared, vault: vault.client },
    vault,
    backUp: () => offline(() => cpSync(data, backup, { recursive: true })),
    restore: () =>
      offline(() => {
        rmSync(data, { recursive: true });
        cpSync(backup, data, { recursive: true });
      }),
    stop: async () => {
      await vault.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
