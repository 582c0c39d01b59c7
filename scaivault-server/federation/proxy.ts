import { matchesGlob } from "../auth/glob.ts";
import { ApiError } from "../errors.ts";
import { asApiError, StoreFailure } from "./failure.ts";
import type { LiveBackend } from "./live.ts";
import type { RemoteInfo, RemoteSecret, RemoteStore } from "./remote.ts";
import { eachOf } from "./remote.ts";
import type { Claim } from "./service.ts";

/** Metadata calls of one listing to one backend at a time. */
const width = 6;

/** Asks a backend for a caller. @throws ApiError `service_unavailable`, `backend_error` */
export async function asked<T>(backend: LiveBackend, work: (remote: RemoteStore) => Promise<T>): Promise<T> {
  try {
    return await backend.ask(work);
  } catch (error) {
    throw error instanceof StoreFailure ? asApiError(error, backend.record.id) : error;
  }
}

/** A proxied value, live. @throws ApiError also `secret_not_found`, `version_not_found` */
export async function readProxied(
  { backend, remote: name }: Claim,
  path: string,
  version?: number,
): Promise<RemoteSecret> {
  const found = await asked(backend, (remote) => remote.read(name, version));
  if (found !== undefined) return found;
  if (version !== undefined) throw new ApiError("version_not_found", "no such version", { details: { path, version } });
  throw new ApiError("secret_not_found", "no such secret", { details: { path } });
}

/** What a backend tells of a proxied secret without its value. @throws ApiError also `secret_not_found` */
export async function describeProxied({ backend, remote: name }: Claim, path: string): Promise<RemoteInfo> {
  const found = await asked(backend, (remote) => remote.describe(name));
  if (found === undefined) throw new ApiError("secret_not_found", "no such secret", { details: { path } });
  return found;
}

/** A proxied path of a listing, and what the listing told of it. */
export interface ProxiedPath {
  readonly path: string;
  readonly claim: Claim;
  readonly info: RemoteInfo | undefined;
}

/** Which proxied paths a listing is about. */
export interface ProxiedRange {
  readonly prefix: string;
  readonly glob?: string;
}

/** Proxied paths in a range, in order. What may not be listed is left out. @throws ApiError when a backend is away */
export async function listProxied(backends: readonly LiveBackend[], range: ProxiedRange): Promise<ProxiedPath[]> {
  const found: ProxiedPath[] = [];
  for (const backend of backends) {
    for (const part of backend.mapping.ranges()) {
      const entries = await asked(backend, (remote) => remote.list(part)).catch((error: unknown) => {
        if (error instanceof ApiError && error.details?.["reason"] === "access_denied") return [];
        throw error;
      });
      for (const { name, info } of entries) {
        const local = backend.mapping.toLocal(part, name);
        if (local === undefined || local === "invalid" || !local.path.startsWith(range.prefix)) continue;
        if (range.glob !== undefined && !matchesGlob(range.glob, local.path)) continue;
        found.push({ path: local.path, claim: { backend, remote: name }, info });
      }
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Fills in what listings did not tell; secrets that are gone meanwhile, or may not be looked at, are left out. */
export async function describeAll(paths: readonly ProxiedPath[]): Promise<Map<string, RemoteInfo>> {
  // Entered in the order of the paths, whatever the order of the answers.
  const infos = new Map<string, RemoteInfo | undefined>(paths.map(({ path }) => [path, undefined]));
  await eachOf(paths, width, async ({ path, claim, info }) => {
    const known =
      info ??
      (await describeProxied(claim, path).catch((error: unknown) => {
        const reason = error instanceof ApiError ? (error.details?.["reason"] ?? error.code) : undefined;
        if (reason === "access_denied" || reason === "secret_not_found") return undefined;
        throw error;
      }));
    infos.set(path, known);
  });
  return new Map([...infos].filter((entry): entry is [string, RemoteInfo] => entry[1] !== undefined));
}
