/** Names that clusters, people and tools see. They are frozen with v1alpha1: change none of them. */

export const GROUP = "scaivault.scailabs.ai";
export const VERSION = "v1alpha1";
/** `apiVersion` of both kinds. */
export const API_VERSION = `${GROUP}/${VERSION}`;

/** How one kind is addressed in the API. */
export interface KindInfo {
  readonly kind: "FederationBackend" | "SecretSync";
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
}

export const federationBackendKind: KindInfo = {
  kind: "FederationBackend",
  plural: "federationbackends",
  singular: "federationbackend",
  shortNames: ["fedb"],
};

export const secretSyncKind: KindInfo = {
  kind: "SecretSync",
  plural: "secretsyncs",
  singular: "secretsync",
  shortNames: ["ssync"],
};

/** Annotations that people set on our kinds. */
export const annotations = {
  /** Any short text; a new one asks for a sync at once. Echoed in `status.lastHandledSyncRequest`. */
  syncRequestedAt: `${GROUP}/sync-requested-at`,
  /** The hash of `status.plan`; releases exactly that plan. */
  approve: `${GROUP}/approve`,
} as const;

/** Labels and annotations on Kubernetes Secrets. */
export const secretMetadata = {
  /** Label of Secrets that the operator writes; its value is `true`. */
  managedLabel: `${GROUP}/managed`,
  /** Annotation that carries the mark. */
  markAnnotation: `${GROUP}/mark`,
  /** Label that releases a Secret or ConfigMap to the operator as a credential or CA; its value is `true`. */
  credentialLabel: `${GROUP}/credential`,
  /** Annotation by which a Secret's owner consents to a take-over by the SecretSync of that name. */
  adoptAnnotation: `${GROUP}/adopt`,
} as const;

/** Value of {@link secretMetadata.managedLabel} and {@link secretMetadata.credentialLabel}. */
export const LABEL_TRUE = "true";

/** On a SecretSync only while `cleanupPolicy: Delete`. */
export const FINALIZER = `${GROUP}/cleanup`;

/** Field managers of server-side apply, by what they own. */
export const fieldManagers = {
  /** Target Secrets. */
  secrets: "scaivault-operator",
  /** `status` of our kinds. */
  status: "scaivault-operator-status",
  /** `metadata.finalizers` of our kinds. */
  finalizers: "scaivault-operator-finalizers",
} as const;

/** A sync request is echoed only when it has this form; anything else is ignored. */
export const SYNC_REQUEST_PATTERN = /^[\w:.-]{1,64}$/;

/** Most entries of `status.problems`. */
export const MAX_PROBLEMS = 20;

/** Most keys under `targets.kubernetesSecret.data`. */
export const MAX_DATA_KEYS = 100;

/** Most entries of `federation.pathMapping`; more would cost the API server too much to compare (tried). */
export const MAX_MAPPINGS = 64;
/** Most paths in `status.federation.copies`. */
export const MAX_COPIES = 2 * MAX_MAPPINGS;
