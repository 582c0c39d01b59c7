import { celString, matches, matchesNot, type Rule, rule } from "./rules.ts";
import { authorityRules, flipRules } from "./secret-sync-rules.ts";

/** A spec that may not fit the schema: rules are also asked about objects with other problems. */
interface LooseFederation {
  readonly mode?: unknown;
  readonly runsIn?: unknown;
  readonly [member: string]: unknown;
}
interface LooseBackend {
  readonly type?: unknown;
  readonly syncInterval?: unknown;
  readonly federation?: LooseFederation;
  readonly awsSecretsManager?: { readonly auth?: unknown };
  readonly hashicorpVault?: { readonly auth?: unknown };
}
interface LooseMapping {
  readonly scaivaultPath?: unknown;
  readonly sourcePath?: unknown;
}

const has = (object: object | undefined, key: string): boolean =>
  (object as Record<string, unknown> | undefined)?.[key] !== undefined;
const tree = (path: unknown): boolean => typeof path === "string" && path.endsWith("/**");

/** Globs over source paths in `exclude`; the tokens of grants have no meaning there. */
export const excludeGlobRules: readonly Rule[] = [
  matches(
    "exclude-glob",
    "^/?[^{}/]+(/[^{}/]+)*$",
    "write a source path or a glob such as prod/sandbox/** or prod/*/scratch: no empty segments, no `{` or `}`",
  ),
  matchesNot("exclude-segments", "(^|/)\\.\\.?(/|$)", "write the glob without `.` and `..` segments"),
  matchesNot("exclude-characters", "[%\\x00-\\x1f\\x7f-\\x9f]", "write the glob without `%` and control characters"),
  matchesNot(
    "exclude-double-star",
    "[^/]\\*\\*|\\*\\*[^/]",
    "write `**` as a whole segment, such as prod/sandbox/** or prod/**/scratch",
  ),
  matches("exclude-wildcards", "^[^*]*(\\*+[^*]+){0,7}(\\*+)?$", "write at most 8 wildcards in one glob"),
];

/** One secret, or everything below a path. A leading `/` is part of the name: ASM's `/prod/x` is not `prod/x`. */
export const mappedSourceRule = matches(
  "mapping-source",
  "^[^*{}]+(/\\*\\*)?$",
  "write one source path or one that ends in `/**`, without other `*`, `{` or `}`, such as prod/**",
);

export const tagGlobRule = matches(
  "tag-glob",
  "^[^*\\x00-\\x1f\\x7f-\\x9f]*(\\*[^*\\x00-\\x1f\\x7f-\\x9f]*){0,4}$",
  "write the key of a tag, with at most 4 single `*`, such as team or cost-*",
);

export const mappingRule = rule<LooseMapping>({
  id: "mapping-pair",
  // `**` alone is refused where it stands, so that there is one line.
  cel: "self.scaivaultPath.endsWith('**') == self.sourcePath.endsWith('**')",
  message: "end both scaivaultPath and sourcePath in `/**` (a tree), or neither (one secret)",
  test: (self) =>
    typeof self.scaivaultPath !== "string" ||
    typeof self.sourcePath !== "string" ||
    self.scaivaultPath.endsWith("**") === self.sourcePath.endsWith("**"),
});

export const mappingExcludeRule = rule<LooseMapping>({
  id: "mapping-exclude",
  cel: "!has(self.exclude) || self.sourcePath.endsWith('/**')",
  message: "remove exclude: this mapping is one secret; exclude carves out of a tree (`/**`)",
  reason: "FieldValueForbidden",
  at: ["exclude"],
  test: (self) => !has(self, "exclude") || typeof self.sourcePath !== "string" || tree(self.sourcePath),
});

