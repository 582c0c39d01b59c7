/** Who calls: access keys, their signatures (Signature Version 4) and what they may do. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Entry } from "./catalogue.ts";
import { AwsError, matchGlob } from "./wire.ts";

/** A statement of an identity policy, reduced to what is tested here. */
export interface Statement {
  /** Default `Allow`. A matching `Deny` wins over each `Allow`. */
  readonly effect?: "Allow" | "Deny";
  /** Operations such as `GetSecretValue`, with `*`; the prefix `secretsmanager:` may stand before them. */
  readonly actions: readonly string[];
  /** Names of secrets, with `*`; default all. Operations without a resource (ListSecrets, BatchGetSecretValue) need `*`. */
  readonly names?: readonly string[];
}

/** An access key that the emulator knows. */
export interface AccessKey {
  readonly accessKeyId: string;
  /** When given, signatures are checked with it. */
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  /** e.g. `arn:aws:iam::123456789012:user/team-a`; stands in the texts of refusals. */
  readonly principalArn: string;
  /** Account whose secrets it sees; default the proxy's. */
  readonly account?: string;
  /** Default: everything is allowed. */
  readonly statements?: readonly Statement[];
}

/** A role that can be assumed through STS. */
export interface Role {
  readonly arn: string;
  readonly statements: readonly Statement[];
  /** When given, AssumeRole must bring it. */
  readonly externalId?: string;
}

/** What the Authorization header says. */
export interface Scope {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

/** Parses `Authorization: AWS4-HMAC-SHA256 …`. */
export function parseAuthorization(header: string | undefined): Scope | undefined {
  if (header?.startsWith("AWS4-HMAC-SHA256 ") !== true) return undefined;
  const fields = new Map<string, string>();
  for (const part of header.slice("AWS4-HMAC-SHA256 ".length).split(",")) {
    const at = part.indexOf("=");
    if (at > 0) fields.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  const [accessKeyId, date, region, service, end] = (fields.get("Credential") ?? "").split("/");
  if (
    accessKeyId === undefined ||
    date === undefined ||
    region === undefined ||
    service === undefined ||
    end !== "aws4_request"
  )
    return undefined;
  return {
    accessKeyId,
    date,
    region,
    service,
    signedHeaders: (fields.get("SignedHeaders") ?? "").split(";"),
    signature: fields.get("Signature") ?? "",
  };
}

const hmac = (key: string | Buffer, data: string): Buffer => createHmac("sha256", key).update(data).digest();
const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

/** Checks a signature. The age of the request is not checked: tests run on a clock of their own. */
export function signatureFits(
  scope: Scope,
  secretAccessKey: string,
  request: { method: string; url: string; headers: IncomingHttpHeaders; body: Buffer },
): boolean {
  const at = request.url.indexOf("?");
  const path = at < 0 ? request.url : request.url.slice(0, at);
  const query =
    at < 0
      ? ""
      : request.url
          .slice(at + 1)
          .split("&")
          .sort()
          .join("&");
  const headers = scope.signedHeaders
    .map((name) => `${name}:${[request.headers[name] ?? ""].flat().join(",").trim().replace(/ {2,}/g, " ")}\n`)
    .join("");
  const canonical = [request.method, path, query, headers, scope.signedHeaders.join(";"), sha256(request.body)].join(
    "\n",
  );
  const date = request.headers["x-amz-date"];
  const toSign = [
    "AWS4-HMAC-SHA256",
    typeof date === "string" ? date : "",
    `${scope.date}/${scope.region}/${scope.service}/aws4_request`,
    sha256(canonical),
  ].join("\n");
  const key = hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, scope.date), scope.region), scope.service), "aws4_request");
  const expected = Buffer.from(hmac(key, toSign).toString("hex"));
  const given = Buffer.from(scope.signature);
  return expected.length === given.length && timingSafeEqual(expected, given);
}

function covers(statement: Statement, action: string, name: string | undefined): boolean {
  const named = statement.actions.some((pattern) => matchGlob(pattern.replace(/^secretsmanager:/, ""), action));
  const names = statement.names ?? ["*"];
  return named && (name === undefined ? names.includes("*") : names.some((pattern) => matchGlob(pattern, name)));
}

/**
 * Whether a key may do something to a secret.
 * @param name the secret's name; `undefined` for operations without a resource
 */
export function isAllowed(key: AccessKey, action: string, name: string | undefined): boolean {
  const statements = key.statements;
  if (statements === undefined) return true;
  const matching = statements.filter((statement) => covers(statement, action, name));
  return matching.length > 0 && matching.every((statement) => statement.effect !== "Deny");
}

/** AccessDeniedException with the text that AWS gives. @param resource the secret, or the id that was asked for */
export function accessDenied(key: AccessKey, action: string, resource: Entry | string | undefined): AwsError {
  const where = resource === undefined ? "*" : typeof resource === "string" ? resource : resource.ARN;
  return new AwsError(
    "AccessDeniedException",
    `User: ${key.principalArn} is not authorized to perform: secretsmanager:${action} on resource: ${where} ` +
      `because no identity-based policy allows the secretsmanager:${action} action`,
  );
}
