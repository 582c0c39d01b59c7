/** Specs that tests of the API share: good ones, and edits that make them bad. */
type Tree = { [name: string]: unknown };

/** A deep copy of `base` with `edit` merged in; null removes, lists replace. */
export function edited(base: Tree, edit: Tree): Tree {
  const result: Tree = structuredClone(base);
  for (const [name, value] of Object.entries(edit)) {
    const old = result[name];
    if (value === null) delete result[name];
    else if (isTree(value) && isTree(old)) result[name] = edited(old, value);
    else result[name] = structuredClone(value);
  }
  return result;
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const syncSpec: Tree = {
  source: { backendRef: { name: "aws-prod" }, path: "prod/billing/stripe" },
  targets: { scaivault: { path: "environments/production/billing/stripe" }, kubernetesSecret: {} },
};

export const treeSpec: Tree = {
  source: { backendRef: { name: "aws-prod" }, subtree: "prod/billing/**" },
  targets: {
    scaivault: { path: "environments/production/billing/**" },
    kubernetesSecret: { nameTemplate: "billing-{path}" },
  },
};

export const awsSpec: Tree = {
  type: "aws-secrets-manager",
  awsSecretsManager: { region: "us-east-1", auth: { secretRef: { name: "aws-reader" } } },
};

export const vaultSpec: Tree = {
  type: "hashicorp-vault",
  hashicorpVault: {
    address: "https://vault.example.com:8200",
    auth: { appRole: { secretRef: { name: "vault-approle" } } },
  },
};

export const copiedSpec: Tree = edited(awsSpec, {
  federation: { mode: "sync", pathMapping: [{ scaivaultPath: "external/aws/**", sourcePath: "prod/**" }] },
});

const { auth: _login, ...withoutLogin } = awsSpec["awsSecretsManager"] as Tree;

/** Registered in ScaiVault, which has a login of its own. */
export const proxySpec: Tree = {
  type: "aws-secrets-manager",
  awsSecretsManager: withoutLogin,
  federation: {
    mode: "proxy",
    runsIn: "ScaiVault",
    credentials: { scaivaultPath: "infra/aws/sm-reader" },
    pathMapping: [{ scaivaultPath: "external/aws/**", sourcePath: "prod/**" }],
  },
};

export interface Good {
  readonly name: string;
  readonly kind: "SecretSync" | "FederationBackend";
  readonly spec: Tree;
}

/** Specs that both the API server and `validate` take. */
export const goodSpecs: readonly Good[] = [
  { name: "sync", kind: "SecretSync", spec: syncSpec },
  { name: "tree", kind: "SecretSync", spec: treeSpec },
  { name: "aws", kind: "FederationBackend", spec: awsSpec },
  { name: "vault", kind: "FederationBackend", spec: vaultSpec },
  {
    name: "sync-rich",
    kind: "SecretSync",
    spec: {
      source: {
        backendRef: { name: "aws-prod", namespace: "platform" },
        path: "prod/billing/stripe",
        stage: "AWSCURRENT",
      },
      targets: {
        scaivault: {
          path: "environments/production/billing/stripe",
          tags: ["billing", "team=billing"],
          owner: "team:billing",
          description: "Stripe, live",
          maxVersions: 10,
        },
        kubernetesSecret: {
          name: "stripe",
          type: "Opaque",
          data: [
            { key: "STRIPE_KEY", field: ".api_key" },
            { key: "ca.pem", field: '."ca.crt"', decode: "Base64" },
            { key: "all.json" },
          ],
        },
      },
      authority: "Source",
      conflictResolution: "manual",
      adopt: "Never",
      deletionPolicy: "Retain",
      cleanupPolicy: "Retain",
      apply: "Automatic",
      syncInterval: "15m",
      suspend: false,
    },
  },
  {
    name: "backend-rich",
    kind: "FederationBackend",
    spec: {
      ...awsSpec,
      syncInterval: "24h",
      grants: [
        {
          name: "teams",
          namespaces: { names: ["billing", "shop"] },
          read: ["prod/{namespace}/**", "/prod/shared/*", "**"],
        },
      ],
      suspend: false,
    },
  },
  {
    name: "operator-identity",
    kind: "FederationBackend",
    spec: { ...awsSpec, awsSecretsManager: { region: "us-gov-west-1", auth: { operator: {} } } },
  },
  {
    name: "vault-rich",
    kind: "FederationBackend",
    spec: {
      type: "hashicorp-vault",
      hashicorpVault: {
        address: "https://vault.example.com",
        namespace: "team/billing",
        caRef: { kind: "ConfigMap", name: "vault-ca", key: "ca.crt" },
        auth: { token: { secretRef: { name: "vault-token" } } },
      },
    },
  },
  { name: "copied", kind: "FederationBackend", spec: copiedSpec },
  { name: "proxy", kind: "FederationBackend", spec: proxySpec },
  {
    name: "copied-rich",
    kind: "FederationBackend",
    spec: edited(awsSpec, {
      syncInterval: "30s",
      federation: {
        mode: "sync",
        runsIn: "Operator",
        authority: "Source",
        conflictResolution: "manual",
        adopt: "IfEqual",
        apply: "OnApproval",
        deletionPolicy: "Delete",
        cleanupPolicy: "Delete",
        naming: "LowerDash",
        owner: "team:platform",
        maxVersions: 10,
        tags: [
          { from: "team", as: "value" },
          { from: "cost-*", as: "key:value" },
          { from: "aws:*", as: "Drop" },
          { from: "*", as: "key=value" },
        ],
        pathMapping: [
          { scaivaultPath: "external/aws/**", sourcePath: "prod/**", exclude: ["prod/sandbox/**", "prod/*/scratch"] },
          { scaivaultPath: "external/aws", sourcePath: "prod" },
          { scaivaultPath: "external/aws2/**", sourcePath: "/Dev Team/**" },
        ],
      },
    }),
  },
  {
    name: "copied-by-scaivault",
    kind: "FederationBackend",
    spec: {
      ...vaultSpec,
      syncInterval: "1m",
      federation: {
        mode: "sync",
        runsIn: "ScaiVault",
        authority: "ScaiVault",
        conflictResolution: "local_wins",
        adopt: "IfEqual",
        cleanupPolicy: "Delete",
        credentials: { scaivaultPath: "infra/hashicorp/approle", secretRef: { name: "vault-approle" } },
        pathMapping: [{ scaivaultPath: "external/hashicorp/**", sourcePath: "kv/**" }],
      },
    },
  },
  { name: "vault-number", kind: "SecretSync", spec: edited(syncSpec, { source: { path: "kv/prod/x", version: 3 } }) },
  {
    name: "vault-number-text",
    kind: "SecretSync",
    spec: edited(syncSpec, { source: { path: "kv/prod/x", version: "3" } }),
  },
  { name: "leading-slash", kind: "SecretSync", spec: edited(syncSpec, { source: { path: "/prod/x" } }) },
  {
    name: "arn",
    kind: "SecretSync",
    spec: edited(syncSpec, { source: { path: "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/x-AbCdEf" } }),
  },
  { name: "odd-names", kind: "SecretSync", spec: edited(syncSpec, { source: { path: "kv/Prod/ä b?c#d" } }) },
  {
    name: "flipped",
    kind: "SecretSync",
    spec: edited(syncSpec, { authority: "ScaiVault", conflictResolution: "local_wins", cleanupPolicy: "Delete" }),
  },
  {
    name: "own-type",
    kind: "SecretSync",
    spec: edited(syncSpec, { targets: { kubernetesSecret: { type: "example.com/api-key" } } }),
  },
  {
    name: "tls-type",
    kind: "SecretSync",
    spec: edited(syncSpec, { targets: { kubernetesSecret: { type: "kubernetes.io/tls" } } }),
  },
  {
    name: "tree-data",
    kind: "SecretSync",
    spec: edited(treeSpec, {
      targets: { kubernetesSecret: { nameTemplate: null, data: [{ key: "key", field: ".key" }] } },
    }),
  },
];
