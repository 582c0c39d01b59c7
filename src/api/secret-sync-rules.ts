import { type Rule, rule } from "./rules.ts";

/** A spec that may not fit the schema: rules are also asked about objects with other problems. */
interface LooseSpec {
  readonly source?: { readonly path?: unknown; readonly subtree?: unknown };
  readonly targets?: {
    readonly scaivault?: { readonly path?: unknown; readonly maxVersions?: unknown };
    readonly kubernetesSecret?: Record<string, unknown>;
  };
  readonly authority?: unknown;
  readonly conflictResolution?: unknown;
  readonly deletionPolicy?: unknown;
  readonly cleanupPolicy?: unknown;
  readonly adopt?: unknown;
}

const has = (object: object, key: string): boolean => (object as Record<string, unknown>)[key] !== undefined;
/** With both or neither, only the rule about that speaks. */
const isOnly = (spec: LooseSpec, member: "path" | "subtree"): boolean =>
  has(spec.source ?? {}, member) && has(spec.source ?? {}, "path") !== has(spec.source ?? {}, "subtree");
const isTree = (path: unknown): boolean => typeof path === "string" && path.endsWith("/**");

export const sourceRules: readonly Rule[] = [
  rule<object>({
    id: "source-path-or-subtree",
    cel: "has(self.path) != has(self.subtree)",
    message: "set exactly one of `path: prod/billing/stripe` (one secret) and `subtree: prod/billing/**` (all below)",
    reason: "FieldValueForbidden",
    test: (self) => has(self, "path") !== has(self, "subtree"),
  }),
  rule<object>({
    id: "stage-or-version",
    cel: "!(has(self.stage) && has(self.version))",
    message: "remove stage or version: a version is one value, a stage follows a label",
    reason: "FieldValueForbidden",
    test: (self) => !(has(self, "stage") && has(self, "version")),
  }),
  rule<object>({
    id: "subtree-without-stage",
    cel: "!has(self.subtree) || !has(self.stage)",
    message: "remove stage: a subtree follows the current versions",
    reason: "FieldValueForbidden",
    at: ["stage"],
    test: (self) => !has(self, "subtree") || !has(self, "stage"),
  }),
  rule<object>({
    id: "subtree-without-version",
    cel: "!has(self.subtree) || !has(self.version)",
    message: "remove version: a subtree follows the current versions",
    reason: "FieldValueForbidden",
    at: ["version"],
    test: (self) => !has(self, "subtree") || !has(self, "version"),
  }),
];

export const targetRules: readonly Rule[] = [
  rule<object>({
    id: "target-needed",
    cel: "has(self.scaivault) || has(self.kubernetesSecret)",
    message:
      "set at least one target: `scaivault: { path: ... }` or `kubernetesSecret: {}` (with the braces, not empty)",
    reason: "FieldValueRequired",
    test: (self) => has(self, "scaivault") || has(self, "kubernetesSecret"),
  }),
];

export const secretNameRule = rule<object>({
  id: "name-or-template",
  cel: "!(has(self.name) && has(self.nameTemplate))",
  message: "remove name or nameTemplate: name is for one secret (path), nameTemplate for many (subtree)",
  reason: "FieldValueForbidden",
  test: (self) => !(has(self, "name") && has(self, "nameTemplate")),
});

export const pairingRules: readonly Rule[] = [
  rule<LooseSpec>({
    id: "tree-to-tree",
    cel: "!has(self.source.subtree) || has(self.source.path) || !has(self.targets.scaivault) || self.targets.scaivault.path.endsWith('/**')",
    message: "source is a subtree, so this path ends in `/**` too, such as environments/production/billing/**",
    at: ["targets", "scaivault", "path"],
    test: (self) =>
      !isOnly(self, "subtree") ||
      typeof self.targets?.scaivault?.path !== "string" ||
      isTree(self.targets.scaivault.path),
  }),
  rule<LooseSpec>({
    id: "one-to-one",
    cel: "!has(self.source.path) || has(self.source.subtree) || !has(self.targets.scaivault) || !self.targets.scaivault.path.endsWith('/**')",
    message:
      "source is one secret (path), so write one path without `/**`, such as environments/production/billing/stripe",
    at: ["targets", "scaivault", "path"],
    test: (self) => !isOnly(self, "path") || !isTree(self.targets?.scaivault?.path),
  }),
  rule<LooseSpec>({
    id: "subtree-without-name",
    cel: "!has(self.source.subtree) || has(self.source.path) || !has(self.targets.kubernetesSecret) || !has(self.targets.kubernetesSecret.name)",
    message: "source is a subtree: write `nameTemplate: billing-{path}` instead of name",
    reason: "FieldValueForbidden",
    at: ["targets", "kubernetesSecret", "name"],
    test: (self) => !isOnly(self, "subtree") || !has(self.targets?.kubernetesSecret ?? {}, "name"),
  }),
  rule<LooseSpec>({
    id: "path-without-template",
    cel: "!has(self.source.path) || has(self.source.subtree) || !has(self.targets.kubernetesSecret) || !has(self.targets.kubernetesSecret.nameTemplate)",
    message: "source is one secret (path): write `name: stripe` instead of nameTemplate",
    reason: "FieldValueForbidden",
    at: ["targets", "kubernetesSecret", "nameTemplate"],
    test: (self) => !isOnly(self, "path") || !has(self.targets?.kubernetesSecret ?? {}, "nameTemplate"),
  }),
];

