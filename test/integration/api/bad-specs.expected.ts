/** What `kubectl apply` says of each bad spec: the whole line after `is invalid: `. */
export const kubectlLines: Readonly<Record<string, string>> = {
  "no-source": "spec.source: Required value",
  "no-backend": "spec.source.backendRef: Required value",
  "backend-name":
    'spec.source.backendRef.name: Invalid value: "AWS_prod": write a Kubernetes name: a-z, 0-9, `-` and `.`, with a letter or digit at both ends',
  "backend-namespace":
    'spec.source.backendRef.namespace: Invalid value: "a.b": write a Kubernetes name: a-z, 0-9 and `-`, with a letter or digit at both ends',
  "path-and-subtree":
    "spec.source: Forbidden: set exactly one of `path: prod/billing/stripe` (one secret) and `subtree: prod/billing/**` (all below)",
  "neither-path":
    "spec.source: Forbidden: set exactly one of `path: prod/billing/stripe` (one secret) and `subtree: prod/billing/**` (all below)",
  "path-glob":
    'spec.source.path: Invalid value: "prod/billing/**": path names one secret, without `*`, `{` or `}`; for everything below a path write `subtree: prod/billing/**` instead',
  "path-token":
    'spec.source.path: Invalid value: "prod/{namespace}/x": path names one secret, without `*`, `{` or `}`; for everything below a path write `subtree: prod/billing/**` instead',
  "path-dots":
    'spec.source.path: Invalid value: "kv/../sys/raw": write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe',
  "path-dot":
    'spec.source.path: Invalid value: "kv/./x": write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe',
  "path-empty-segment":
    'spec.source.path: Invalid value: "prod//x": write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe',
  "path-slash-end":
    'spec.source.path: Invalid value: "prod/x/": write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe',
  "path-encoded":
    'spec.source.path: Invalid value: "kv/%2e%2e/sys": write the name as the store shows it, not URL-encoded: `%` and control characters are not allowed',
  "path-newline":
    'spec.source.path: Invalid value: "prod/x\\ny": write the name as the store shows it, not URL-encoded: `%` and control characters are not allowed',
  "path-empty":
    'spec.source.path: Invalid value: "": write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe',
  "path-long": "spec.source.path: Too long: may not be more than 512 bytes",
  "path-number":
    'spec.source.path: Invalid value: "integer": spec.source.path in body must be of type string: "integer"',
  "subtree-without-stars":
    'spec.source.subtree: Invalid value: "prod/billing": subtree ends in `/**` and has no other `*`, `{` or `}`, such as prod/billing/**',
  "subtree-one-star":
    'spec.source.subtree: Invalid value: "prod/billing/*": subtree ends in `/**` and has no other `*`, `{` or `}`, such as prod/billing/**',
  "subtree-all":
    'spec.source.subtree: Invalid value: "/**": subtree ends in `/**` and has no other `*`, `{` or `}`, such as prod/billing/**',
  "subtree-inner":
    'spec.source.subtree: Invalid value: "prod/*/x/**": subtree ends in `/**` and has no other `*`, `{` or `}`, such as prod/billing/**',
  "stage-and-version":
    "spec.source: Forbidden: remove stage or version: a version is one value, a stage follows a label",
  "subtree-stage": "spec.source.stage: Forbidden: remove stage: a subtree follows the current versions",
  "subtree-version": "spec.source.version: Forbidden: remove version: a subtree follows the current versions",
  "stage-space":
    'spec.source.stage: Invalid value: "AWS CURRENT": write a staging label, such as AWSCURRENT or AWSPREVIOUS',
  "version-zero":
    "spec.source.version: Invalid value: 0: write a version id (letters, digits and `-`) or a version number from 1 on",
  "version-text":
    'spec.source.version: Invalid value: "a b": write a version id (letters, digits and `-`) or a version number from 1 on',
  "version-bool":
    'spec.source.version: Invalid value: "boolean": spec.source.version in body must be of type integer,string: "boolean"',
  "no-targets": "spec.targets: Required value",
  "empty-targets":
    "spec.targets: Required value: set at least one target: `scaivault: { path: ... }` or `kubernetesSecret: {}` (with the braces, not empty)",
  "scaivault-upper":
    'spec.targets.scaivault.path: Invalid value: "environments/Production/x": write a ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as environments/production/billing/stripe',
  "scaivault-dots":
    'spec.targets.scaivault.path: Invalid value: "environments/../x": write a ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as environments/production/billing/stripe',
  "scaivault-deep":
    'spec.targets.scaivault.path: Invalid value: "a/b/c/d/e/f/g/h/i/j/k": write a ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as environments/production/billing/stripe',
  "scaivault-no-path": "spec.targets.scaivault.path: Required value",
  "scaivault-tree-for-path":
    "spec.targets.scaivault.path: Invalid value: source is one secret (path), so write one path without `/**`, such as environments/production/billing/stripe",
  "scaivault-path-for-tree":
    "spec.targets.scaivault.path: Invalid value: source is a subtree, so this path ends in `/**` too, such as environments/production/billing/**",
  "scaivault-one-version":
    "spec.targets.scaivault.maxVersions: Invalid value: 1: spec.targets.scaivault.maxVersions in body should be greater than or equal to 2",
  "scaivault-tag-newline":
    'spec.targets.scaivault.tags[0]: Invalid value: "a\\nb": write one line without control characters',
  "scaivault-tag-twice": 'spec.targets.scaivault.tags[1]: Duplicate value: "a"',
  "secret-name":
    'spec.targets.kubernetesSecret.name: Invalid value: "Stripe": write a Kubernetes name: a-z, 0-9, `-` and `.`, with a letter or digit at both ends',
  "secret-template-for-path":
    "spec.targets.kubernetesSecret.nameTemplate: Forbidden: source is one secret (path): write `name: stripe` instead of nameTemplate",
  "secret-name-for-tree":
    "spec.targets.kubernetesSecret.name: Forbidden: source is a subtree: write `nameTemplate: billing-{path}` instead of name",
  "secret-template-no-token":
    'spec.targets.kubernetesSecret.nameTemplate: Invalid value: "billing": nameTemplate needs {path} (the path below the subtree) or {name} (its last segment), else all secrets get one name',
  "secret-template-other-token":
    'spec.targets.kubernetesSecret.nameTemplate: Invalid value: "{path}-{namespace}": write a Kubernetes name with the tokens {path} or {name}, such as billing-{path}',
  "secret-type-token":
    'spec.targets.kubernetesSecret.type: Invalid value: "kubernetes.io/service-account-token": write Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type of your own domain such as example.com/api-key',
  "secret-type-bootstrap":
    'spec.targets.kubernetesSecret.type: Invalid value: "bootstrap.kubernetes.io/token": write Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type of your own domain such as example.com/api-key',
  "secret-type-helm":
    'spec.targets.kubernetesSecret.type: Invalid value: "helm.sh/release.v1": write Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type of your own domain such as example.com/api-key',
  "secret-type-word":
    'spec.targets.kubernetesSecret.type: Invalid value: "opaque": write Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth, kubernetes.io/ssh-auth, or a type of your own domain such as example.com/api-key',
  "data-key":
    'spec.targets.kubernetesSecret.data[0].key: Invalid value: "a/b": write a Secret key: letters, digits, `-`, `_` and `.` only',
  "data-twice": 'spec.targets.kubernetesSecret.data[1]: Duplicate value: {"key":"a"}',
  "data-none":
    "spec.targets.kubernetesSecret.data: Invalid value: 0: spec.targets.kubernetesSecret.data in body should have at least 1 items",
  "data-no-key": "spec.targets.kubernetesSecret.data[0].key: Required value",
  "data-field":
    'spec.targets.kubernetesSecret.data[0].field: Invalid value: "api_key": write where the value is, from a dot on, such as .api_key, .db.password or ."tls.crt" (no lists, no functions)',
  "data-field-list":
    'spec.targets.kubernetesSecret.data[0].field: Invalid value: ".a[0]": write where the value is, from a dot on, such as .api_key, .db.password or ."tls.crt" (no lists, no functions)',
  "data-decode":
    'spec.targets.kubernetesSecret.data[0].decode: Unsupported value: "base64": supported values: "Base64"',
  "authority-word": 'spec.authority: Unsupported value: "source": supported values: "Source", "ScaiVault"',
  "authority-without-copy":
    "spec.authority: Forbidden: authority ScaiVault needs `targets.scaivault: { path: ... }`, the copy that becomes the truth",
  "local-wins-source":
    "spec.conflictResolution: Forbidden: local_wins means that ScaiVault wins: write remote_wins or manual, or set `authority: ScaiVault`",
  "local-wins-explicit-source":
    "spec.conflictResolution: Forbidden: local_wins means that ScaiVault wins: write remote_wins or manual, or set `authority: ScaiVault`",
  "remote-wins-scaivault":
    "spec.conflictResolution: Forbidden: remote_wins means that the source wins: write local_wins or manual, or set `authority: Source`",
  "conflict-word":
    'spec.conflictResolution: Unsupported value: "RemoteWins": supported values: "remote_wins", "local_wins", "manual"',
  "adopt-approval":
    "spec.targets.scaivault.maxVersions: Required value: adopt WithApproval writes over what others put there: write `maxVersions: 10` (at least 2) at targets.scaivault, so that it stays readable as a version",
  "deletion-release": 'spec.deletionPolicy: Unsupported value: "Release": supported values: "Retain", "Delete"',
  "apply-word": 'spec.apply: Unsupported value: "Manual": supported values: "Automatic", "OnApproval", "Never"',
  "interval-day": 'spec.syncInterval: Invalid value: "1d": write one number and one unit (s, m or h), such as 15m',
  "interval-empty": 'spec.syncInterval: Invalid value: "": write one number and one unit (s, m or h), such as 15m',
  "interval-two-units":
    'spec.syncInterval: Invalid value: "1h30m": write one number and one unit (s, m or h), such as 15m',
  "interval-short": 'spec.syncInterval: Invalid value: "10s": write a duration from 30s to 24h',
  "interval-long": 'spec.syncInterval: Invalid value: "25h": write a duration from 30s to 24h',
  "interval-number":
    'spec.syncInterval: Invalid value: "integer": spec.syncInterval in body must be of type string: "integer"',
  "suspend-text": 'spec.suspend: Invalid value: "string": spec.suspend in body must be of type boolean: "string"',
  "no-type": "spec.type: Required value",
  "type-word": 'spec.type: Unsupported value: "aws": supported values: "aws-secrets-manager", "hashicorp-vault"',
  "no-member":
    "spec.awsSecretsManager: Required value: type aws-secrets-manager needs `awsSecretsManager: { region: ..., auth: ... }`",
  "no-vault-member":
    "spec.hashicorpVault: Required value: type hashicorp-vault needs `hashicorpVault: { address: ..., auth: ... }`",
  "other-member": "spec.hashicorpVault: Forbidden: type is aws-secrets-manager: remove hashicorpVault",
  "other-vault-member": "spec.awsSecretsManager: Forbidden: type is hashicorp-vault: remove awsSecretsManager",
  region:
    'spec.awsSecretsManager.region: Invalid value: "us-east-1.evil.example.com/": write an AWS region, such as us-east-1',
  "no-auth":
    "spec.awsSecretsManager.auth: Required value: auth is missing: write `auth: { secretRef: { name: ... } }` or `auth: { operator: {} }`; only a federation with `runsIn: ScaiVault` can do without",
  "empty-auth":
    "spec.awsSecretsManager.auth: Forbidden: set exactly one of `secretRef: { name: ... }` and `operator: {}`",
  "two-auths":
    "spec.awsSecretsManager.auth: Forbidden: set exactly one of `secretRef: { name: ... }` and `operator: {}`",
  "vault-empty-auth":
    "spec.hashicorpVault.auth: Forbidden: set exactly one of `appRole: { secretRef: { name: ... } }` and `token: { secretRef: { name: ... } }`",
  "vault-two-auths":
    "spec.hashicorpVault.auth: Forbidden: set exactly one of `appRole: { secretRef: { name: ... } }` and `token: { secretRef: { name: ... } }`",
  "address-http":
    'spec.hashicorpVault.address: Invalid value: "http://vault.example.com:8200": write https://HOST or https://HOST:PORT, without user, path, `?` or `#`, such as https://vault.example.com:8200',
  "address-user":
    'spec.hashicorpVault.address: Invalid value: "https://good.example.com@evil.example.com": write https://HOST or https://HOST:PORT, without user, path, `?` or `#`, such as https://vault.example.com:8200',
  "address-path":
    'spec.hashicorpVault.address: Invalid value: "https://vault.example.com/v1/../x": write https://HOST or https://HOST:PORT, without user, path, `?` or `#`, such as https://vault.example.com:8200',
  "address-query":
    'spec.hashicorpVault.address: Invalid value: "https://vault.example.com?x=1": write https://HOST or https://HOST:PORT, without user, path, `?` or `#`, such as https://vault.example.com:8200',
  "vault-namespace":
    'spec.hashicorpVault.namespace: Invalid value: "../root": write segments of letters, digits, `.`, `_` and `-` separated by `/`, without `/` at the start',
  mount:
    'spec.hashicorpVault.auth.appRole.mount: Invalid value: "approle/../../sys": write segments of letters, digits, `.`, `_` and `-` separated by `/`, without `/` at the start',
  "ca-kind": 'spec.hashicorpVault.caRef.kind: Unsupported value: "Pod": supported values: "Secret", "ConfigMap"',
  "backend-interval": 'spec.syncInterval: Invalid value: "29s": write a duration from 30s to 24h',
  "grant-token-part":
    'spec.grants[0].read[0]: Invalid value: "prod/x-{namespace}/**": write globs such as prod/shared/** or prod/{namespace}/**: no empty segments, and `{namespace}` fills a whole segment',
  "grant-dots": 'spec.grants[0].read[0]: Invalid value: "prod/../x": write the glob without `.` and `..` segments',
  "grant-double-star":
    'spec.grants[0].read[0]: Invalid value: "prod/**b": write `**` as a whole segment, such as prod/** or prod/**/db',
  "grant-wildcards":
    'spec.grants[0].read[0]: Invalid value: "*/*/*/*/*/*/*/*/*": write at most 8 wildcards in one glob',
  "grant-twice": 'spec.grants[1]: Duplicate value: {"name":"a"}',
  "grant-nobody":
    "spec.grants[0].namespaces.names: Invalid value: 0: spec.grants[0].namespaces.names in body should have at least 1 items",
  "grant-nothing": "spec.grants[0].read: Invalid value: 0: spec.grants[0].read in body should have at least 1 items",
  "grant-namespace-glob":
    'spec.grants[0].namespaces.names[0]: Invalid value: "team-*": write a Kubernetes name: a-z, 0-9 and `-`, with a letter or digit at both ends',
  // federation
  "federation-no-mode": "spec.federation.mode: Required value",
  "federation-mode": 'spec.federation.mode: Unsupported value: "copy": supported values: "sync", "proxy"',
  "federation-no-mapping": "spec.federation.pathMapping: Required value",
  "federation-mappings-none":
    "spec.federation.pathMapping: Invalid value: 0: spec.federation.pathMapping in body should have at least 1 items",
  "mapping-tree-to-one":
    "spec.federation.pathMapping[0]: Invalid value: end both scaivaultPath and sourcePath in `/**` (a tree), or neither (one secret)",
  "mapping-one-to-tree":
    "spec.federation.pathMapping[0]: Invalid value: end both scaivaultPath and sourcePath in `/**` (a tree), or neither (one secret)",
  "mapping-inner-star":
    'spec.federation.pathMapping[0].sourcePath: Invalid value: "prod/*/x/**": write one source path or one that ends in `/**`, without other `*`, `{` or `}`, such as prod/**',
  "mapping-upper":
    'spec.federation.pathMapping[0].scaivaultPath: Invalid value: "External/aws/**": write a ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as environments/production/billing/stripe',
  "mapping-dots":
    'spec.federation.pathMapping[0].sourcePath: Invalid value: "prod/../**": write a path without empty, `.` or `..` segments and without `/` at the end, such as prod/billing/stripe',
  "mapping-all":
    'spec.federation.pathMapping[0].sourcePath: Invalid value: "**": write one source path or one that ends in `/**`, without other `*`, `{` or `}`, such as prod/**',
  "mapping-twice": 'spec.federation.pathMapping[1]: Duplicate value: {"scaivaultPath":"external/aws/**"}',
  "mapping-below":
    "spec.federation.pathMapping: Invalid value: one scaivaultPath lies below another: remove one, or carve out of the larger with `exclude` and map elsewhere",
  "mapping-one-below":
    "spec.federation.pathMapping: Invalid value: one scaivaultPath lies below another: remove one, or carve out of the larger with `exclude` and map elsewhere",
  "exclude-empty":
    "spec.federation.pathMapping[0].exclude: Invalid value: 0: spec.federation.pathMapping[0].exclude in body should have at least 1 items",
  "exclude-part-star":
    'spec.federation.pathMapping[0].exclude[0]: Invalid value: "prod/a**": write `**` as a whole segment, such as prod/sandbox/** or prod/**/scratch',
  "exclude-token":
    'spec.federation.pathMapping[0].exclude[0]: Invalid value: "prod/{namespace}/**": write a source path or a glob such as prod/sandbox/** or prod/*/scratch: no empty segments, no `{` or `}`',
  "exclude-dots":
    'spec.federation.pathMapping[0].exclude[0]: Invalid value: "prod/./x": write the glob without `.` and `..` segments',
  "exclude-encoded":
    'spec.federation.pathMapping[0].exclude[0]: Invalid value: "prod/%2e/x": write the glob without `%` and control characters',
  "exclude-wildcards":
    'spec.federation.pathMapping[0].exclude[0]: Invalid value: "*/*/*/*/*/*/*/*/*": write at most 8 wildcards in one glob',
  "exclude-of-one":
    "spec.federation.pathMapping[0].exclude: Forbidden: remove exclude: this mapping is one secret; exclude carves out of a tree (`/**`)",
  "federation-proxy-here":
    "spec.federation.mode: Forbidden: mode proxy needs `runsIn: ScaiVault`: only ScaiVault can forward reads",
  "federation-credentials-here":
    "spec.federation.credentials: Forbidden: remove credentials, or write `runsIn: ScaiVault`: the operator logs in with the backend's own auth",
  "federation-local-wins":
    "spec.federation.conflictResolution: Forbidden: local_wins means that ScaiVault wins: write remote_wins or manual, or set `authority: ScaiVault`",
  "federation-remote-wins":
    "spec.federation.conflictResolution: Forbidden: remote_wins means that the source wins: write local_wins or manual, or set `authority: Source`",
  "federation-naming":
    'spec.federation.naming: Unsupported value: "lowerdash": supported values: "Strict", "LowerDash"',
  "federation-cleanup-release":
    'spec.federation.cleanupPolicy: Unsupported value: "Release": supported values: "Retain", "Delete"',
  "federation-adopt":
    'spec.federation.adopt: Unsupported value: "Always": supported values: "Never", "IfEqual", "WithApproval"',
  "federation-one-version":
    "spec.federation.maxVersions: Invalid value: 1: spec.federation.maxVersions in body should be greater than or equal to 2",
  "federation-tag-form":
    'spec.federation.tags[0].as: Unsupported value: "{value}": supported values: "key=value", "key:value", "value", "Drop"',
  "federation-tag-stars":
    'spec.federation.tags[0].from: Invalid value: "*a*b*c*d*e": write the key of a tag, with at most 4 single `*`, such as team or cost-*',
  "federation-without-auth":
    "spec.awsSecretsManager.auth: Required value: auth is missing: write `auth: { secretRef: { name: ... } }` or `auth: { operator: {} }`; only a federation with `runsIn: ScaiVault` can do without",
  "proxy-interval":
    "spec.syncInterval: Forbidden: remove syncInterval: a proxy copies nothing, each read goes to the store",
  "proxy-conflict":
    "spec.federation.conflictResolution: Forbidden: remove conflictResolution: a proxy keeps no copy that could conflict",
  "proxy-authority":
    "spec.federation.authority: Forbidden: mode proxy is read-only, so the source has authority: write `mode: sync`, or remove authority",
  "proxy-deletion":
    "spec.federation.deletionPolicy: Forbidden: remove deletionPolicy: ScaiVault has its own rule for secrets that are gone at the source",
  "proxy-naming": "spec.federation.naming: Forbidden: remove naming: ScaiVault skips names that break its path grammar",
  "proxy-apply": "spec.federation.apply: Forbidden: remove apply: ScaiVault copies on its own",
  "proxy-owner": "spec.federation.owner: Forbidden: remove owner: ScaiVault sets the owner of what it copies",
  "proxy-versions":
    "spec.federation.maxVersions: Forbidden: remove maxVersions: ScaiVault sets the versions of what it copies",
  "proxy-tags": "spec.federation.tags: Forbidden: remove tags: ScaiVault makes the tags of what it copies",
  "proxy-exclude":
    "spec.federation.pathMapping: Forbidden: remove exclude from each mapping: ScaiVault's mappings have none",
  "credentials-tree":
    'spec.federation.credentials.scaivaultPath: Invalid value: "infra/aws/**": write one ScaiVault path: at most 10 segments of a-z, 0-9, `-` and `_`, such as infra/aws/sm-reader',
  "scaivault-interval":
    "spec.syncInterval: Invalid value: ScaiVault takes 1m to 24h: write a syncInterval of at least 1m, or `runsIn: Operator`",
};