/** A tree holds what is below it, not the path of the same name. Equal paths are refused by the list's key. */
export const overlapRule = rule<readonly LooseMapping[]>({
  id: "mapping-overlap",
  cel: "self.all(a, !a.scaivaultPath.endsWith('/**') || self.all(b, a.scaivaultPath == b.scaivaultPath || !b.scaivaultPath.startsWith(a.scaivaultPath.substring(0, size(a.scaivaultPath) - 2))))",
  message:
    "one scaivaultPath lies below another: remove one, or carve out of the larger with `exclude` and map elsewhere",
  test: (self) => {
    const paths = self.map((item) => item.scaivaultPath).filter((path) => typeof path === "string");
    return paths.every(
      (a) => !a.endsWith("/**") || paths.every((b) => a === b || !b.startsWith(a.slice(0, -"**".length))),
    );
  },
});

const RUNS_IN_SCAIVAULT = "has(self.runsIn) && self.runsIn == 'ScaiVault'";
const runsInScaiVault = (self: LooseFederation): boolean => self.runsIn === "ScaiVault";

/** A member that has no meaning where ScaiVault runs the federation. */
function notInScaiVault(member: string, message: string): Rule {
  return rule<LooseFederation>({
    id: `scaivault-${member}`,
    cel: `!(${RUNS_IN_SCAIVAULT}) || !has(self.${member})`,
    message: `remove ${member}: ${message}`,
    reason: "FieldValueForbidden",
    at: [member],
    test: (self) => !runsInScaiVault(self) || !has(self, member),
  });
}

export const federationRules: readonly Rule[] = [
  rule<LooseFederation>({
    id: "proxy-in-scaivault",
    cel: `self.mode != 'proxy' || (${RUNS_IN_SCAIVAULT})`,
    message: "mode proxy needs `runsIn: ScaiVault`: only ScaiVault can forward reads",
    reason: "FieldValueForbidden",
    at: ["mode"],
    // A word that is neither is the schema's to refuse.
    test: (self) => self.mode !== "proxy" || (self.runsIn !== undefined && self.runsIn !== "Operator"),
  }),
  rule<LooseFederation>({
    id: "proxy-conflict-resolution",
    cel: "self.mode != 'proxy' || !has(self.conflictResolution)",
    message: "remove conflictResolution: a proxy keeps no copy that could conflict",
    reason: "FieldValueForbidden",
    at: ["conflictResolution"],
    test: (self) => self.mode !== "proxy" || !has(self, "conflictResolution"),
  }),
  rule<LooseFederation>({
    id: "proxy-authority",
    cel: "self.mode != 'proxy' || !has(self.authority) || self.authority == 'Source'",
    message: "mode proxy is read-only, so the source has authority: write `mode: sync`, or remove authority",
    reason: "FieldValueForbidden",
    at: ["authority"],
    test: (self) => self.mode !== "proxy" || self.authority !== "ScaiVault",
  }),
  rule<LooseFederation>({
    id: "credentials-in-scaivault",
    cel: `!has(self.credentials) || (${RUNS_IN_SCAIVAULT})`,
    message: "remove credentials, or write `runsIn: ScaiVault`: the operator logs in with the backend's own auth",
    reason: "FieldValueForbidden",
    at: ["credentials"],
    test: (self) => !has(self, "credentials") || (self.runsIn !== undefined && self.runsIn !== "Operator"),
  }),
  notInScaiVault("deletionPolicy", "ScaiVault has its own rule for secrets that are gone at the source"),
  notInScaiVault("naming", "ScaiVault skips names that break its path grammar"),
  notInScaiVault("tags", "ScaiVault makes the tags of what it copies"),
  notInScaiVault("owner", "ScaiVault sets the owner of what it copies"),
  notInScaiVault("maxVersions", "ScaiVault sets the versions of what it copies"),
  notInScaiVault("apply", "ScaiVault copies on its own"),
  rule<LooseFederation>({
    id: "scaivault-adopt",
    cel: `!(${RUNS_IN_SCAIVAULT}) || !has(self.adopt) || self.adopt != 'WithApproval'`,
    message: "write `adopt: IfEqual`: a registration in ScaiVault that differs is not taken over",
    reason: "FieldValueForbidden",
    at: ["adopt"],
    test: (self) => !runsInScaiVault(self) || self["adopt"] !== "WithApproval",
  }),
  rule<LooseFederation>({
    id: "adopt-keeps-versions",
    cel: `!has(self.adopt) || self.adopt != 'WithApproval' || has(self.maxVersions) || (${RUNS_IN_SCAIVAULT})`,
    message:
      "adopt WithApproval writes over what others put there: write `maxVersions: 10` (at least 2), so that it stays readable as a version",
    reason: "FieldValueRequired",
    at: ["maxVersions"],
    test: (self) => self["adopt"] !== "WithApproval" || has(self, "maxVersions") || runsInScaiVault(self),
  }),
  rule<LooseFederation>({
    id: "scaivault-exclude",
    cel: `!(${RUNS_IN_SCAIVAULT}) || self.pathMapping.all(m, !has(m.exclude))`,
    message: "remove exclude from each mapping: ScaiVault's mappings have none",
    reason: "FieldValueForbidden",
    at: ["pathMapping"],
    test: (self) =>
      !runsInScaiVault(self) ||
      !Array.isArray(self["pathMapping"]) ||
      self["pathMapping"].every((item: object) => !has(item, "exclude")),
  }),
  ...authorityRules,
  ...flipRules,
];

