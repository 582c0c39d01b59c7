/**
 * A tenant, as far as the fields allow: another team's ScaiVault paths, another team's backend, any Secret as a credential,
 * any host, the operator's own identity. What the schema has no field for is refused in test/integration/api.
 */
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  backend,
  condition,
  credential,
  type Harness,
  REGION,
  startOperator,
  sync,
  verdict,
} from "../support/operator.ts";
import { during } from "./support.ts";

let op: Harness<"victim" | "mallory" | "accomplice">;
let sink: Server;
let sinkURL = "";
let reached = 0;
let value = "";
let mallory = "";
let accomplice = "";
let victim = "";
let mount = "";
let ownMount = "";
const saved: Record<string, string | undefined> = {};

beforeAll(async () => {
  sink = createServer((socket) => {
    reached += 1;
    socket.on("error", () => undefined);
    socket.destroy();
  });
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  sinkURL = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
  // Whoever asks for an identity of the machine comes to the sink.
  const identity = {
    AWS_EC2_METADATA_SERVICE_ENDPOINT: sinkURL,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${sinkURL}/credentials`,
    AWS_ACCESS_KEY_ID: "AKIAOFTHEPODOFTHEPOD",
    AWS_SECRET_ACCESS_KEY: "secret-of-the-pod",
  };
  for (const [name, text] of Object.entries(identity)) {
    saved[name] = process.env[name];
    process.env[name] = text;
  }
  op = await startOperator({
    namespaces: ["victim", "mallory", "accomplice"],
    tenancy: (ns) => [
      {
        namespaces: [ns.victim],
        scaivault: { read: ["environments/victim/**"], write: ["environments/victim/**"] },
        endpoints: ["vault.example.com:8200"],
      },
      {
        namespaces: [ns.mallory, ns.accomplice],
        scaivault: { read: ["environments/mallory/**"], write: ["environments/mallory/**"] },
        endpoints: ["vault.example.com:8200"],
      },
    ],
  });
  ({ mallory, accomplice, victim } = op.ns);
  [mount, ownMount] = [`victim-${victim}`, `own-${mallory}`];
  await op.env.vault.enableKv(mount, 2);
  await op.env.vault.enableKv(ownMount, 2);
  value = op.canaries.value("victim");
  await op.env.vault.put(mount, "db", { password: value });
  await op.env.vault.put(ownMount, "poison", { password: "poison" });
  await op.vaultBackend(victim, "vault", [mount]);
  await op.vaultBackend(mallory, "own", [ownMount], {
    // Attack 4: granting everything to a second namespace of one's own.
    grants: [{ name: "all", namespaces: { names: [accomplice] }, read: ["**"] }],
  });
  await op.cluster.apply(
    sync(victim, "db", {
      source: { backendRef: { name: "vault" }, path: `${mount}/db` },
      targets: { scaivault: { path: "environments/victim/db" }, kubernetesSecret: {} },
    }),
  );
  await op.ready(victim, "db");
});
afterAll(async () => {
  await op?.stop();
  for (const [name, text] of Object.entries(saved)) {
    if (text === undefined) delete process.env[name];
    else process.env[name] = text;
  }
  await op?.env.vault.disableMount(mount);
  await op?.env.vault.disableMount(ownMount);
  await new Promise((resolve) => sink.close(resolve));
});

/** Nothing of the victim was asked for or changed in an hour of attempts. */
async function nothingHappened(): Promise<void> {
  const seen = await during(op, 6);
  const named = seen.scaivault.paths.filter(({ path }) => path.startsWith("environments/victim"));
  // The victim's own looks at its paths are all there may be.
  expect(named.map(({ path }) => path).filter((path) => op.stored(path) === undefined)).toEqual([]);
  expect(seen.scaivault.versionsWritten).toBe(0);
  expect(seen.scaivault.valuesRead).toBe(0);
  expect(JSON.parse(op.stored("environments/victim/db")?.data ?? "")).toEqual({ password: value });
  expect(op.stored("environments/victim/db")?.version).toBe(1);
  expect(reached).toBe(0);
}

const own = (path: string) => ({ backendRef: { name: "own" }, path: `${ownMount}/${path}` });

describe("a tenant", () => {
  it("1: does not read another team's ScaiVault path into a Secret of its own", async () => {
    await op.cluster.apply(
      sync(mallory, "read", {
        source: own("poison"),
        authority: "ScaiVault",
        targets: { scaivault: { path: "environments/victim/db" }, kubernetesSecret: {} },
      }),
    );
    const object = await op.verdict("SecretSync", mallory, "read", "False NotGranted");
    expect(JSON.stringify(object.status)).not.toContain(victim);
    expect(await op.cluster.secretData(mallory, "read")).toBeUndefined();
    await nothingHappened();
  });

  it("2: does not write another team's path from a Vault of its own, nor a path that nobody has yet", async () => {
    for (const [name, path] of [
      ["overwrite", "environments/victim/db"],
      ["squat", "environments/victim/soon"],
      ["shared", "shared/poison"],
    ] as const) {
      await op.cluster.apply(sync(mallory, name, { source: own("poison"), targets: { scaivault: { path } } }));
      const object = await op.verdict("SecretSync", mallory, name, "False NotGranted");
      expect(condition(object, "Ready")?.message).toContain("tenancy.scaivault.write");
    }
    expect(op.stored("environments/victim/soon")).toBeUndefined();
    expect(op.stored("shared/poison")).toBeUndefined();
    await nothingHappened();
    // Who has the right is not kept waiting by who squats.
    await op.cluster.apply(
      sync(victim, "soon", {
        source: { backendRef: { name: "vault" }, path: `${mount}/db` },
        targets: { scaivault: { path: "environments/victim/soon" } },
      }),
    );
    await op.ready(victim, "soon");
    expect(JSON.parse(op.stored("environments/victim/soon")?.data ?? "")).toEqual({ password: value });
  });

  it("3: does not take a whole tree by a subtree", async () => {
    for (const [name, path] of [
      ["tree", "environments/victim/**"],
      ["above", "environments/**"],
    ] as const) {
      const source = { backendRef: { name: "own" }, subtree: `${ownMount}/**` };
      await op.cluster.apply(sync(mallory, name, { source, targets: { scaivault: { path } } }));
      await op.verdict("SecretSync", mallory, name, "False NotGranted");
    }
    expect(op.scaivault.server.admin.paths()).toEqual(["environments/victim/db", "environments/victim/soon"]);
    await nothingHappened();
  });

  it("4: gives nobody what it does not have, and takes nothing of a backend that grants it nothing", async () => {
    const backendRef = { name: "own", namespace: mallory };
    await op.cluster.apply(
      sync(accomplice, "granted", {
        source: { backendRef, path: `${ownMount}/poison` },
        targets: { scaivault: { path: "environments/victim/db" } },
      }),
      sync(mallory, "borrow", {
        source: { backendRef: { name: "vault", namespace: victim }, path: `${mount}/db` },
        targets: { kubernetesSecret: {} },
      }),
    );
    await op.verdict("SecretSync", accomplice, "granted", "False NotGranted");
    await op.verdict("SecretSync", mallory, "borrow", "False NotGranted");
    expect(await op.cluster.secretData(mallory, "borrow")).toBeUndefined();
    await nothingHappened();
  });

  it("6: cannot send a Secret of the namespace to a host of its own: not released, and not listed", async () => {
    await op.cluster.apply(credential(mallory, "database", { token: op.canaries.value("unreleased") }, false));
    await op.cluster.apply(credential(mallory, "released", { token: op.canaries.value("released") }));
    const hostile = (name: string, secret: string, address: string) =>
      backend(mallory, name, {
        type: "hashicorp-vault",
        hashicorpVault: { address, auth: { token: { secretRef: { name: secret } } } },
      });
    await op.mark();
    await op.cluster.apply(
      hostile("unreleased", "database", "https://vault.example.com:8200"),
      hostile("unlisted", "released", "https://evil.example.com:8200"),
      hostile("loopback", "released", sinkURL.replace("http:", "https:")),
    );
    await op.verdict("FederationBackend", mallory, "unreleased", "False CredentialNotReleased");
    await op.verdict("FederationBackend", mallory, "unlisted", "False EndpointNotAllowed");
    await op.verdict("FederationBackend", mallory, "loopback", "False EndpointNotAllowed");
    for (const name of ["unreleased", "unlisted", "loopback"])
      await op.cluster.apply(
        sync(mallory, `by-${name}`, {
          source: { backendRef: { name }, path: `${ownMount}/poison` },
          targets: { kubernetesSecret: {} },
        }),
      );
    for (const name of ["unreleased", "unlisted", "loopback"])
      await op.verdict("SecretSync", mallory, `by-${name}`, "False BackendNotReady");
    expect(reached).toBe(0);
    await nothingHappened();
  });

  it("7: does not get the operator's own identity at AWS: no call, no look for one", async () => {
    await op.cluster.apply(
      backend(mallory, "ambient", {
        type: "aws-secrets-manager",
        awsSecretsManager: { region: REGION, auth: { operator: {} } },
      }),
    );
    const refused = await op.verdict("FederationBackend", mallory, "ambient", "False NotGranted");
    expect(condition(refused, "Ready")?.message).toContain("tenancy.ambientIdentity");
    await op.cluster.apply(
      sync(mallory, "by-ambient", {
        source: { backendRef: { name: "ambient" }, path: "prod/anything" },
        targets: { kubernetesSecret: {} },
      }),
    );
    await op.verdict("SecretSync", mallory, "by-ambient", "False BackendNotReady");
    await nothingHappened();
    expect(op.asm.calls()).toHaveLength(0);
  });

  it("keeps what it may have: its own path below its own rights", async () => {
    // Its own claim on the whole tree includes that path.
    await op.cluster.delete("SecretSync", mallory, "above");
    await op.cluster.apply(
      sync(mallory, "fine", {
        source: own("poison"),
        targets: { scaivault: { path: "environments/mallory/fine" }, kubernetesSecret: {} },
      }),
    );
    await op.ready(mallory, "fine");
    expect(verdict(await op.cluster.sync(victim, "db"))).toBe("True InSync");
  });
});
