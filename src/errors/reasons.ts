/**
 * The closed table of reasons: every condition, problem, event and error of the operator carries one of these names.
 *
 * `kind` says who can mend it:
 * - `ok`: nothing to mend; the state is as declared.
 * - `terminal`: only an edit of the object (or of the operator's configuration) mends it; not retried before one.
 * - `waiting`: something outside has to happen (an approval, another object, the other side); looked at each interval.
 * - `transient`: tried again by itself with backoff.
 *
 * `hint` is one sentence that says what to do. Each reason has a row in docs/reasons.md.
 */
export interface ReasonRow {
  readonly kind: "ok" | "terminal" | "waiting" | "transient";
  readonly hint: string;
}

export const reasons = {
  // Fine.
  InSync: { kind: "ok", hint: "Nothing to do." },
  Observed: { kind: "ok", hint: "Targets equal the source; nothing is written while apply is Never." },
  SourceGoneRetained: {
    kind: "ok",
    hint: "The source secret is gone; copies stay because deletionPolicy is Retain. Remove this object when no copy is needed.",
  },
  Retired: { kind: "ok", hint: "ScaiVault is the authority and the old store no longer has the secret." },
  SourceChanged: {
    kind: "ok",
    hint: "The old store changed after the flip; ScaiVault is the authority, nothing is written.",
  },
  ScaiVaultKept: {
    kind: "ok",
    hint: "People kept what ScaiVault holds; the source's next version is written again.",
  },
  Suspended: { kind: "waiting", hint: "Set spec.suspend to false to go on." },
  Progressing: { kind: "transient", hint: "The first copy is under way." },

  // The object itself.
  InvalidSpec: {
    kind: "terminal",
    hint: "Edit the object as the message says; `scaivault-operator validate -f` shows all problems.",
  },
  InvalidPath: { kind: "terminal", hint: "Use a path that the store and ScaiVault both allow." },
  InvalidKey: {
    kind: "terminal",
    hint: "Name the keys under targets.kubernetesSecret.data; a Secret key has only letters, digits, '-', '_' and '.'.",
  },
  FieldNotFound: { kind: "waiting", hint: "The secret has no such field; mend data[].field or the secret." },
  NotJSON: {
    kind: "waiting",
    hint: "data[].field needs a secret that is a JSON object; leave field out to take the whole value.",
  },
  DecodeFailed: { kind: "waiting", hint: "The field is not valid Base64; leave decode out or mend the secret." },
  InvalidTLSPair: {
    kind: "waiting",
    hint: "The certificate does not match the key; the Secret is written when both have changed.",
  },
  MissingKey: {
    kind: "waiting",
    hint: "The Secret type needs keys that the secret does not have; add them under data.",
  },
  ValueTooLarge: {
    kind: "waiting",
    hint: "The target takes at most 1 MiB; take single keys under data, or split the secret.",
  },
  NotRepresentable: { kind: "waiting", hint: "The value cannot be carried without damage; see the message." },
  NameCollision: {
    kind: "terminal",
    hint: "Two secrets map to one name; exclude one, rename one, or change nameTemplate.",
  },
  TooManyMatches: {
    kind: "terminal",
    hint: "Narrow the subtree or have the limit raised in the operator's configuration (budgets).",
  },
  TypeNotAllowed: { kind: "terminal", hint: "Use one of the allowed Secret types." },
  ImmutableType: { kind: "terminal", hint: "A Secret's type cannot change; delete the Secret or restore the type." },

  // Rights.
  NotGranted: {
    kind: "waiting",
    hint: "Ask for a grant on the backend or for tenancy in the operator's configuration.",
  },
  NamespaceProtected: {
    kind: "terminal",
    hint: "Objects in this namespace are refused unless the operator's configuration names it.",
  },
  EndpointNotAllowed: { kind: "waiting", hint: "Have the host listed under tenancy.endpoints for this namespace." },
  CredentialNotFound: { kind: "waiting", hint: "Create the credential Secret in the backend's namespace." },
  CredentialNotReleased: {
    kind: "waiting",
    hint: "Label the Secret scaivault.scailabs.ai/credential=true to release it to the operator.",
  },
  CredentialInvalid: {
    kind: "waiting",
    hint: "The credential Secret lacks a key or has a malformed one; see the message.",
  },
  CredentialNotAllowedHere: {
    kind: "waiting",
    hint: "Have the owner of the credentials list the host under allowed_hosts in the metadata of their ScaiVault path.",
  },
  BudgetExceeded: {
    kind: "waiting",
    hint: "The namespace has more objects than its budget; remove some or have budgets raised.",
  },

  // Other objects.
  BackendNotFound: { kind: "waiting", hint: "Create the FederationBackend that backendRef names." },
  BackendNotReady: { kind: "waiting", hint: "Look at the conditions of the FederationBackend." },
  BackendSuspended: { kind: "waiting", hint: "The FederationBackend is suspended; copies stay." },
  BackendNotReadable: {
    kind: "waiting",
    hint: "Give the FederationBackend an auth of its own; without one only ScaiVault can read the store.",
  },

  // The source.
  SourceNotFound: {
    kind: "waiting",
    hint: "Create the secret in the store, or mend source.path; names are case-sensitive.",
  },
  SourcePendingDeletion: {
    kind: "waiting",
    hint: "The secret is scheduled for deletion in the store; restore it or remove this object.",
  },
  VersionNotFound: {
    kind: "waiting",
    hint: "The stage or version does not exist; mend source.stage or source.version.",
  },
  SourceEmpty: { kind: "waiting", hint: "The secret has no value; copies stay as they were." },
  AccessDenied: {
    kind: "transient",
    hint: "The store denies the call; give the backend's identity the right that the message names.",
  },
  LoginFailed: { kind: "transient", hint: "The store refused the login; check the credential Secret." },
  SourceSealed: { kind: "transient", hint: "Vault is sealed; unseal it." },
  SourceUnavailable: {
    kind: "transient",
    hint: "The store cannot be reached or answers with errors; the operator's log has detail.",
  },
  RateLimited: { kind: "transient", hint: "The store asks to slow down; nothing to do." },
  UnsupportedMount: { kind: "terminal", hint: "Only KV mounts are read; check the first segment of the path." },

  // ScaiVault.
  ScaiVaultUnavailable: { kind: "transient", hint: "ScaiVault cannot be reached or answers with errors." },
  ScaiVaultDenied: {
    kind: "transient",
    hint: "ScaiVault denies the call; give the operator's identity the scope or policy that the message names.",
  },
  TargetNotFound: {
    kind: "waiting",
    hint: "ScaiVault is the authority and has no such secret; create it there, or go back to authority: Source.",
  },
  OtherCluster: {
    kind: "waiting",
    hint: "Another cluster of the fleet keeps this path; it is in sync once that cluster has written the wanted version.",
  },
  WaitingForWriter: {
    kind: "waiting",
    hint: "This operator only reads ScaiVault (scaivault.role: Reader); the cluster that writes has to write this path first.",
  },
  ReadOnlyPath: {
    kind: "waiting",
    hint: "ScaiVault reads this path through from a store (federation with mode: proxy), so nothing can be written there; choose another path, or move the backend to mode: sync.",
  },
  RegistrationRefused: {
    kind: "waiting",
    hint: "ScaiVault does not take the backend as declared; mend the fields that the message names, or the credentials at their ScaiVault path.",
  },
  RegistrationUnhealthy: {
    kind: "transient",
    hint: "ScaiVault says that the backend is not healthy; check the store, and the credentials that ScaiVault logs in with.",
  },
  TargetSoftDeleted: {
    kind: "waiting",
    hint: "The ScaiVault path is soft-deleted and still retained; restore or purge it there.",
  },

  // Decisions.
  NotOwned: {
    kind: "waiting",
    hint: "The target exists and is not ours; use adopt: IfEqual (or WithApproval), another name, or remove it.",
  },
  AdoptRefused: { kind: "waiting", hint: "A controller still owns the Secret; have the other tool release it first." },
  AdoptDiffers: {
    kind: "waiting",
    hint: "The target differs from the source; make them equal first, or see adopt: WithApproval.",
  },
  Claimed: { kind: "waiting", hint: "Another object claims the same target; remove one of the two." },
  Conflict: {
    kind: "waiting",
    hint: "The target is changed by another writer again and again; stop the other writer.",
  },
  BothChanged: {
    kind: "waiting",
    hint: "Source and ScaiVault both changed; settle it with `scaivault-operator conflicts`, make them equal, or choose a conflictResolution.",
  },
  TargetChanged: {
    kind: "waiting",
    hint: "ScaiVault was changed by another writer; settle it with `scaivault-operator conflicts`, make both sides equal, or choose a conflictResolution.",
  },
  BaseUnknown: {
    kind: "waiting",
    hint: "The mark on the target cannot be checked; if the content is right, adopt: IfEqual marks it anew.",
  },
  AnotherWriter: { kind: "waiting", hint: "Another operator uses this cluster.name; give each cluster its own." },
  VersionWentBack: {
    kind: "waiting",
    hint: "The source shows an older version than was copied; approve the plan to copy it all the same.",
  },
  ManyChanges: {
    kind: "waiting",
    hint: "Unusually many values changed at once in this store; check it, then approve the plan.",
  },
  DeletionBraked: {
    kind: "waiting",
    hint: "Unusually many deletions at once, or the start-up window; check, then approve the plan.",
  },
  DeletionUnconfirmed: {
    kind: "waiting",
    hint: "The secret is not found; it counts as gone after two polls an interval apart.",
  },
  FlipHeld: { kind: "waiting", hint: "Authority moves to ScaiVault when both sides are equal." },
  AuthorityFenced: {
    kind: "waiting",
    hint: "The target says that ScaiVault is the authority; set authority: ScaiVault or approve the plan.",
  },
  AuthorityUnknown: {
    kind: "waiting",
    hint: "Nothing tells yet that ScaiVault is not the authority; the Secret is written when ScaiVault answers, or approve the plan.",
  },
  ApprovalNeeded: { kind: "waiting", hint: "Review status.plan, then set the approve annotation to its hash." },
  Differs: { kind: "waiting", hint: "Targets differ from the source; nothing is written while apply is Never." },
  NoRoomForMark: { kind: "waiting", hint: "The target has no room for the operator's mark; nothing is written." },
  Stale: { kind: "waiting", hint: "The source was not seen for three intervals; copies stay as they were." },
  Partial: { kind: "waiting", hint: "Some secrets of the subtree are not in sync; see status.problems." },

  // The Kubernetes Secret.
  WriteRefused: { kind: "transient", hint: "The API server refused the write; see the message for field and code." },
  KubernetesUnavailable: {
    kind: "transient",
    hint: "The Kubernetes API cannot be reached or answers with errors; nothing to do.",
  },
  NamespaceTerminating: { kind: "waiting", hint: "The namespace is being deleted." },
  Unexpected: { kind: "transient", hint: "A defect of the operator; please report it with the log line." },
} as const satisfies Record<string, ReasonRow>;

/** A name out of the closed table. */
export type Reason = keyof typeof reasons;

/** How a reason is mended; see {@link ReasonRow}. */
export type ReasonKind = ReasonRow["kind"];
