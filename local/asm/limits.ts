/**
 * The limits of AWS Secrets Manager that moto does not enforce, as pure checks on a request.
 *
 * Source: the service's API reference (constraints of each parameter) and the quotas page. Violated constraints of a shape are
 * `ValidationException`, contradictions between parameters `InvalidParameterException`.
 */
import { AwsError, text, textList, type Json } from "./wire.ts";

/** Most bytes of a secret value. */
export const maxValueBytes = 65_536;
/** Most secrets in one BatchGetSecretValue. */
export const maxBatch = 20;
/** Most entries in a page of ListSecrets and ListSecretVersionIds. */
export const maxPage = 100;

function violated(field: string, constraint: string, shown?: unknown): AwsError {
  // The value of a secret is never repeated in an answer.
  const value = shown === undefined ? "" : `Value '${JSON.stringify(shown).slice(0, 80)}' at `;
  return new AwsError(
    "ValidationException",
    `1 validation error detected: ${value}'${field}' failed to satisfy constraint: Member must ${constraint}`,
  );
}

function lowerFirst(field: string): string {
  return field.charAt(0).toLowerCase() + field.slice(1);
}

function length(body: Json, field: string, least: number, most: number): void {
  const value = body[field];
  if (value === undefined || value === null) return;
  if (typeof value !== "string") throw new AwsError("SerializationException", `${field} must be a string.`);
  const shown = field === "SecretString" ? undefined : value;
  if (value.length < least) throw violated(lowerFirst(field), `have length greater than or equal to ${least}`, shown);
  if (value.length > most) throw violated(lowerFirst(field), `have length less than or equal to ${most}`, shown);
}

function range(body: Json, field: string, least: number, most: number): void {
  const value = body[field];
  if (value === undefined || value === null) return;
  if (typeof value !== "number" || !Number.isInteger(value))
    throw new AwsError("SerializationException", `${field} must be an integer.`);
  if (value < least) throw violated(lowerFirst(field), `have value greater than or equal to ${least}`, value);
  if (value > most) throw violated(lowerFirst(field), `have value less than or equal to ${most}`, value);
}

function checkValue(body: Json): void {
  const hasString = body["SecretString"] !== undefined && body["SecretString"] !== null;
  const hasBinary = body["SecretBinary"] !== undefined && body["SecretBinary"] !== null;
  if (hasString && hasBinary)
    throw new AwsError("InvalidParameterException", "You can't specify both SecretString and SecretBinary.");
  length(body, "SecretString", 1, maxValueBytes);
  if (hasString && Buffer.byteLength(String(body["SecretString"]), "utf8") > maxValueBytes)
    throw violated("secretString", `have length less than or equal to ${maxValueBytes}`);
  if (hasBinary) {
    const bytes = Buffer.byteLength(String(body["SecretBinary"]), "base64");
    if (bytes < 1) throw violated("secretBinary", "have length greater than or equal to 1");
    if (bytes > maxValueBytes) throw violated("secretBinary", `have length less than or equal to ${maxValueBytes}`);
  }
}

function checkTags(body: Json): void {
  const tags = Array.isArray(body["Tags"]) ? (body["Tags"] as Json[]) : [];
  if (tags.length > 50) throw violated("tags", "have length less than or equal to 50");
  const keys = new Set<string>();
  for (const tag of tags) {
    const key = text(tag, "Key") ?? "";
    const value = text(tag, "Value") ?? "";
    if (key.length < 1 || key.length > 128) throw violated("tags.member.key", "have length between 1 and 128");
    if (value.length > 256) throw violated("tags.member.value", "have length less than or equal to 256");
    if (key.startsWith("aws:"))
      throw new AwsError("InvalidParameterException", "Tag keys that begin with aws: are reserved for AWS.");
    // The characters that the tagging pages name for all services.
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(key) || !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(value))
      throw violated("tags.member", "satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*");
    if (keys.has(key)) throw new AwsError("InvalidParameterException", "Duplicate tag keys are not allowed.");
    keys.add(key);
  }
}

const legalName = /^[\w/+=.@!-]+$/;

