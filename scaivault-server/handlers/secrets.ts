import {
  AUDIT_METADATA_ACTION,
  DELETE_ANSWER,
  EXPIRING_ENDPOINT,
  LIST_KEY,
  LIST_LIMITS,
  PERMANENT_PARAMETER,
  WRITE_ANSWER,
} from "../assumptions.ts";
import type { Answer, Call } from "../http/call.ts";
import { RawJson } from "../json/raw-json.ts";
import { parsePatch, parseWrite } from "../secrets/body.ts";
import { checkPath, checkPrefix } from "../secrets/path.ts";
import { timestamp } from "../secrets/service.ts";
import type { SecretRecord } from "../store/store.ts";
import { describeAll, describeProxied, listProxied, readProxied } from "../federation/proxy.ts";
import type { ProxiedPath } from "../federation/proxy.ts";
import { proxied, proxiedSecret, proxiedWithoutData, refuseFederated } from "./federated.ts";
import { trueOrFalse, wholeNumber } from "./query.ts";

const orNull = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

/** A secret without its value, as writes and listings answer it. */
export function withoutData(call: Call, record: SecretRecord): Record<string, unknown> {
  return {
    path: record.path,
    secret_type: record.secretType,
    version: record.version,
    metadata: new RawJson(record.metadata),
    created_at: timestamp(record.createdAt),
    updated_at: timestamp(record.updatedAt),
    expires_at: orNull(record.expiresAt),
    rotation_policy_id: call.app.rotation.assignmentOf(record.owner, record.path)?.policyId ?? null,
  };
}

/** What only the answers about one secret tell. */
function details(call: Call, record: SecretRecord): Record<string, unknown> {
  const item = call.app.rotation.assignmentOf(record.owner, record.path);
  const policy = item && call.app.rotationPolicies.find(item.policyId);
  return {
    last_accessed_at: orNull(record.lastAccessedAt),
    notify_before: call.app.expiry.notifyBefore(record.owner, record.path),
    secret_policy_id: policy?.secretPolicyId ?? null,
  };
}

/** GET /v1/secrets/{path}: the secret object of [core-concepts/secrets]. */
export async function readSecret(call: Call): Promise<Answer> {
  const path = checkPath(call.path);
  const wanted = wholeNumber(call.query, "version", { least: 1, most: 9_999_999_999 });
  call.require(path, "read");
  const claim = proxied(call, path);
  if (claim !== undefined) {
    const secret = await readProxied(claim, path, wanted);
    call.app.counters.valueRead();
    call.app.metrics.valueRead();
    call.audit("read", path, { version: secret.version, backend: claim.backend.record.id });
    return { status: 200, body: proxiedSecret(path, secret) };
  }
  const { record, version } = call.app.secrets.read(call.owner, path, wanted, call.origin);
  call.app.counters.valueRead();
  call.app.metrics.valueRead();
  call.audit("read", path, { version: version.version });
  return {
    status: 200,
    body: {
      ...withoutData(call, record),
      secret_type: version.secretType,
      version: version.version,
      data: new RawJson(version.data),
      ...details(call, record),
    },
  };
}

/** PUT /v1/secrets/{path}: always makes a version. */
export async function writeSecret(call: Call): Promise<Answer> {
  const path = checkPath(call.path);
  call.require(path, "write");
  refuseFederated(call, path);
  const input = parseWrite(await call.text());
  const record = call.app.secrets.write(call.owner, path, input, call.origin);
  call.audit("write", path, { version: record.version });
  return { status: record.version === 1 ? WRITE_ANSWER.first : WRITE_ANSWER.later, body: withoutData(call, record) };
}

/** PATCH /v1/secrets/{path}: metadata only. */
export async function patchSecret(call: Call): Promise<Answer> {
  const path = checkPath(call.path);
  call.require(path, "write");
  refuseFederated(call, path);
  const record = call.app.secrets.patch(call.owner, path, parsePatch(await call.text()), call.origin);
  call.audit(AUDIT_METADATA_ACTION.write as "write", path, { metadata_only: true });
  return { status: 200, body: withoutData(call, record) };
}

/** DELETE /v1/secrets/{path}[?permanent=true]. */
export function deleteSecret(call: Call): Answer {
  const path = checkPath(call.path);
  const permanent = trueOrFalse(call.query, PERMANENT_PARAMETER) ?? false;
  call.require(path, "delete");
  refuseFederated(call, path);
  call.app.secrets.remove(call.owner, path, permanent, call.origin);
  call.audit("delete", path, { permanent });
  return { status: DELETE_ANSWER };
}

/** GET /v1/secrets/{path}/metadata. */
export async function secretMetadata(call: Call): Promise<Answer> {
  const path = checkPath(call.path);
  call.require(path, "list");
  const claim = proxied(call, path);
  if (claim !== undefined) {
    const info = await describeProxied(claim, path);
    call.audit(AUDIT_METADATA_ACTION.read as "list", path, { backend: claim.backend.record.id });
    const more = { version_count: info.versions.length, last_accessed_at: null, secret_policy_id: null };
    return { status: 200, body: { ...proxiedWithoutData(path, info), ...more } };
  }
  const record = call.app.secrets.describe(call.owner, path);
  const versions = call.app.store.listVersions(call.owner, path);
  call.audit(AUDIT_METADATA_ACTION.read as "list", path);
  return {
    status: 200,
    body: {
      ...withoutData(call, record),
      version_count: versions.length,
      ...details(call, record),
    },
  };
}

