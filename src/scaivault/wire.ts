import * as z from "zod";
import { SyncError } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";
import { type RawMembers, rawMembers } from "./raw.ts";
import type {
  ListedSecret,
  MetadataPatch,
  PutAnswer,
  PutRequest,
  SecretInfo,
  SecretMetadata,
  SecretVersion,
  SecretWithValue,
  WhoAmI,
} from "./types.ts";

/** Answers and bodies of ScaiVault as JSON. Unknown fields are ignored everywhere (API facts 7.25). */

export const version = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const infoAnswer = z.object({ version, secret_type: z.string().max(64).catch("kv") });
const knownMetadata = z.object({
  description: z.string().nullish().catch(undefined),
  owner: z.string().nullish().catch(undefined),
  tags: z.array(z.string()).nullish().catch(undefined),
});
const whoAmIAnswer = z.object({
  identity_id: z.string().catch(""),
  tenant_id: z.string().nullish().catch(undefined),
  scopes: z.array(z.string()).catch([]),
});
const errorEntry = z.object({
  code: z
    .string()
    .regex(/^[a-z0-9_]{1,64}$/)
    .catch(""),
});
/** One secret in a listing. */
export const listEntry = z.object({
  path: z.string(),
  version: version.optional().catch(undefined),
  expires_at: z.string().nullish().catch(undefined),
});

const KNOWN_KEYS: ReadonlySet<string> = new Set(["description", "owner", "tags"]);

function badAnswer(action: string): SyncError {
  return new SyncError("ScaiVaultUnavailable", `ScaiVault's answer cannot be read (${action})`, {
    action,
    code: "bad_answer",
  });
}

/** JSON text of a known-good member; the parse cannot fail. */
function parsed(members: RawMembers, name: string): unknown {
  const text = members.get(name);
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}

/** The answer's members. @throws SyncError ScaiVaultUnavailable when it is no JSON object */
export function readObject(body: Uint8Array, action: string): RawMembers {
  const members = rawMembers(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  if (members === undefined) throw badAnswer(action);
  return members;
}

/** An answer without values. @throws SyncError ScaiVaultUnavailable when it is no JSON, or not as the schema says */
export function readJSON<T>(schema: z.ZodType<T>, body: Uint8Array, action: string): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  } catch {
    // The parser's message quotes the text.
    throw badAnswer(action);
  }
  return checked(schema, value, action);
}

/** A part of an answer. @throws SyncError ScaiVaultUnavailable when it is not as the schema says */
export function checked<T>(schema: z.ZodType<T>, value: unknown, action: string): T {
  const known = schema.safeParse(value);
  if (!known.success) throw badAnswer(action);
  return known.data;
}

/** Members of an object inside an answer. */
export function readInner(members: RawMembers, name: string, action: string): RawMembers {
  const inner = rawMembers(members.get(name) ?? "{}");
  if (inner === undefined) throw badAnswer(action);
  return inner;
}

export function readMetadata(text: string | undefined): SecretMetadata {
  const members = rawMembers(text ?? "{}") ?? new Map<string, string>();
  const known = knownMetadata.parse({
    description: parsed(members, "description"),
    owner: parsed(members, "owner"),
    tags: parsed(members, "tags"),
  });
  return {
    description: known.description ?? undefined,
    owner: known.owner ?? undefined,
    tags: known.tags ?? [],
    custom: new Map([...members].filter(([key, value]) => !KNOWN_KEYS.has(key) && value !== "null")),
  };
}

export function readInfo(path: string, members: RawMembers, action: string): SecretInfo {
  const known = infoAnswer.safeParse({
    version: parsed(members, "version"),
    secret_type: parsed(members, "secret_type"),
  });
  if (!known.success) throw badAnswer(action);
  return {
    path,
    version: known.data.version,
    secretType: known.data.secret_type,
    metadata: readMetadata(members.get("metadata")),
  };
}