const FEDERATED_IN_SCAIVAULT =
  "has(self.federation) && has(self.federation.runsIn) && self.federation.runsIn == 'ScaiVault'";

/** Login may be left out only where ScaiVault alone reads the store. */
function authNeeded(member: "awsSecretsManager" | "hashicorpVault", write: string): Rule {
  return rule<LooseBackend>({
    id: `${member}-auth`,
    cel: `!has(self.${member}) || has(self.${member}.auth) || (${FEDERATED_IN_SCAIVAULT})`,
    message: `auth is missing: write ${write}; only a federation with \`runsIn: ScaiVault\` can do without`,
    reason: "FieldValueRequired",
    at: [member, "auth"],
    test: (self) => self[member] === undefined || has(self[member], "auth") || self.federation?.runsIn === "ScaiVault",
  });
}

const DURATION = "^[1-9][0-9]{0,4}[smh]$";

/** Rules between `federation` and the rest of the spec. */
export const federatedSpecRules: readonly Rule[] = [
  authNeeded("awsSecretsManager", "`auth: { secretRef: { name: ... } }` or `auth: { operator: {} }`"),
  authNeeded(
    "hashicorpVault",
    "`auth: { appRole: { secretRef: { name: ... } } }` or `auth: { token: { secretRef: { name: ... } } }`",
  ),
  rule<LooseBackend>({
    id: "proxy-sync-interval",
    cel: "!has(self.syncInterval) || !has(self.federation) || self.federation.mode != 'proxy'",
    message: "remove syncInterval: a proxy copies nothing, each read goes to the store",
    reason: "FieldValueForbidden",
    at: ["syncInterval"],
    test: (self) => !has(self, "syncInterval") || self.federation?.mode !== "proxy",
  }),
  rule<LooseBackend>({
    id: "scaivault-sync-interval",
    cel: `!has(self.syncInterval) || !(${FEDERATED_IN_SCAIVAULT}) || self.federation.mode == 'proxy' || !self.syncInterval.matches(${celString(DURATION)}) || duration(self.syncInterval) < duration("30s") || duration(self.syncInterval) >= duration("1m")`,
    message: "ScaiVault takes 1m to 24h: write a syncInterval of at least 1m, or `runsIn: Operator`",
    at: ["syncInterval"],
    test: (self) =>
      self.federation?.runsIn !== "ScaiVault" ||
      self.federation.mode === "proxy" ||
      typeof self.syncInterval !== "string" ||
      !/^(?:3\d|4\d|5\d)s$/.test(self.syncInterval),
  }),
];
