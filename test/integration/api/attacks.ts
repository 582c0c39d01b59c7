import { awsSpec, edited, proxySpec, syncSpec, vaultSpec } from "./specs.ts";

/** Attacks that the schema itself refuses: the field that they need is not there, in no spelling. */
export interface Attack {
  /** What the tenant tries. */
  readonly name: string;
  /** Number in the list of threats. */
  readonly number: number;
  readonly kind: "SecretSync" | "FederationBackend";
  readonly spec: Record<string, unknown>;
  /** Fields that are refused, as the API server names them. */
  readonly unknown: readonly string[];
}

const roleARN = "arn:aws:iam::444455556666:role/other-team";

export const attacks: readonly Attack[] = [
  {
    name: "reads another team's ScaiVault path into an own Secret",
    number: 1,
    kind: "SecretSync",
    spec: edited(syncSpec, { source: { scaivault: {} } }),
    unknown: ["spec.source.scaivault"],
  },
  {
    name: "grants ScaiVault paths, and writing, that it does not hold",
    number: 4,
    kind: "FederationBackend",
    spec: edited(awsSpec, {
      grants: [{ name: "me", namespaces: { names: ["mine-2"] }, read: ["**"], scaivaultPaths: ["**"], write: ["**"] }],
    }),
    unknown: ["spec.grants[0].scaivaultPaths", "spec.grants[0].write"],
  },
  {
    name: "grants to whoever sets a label on a namespace",
    number: 18,
    kind: "FederationBackend",
    spec: edited(awsSpec, {
      grants: [{ name: "me", namespaces: { names: ["a"], selector: { matchLabels: { team: "x" } } }, read: ["**"] }],
    }),
    unknown: ["spec.grants[0].namespaces.selector"],
  },
  {
    name: "sends credentials of a ScaiVault path to an own endpoint",
    number: 5,
    kind: "FederationBackend",
    spec: edited(vaultSpec, {
      hashicorpVault: { auth: { appRole: { scaivaultPath: "infra/hashicorp/approle" } }, credentialsPath: "infra/x" },
    }),
    unknown: ["spec.hashicorpVault.auth.appRole.scaivaultPath", "spec.hashicorpVault.credentialsPath"],
  },
  {
    name: "names a Secret of another namespace, and any key of it",
    number: 6,
    kind: "FederationBackend",
    spec: edited(vaultSpec, {
      hashicorpVault: {
        auth: { appRole: null, token: { secretRef: { name: "db", namespace: "other", key: "password" } } },
      },
    }),
    unknown: ["spec.hashicorpVault.auth.token.secretRef.key", "spec.hashicorpVault.auth.token.secretRef.namespace"],
  },
  {
    name: "assumes another team's role with an external id of its own",
    number: 8,
    kind: "FederationBackend",
    spec: edited(awsSpec, {
      awsSecretsManager: { assumeRole: [{ roleARN, externalID: "x", sessionTags: { team: "y" } }] },
    }),
    unknown: ["spec.awsSecretsManager.assumeRole"],
  },
  {
    name: "sends AWS requests to an endpoint of its own",
    number: 9,
    kind: "FederationBackend",
    spec: edited(awsSpec, {
      awsSecretsManager: { endpoint: "https://evil.example.com", stsEndpoint: "https://evil.example.com" },
    }),
    unknown: ["spec.awsSecretsManager.endpoint", "spec.awsSecretsManager.stsEndpoint"],
  },
  {
    name: "logs in to a hostile Vault with a signed AWS request or a ServiceAccount token",
    number: 10,
    kind: "FederationBackend",
    spec: edited(vaultSpec, {
      hashicorpVault: {
        auth: { awsIAM: { role: "x" }, kubernetes: { role: "x", serviceAccountRef: { name: "admin" } } },
      },
    }),
    unknown: ["spec.hashicorpVault.auth.awsIAM", "spec.hashicorpVault.auth.kubernetes"],
  },
  {
    name: "takes a CA of another namespace, or turns verification off",
    number: 14,
    kind: "FederationBackend",
    spec: edited(vaultSpec, {
      hashicorpVault: {
        caRef: { kind: "Secret", name: "x", key: "ca.crt", namespace: "other" },
        tls: { skipVerify: true },
      },
    }),
    unknown: ["spec.hashicorpVault.caRef.namespace", "spec.hashicorpVault.tls"],
  },
  {
    name: "puts labels of a replicator on its Secret, in another namespace",
    number: 23,
    kind: "SecretSync",
    spec: edited(syncSpec, { targets: { kubernetesSecret: { labels: { replicate: "true" }, namespace: "other" } } }),
    unknown: ["spec.targets.kubernetesSecret.labels", "spec.targets.kubernetesSecret.namespace"],
  },
];

/** Fields of later versions: absent until they work, so never accepted and ignored. */
export const laterFields: readonly Attack[] = [
  {
    name: "push target",
    number: 0,
    kind: "SecretSync",
    spec: edited(syncSpec, { targets: { push: { backendRef: { name: "x" }, path: "y" } } }),
    unknown: ["spec.targets.push"],
  },
  {
    name: "several secrets in one",
    number: 0,
    kind: "SecretSync",
    spec: edited(syncSpec, {
      targets: { kubernetesSecret: { data: [{ key: "a", path: "prod/other" }], template: {} } },
    }),
    unknown: ["spec.targets.kubernetesSecret.data[0].path", "spec.targets.kubernetesSecret.template"],
  },
  {
    name: "credentials of a federation from another namespace",
    number: 15,
    kind: "FederationBackend",
    spec: edited(proxySpec, {
      federation: { credentials: { secretRef: { name: "x", namespace: "other" } } },
    }),
    unknown: ["spec.federation.credentials.secretRef.namespace"],
  },
];