/** GET /v1/secrets/{path}/versions. */
export async function secretVersions(call: Call): Promise<Answer> {
  const path = checkPath(call.path);
  call.require(path, "list");
  const claim = proxied(call, path);
  if (claim !== undefined) {
    const { versions } = await describeProxied(claim, path);
    call.audit(AUDIT_METADATA_ACTION.read as "list", path, { backend: claim.backend.record.id });
    const shown = versions.map(({ version, createdAt }) => ({
      version,
      created_at: orNull(createdAt),
      created_by: `federation:${claim.backend.record.name}`,
    }));
    return { status: 200, body: { versions: shown } };
  }
  call.app.secrets.describe(call.owner, path);
  const versions = call.app.store.listVersions(call.owner, path);
  call.audit(AUDIT_METADATA_ACTION.read as "list", path);
  return {
    status: 200,
    body: {
      versions: versions.map((version) => ({
        version: version.version,
        created_at: timestamp(version.createdAt),
        created_by: version.createdBy,
      })),
    },
  };
}

/** GET /v1/secrets?prefix=&limit=&cursor=. */
export async function listSecrets(call: Call): Promise<Answer> {
  const prefix = checkPrefix(call.query.get("prefix") ?? "");
  const remote = await listProxied(call.app.federation.proxiedBelow(call.owner, prefix), { prefix });
  const mayList = remote.filter(({ path }) => call.may(path, "list"));
  const answer = await page(call, prefix, { wanted: () => true, remote: mayList });
  call.audit("list", null, { prefix });
  return answer;
}

/** GET /v1/secrets/expiring?days=&prefix=. */
export async function expiringSecrets(call: Call): Promise<Answer> {
  const prefix = checkPrefix(call.query.get("prefix") ?? "");
  const days = wholeNumber(call.query, "days", { least: 1, most: 36_500 }) ?? EXPIRING_ENDPOINT.days;
  const until = call.app.clock.now() + days * 86_400_000;
  const wanted = (record: SecretRecord): boolean => record.expiresAt !== null && record.expiresAt <= until;
  const answer = await page(call, prefix, { wanted, remote: [] });
  call.audit("list", null, { expiring_days: days });
  return answer;
}

interface PageParts {
  readonly wanted: (record: SecretRecord) => boolean;
  /** Proxied paths in the range, in order. */
  readonly remote: readonly ProxiedPath[];
}

/** One page of live secrets and proxied paths that the caller may list. */
async function page(call: Call, prefix: string, { wanted, remote }: PageParts): Promise<Answer> {
  const limit = wholeNumber(call.query, "limit", { least: 1, most: LIST_LIMITS.most }) ?? LIST_LIMITS.byDefault;
  const scope = JSON.stringify([
    call.route.pattern,
    call.owner,
    call.principal.identityId,
    prefix,
    call.query.get("days"),
  ]);
  const after = call.app.cursors.read(scope, call.query.get("cursor"));
  const stored = storedPage(call, { prefix, after, limit: limit + 1 }, wanted);
  const found = [...stored, ...remote.filter(({ path }) => after === undefined || path > after)]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .slice(0, limit + 1);
  const shown = found.slice(0, limit);
  const infos = await describeAll(shown.filter((item): item is ProxiedPath => "claim" in item));
  const last = shown.at(-1);
  const hasMore = found.length > limit && last !== undefined;
  return {
    status: 200,
    body: {
      [LIST_KEY]: shown.flatMap((item) => {
        if (!("claim" in item)) return [withoutData(call, item)];
        const info = infos.get(item.path);
        return info === undefined ? [] : [proxiedWithoutData(item.path, info)];
      }),
      cursor: hasMore ? call.app.cursors.issue(scope, last.path) : null,
      has_more: hasMore,
    },
  };
}

/** Up to `limit` stored secrets that the caller may list; what is stored at proxied paths is not seen. */
function storedPage(
  call: Call,
  query: { readonly prefix: string; readonly after: string | undefined; readonly limit: number },
  wanted: (record: SecretRecord) => boolean,
): SecretRecord[] {
  let after = query.after;
  const found: SecretRecord[] = [];
  let more = true;
  while (more && found.length < query.limit) {
    const batch = call.app.store.listSecrets(call.owner, { prefix: query.prefix, after, limit: LIST_LIMITS.most });
    more = batch.length === LIST_LIMITS.most;
    after = batch.at(-1)?.path;
    for (const record of batch)
      if (wanted(record) && call.may(record.path, "list") && proxied(call, record.path) === undefined)
        found.push(record);
  }
  return found.slice(0, query.limit);
}
