import * as z from "zod";
import { dnsLabelRule, dnsSubdomainRule, durationRules, secretKeyRule } from "./grammar.ts";
import { MAX_PROBLEMS } from "./names.ts";
import { described, type Rule } from "./rules.ts";

/**
 * A bounded text that is not empty. Bounds are in characters. Where a rule refuses the empty text already, the schema
 * does not, so that people get one line and not two.
 */
export function text(description: string, max: number, rules: readonly Rule[] = []): z.ZodString {
  const refused = rules.some((rule) => !rule.transition && !rule.test("", undefined));
  return described(refused ? z.string().max(max) : z.string().min(1).max(max), description, rules);
}

/** A text of the operator's own status: bounded, may be empty. */
export function statusText(description: string, max: number): z.ZodString {
  return described(z.string().max(max), description);
}

export function timestamp(description: string): z.ZodString {
  return described(z.string(), description, [], { format: "date-time" });
}

export function syncInterval(description: string): z.ZodString {
  return text(description, 32, durationRules("30s", "24h"));
}

const count = (description: string): z.ZodInt => described(z.int().min(0).max(2_147_483_647), description);

/** A Secret in the object's own namespace. There is no namespace field, and there must never be one. */
export const localSecretRef = (description: string) =>
  described(
    z.object({ name: text("Name of the Secret.", 253, [dnsSubdomainRule]) }),
    `${description} The Secret is in the namespace of this object and has the label scaivault.scailabs.ai/credential=true.`,
  );

export const caRef = described(
  z.object({
    kind: described(z.enum(["Secret", "ConfigMap"]), "Secret or ConfigMap."),
    name: text("Name of the Secret or ConfigMap.", 253, [dnsSubdomainRule]),
    key: text("Key that holds the PEM certificates, such as ca.crt.", 253, [secretKeyRule]),
  }),
  "PEM certificates that sign the store's TLS certificate, in the namespace of this object. The object that holds them has the label scaivault.scailabs.ai/credential=true.",
);

export const namespaceName = (description: string): z.ZodString => text(description, 63, [dnsLabelRule]);

export const condition = described(
  z.object({
    type: described(z.string().min(1).max(64), "Type of the condition, such as Ready."),
    status: described(z.enum(["True", "False", "Unknown"]), "True, False or Unknown."),
    reason: described(z.string().min(1).max(64), "One word out of the table of reasons."),
    message: statusText("One line for people.", 1024),
    observedGeneration: described(
      z.int().min(0).max(Number.MAX_SAFE_INTEGER),
      "metadata.generation that the condition was computed for.",
    ).optional(),
    lastTransitionTime: timestamp("When status last changed."),
  }),
  "One condition.",
);
export type Condition = z.infer<typeof condition>;

export const conditions = described(z.array(condition).max(16), "Conditions by type; Ready is always there.", [], {
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
});

const conflictSide = (side: string) =>
  described(
    z.object({
      base: statusText(`Version of ${side} that both sides held.`, 128).optional(),
      now: statusText(`Version of ${side} now; absent: it is not there.`, 128).optional(),
    }),
    `Versions of ${side}.`,
  );

export const conflict = described(
  z.object({
    source: conflictSide("the source"),
    scaivault: conflictSide("the path in ScaiVault"),
    keepSource: statusText(
      "Hash that the annotation approve takes to write ScaiVault from the source.",
      128,
    ).optional(),
    keepScaiVault: statusText("Hash that the annotation approve takes to keep what ScaiVault holds.", 128).optional(),
  }),
  "What the two sides of a conflict hold, by version, and the hashes that settle it.",
);
export type Conflict = z.infer<typeof conflict>;

export const problem = described(
  z.object({
    path: statusText("Source path, ScaiVault path or Secret that the problem is about.", 600),
    reason: described(z.string().min(1).max(64), "One word out of the table of reasons."),
    message: statusText("One line for people; never a value.", 512),
    since: timestamp("When it was first seen."),
    conflict: conflict.optional(),
  }),
  "One problem.",
);
export type Problem = z.infer<typeof problem>;

export const problems = described(
  z.array(problem).max(MAX_PROBLEMS),
  `What is not right, at most ${MAX_PROBLEMS}; counts tell how many there are.`,
  [],
  { "x-kubernetes-list-type": "atomic" },
);

export const counts = described(
  z.object({
    found: count("Secrets found at the source."),
    inSync: count("Secrets in sync in all targets."),
    failed: count("Secrets that failed or wait for something outside."),
    conflicts: count("Secrets changed on both sides."),
    held: count("Secrets held by a brake, a fence or a missing approval."),
  }),
  "How many secrets there are and how they stand.",
);
export type Counts = z.infer<typeof counts>;

export const backendCounts = described(
  z.object({
    dependants: count("SecretSyncs that use this backend."),
    inSync: count("Dependants that are Ready."),
    failed: count("Dependants that are not Ready and not held."),
    conflicts: count("Dependants in conflict."),
    held: count("Dependants held by a brake, a fence or a missing approval."),
  }),
  "How the SecretSyncs that use this backend stand.",
);
export type BackendCounts = z.infer<typeof backendCounts>;

export const observedGeneration = described(
  z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  "metadata.generation that this status is about; 0 until the operator has looked at the object.",
);
export const lastHandledSyncRequest = statusText("Last handled value of the annotation sync-requested-at.", 64);

const planCount = (description: string) => described(z.int().min(0).max(2_147_483_647), description);
export const planStatus = described(
  z.object({
    hash: statusText("Name of this plan; the annotation approve releases it. Empty when nothing waits.", 128),
    add: planCount("Targets to create."),
    change: planCount("Targets to change."),
    delete: planCount("Targets to delete."),
  }),
  "What waits for an approval.",
);
export type PlanStatus = z.infer<typeof planStatus>;

export const lastHandledApproval = statusText(
  "Last value of the annotation approve that was used; it counts once.",
  64,
);

/** The part of metadata that the operator reads. Unknown members are dropped. */
export const objectMeta = z.object({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  resourceVersion: z.string().optional(),
  generation: z.int(),
  creationTimestamp: z.string(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  finalizers: z.array(z.string()).optional(),
});
export type ObjectMetadata = z.infer<typeof objectMeta>;
