import { DURATION_PATTERN, parseDuration } from "./durations.ts";
import { celString, compile, matches, matchesNot, type Rule, rule } from "./rules.ts";

/** Patterns that several places share. All are linear, anchored, and mean the same in RE2 and in JavaScript. */
export const patterns = {
  dnsLabel: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
  dnsSubdomain: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
  secretKey: "^[A-Za-z0-9._-]+$",
  /** One of: letters, digits, `_`, `-` after a dot; or any key in double quotes after a dot. */
  field: '^(\\.[A-Za-z0-9_-]+|\\."[^"\\\\]+")+$',
  scaivaultPath: "^[a-z0-9_-]+(/[a-z0-9_-]+){0,9}$",
  scaivaultPathOrTree: "^[a-z0-9_-]+((/[a-z0-9_-]+){0,9}|(/[a-z0-9_-]+){0,8}/\\*\\*)$",
  awsRegion: "^[a-z]{2,5}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$",
  httpsAddress: "^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?/?$",
  /** Vault namespaces and mounts. */
  vaultPath: "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*/?$",
  stage: "^[A-Za-z0-9/_+=.@-]+$",
  version: "^[A-Za-z0-9][A-Za-z0-9-]*$",
  control: "[\\x00-\\x1f\\x7f-\\x9f]",
} as const;

const WRITE_DURATION = "write one number and one unit (s, m or h), such as 15m";

/** Rules of a duration between two bounds, which are durations themselves. */
export function durationRules(shortest: string, longest: string): readonly Rule[] {
  const [min, max] = [parseDuration(shortest) ?? 0, parseDuration(longest) ?? 0];
  const fits = `duration(self) >= duration("${shortest}") && duration(self) <= duration("${longest}")`;
  return [
    matches("duration-grammar", DURATION_PATTERN, WRITE_DURATION),
    rule<string>({
      id: "duration-bounds",
      cel: `!self.matches(${celString(DURATION_PATTERN)}) || (${fits})`,
      message: `write a duration from ${shortest} to ${longest}`,
      test: (self) => {
        const ms = parseDuration(self);
        return ms === undefined || (ms >= min && ms <= max);
      },
    }),
  ];
}

export const dnsSubdomainRule = matches(
  "dns-subdomain",
  patterns.dnsSubdomain,
  "write a Kubernetes name: a-z, 0-9, `-` and `.`, with a letter or digit at both ends",
);
export const dnsLabelRule = matches(
  "dns-label",
  patterns.dnsLabel,
  "write a Kubernetes name: a-z, 0-9 and `-`, with a letter or digit at both ends",
);
export const secretKeyRule = matches(
  "secret-key",
  patterns.secretKey,
  "write a Secret key: letters, digits, `-`, `_` and `.` only",
);

/** No `%`, no control characters, no empty, `.` or `..` segments. A leading `/` stays: ASM's `/prod/x` is not `prod/x`. */
export const sourcePathRules: readonly Rule[] = [
  rule<string>({
    id: "path-segments",
    cel: 'self != "" && !self.contains("//") && !self.endsWith("/") && !("/" + self + "/").contains("/./") && !("/" + self + "/").contains("/../")',
    message: "write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe",
    test: (self) =>
      self !== "" &&
      !self.includes("//") &&
      !self.endsWith("/") &&
      !`/${self}/`.includes("/./") &&
      !`/${self}/`.includes("/../"),
  }),
  matchesNot(
    "path-characters",
    "[%\\x00-\\x1f\\x7f-\\x9f]",
    "write the name as the store shows it, not URL-encoded: `%` and control characters are not allowed",
  ),
];

export const plainPathRule = matchesNot(
  "path-no-glob",
  "[*{}]",
  "path names one secret, without `*`, `{` or `}`; for everything below a path write `subtree: prod/billing/**` instead",
);

export const subtreeRule = matches(
  "subtree-ending",
  "^[^*{}]+/\\*\\*$",
  "subtree ends in `/**` and has no other `*`, `{` or `}`, such as prod/billing/**",
);

export const scaivaultPathRule = matches(
  "scaivault-path",
  patterns.scaivaultPathOrTree,
  "write a ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as environments/production/billing/stripe",
);

export const scaivaultPlainPathRule = matches(
  "scaivault-plain-path",
  patterns.scaivaultPath,
  "write one ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as infra/aws/sm-reader",
);