export const scaivaultTargetNeeded = rule<LooseSpec>({
  id: "authority-needs-scaivault",
  cel: "!has(self.authority) || self.authority != 'ScaiVault' || has(self.targets.scaivault)",
  message: "authority ScaiVault needs `targets.scaivault: { path: ... }`, the copy that becomes the truth",
  reason: "FieldValueForbidden",
  at: ["authority"],
  test: (self) => self.authority !== "ScaiVault" || has(self.targets ?? {}, "scaivault"),
});

/** What is written over has to stay readable as a version, whatever the tool before had set for the path. */
export const adoptKeepsVersions = rule<LooseSpec>({
  id: "adopt-keeps-versions",
  cel: "!has(self.adopt) || self.adopt != 'WithApproval' || !has(self.targets.scaivault) || has(self.targets.scaivault.maxVersions)",
  message:
    "adopt WithApproval writes over what others put there: write `maxVersions: 10` (at least 2) at targets.scaivault, so that it stays readable as a version",
  reason: "FieldValueRequired",
  at: ["targets", "scaivault", "maxVersions"],
  test: (self) =>
    self.adopt !== "WithApproval" ||
    !has(self.targets ?? {}, "scaivault") ||
    has(self.targets?.scaivault ?? {}, "maxVersions"),
});

/** `conflictResolution` follows `authority`; for SecretSync and federation alike. */
export const authorityRules: readonly Rule[] = [
  rule<LooseSpec>({
    id: "source-conflict-resolution",
    cel: "!has(self.conflictResolution) || self.conflictResolution != 'local_wins' || (has(self.authority) && self.authority == 'ScaiVault')",
    message: "local_wins means that ScaiVault wins: write remote_wins or manual, or set `authority: ScaiVault`",
    reason: "FieldValueForbidden",
    at: ["conflictResolution"],
    test: (self) =>
      self.conflictResolution !== "local_wins" || (self.authority !== undefined && self.authority !== "Source"),
  }),
  rule<LooseSpec>({
    id: "scaivault-conflict-resolution",
    cel: "!has(self.conflictResolution) || self.conflictResolution != 'remote_wins' || !has(self.authority) || self.authority != 'ScaiVault'",
    message: "remote_wins means that the source wins: write local_wins or manual, or set `authority: Source`",
    reason: "FieldValueForbidden",
    at: ["conflictResolution"],
    test: (self) => self.conflictResolution !== "remote_wins" || self.authority !== "ScaiVault",
  }),
];

const FLIPPED =
  "(has(self.authority) ? self.authority : 'Source') != (has(oldSelf.authority) ? oldSelf.authority : 'Source')";
const flipped = (self: LooseSpec, old: LooseSpec): boolean =>
  (self.authority ?? "Source") !== (old.authority ?? "Source");

/** A policy that becomes Delete in the change that also moves the authority would delete by the new authority's word. */
function notWithFlip(policy: "deletionPolicy" | "cleanupPolicy"): Rule {
  return rule<LooseSpec>({
    id: `flip-without-${policy}`,
    cel: `!(${FLIPPED}) || !has(self.${policy}) || self.${policy} != 'Delete' || (has(oldSelf.${policy}) && oldSelf.${policy} == 'Delete')`,
    message: `authority and \`${policy}: Delete\` cannot change together: change authority first, ${policy} when that is in sync`,
    reason: "FieldValueForbidden",
    at: [policy],
    test: (self, old) => !flipped(self, old) || self[policy] !== "Delete" || old[policy] === "Delete",
  });
}

/** For SecretSync and federation alike. */
export const flipRules: readonly Rule[] = [notWithFlip("deletionPolicy"), notWithFlip("cleanupPolicy")];