/** What `validate` says where the API server's own words differ: `path: message`. Elsewhere both say the rule's message. */
export const ownFindings: Readonly<Record<string, string>> = {
  "no-source": "spec.source: source is missing: what to read",
  "no-backend": "spec.source.backendRef: backendRef is missing: the store to read from",
  "path-long": "spec.source.path: write at most 512 characters",
  "path-number": "spec.source.path: write a text; put it in quotes when it looks like a number, date or true/false",
  "version-bool": "spec.source.version: write a text or a whole number",
  "no-targets": "spec.targets: targets is missing: where copies are kept",
  "scaivault-no-path":
    "spec.targets.scaivault.path: path is missing: ScaiVault path that the secret is written to, whole and unshaped",
  "scaivault-one-version": "spec.targets.scaivault.maxVersions: write a whole number from 2 to 1000, without quotes",
  "scaivault-tag-twice": "spec.targets.scaivault.tags.1: this item is there twice: remove one",
  "data-twice": "spec.targets.kubernetesSecret.data.1: key is there twice: remove one",
  "data-none": "spec.targets.kubernetesSecret.data: write at least 1 item",
  "data-no-key": "spec.targets.kubernetesSecret.data.0.key: key is missing: key of the Kubernetes Secret",
  "data-decode": "spec.targets.kubernetesSecret.data.0.decode: write Base64",
  "authority-word": "spec.authority: write Source or ScaiVault (did you mean Source?)",
  "conflict-word": "spec.conflictResolution: write remote_wins, local_wins or manual (did you mean remote_wins?)",
  "deletion-release": "spec.deletionPolicy: write Retain or Delete",
  "apply-word": "spec.apply: write Automatic, OnApproval or Never",
  "interval-number":
    "spec.syncInterval: write a text; put it in quotes when it looks like a number, date or true/false",
  "suspend-text": "spec.suspend: write true or false, without quotes",
  "no-type": "spec.type: type is missing: kind of store",
  "type-word": "spec.type: write aws-secrets-manager or hashicorp-vault",
  "ca-kind": "spec.hashicorpVault.caRef.kind: write Secret or ConfigMap",
  "grant-twice": "spec.grants.1: name is there twice: remove one",
  "grant-nobody": "spec.grants.0.namespaces.names: write at least 1 item",
  "grant-nothing": "spec.grants.0.read: write at least 1 item",
  "federation-no-mode":
    "spec.federation.mode: mode is missing: sync keeps copies in ScaiVault; proxy forwards each read to the store and keeps nothing",
  "federation-mode": "spec.federation.mode: write sync or proxy",
  "federation-no-mapping":
    "spec.federation.pathMapping: pathMapping is missing: which part of the store is where in ScaiVault",
  "federation-mappings-none": "spec.federation.pathMapping: write at least 1 item",
  "mapping-twice": "spec.federation.pathMapping.1: scaivaultPath is there twice: remove one",
  "exclude-empty": "spec.federation.pathMapping.0.exclude: write at least 1 item",
  "federation-naming": "spec.federation.naming: write Strict or LowerDash (did you mean LowerDash?)",
  "federation-cleanup-release": "spec.federation.cleanupPolicy: write Retain or Delete",
  "federation-adopt": "spec.federation.adopt: write Never, IfEqual or WithApproval",
  "federation-one-version": "spec.federation.maxVersions: write a whole number from 2 to 1000, without quotes",
  "federation-tag-form": "spec.federation.tags.0.as: write key=value, key:value, value or Drop (did you mean value?)",
};
