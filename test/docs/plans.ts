/** What single pages need before their commands run, and what other programs and people do between them. */
import { secretData } from "../../local/quickstart/flows.ts";
import type { Scratch, Stage } from "./stage.ts";

type Act = (stage: Stage, scratch: Scratch) => Promise<void>;

/** How a page is played. A page without a plan runs its commands beside the operator of the quickstart, with nothing besides. */
export interface Plan {
  /** `bare`: before the operator is there; `last`: after all others. A block can say another by `when=` in its note. */
  readonly when?: When;
  readonly before?: Act;
  readonly after?: Act;
  /** Texts of commands and what stands in their place on the stage. */
  readonly replace?: (stage: Stage, scratch: Scratch) => Readonly<Record<string, string>>;
  /** What others do after a block with `actor=NAME` in its note. */
  readonly actors?: Readonly<Record<string, Act>>;
}

/** When a block is played. */
export type When = "bare" | "playing" | "last";

/** The namespace of the examples. */
const team = "billing";
const objects = { syncs: "secretsyncs.scaivault.scailabs.ai", backends: "federationbackends.scaivault.scailabs.ai" };

async function kubectl(stage: Stage, ...args: readonly string[]): Promise<void> {
  await stage.cluster.kubectl(["-n", team, ...args]);
}

/** The Secret `stripe` as External Secrets Operator made it: owned, and one of its values an old one. */
async function esoSecret(stage: Stage): Promise<void> {
  const data = (await secretData(stage.world, "stripe")) ?? {};
  await kubectl(stage, "delete", objects.syncs, "stripe");
  await kubectl(stage, "delete", "secret", "stripe");
  const owner = { apiVersion: "external-secrets.io/v1", kind: "ExternalSecret", name: "stripe" };
  const uid = "11111111-2222-3333-4444-555555555555";
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: "stripe",
      namespace: team,
      labels: { "reconcile.external-secrets.io/managed": "true" },
      ownerReferences: [{ ...owner, uid, controller: true, blockOwnerDeletion: true }],
    },
    stringData: { ...data, STRIPE_WEBHOOK_SECRET: "old" },
  };
  await stage.cluster.kubectl(["create", "--field-manager=external-secrets", "-f", "-"], JSON.stringify(secret));
  esoData = data;
}
let esoData: Readonly<Record<string, string>> = {};

/** A patch of the Secret `stripe`, as External Secrets Operator or its owner would make it. */
const patchStripe = (stage: Stage, patch: object): Promise<void> =>
  kubectl(stage, "patch", "secret", "stripe", "--field-manager=external-secrets", "-p", JSON.stringify(patch));

/** The objects of the quickstart as they were, and all of them Ready. */
const restore: Act = (stage) => stage.restore();
const uninstall: Act = (stage) => stage.uninstall();
const logins = (stage: Stage) => {
  const found = stage.quickstart.seeded?.logins;
  if (found === undefined) throw new Error("the quickstart has not run");
  return found;
};

/** A person's terminal: curl reaches the ScaiVault of the stage, with a token of all rights. */
async function terminal(stage: Stage, scratch: Scratch): Promise<void> {
  scratch.write("token", stage.scaivault.server.token);
  scratch.write(".curlrc", `cacert = "${stage.env.facts.caFile}"\nnoproxy = "*"\nfail-with-body\n`);
}
const scaivaultURL = (stage: Stage) => ({ "https://scaivault.scailabs.ai/v1": `${stage.scaivault.facts.url}/v1` });

/** Objects that a page about a migration made; registrations in ScaiVault go with them. */
async function endMigration(stage: Stage, syncs: readonly string[], backends: readonly string[]): Promise<void> {
  const gone = ["--ignore-not-found", "--timeout=60s"];
  await kubectl(stage, "delete", objects.syncs, ...syncs, ...gone);
  for (const name of backends) {
    await kubectl(
      stage,
      "patch",
      objects.backends,
      name,
      "--type=merge",
      "-p",
      '{"spec":{"federation":{"cleanupPolicy":"Delete"}}}',
    ).catch(() => undefined);
    await kubectl(stage, "delete", objects.backends, name, ...gone);
  }
  await stage.restore();
}