function checkName(body: Json): void {
  const name = text(body, "Name");
  if (name === undefined) throw violated("name", "not be null");
  length(body, "Name", 1, 512);
  if (!legalName.test(name)) {
    throw new AwsError(
      "ValidationException",
      "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    );
  }
}

const filterKeys = ["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"];

function checkFilters(body: Json): void {
  const filters = Array.isArray(body["Filters"]) ? (body["Filters"] as Json[]) : [];
  if (filters.length > 10) throw violated("filters", "have length less than or equal to 10");
  for (const [index, filter] of filters.entries()) {
    const key = text(filter, "Key");
    if (key === undefined) throw new AwsError("InvalidParameterException", "Invalid filter key");
    if (!filterKeys.includes(key))
      throw violated(`filters.${index + 1}.member.key`, `satisfy enum value set: [${filterKeys.join(", ")}]`, key);
    const values = textList(filter, "Values");
    if (values.length === 0) throw new AwsError("InvalidParameterException", `Invalid filter values for key: ${key}`);
    if (values.length > 10)
      throw violated(`filters.${index + 1}.member.values`, "have length less than or equal to 10");
    if (values.some((value) => !/^!?[\w :@/+=.\-!]{1,512}$/.test(value)))
      throw violated(
        `filters.${index + 1}.member.values`,
        "satisfy regular expression pattern: ^\\!?[a-zA-Z0-9 :_@\\/\\+\\=\\.\\-\\!]*$",
      );
  }
}

function checkBatch(body: Json): void {
  const ids = body["SecretIdList"];
  const filters = body["Filters"];
  const hasIds = Array.isArray(ids) && ids.length > 0;
  const hasFilters = Array.isArray(filters) && filters.length > 0;
  if (Array.isArray(ids) && ids.length === 0) throw violated("secretIdList", "have length greater than or equal to 1");
  if (hasIds && ids.length > maxBatch) throw violated("secretIdList", `have length less than or equal to ${maxBatch}`);
  if (hasIds === hasFilters) {
    throw new AwsError(
      "InvalidParameterException",
      "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
    );
  }
  range(body, "MaxResults", 1, maxBatch);
  for (const field of ["MaxResults", "NextToken"]) {
    if (hasIds && body[field] !== undefined && body[field] !== null) {
      throw new AwsError(
        "InvalidParameterException",
        `'Filters' not specified. 'Filters' must also be specified when '${field}' is provided.`,
      );
    }
  }
  checkFilters(body);
}

function checkStages(body: Json): void {
  const stages = body["VersionStages"];
  if (stages === undefined || stages === null) return;
  if (!Array.isArray(stages)) throw new AwsError("SerializationException", "VersionStages must be a list.");
  if (stages.length < 1) throw violated("versionStages", "have length greater than or equal to 1");
  if (stages.length > 20) throw violated("versionStages", "have length less than or equal to 20");
  if (stages.some((stage) => typeof stage !== "string" || stage.length < 1 || stage.length > 256))
    throw violated("versionStages.member", "have length between 1 and 256");
}

function checkDelete(body: Json): void {
  const days = body["RecoveryWindowInDays"];
  if (days !== undefined && body["ForceDeleteWithoutRecovery"] === true) {
    throw new AwsError(
      "InvalidParameterException",
      "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
    );
  }
  if (typeof days === "number" && (days < 7 || days > 30)) {
    throw new AwsError(
      "InvalidParameterException",
      "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
    );
  }
}

const withoutSecretId = new Set(["BatchGetSecretValue", "CreateSecret", "GetRandomPassword", "ListSecrets"]);

/** Checks a request by itself. @throws AwsError */
export function checkRequest(action: string, body: Json): void {
  if (!withoutSecretId.has(action)) {
    if (text(body, "SecretId") === undefined) throw violated("secretId", "not be null");
    length(body, "SecretId", 1, 2048);
  }
  length(body, "ClientRequestToken", 32, 64);
  length(body, "Description", 0, 2048);
  length(body, "VersionId", 32, 64);
  length(body, "VersionStage", 1, 256);
  length(body, "NextToken", 1, 4096);
  checkTags(body);
  switch (action) {
    case "CreateSecret":
      checkName(body);
      checkValue(body);
      break;
    case "PutSecretValue":
      checkValue(body);
      checkStages(body);
      if (body["SecretString"] === undefined && body["SecretBinary"] === undefined) {
        throw new AwsError("InvalidRequestException", "You must provide either SecretString or SecretBinary.");
      }
      break;
    case "UpdateSecret":
      checkValue(body);
      break;
    case "ListSecrets":
      range(body, "MaxResults", 1, maxPage);
      checkFilters(body);
      break;
    case "ListSecretVersionIds":
      range(body, "MaxResults", 1, maxPage);
      break;
    case "BatchGetSecretValue":
      checkBatch(body);
      break;
    case "DeleteSecret":
      checkDelete(body);
      break;
    default:
      break;
  }
}

/** Operations that AWS refuses on a secret that is scheduled for deletion. */
export const refusedWhenDeleted: ReadonlySet<string> = new Set([
  "GetSecretValue",
  "PutSecretValue",
  "UpdateSecret",
  "UpdateSecretVersionStage",
  "RotateSecret",
  "CancelRotateSecret",
  "TagResource",
  "UntagResource",
  "PutResourcePolicy",
  "DeleteResourcePolicy",
]);

/** The error for {@link refusedWhenDeleted}. */
export function markedForDeletion(): AwsError {
  return new AwsError(
    "InvalidRequestException",
    "You can't perform this operation on the secret because it was marked for deletion.",
  );
}

/** The error for a secret that does not exist. */
export function secretNotFound(): AwsError {
  return new AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
}
