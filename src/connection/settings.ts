import * as z from "zod";
import { check, described, matches, type Rule, rule } from "../api/index.ts";
import { SyncError } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";

/** How to log in, as the secret says. */
export type ConnectionLogin =
  | { readonly method: "Token"; readonly token: SecretValue }
  | {
      readonly method: "ClientCredentials";
      readonly tokenURL: string;
      readonly clientID: string;
      readonly clientSecret: SecretValue;
      readonly scope?: string;
    };

/** The ScaiVault connection as the secret has it. */
export interface ConnectionSettings {
  /** Without a slash at its end. */
  readonly url: string;
  readonly login: ConnectionLogin;
  readonly tenantID?: string;
  /** PEM of the only authorities that ScaiVault's and the token endpoint's certificates may come from. */
  readonly ca?: string;
}

const text = (description: string, max: number, rules: readonly Rule[] = []) =>
  described(z.string().min(1).max(max), description, rules);
const own = (id: string, message: string, at: string, test: (self: Loose) => boolean): Rule =>
  rule<Loose>({ id, cel: "", message, at: [at], test });
type Loose = Readonly<Record<string, unknown>>;
const has = (self: Loose, name: string): boolean => self[name] !== undefined;

const url = (description: string) =>
  text(description, 512, [
    matches(
      "https-url",
      "^https?://[A-Za-z0-9.:\\[\\]-]+(/[A-Za-z0-9._~/-]*)?$",
      "write a URL such as https://scaivault.scailabs.ai, without user, password, `?` or `#`",
    ),
  ]);
const secret = (description: string, rules: readonly Rule[] = []) => text(description, 16_384, rules);
const oneLine = matches("one-line", "^[\\x21-\\x7e]+$", "write it without spaces and line breaks, in ASCII");

const connectionSchema = described(
  z.object({
    url: url("base URL of ScaiVault, such as https://scaivault.scailabs.ai"),
    tokenURL: url("OAuth2 token endpoint; goes with clientID").optional(),
    clientID: text("client id; goes with clientSecret and tokenURL", 512, [oneLine]).optional(),
    clientSecret: secret("client secret").optional(),
    scope: text("scopes to ask for, separated by spaces", 512).optional(),
    token: secret("a ScaiVault token, instead of a client", [oneLine]).optional(),
    tenantID: text("tenant to work in", 128, [
      matches("tenant-id", "^[A-Za-z0-9._-]+$", "write a tenant id of letters, digits, `.`, `_` and `-`"),
    ]).optional(),
    ca: text("PEM of the authorities that ScaiVault's certificate may come from", 65_536, [
      matches("pem", "^\\s*-----BEGIN CERTIFICATE-----", "write PEM certificates"),
    ]).optional(),
  }),
  "The connection.",
  [
    own("login-one", "write a token, or clientID, clientSecret and tokenURL, not both", "token", (self) =>
      has(self, "token") ? !has(self, "clientID") && !has(self, "clientSecret") : has(self, "clientID"),
    ),
    own("client-secret", "clientSecret is missing: it goes with clientID", "clientSecret", (self) =>
      has(self, "clientID") ? has(self, "clientSecret") : true,
    ),
    own("client-token-url", "tokenURL is missing: it goes with clientID", "tokenURL", (self) =>
      has(self, "clientID") ? has(self, "tokenURL") : true,
    ),
  ],
);

/** What a secret of the connection holds. */
export type ConnectionContent =
  /** `{}`: the secret was made, and nobody has written a connection into it. */
  | { readonly state: "Empty" }
  | { readonly state: "Connection"; readonly settings: ConnectionSettings }
  /** Problems as `field: message`; they quote no value. */
  | { readonly state: "Invalid"; readonly problems: readonly string[] };

/**
 * Reads the text of the secret. Pure.
 * @param insecure plain http is allowed: the local environment only
 */
