import { z } from "zod";
import { BATCH_OPTIONS_TOP_LEVEL, BATCH_STATUS, EXPANSION_MOST } from "../assumptions.ts";
import { isGlob, isValidGlob, literalPrefix, matchesGlob } from "../auth/glob.ts";
import { ApiError, validationError } from "../errors.ts";
import { describeAll, describeProxied, listProxied, readProxied } from "../federation/proxy.ts";
import { eachOf } from "../federation/remote.ts";
import type { RemoteInfo } from "../federation/remote.ts";
import type { Answer, Call } from "../http/call.ts";
import { rateLimited } from "../http/pipeline.ts";
import { RawJson } from "../json/raw-json.ts";
import { checkBody, parseObject } from "../secrets/body.ts";
import { checkPath } from "../secrets/path.ts";
import type { SecretRecord } from "../store/store.ts";
import { metadataOf, proxied } from "./federated.ts";

/** At most 100 paths in a call. [api-guides/batch-operations] */
const paths = z.array(z.string()).min(1).max(100);

const flags = {
  include_metadata: z.boolean().optional(),
  fail_fast: z.boolean().optional(),
  version: z.int().min(1).optional(),
};
const readBody = z.object({ paths, options: z.object(flags).optional(), ...flags });
const metadataFlags = { expand_wildcards: z.boolean().optional(), fail_fast: z.boolean().optional() };
const metadataBody = z.object({ paths, options: z.object(metadataFlags).optional(), ...metadataFlags });

interface Outcome {
  readonly secrets: Map<string, unknown>;
  readonly errors: Map<string, unknown>;
}

/** Proxied paths that are asked for at a time. */
const width = 8;

/** Asks for each path; errors stay with their path unless `failFast`. Answers are in the order of the paths. */
async function collect(given: readonly string[], failFast: boolean, one: (path: string) => unknown): Promise<Outcome> {
  const answers = new Map<string, { readonly secret?: unknown; readonly error?: unknown }>();
  const paths = [...new Set(given)];
  await eachOf(paths, failFast ? 1 : width, async (path) => {
    try {
      answers.set(path, { secret: await one(path) });
    } catch (error) {
      if (!(error instanceof ApiError) || failFast) throw error;
      answers.set(path, { error: { code: error.code, message: error.message } });
    }
  });
  const outcome: Outcome = { secrets: new Map(), errors: new Map() };
  for (const path of paths) {
    const answer = answers.get(path);
    if (answer?.error !== undefined) outcome.errors.set(path, answer.error);
    else outcome.secrets.set(path, answer?.secret);
  }
  return outcome;
}

/** POST /v1/secrets/batch. [api-guides/batch-operations] */
export async function batchRead(call: Call): Promise<Answer> {
  const body = checkBody(readBody, parseObject(await call.text()));
  const options = { ...(BATCH_OPTIONS_TOP_LEVEL ? body : {}), ...body.options };
  for (const path of body.paths) call.app.counters.touched(path, "read");
  const versions = new Map<string, number>();
  const outcome = await collect(body.paths, options.fail_fast ?? false, async (path) => {
    checkPath(path);
    call.require(path, "read");
    const claim = proxied(call, path);
    if (claim !== undefined) {
      const { data, version, secretType } = await readProxied(claim, path, options.version);
      versions.set(path, version);
      const metadata = options.include_metadata === true ? { metadata: {} } : {};
      return { data: new RawJson(data), version, secret_type: secretType, ...metadata };
    }
    const { record, version } = call.app.secrets.read(call.owner, path, options.version, call.origin);
    versions.set(path, version.version);
    return {
      data: new RawJson(version.data),
      version: version.version,
      secret_type: version.secretType,
      ...(options.include_metadata === true ? { metadata: new RawJson(record.metadata) } : {}),
    };
  });
  // One "batch read" is paid already; each path returned is a "read secrets" on top. [api-guides/batch-operations]
  const rate = call.app.limiter.take(call.rateIdentity, "read", outcome.secrets.size);
  if (!rate.allowed) throw rateLimited(call.app, "read", rate);
  for (const path of outcome.secrets.keys()) {
    call.app.counters.valueRead();
    call.app.metrics.valueRead();
    call.audit("read", path, { batch: true, version: versions.get(path) });
  }
  for (const [path, error] of outcome.errors)
    call.rows.push({
      action: "read",
      path,
      success: false,
      extra: { batch: true, code: (error as { code: string }).code },
    });
  return { status: BATCH_STATUS, body: { secrets: outcome.secrets, errors: outcome.errors } };
}