export const plans: Readonly<Record<string, Plan>> = {
  "README.md": {
    async before(stage, scratch) {
      scratch.write("token", stage.scaivault.server.token);
      // An object that is not Ready, for the picture.
      await kubectl(stage, "create", "secret", "generic", "invoices", "--from-literal=password=another");
      const source = { backendRef: { name: "aws-prod" }, path: "prod/billing/workers/invoices" };
      const spec = { source, targets: { kubernetesSecret: {} }, adopt: "IfEqual" };
      const metadata = { name: "invoices", namespace: team };
      await stage.cluster.apply([{ apiVersion: "scaivault.scailabs.ai/v1alpha1", kind: "SecretSync", metadata, spec }]);
    },
    async after(stage) {
      await kubectl(stage, "delete", objects.syncs, "invoices");
      await kubectl(stage, "delete", "secret", "invoices");
    },
    replace: (stage, scratch) => ({
      "--url https://scaivault.scailabs.ai": `--url ${stage.scaivault.facts.url} --ca ${stage.env.facts.caFile}`,
      "./token": `${scratch.folder}/token`,
    }),
  },
  "docs/install.md": {
    when: "bare",
    before: async (stage, scratch) => scratch.write("token", stage.scaivault.server.token),
    after: uninstall,
  },
  "charts/scaivault-operator/README.md": { when: "bare", after: uninstall },
  "docs/federationbackend.md": {
    async before(stage, scratch) {
      const { aws } = logins(stage);
      scratch.write("access-key-id", aws.accessKeyId);
      scratch.write("secret-access-key", aws.secretAccessKey);
      await kubectl(stage, "delete", "secret", "aws-reader");
    },
    after: restore,
  },
  "docs/gitops.md": {
    async before(stage) {
      await stage.kube.ensureNamespace("argocd");
      await stage.cluster.kubectl(["-n", "argocd", "create", "configmap", "argocd-cm"]);
    },
  },
  "docs/adopt.md": {
    before: (stage) => esoSecret(stage),
    async after(stage) {
      await kubectl(stage, "delete", "secret", "stripe");
      await stage.restore();
    },
    actors: {
      makeEqual: (stage) => patchStripe(stage, { stringData: esoData }),
      orphan: (stage) => patchStripe(stage, { metadata: { ownerReferences: null } }),
    },
  },
  "docs/migrate-from-aws-secrets-manager.md": {
    async before(stage, scratch) {
      const { aws } = logins(stage);
      await terminal(stage, scratch);
      scratch.write("access-key-id", aws.accessKeyId);
      scratch.write("secret-access-key", aws.secretAccessKey);
      await kubectl(stage, "delete", "secret", "aws-reader");
    },
    replace: scaivaultURL,
    after: (stage) => endMigration(stage, ["inventory", "mailer"], ["aws-prod"]),
  },
  "docs/migrate-from-hashicorp-vault.md": {
    async before(stage, scratch) {
      const { vault } = logins(stage);
      await terminal(stage, scratch);
      scratch.write("role-id", vault?.roleId ?? "");
      scratch.write("secret-id", vault?.secretId ?? "");
      scratch.write("ca.crt", stage.world.stores.ca);
      await kubectl(stage, "delete", "secret", "vault-approle");
      await kubectl(stage, "delete", "configmap", "vault-ca");
    },
    replace: (stage) => ({ ...scaivaultURL(stage), "/var/log/vault/audit.log": stage.env.vault.facts.auditFile }),
    after: (stage) => endMigration(stage, ["billing-database"], ["vault-prod"]),
  },
  "docs/quickstart.md": {
    replace: () => ({ "node scripts/with-node.mjs src/main.ts": "scaivault-operator" }),
    after: restore,
  },
  "docs/reasons.md": {
    // An object of its own, since the commands change what they are tried on.
    async after(stage) {
      await kubectl(stage, "delete", objects.syncs, "stripe");
      await stage.restore();
    },
    // The move of the authority would stand in the mark for good.
    replace: () => ({
      [`'{"spec":{"authority":"ScaiVault"}}'`]: `'{"spec":{"authority":"ScaiVault"}}' --dry-run=server`,
    }),
  },
  "docs/runbooks/ScaiVaultApprovalWaiting.md": { after: restore },
  "docs/runbooks/ScaiVaultBrakeHeld.md": { after: restore },
  "docs/runbooks/ScaiVaultFreshnessLow.md": { after: restore },
  "docs/uninstall.md": {
    when: "last",
    actors: { podsGo: async (stage) => stage.quickstart.operator?.stop() },
  },
  "scaivault-server/README.md": {
    replace: (stage, scratch) => ({ "8443": String(stage.port), "/tmp/": `${scratch.folder}/` }),
  },
};