export function parseConnection(content: string | undefined, insecure: boolean): ConnectionContent {
  const invalid = (...problems: readonly string[]): ConnectionContent => ({ state: "Invalid", problems });
  let value: unknown;
  try {
    value = JSON.parse(content ?? "");
  } catch {
    // The parser's message quotes the text.
    return invalid(content === undefined ? "it is binary; write a JSON object" : "it is not JSON; write a JSON object");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid("write a JSON object");
  if (Object.keys(value).length === 0) return { state: "Empty" };
  const problems = check(connectionSchema, value, { unknown: "Refuse" }).map(({ path, message }) =>
    path.length === 0 ? message : `${path.join(".")}: ${message}`,
  );
  const parsed = problems.length === 0 ? connectionSchema.safeParse(value) : undefined;
  if (parsed?.success !== true) return invalid(...(problems.length > 0 ? problems : ["it does not fit the schema"]));
  const { data } = parsed;
  const plain = (["url", "tokenURL"] as const).filter((name) => data[name]?.startsWith("http://") === true);
  if (plain.length > 0 && !insecure) return invalid(...plain.map((name) => `${name}: write an https:// URL`));
  return { state: "Connection", settings: settingsOf(data) };
}

function settingsOf(data: z.infer<typeof connectionSchema>): ConnectionSettings {
  const { token, clientID = "", clientSecret = "", tokenURL = "", scope, tenantID, ca } = data;
  const login: ConnectionLogin =
    token === undefined
      ? {
          method: "ClientCredentials",
          tokenURL,
          clientID,
          clientSecret: SecretValue.fromText(clientSecret),
          ...(scope === undefined ? {} : { scope }),
        }
      : { method: "Token", token: SecretValue.fromText(token) };
  return {
    url: data.url.replace(/\/$/, ""),
    login,
    ...(tenantID === undefined ? {} : { tenantID }),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** The text that the secret holds for a connection. It holds values: hand it to AWS and to nobody else. */
export function connectionText(settings: ConnectionSettings): SecretValue {
  const { url: base, login, tenantID, ca } = settings;
  const fields =
    login.method === "Token"
      ? { token: login.token.text() }
      : {
          tokenURL: login.tokenURL,
          clientID: login.clientID,
          clientSecret: login.clientSecret.text(),
          scope: login.scope,
        };
  return SecretValue.fromText(JSON.stringify({ url: base, ...fields, tenantID, ca }));
}

/** Whether two connections are one and the same. */
export function sameConnection(a: ConnectionSettings, b: ConnectionSettings): boolean {
  return connectionText(a).equals(connectionText(b));
}

/** Fields that differ and that only a new start takes in: where ScaiVault is, and as whom in it. */
export function movedFields(a: ConnectionSettings, b: ConnectionSettings): readonly string[] {
  return (["url", "tenantID", "ca"] as const).filter((name) => a[name] !== b[name]);
}

/** A connection as people may see it: values are `[redacted]`. */
export function shownConnection({
  url: base,
  login,
  tenantID,
  ca,
}: ConnectionSettings): Readonly<Record<string, string>> {
  const certificates = ca?.split("-----BEGIN CERTIFICATE-----").length;
  return {
    url: base,
    ...(login.method === "Token"
      ? { token: String(login.token) }
      : {
          tokenURL: login.tokenURL,
          clientID: login.clientID,
          clientSecret: String(login.clientSecret),
          ...(login.scope === undefined ? {} : { scope: login.scope }),
        }),
    ...(tenantID === undefined ? {} : { tenantID }),
    ...(certificates === undefined ? {} : { ca: `PEM, certificates: ${certificates - 1}` }),
  };
}

/** The settings, or why there are none. @throws SyncError CredentialInvalid */
export function settingsFrom(content: ConnectionContent, name: string): ConnectionSettings {
  switch (content.state) {
    case "Connection":
      return content.settings;
    case "Empty":
      throw new SyncError(
        "CredentialInvalid",
        `the AWS secret ${name} is {}: it is not initialised yet; run scaivault-operator config init`,
        { code: "Empty" },
      );
    case "Invalid": {
      const [first = "", ...more] = content.problems;
      const rest = more.length === 0 ? "" : ` (and ${more.length} more: ${more.join("; ")})`;
      throw new SyncError("CredentialInvalid", `the AWS secret ${name}: ${first}${rest}`, { code: "Invalid" });
    }
    default:
      return content satisfies never;
  }
}
