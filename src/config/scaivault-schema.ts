import * as z from "zod";
import { described, dnsSubdomainRule, matches } from "../api/index.ts";
import { isAwsRegion, parseAwsSecretRef } from "./aws-secret-ref.ts";
import { countOf, duration, file, has, list, number, own, text, url } from "./fields.ts";

const authSchema = described(
  z.object({
    tokenFile: file("File with a ScaiVault token; read again when it changes.").optional(),
    clientCredentials: described(
      z.object({
        tokenURL: url("OAuth2 token endpoint of ScaiKey."),
        clientIDFile: file("File with the client id."),
        clientSecretFile: file("File with the client secret."),
        scope: text("Scopes to ask for, separated by spaces. Default: those that the operator needs.", 512).optional(),
      }),
      "OAuth2 client credentials.",
    ).optional(),
    tokenExchange: described(
      z.object({
        subjectTokenFile: file("File with the projected ServiceAccount token."),
        url: url("Exchange endpoint. Default: /v1/auth/exchange of scaivault.url.").optional(),
        audience: text("Audience to ask for.", 256).optional(),
        scope: text("Scopes to ask for, separated by spaces.", 512).optional(),
        role: text("Role to ask for, such as sa:scaivault-operator.", 256).optional(),
      }),
      "Exchange of a Kubernetes token for a ScaiVault token.",
    ).optional(),
  }),
  "How to log in to ScaiVault. Exactly one of tokenFile, clientCredentials and tokenExchange.",
  [
    own<object>(
      "scaivault-auth-one",
      "set exactly one of tokenFile, clientCredentials and tokenExchange",
      [],
      (self) => countOf(self, ["tokenFile", "clientCredentials", "tokenExchange"]) === 1,
    ),
  ],
);

const perMinute = (what: string, documented: number) =>
  number(`${what} a minute. Default: ${documented}.`, 1, 1_000_000).optional();

const limitsSchema = described(
  z.object({
    read: perMinute("Values read", 1000),
    write: perMinute("Writes", 100),
    delete: perMinute("Deletions", 100),
    list: perMinute("Lists", 100),
    batchRead: perMinute("Batch reads", 100),
    batchMetadata: perMinute("Metadata batches of 100 paths", 100),
    audit: perMinute("Audit queries", 50),
    policy: perMinute("Policy operations, among them those of rotation policies", 50),
    federation: perMinute("Federation operations", 20),
    subscription: perMinute("Subscription operations but polls", 20),
    subscriptionPoll: perMinute("Subscription polls", 240),
  }),
  "Calls a minute that ScaiVault allows the operator's identity, where they are not the documented ones. Answers can lower them, never raise them.",
);

interface LooseCredentials {
  readonly mode?: unknown;
  readonly profile?: unknown;
  readonly accessKeyIDFile?: unknown;
  readonly secretAccessKeyFile?: unknown;
}
const only = (mode: string, fields: readonly (keyof LooseCredentials | "profileFile" | "sessionTokenFile")[]) =>
  fields.map((field) =>
    own<LooseCredentials>(
      `aws-${field}`,
      `remove it: ${field} is for \`mode: ${mode}\``,
      [field],
      (self) => self.mode === mode || !has(self, field),
    ),
  );

const awsCredentialsSchema = described(
  z.object({
    mode: described(
      z.enum(["InstanceRole", "Default", "Profile", "Explicit"]),
      "InstanceRole: the role of the EC2 instance, and where there is none as Default. Default: environment, web identity (IRSA), EKS Pod Identity or container, instance role, then the default profile. Profile: a named profile. Explicit: an access key. Default: Default.",
    ).optional(),
    profile: text("Name of the profile; needed with `mode: Profile`.", 128, [
      matches("aws-profile", "^[A-Za-z0-9_.@:/+-]+$", "write the name of a profile, without brackets"),
    ]).optional(),
    profileFile: file(
      "File with the profile. Default: as the AWS command line finds it (AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials).",
    ).optional(),
    accessKeyIDFile: file(
      "File with the access key id; read again when it changes. Default: the variable AWS_ACCESS_KEY_ID.",
    ).optional(),
    secretAccessKeyFile: file(
      "File with the secret access key. Default: the variable AWS_SECRET_ACCESS_KEY.",
    ).optional(),
    sessionTokenFile: file("File with the session token of a temporary key. Default: none.").optional(),
  }),
  "Whose rights the secret is read with.",
  [
    ...only("Profile", ["profile", "profileFile"]),
    ...only("Explicit", ["accessKeyIDFile", "secretAccessKeyFile", "sessionTokenFile"]),
    own<LooseCredentials>(
      "aws-profile-named",
      "name the profile: `mode: Profile` needs it",
      ["profile"],
      (self) => self.mode !== "Profile" || has(self, "profile"),
    ),
    own<LooseCredentials>(
      "aws-key-whole",
      "set both accessKeyIDFile and secretAccessKeyFile, or none for the environment's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
      [],
      (self) => has(self, "accessKeyIDFile") === has(self, "secretAccessKeyFile"),
    ),
  ],
);