export function readSecret(path: string, members: RawMembers, action: string): SecretWithValue {
  const data = members.get("data");
  if (data === undefined || !data.startsWith("{")) throw badAnswer(action);
  return { ...readInfo(path, members, action), data: SecretValue.fromText(data) };
}

/** What a write answered; the shape is not documented, so nothing in it is relied on. */
export function readPutAnswer(body: Uint8Array): PutAnswer {
  const members = rawMembers(Buffer.from(body).toString("utf8")) ?? new Map<string, string>();
  const found = version.safeParse(parsed(members, "version"));
  const metadata = members.get("metadata");
  return {
    version: found.success ? found.data : undefined,
    metadata: metadata?.startsWith("{") === true ? readMetadata(metadata) : undefined,
  };
}

export function readListed(entry: z.infer<typeof listEntry>): ListedSecret {
  return { path: entry.path, version: entry.version, expiresAt: entry.expires_at ?? undefined };
}

const versionsAnswer = z.object({
  versions: z.array(
    z.object({
      version,
      created_at: z.string().nullish().catch(undefined),
      created_by: z.string().nullish().catch(undefined),
    }),
  ),
});

/** The newest first, whatever the order of the answer. */
export function readVersions(body: Uint8Array, action: string): readonly SecretVersion[] {
  const { versions } = readJSON(versionsAnswer, body, action);
  return versions
    .map((one) => ({
      version: one.version,
      createdAt: one.created_at ?? undefined,
      createdBy: one.created_by ?? undefined,
    }))
    .sort((a, b) => b.version - a.version);
}

export function readWhoAmI(members: RawMembers): WhoAmI {
  const known = whoAmIAnswer.parse({
    identity_id: parsed(members, "identity_id"),
    tenant_id: parsed(members, "tenant_id"),
    scopes: parsed(members, "scopes"),
  });
  return { identityID: known.identity_id, tenantID: known.tenant_id ?? "", scopes: known.scopes };
}

/** The code of one entry of a batch's `errors`. */
export function readEntryCode(text: string): string {
  return errorEntry.catch({ code: "" }).parse(JSON.parse(text)).code;
}

/** Members of the metadata as JSON text; what is not declared is left out. */
function metadataMembers(metadata: SecretMetadata): string[] {
  return [
    ...(metadata.description === undefined ? [] : [`"description":${JSON.stringify(metadata.description)}`]),
    ...(metadata.owner === undefined ? [] : [`"owner":${JSON.stringify(metadata.owner)}`]),
    `"tags":${JSON.stringify(metadata.tags)}`,
    ...[...metadata.custom].map(([key, text]) => `${JSON.stringify(key)}:${text}`),
  ];
}

/** Body of a PUT, put together from source text: the value is not parsed, so nothing in it can be re-encoded. */
export function putBody(request: PutRequest): Buffer {
  const options = request.maxVersions === undefined ? "" : `,"options":{"max_versions":${request.maxVersions}}`;
  const metadata = `{${metadataMembers(request.metadata).join(",")}}`;
  return Buffer.concat([
    Buffer.from('{"data":', "utf8"),
    request.data.bytes(),
    Buffer.from(`,"secret_type":${JSON.stringify(request.secretType)},"metadata":${metadata}${options}}`, "utf8"),
  ]);
}

/**
 * Body of a metadata PATCH. It carries all metadata that is to stand and `null` for what goes, so that it means the same
 * to a server that merges (assumed) and to one that replaces.
 */
export function patchBody(patch: MetadataPatch): Buffer {
  const gone = [
    ...(patch.metadata.description === undefined ? ["description"] : []),
    ...(patch.metadata.owner === undefined ? ["owner"] : []),
    ...(patch.removed ?? []).filter((key) => !patch.metadata.custom.has(key)),
  ];
  const members = [...metadataMembers(patch.metadata), ...gone.map((key) => `${JSON.stringify(key)}:null`)];
  return Buffer.from(`{"metadata":{${members.join(",")}}}`, "utf8");
}