/** Globs of grants. Cost allows `matches` on each, not `split` (tried on the API server). */
export const grantGlobRules: readonly Rule[] = [
  matches(
    "grant-token",
    "^/?([^{}/]+|\\{namespace\\})(/([^{}/]+|\\{namespace\\}))*$",
    "write globs such as prod/shared/** or prod/{namespace}/**: no empty segments, and `{namespace}` fills a whole segment",
  ),
  matchesNot("grant-segments", "(^|/)\\.\\.?(/|$)", "write the glob without `.` and `..` segments"),
  matchesNot("grant-characters", "[%\\x00-\\x1f\\x7f-\\x9f]", "write the glob without `%` and control characters"),
  matchesNot(
    "grant-double-star",
    "[^/]\\*\\*|\\*\\*[^/]",
    "write `**` as a whole segment, such as prod/** or prod/**/db",
  ),
  matches("grant-wildcards", "^[^*]*(\\*+[^*]+){0,7}(\\*+)?$", "write at most 8 wildcards in one glob"),
];

export const matchesRegion = matches("aws-region", patterns.awsRegion, "write an AWS region, such as us-east-1");
export const vaultAddressRules: readonly Rule[] = [
  matches(
    "vault-address",
    patterns.httpsAddress,
    "write https://HOST or https://HOST:PORT, without user, path, `?` or `#`, such as https://vault.example.com:8200",
  ),
];
const VAULT_PATH = "write segments of letters, digits, `.`, `_` and `-` separated by `/`, without `/` at the start";
export const vaultMountRule = matches("vault-mount", patterns.vaultPath, VAULT_PATH);
export const vaultNamespaceRule = matches("vault-namespace", patterns.vaultPath, VAULT_PATH);

export const fieldRule = matches(
  "field",
  patterns.field,
  'write where the value is, from a dot on, such as .api_key, .db.password or ."tls.crt" (no lists, no functions)',
);
export const stageRule = matches("stage", patterns.stage, "write a staging label, such as AWSCURRENT or AWSPREVIOUS");
export const versionRule = rule<string | number>({
  id: "version",
  cel: `type(self) == int ? self >= 1 : self.matches(${celString(patterns.version)})`,
  message: "write a version id (letters, digits and `-`) or a version number from 1 on",
  test: (self) => (typeof self === "number" ? self >= 1 : compile(patterns.version).test(self)),
});

export const printableRule = matchesNot("printable", patterns.control, "write one line without control characters");

/** Keys of a `field` such as `.a.b` or `."tls.crt"`, outermost first; undefined when it is not one. */
export function parseField(field: string): readonly string[] | undefined {
  if (!compile(patterns.field).test(field)) return undefined;
  const keys: string[] = [];
  for (let i = 0; i < field.length;) {
    // `field[i]` is the dot: the grammar was checked above.
    if (field[i + 1] === '"') {
      const end = field.indexOf('"', i + 2);
      keys.push(field.slice(i + 2, end));
      i = end + 1;
    } else {
      const dot = field.indexOf(".", i + 1);
      const end = dot === -1 ? field.length : dot;
      keys.push(field.slice(i + 1, end));
      i = end;
    }
  }
  return keys;
}

const ALLOWED_TYPES = [
  "Opaque",
  "kubernetes.io/tls",
  "kubernetes.io/dockerconfigjson",
  "kubernetes.io/dockercfg",
  "kubernetes.io/basic-auth",
  "kubernetes.io/ssh-auth",
];
const CUSTOM_TYPE = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$";
const RESERVED_TYPE = "^([a-z0-9.-]*\\.)?(kubernetes\\.io|k8s\\.io|helm\\.sh)/";

/** True for Secret types that the operator writes: none that mints tokens, joins nodes or belongs to Helm. */
export function isAllowedSecretType(type: string): boolean {
  return ALLOWED_TYPES.includes(type) || (compile(CUSTOM_TYPE).test(type) && !compile(RESERVED_TYPE).test(type));
}

export const secretTypeRule = rule<string>({
  id: "secret-type",
  cel: `self in [${ALLOWED_TYPES.map((type) => `"${type}"`).join(", ")}] || (self.matches(${celString(CUSTOM_TYPE)}) && !self.matches(${celString(RESERVED_TYPE)}))`,
  message:
    "write Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type of your own domain such as example.com/api-key",
  test: isAllowedSecretType,
});

export const nameTemplateRule = matches(
  "name-template",
  "^([a-z0-9]|\\{path\\}|\\{name\\})(([a-z0-9.-]|\\{path\\}|\\{name\\})*([a-z0-9]|\\{path\\}|\\{name\\}))?$",
  "write a Kubernetes name with the tokens {path} or {name}, such as billing-{path}",
);
export const nameTemplateTokenRule = rule<string>({
  id: "name-template-token",
  cel: 'self.contains("{path}") || self.contains("{name}")',
  message:
    "nameTemplate needs {path} (the path below the subtree) or {name} (its last segment), else all secrets get one name",
  test: (self) => self.includes("{path}") || self.includes("{name}"),
});