/** POST /v1/secrets/batch/metadata: no values; the scope `secrets:list` is enough. [api-guides/batch-operations] */
export async function batchMetadata(call: Call): Promise<Answer> {
  const body = checkBody(metadataBody, parseObject(await call.text()));
  const options = { ...(BATCH_OPTIONS_TOP_LEVEL ? body : {}), ...body.options };
  for (const path of body.paths) call.app.counters.touched(path, "list");
  const expand = options.expand_wildcards === true;
  const literal = body.paths.filter((path) => !expand || !isGlob(path));
  const outcome = await collect(literal, options.fail_fast ?? false, async (path) => {
    checkPath(path);
    call.require(path, "list");
    const claim = proxied(call, path);
    if (claim !== undefined) return shownProxied(await describeProxied(claim, path));
    return shown(call.app.secrets.describe(call.owner, path));
  });
  if (expand) {
    for (const glob of body.paths.filter(isGlob)) {
      for (const record of expanded(call, glob)) outcome.secrets.set(record.path, shown(record));
      for (const [path, info] of await expandedProxied(call, glob)) outcome.secrets.set(path, shownProxied(info));
    }
    if (outcome.secrets.size > EXPANSION_MOST) throw validationError({ paths: "too_big" });
  }
  for (const path of outcome.secrets.keys()) call.app.counters.touched(path, "list");
  call.audit("list", null, { batch: true, paths: outcome.secrets.size, errors: outcome.errors.size });
  return { status: BATCH_STATUS, body: { secrets: outcome.secrets, errors: outcome.errors } };
}

function shown(record: SecretRecord): unknown {
  return { version: record.version, secret_type: record.secretType, metadata: new RawJson(record.metadata) };
}

function shownProxied(info: RemoteInfo): unknown {
  return { version: info.version, secret_type: "json", metadata: metadataOf(info) };
}

/** Proxied paths that a glob matches and the caller may list. */
async function expandedProxied(call: Call, glob: string): Promise<Map<string, RemoteInfo>> {
  const prefix = literalPrefix(glob);
  const found = await listProxied(call.app.federation.proxiedBelow(call.owner, prefix), { prefix, glob });
  const mayList = found.filter(({ path }) => call.may(path, "list"));
  if (mayList.length > EXPANSION_MOST) throw validationError({ paths: "too_big" });
  return describeAll(mayList);
}

/** Live secrets that a glob matches and the caller may list. */
function expanded(call: Call, glob: string): SecretRecord[] {
  if (!isValidGlob(glob)) throw new ApiError("invalid_glob", "not a path glob", { details: { glob } });
  const prefix = literalPrefix(glob);
  const found: SecretRecord[] = [];
  let after: string | undefined;
  for (;;) {
    const batch = call.app.store.listSecrets(call.owner, { prefix, after, limit: EXPANSION_MOST });
    for (const record of batch)
      if (matchesGlob(glob, record.path) && call.may(record.path, "list") && proxied(call, record.path) === undefined)
        found.push(record);
    if (found.length > EXPANSION_MOST) throw validationError({ paths: "too_big" });
    if (batch.length < EXPANSION_MOST) return found;
    after = batch.at(-1)?.path;
  }
}