interface LooseSecret {
  readonly name?: unknown;
  readonly region?: unknown;
}
const regionOf = ({ name }: LooseSecret) => (typeof name === "string" ? parseAwsSecretRef(name)?.region : undefined);

const awsSecretSchema = described(
  z.object({
    name: text(
      "Name, id or ARN of the secret. Default: the variable SCAIVAULT_OPERATOR_AWS_SECRET, else scaivault-operator-config.",
      600,
    ).optional(),
    region: text("Region of the secret. Default: that of the ARN, else that of the EC2 instance.", 32).optional(),
    interval: duration(
      "How often the secret is looked at for another version; a refused login looks at once. Default: 5m.",
      "10s",
      "24h",
    ).optional(),
    credentials: awsCredentialsSchema.optional(),
  }),
  "A secret of AWS Secrets Manager.",
  [
    own<LooseSecret>(
      "aws-secret-name",
      "write the name of a secret (letters, digits and / _ + = . @ - !), its id, or its ARN",
      ["name"],
      ({ name }) => typeof name !== "string" || parseAwsSecretRef(name) !== undefined,
    ),
    own<LooseSecret>(
      "aws-region",
      "write a region, such as eu-central-1",
      ["region"],
      ({ region }) => typeof region !== "string" || isAwsRegion(region),
    ),
    own<LooseSecret>(
      "aws-region-of-arn",
      "write the region of the ARN, or remove it",
      ["region"],
      (self) => typeof self.region !== "string" || (regionOf(self) ?? self.region) === self.region,
    ),
  ],
);

const connectionFromSchema = described(
  z.object({ awsSecret: awsSecretSchema }),
  "Where the connection is kept instead of url, auth and tenantID; see docs/configuration.md.",
);

/** `scaivault` of the configuration file. */
export const scaivaultSchema = described(
  z.object({
    url: url("Base URL of ScaiVault, such as https://scaivault.scailabs.ai. Needed without connectionFrom.").optional(),
    auth: authSchema.optional(),
    tenantID: text("Tenant to work in. Default: the tenant of the login.", 128, [
      matches("tenant-id", "^[A-Za-z0-9._-]+$", "write a tenant id of letters, digits, `.`, `_` and `-`"),
    ]).optional(),
    tenantIn: described(
      z.enum(["Header", "Path"]),
      "How tenantID is named to ScaiVault: by the header X-Tenant-ID, or by the path prefix /v1/t/TENANT/, for a proxy that drops the header. Default: Header.",
    ).optional(),
    connectionFrom: connectionFromSchema.optional(),
    role: described(
      z.enum(["Writer", "Reader"]),
      "Reader: never writes to ScaiVault, neither values nor marks nor metadata, and deletes nothing there; paths are in sync once the fleet's writer has written them. Kubernetes Secrets are kept as by a writer. Default: Writer.",
    ).optional(),
    news: described(
      z.enum(["Subscription", "Polling"]),
      "Subscription: ScaiVault tells of changes there within seconds, by a subscription of this cluster that is polled (scopes subscriptions:read and subscriptions:write; without them polling goes on alone). Polling: changes there are seen by the next poll. Default: Subscription.",
    ).optional(),
    rateShare: described(
      z.number().min(0.01).max(1),
      "Part of ScaiVault's limits that this operator may use, in each category: 0.2 for one of five clusters on one identity. Default: 1.",
    ).optional(),
    limits: limitsSchema.optional(),
    takeOverFrom: list(
      text("Name of a cluster.", 63, [dnsSubdomainRule]),
      "Clusters that ceased to write: this writer takes their marks over, namespace by namespace, without a write of data. Default: none.",
      100,
    ).optional(),
  }),
  "The ScaiVault connection, one per install. Absent: no object can have a ScaiVault target.",
  [
    own<{ tenantID?: unknown; tenantIn?: unknown }>(
      "tenant-in-without-tenant",
      "remove it, or name the tenant in tenantID",
      ["tenantIn"],
      (self) => !has(self, "tenantIn") || has(self, "tenantID") || has(self, "connectionFrom"),
    ),
    ...(["url", "auth", "tenantID"] as const).map((field) =>
      own<object>(
        `connection-once-${field}`,
        `remove it: with connectionFrom the ${field} stands in the AWS secret`,
        [field],
        (self) => !has(self, "connectionFrom") || !has(self, field),
      ),
    ),
    own<object>(
      "connection-url",
      "url is missing: write the base URL of ScaiVault, or connectionFrom",
      ["url"],
      (self) => has(self, "connectionFrom") || has(self, "url"),
    ),
    own<object>(
      "connection-auth",
      "auth is missing: say how to log in to ScaiVault, or write connectionFrom",
      ["auth"],
      (self) => has(self, "connectionFrom") || has(self, "auth"),
    ),
    own<{ role?: unknown; takeOverFrom?: unknown }>(
      "take-over-writes",
      "remove it: a Reader takes no marks over",
      ["takeOverFrom"],
      (self) => self.role !== "Reader" || !has(self, "takeOverFrom"),
    ),
  ],
);
