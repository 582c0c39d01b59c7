/** The AWS JSON 1.1 protocol, as far as Secrets Manager needs it here. */

/** A JSON object. */
export type Json = Record<string, unknown>;

/** An error in the shape of the service. */
export class AwsError extends Error {
  override readonly name = "AwsError";
  readonly code: string;
  readonly status: number;

  /** @param code e.g. `ResourceNotFoundException`; @param status Secrets Manager answers 400 to all but its own failures */
  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** The operations that are answered; each other one is `UnknownOperationException`. */
export const readActions = [
  "BatchGetSecretValue",
  "DescribeSecret",
  "GetRandomPassword",
  "GetResourcePolicy",
  "GetSecretValue",
  "ListSecrets",
  "ListSecretVersionIds",
] as const;

/** The operations that change something. */
export const writeActions = [
  "CancelRotateSecret",
  "CreateSecret",
  "DeleteResourcePolicy",
  "DeleteSecret",
  "PutResourcePolicy",
  "PutSecretValue",
  "RestoreSecret",
  "RotateSecret",
  "TagResource",
  "UntagResource",
  "UpdateSecret",
  "UpdateSecretVersionStage",
] as const;

const known = new Set<string>([...readActions, ...writeActions]);
const writing = new Set<string>(writeActions);

/** Whether an operation is answered. */
export const isKnownAction = (action: string): boolean => known.has(action);
/** Whether an operation changes something. */
export const isWriteAction = (action: string): boolean => writing.has(action);

/** A string field, `undefined` when it is absent or of another type. */
export function text(body: Json, field: string): string | undefined {
  const value = body[field];
  return typeof value === "string" ? value : undefined;
}

/** A list of strings; everything else in it is dropped. */
export function textList(body: Json, field: string): string[] {
  const value = body[field];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

/** moto's error texts carry boto's prefix and the line breaks of its source. */
export function cleanMessage(message: string): string {
  const oneLine = message.replace(/\s+/g, " ").trim();
  const marker = " operation: ";
  const at =
    oneLine.startsWith("An error occurred (") || oneLine.includes("An error occurred (") ? oneLine.indexOf(marker) : -1;
  return at < 0 ? oneLine : oneLine.slice(at + marker.length);
}

/** Whether `text` matches a pattern in which `*` stands for any characters. Linear; no regular expression. */
export function matchGlob(pattern: string, subject: string): boolean {
  const parts = pattern.split("*");
  const first = parts[0] ?? "";
  if (parts.length === 1) return subject === pattern;
  if (!subject.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = subject.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  const last = parts.at(-1) ?? "";
  return subject.length - at >= last.length && subject.endsWith(last);
}
