import { federationBackendSpec, federationBackendStatus } from "./federation-backend.ts";
import { federationBackendKind, GROUP, type KindInfo, secretSyncKind, VERSION } from "./names.ts";
import { secretSyncSpec, secretSyncStatus } from "./secret-sync.ts";
import { type StructuralSchema, structuralSchema } from "./structural.ts";

interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: number;
}

const READY: readonly Column[] = [
  {
    name: "Ready",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Ready")].status',
    description: "True when all is as declared.",
  },
  {
    name: "Status",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
    description: "Reason of Ready; see the table of reasons.",
  },
];
const AGE: Column = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Age of the object.",
};

const backendColumns: readonly Column[] = [
  ...READY,
  { name: "Type", type: "string", jsonPath: ".spec.type", description: "Kind of store." },
  {
    name: "Identity",
    type: "string",
    jsonPath: ".status.identity",
    description: "Identity at the store.",
    priority: 1,
  },
  {
    name: "Dependants",
    type: "integer",
    jsonPath: ".status.counts.dependants",
    description: "SecretSyncs that use it.",
  },
  { name: "Failing", type: "integer", jsonPath: ".status.counts.failed", description: "Dependants that fail." },
  { name: "Last Poll", type: "date", jsonPath: ".status.lastPollTime", description: "End of the last good poll." },
  AGE,
];

const syncColumns: readonly Column[] = [
  ...READY,
  {
    name: "Source",
    type: "string",
    jsonPath: ".spec.source['path','subtree']",
    description: "Path or subtree that is read.",
  },
  {
    name: "Backend",
    type: "string",
    jsonPath: ".spec.source.backendRef.name",
    description: "FederationBackend that is read.",
    priority: 1,
  },
  {
    name: "Message",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Ready")].message',
    description: "What Ready says.",
    priority: 1,
  },
  {
    name: "Last Write",
    type: "date",
    jsonPath: ".status.lastWriteTime",
    description: "When a target was last written; an old one is healthy.",
  },
  AGE,
];

const typeMeta = {
  apiVersion: { type: "string", description: "scaivault.scailabs.ai/v1alpha1." },
  metadata: { type: "object" },
};

function crd(
  info: KindInfo,
  description: string,
  spec: StructuralSchema,
  status: StructuralSchema,
  columns: readonly Column[],
): Record<string, unknown> {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${info.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: {
        kind: info.kind,
        listKind: `${info.kind}List`,
        plural: info.plural,
        singular: info.singular,
        shortNames: info.shortNames,
        categories: ["scaivault"],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              type: "object",
              description,
              properties: {
                ...typeMeta,
                kind: { type: "string", description: `${info.kind}.` },
                spec,
                // Tools (kstatus) take an object without a status for current. No generation is 0, so until the operator
                // has looked at a new object they see that it has not.
                status: { ...status, default: { observedGeneration: 0 } },
              },
              required: ["spec"],
            },
          },
          subresources: { status: {} },
        },
      ],
    },
  };
}

/** Both CustomResourceDefinitions, by file name. */
export function customResourceDefinitions(): ReadonlyMap<string, Record<string, unknown>> {
  return new Map([
    [
      `${GROUP}_${federationBackendKind.plural}.yaml`,
      crd(
        federationBackendKind,
        "A FederationBackend is one external secret store and how to log in to it.",
        structuralSchema(federationBackendSpec),
        structuralSchema(federationBackendStatus),
        backendColumns,
      ),
    ],
    [
      `${GROUP}_${secretSyncKind.plural}.yaml`,
      crd(
        secretSyncKind,
        "A SecretSync keeps copies of one secret, or of all secrets below a path, in ScaiVault and in Kubernetes Secrets.",
        structuralSchema(secretSyncSpec),
        structuralSchema(secretSyncStatus),
        syncColumns,
      ),
    ],
  ]);
}
