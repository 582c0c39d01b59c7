import { SyncError } from "../errors/index.ts";
import type { DeclaredRegistration } from "./registration.ts";
import { hostListed } from "./rights.ts";

/** Names by which a cluster's own API server is reached from inside. */
const API_SERVER = /^kubernetes(?:\.default(?:\.svc(?:\.[a-z0-9.-]+)?)?)?\.?$/i;

/** Host and port that ScaiVault sends the credentials to. */
export function registrationHost(store: DeclaredRegistration["store"]): string {
  if (store.type === "aws-secrets-manager")
    return `secretsmanager.${store.region}.amazonaws.com${store.region.startsWith("cn-") ? ".cn" : ""}`;
  return store.address.replace(/^https:\/\//, "").replace(/\/$/, "");
}

/** @throws SyncError EndpointNotAllowed for the names of a Kubernetes API server */
export function checkRegistrationHost(host: string): void {
  if (!API_SERVER.test(host.replace(/:\d+$/, ""))) return;
  throw new SyncError("EndpointNotAllowed", `${host} is a Kubernetes API server, which is no store`);
}

/**
 * Credentials at a ScaiVault path are used only for hosts that their own metadata allow (R5).
 * @param allowed undefined when nothing is at the path
 * @throws SyncError CredentialNotFound, CredentialNotAllowedHere
 */
export function checkAllowedHost(path: string, host: string, allowed: readonly string[] | undefined): void {
  if (allowed === undefined)
    throw new SyncError("CredentialNotFound", `ScaiVault has no credentials at ${path} (federation.credentials)`);
  if (hostListed(allowed, host)) return;
  const message = `the credentials at ${path} do not allow ${host}: their metadata allowed_hosts ${allowed.length === 0 ? "are not set" : "name other hosts"}`;
  throw new SyncError("CredentialNotAllowedHere", message);
}
