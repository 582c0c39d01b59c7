/** One object of every shape that leaves another kind of copy or mark; stored state of a release is made of it. */
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import type { Harness, Manifest, Seen } from "../support/operator.ts";
import { REGION, sync } from "../support/operator.ts";

/** The fixed version id of an AWS secret, so that marks of another day fit. */
const versionID = (index: number): string => `01020304-0000-4000-8000-${String(index).padStart(12, "0")}`;

/** AWS secrets of the scenario: values are made up and say so. */
export const awsSecrets: Readonly<Record<string, string | Uint8Array>> = {
  "golden/both": '{"username":"app","password":"golden-both-password","port":5432,"big":12345678901234567890}',
  "golden/shaped": '{"tls":{"crt":"golden-crt"},"key":"Z29sZGVuLWtleQ=="}',
  "golden/text": "golden plain text\n",
  "golden/binary": new Uint8Array([0, 1, 2, 250, 251, 0, 255]),
  "golden/login": '{"username":"app","password":"golden-login-password"}',
  "golden/kept": '{"token":"golden-kept-token"}',
  "golden/flipped": '{"token":"golden-flipped-token"}',
  "golden/tree/a": '{"a":"golden-a"}',
  "golden/tree/b": '{"b":"golden-b"}',
  "golden/tree/c/d": '{"d":"golden-d"}',
};

/** Creates them in the harness's AWS account. */
export async function fillAws(op: Harness): Promise<void> {
  const credentials = { accessKeyId: "AKIASEEDSEEDSEEDSEED", secretAccessKey: "seed-secret-access-key" };
  const client = new SecretsManagerClient({ region: REGION, endpoint: op.asm.url, credentials });
  try {
    for (const [index, [Name, value]] of Object.entries(awsSecrets).entries()) {
      const content = typeof value === "string" ? { SecretString: value } : { SecretBinary: value };
      await client.send(new CreateSecretCommand({ Name, ...content, ClientRequestToken: versionID(index) }));
    }
  } finally {
    client.destroy();
  }
}

/** The SecretSyncs that read AWS. */
export function awsSyncs(ns: string): Manifest[] {
  const from = (path: string) => ({ backendRef: { name: "aws" }, path: `golden/${path}` });
  const to = (path: string) => ({ path: `golden/${ns}/${path}` });
  return [
    sync(ns, "both", {
      source: from("both"),
      targets: { scaivault: { ...to("both"), tags: ["golden"], owner: "team:golden" }, kubernetesSecret: {} },
    }),
    sync(ns, "shaped", {
      source: from("shaped"),
      targets: {
        kubernetesSecret: {
          name: "shaped-secret",
          data: [
            { key: "crt", field: ".tls.crt" },
            { key: "key", field: ".key", decode: "Base64" },
          ],
        },
      },
    }),
    sync(ns, "text", {
      source: from("text"),
      targets: { scaivault: to("text"), kubernetesSecret: { data: [{ key: "text" }] } },
    }),
    sync(ns, "binary", {
      source: from("binary"),
      targets: { scaivault: to("binary"), kubernetesSecret: { data: [{ key: "bytes" }] } },
    }),
    sync(ns, "login", {
      source: from("login"),
      targets: { kubernetesSecret: { type: "kubernetes.io/basic-auth" } },
    }),
    sync(ns, "kept", {
      source: from("kept"),
      targets: { scaivault: to("kept"), kubernetesSecret: {} },
      deletionPolicy: "Delete",
      cleanupPolicy: "Delete",
    }),
    sync(ns, "flipped", { source: from("flipped"), targets: { scaivault: to("flipped"), kubernetesSecret: {} } }),
    sync(ns, "tree", {
      source: { backendRef: { name: "aws" }, subtree: "golden/tree/**" },
      targets: {
        scaivault: { path: `golden/${ns}/tree/**` },
        kubernetesSecret: { nameTemplate: "tree-{path}" },
      },
    }),
  ];
}

/** `flipped` after authority went to ScaiVault. */
export function flipped(ns: string): Manifest {
  const found = awsSyncs(ns).find(({ metadata }) => metadata.name === "flipped");
  if (found === undefined) throw new Error("no object to flip");
  return { ...found, spec: { ...(found["spec"] as object), authority: "ScaiVault" } };
}

/** Writes to targets, by what each store or the API server saw: must be empty over unchanged state. */
export function targetWrites({ kubeWrites, scaivault }: Seen): string[] {
  const onSecrets = kubeWrites.filter(({ resource }) => resource === "secrets");
  const routes = Object.entries(scaivault.byRoute).filter(
    ([route]) => !route.startsWith("GET ") && !/batch\/|\/auth\//.test(route),
  );
  return [
    ...onSecrets.map(({ verb, name }) => `${verb} Secret ${name}`),
    ...routes.map(([route, times]) => `${times} x ${route}`),
    ...(scaivault.versionsWritten === 0 ? [] : [`${scaivault.versionsWritten} versions in ScaiVault`]),
  ];
}

/** Values read anywhere; a Vault mount of KV version 1 has no versions, so its values are the only thing to compare. */
export function valueReads({ aws, scaivault, vault }: Seen, mountOfVersion2 = ""): Record<string, number> {
  const read = vault.filter(
    ({ operation, path }) => operation === "read" && path.startsWith(`${mountOfVersion2}/data/`),
  );
  return { aws: aws.valueReads, scaivault: scaivault.valuesRead, vault: mountOfVersion2 === "" ? 0 : read.length };
}

export const noValueReads = { aws: 0, scaivault: 0, vault: 0 };
