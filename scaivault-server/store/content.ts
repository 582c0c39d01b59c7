import type { AuditRow } from "../audit/audit.ts";
import type { BackendRecord, FederationStore, SyncedPath } from "../federation/record.ts";
import type { StoredEvent } from "./events.ts";
import type { Owner, SecretRecord, SecretVersion } from "./store.ts";

/** Everything that a store keeps, for backups. Holds values. */
export interface StoreContent {
  /** By owner and path; versions oldest first. */
  readonly secrets: readonly { readonly record: SecretRecord; readonly versions: readonly SecretVersion[] }[];
  /** Oldest first. */
  readonly audit: readonly AuditRow[];
  /** In the order in which they were made. */
  readonly objects: readonly { readonly kind: string; readonly id: string; readonly json: string }[];
  /** Oldest first. */
  readonly events: readonly StoredEvent[];
  /** Oldest first in each queue. */
  readonly queued: readonly { readonly queue: string; readonly event: StoredEvent }[];
  readonly backends: readonly { readonly record: BackendRecord; readonly paths: readonly SyncedPath[] }[];
}

/** What a store keeps of federation. */
export function backendsOf(federation: FederationStore): StoreContent["backends"] {
  return federation.listBackends().map((record) => ({ record, paths: federation.listPaths(record.id) }));
}

/** Keeps these backends instead of others. */
export function replaceBackends(federation: FederationStore, backends: StoreContent["backends"]): void {
  for (const { id } of federation.listBackends()) federation.removeBackend(id);
  for (const { record, paths } of backends) {
    federation.saveBackend(record);
    for (const path of paths) federation.savePath(path);
  }
}

/** Order of secrets in a content. */
export function bySecret(a: { owner: Owner; path: string }, b: { owner: Owner; path: string }): number {
  if (a.owner !== b.owner) return a.owner < b.owner ? -1 : 1;
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}
