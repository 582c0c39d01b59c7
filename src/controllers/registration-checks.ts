import { effectiveBackend } from "../api/index.ts";
import {
  checkAllowedHost,
  checkRegistrationHost,
  type DeclaredRegistration,
  registrationHost,
} from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import type { RegistrationSubject } from "./registration-state.ts";
import type { FederationSide, World } from "./world.ts";

/** The ScaiVault of this install. @throws SyncError ScaiVaultUnavailable when none is configured */
export function federationOf(world: World): FederationSide {
  if (world.scaivault !== undefined) return world.scaivault.federation;
  const message = "the operator has no ScaiVault connection (scaivault in its configuration)";
  throw new SyncError("ScaiVaultUnavailable", message);
}

/**
 * Everything that a namespace needs before ScaiVault hears of its backend; nothing is asked of anybody.
 * @throws SyncError NotGranted, NamespaceProtected, EndpointNotAllowed, InvalidSpec
 */
export function checkRegistrationRights(world: World, subject: RegistrationSubject): void {
  const { backend, federation } = subject;
  const { namespace } = backend.metadata;
  const need = (verdict: ReturnType<World["rights"]["federation"]>): void => {
    if (!verdict.ok) throw verdict.error;
  };
  need(world.rights.federation(namespace));
  for (const { scaivaultPath } of federation.pathMapping)
    need(world.rights.scaivault(namespace, scaivaultPath, "write"));
  const { credentials } = federation;
  if (credentials !== undefined) {
    need(world.rights.scaivault(namespace, credentials.scaivaultPath, "credentials"));
    if (credentials.secretRef !== undefined)
      need(world.rights.scaivault(namespace, credentials.scaivaultPath, "write"));
  }
  const vault = backend.spec.hashicorpVault;
  if (vault === undefined) return;
  if (credentials === undefined)
    throw new SyncError("InvalidSpec", "ScaiVault needs a login to Vault: write federation.credentials");
  const host = URL.parse(vault.address)?.host ?? "";
  checkRegistrationHost(host);
  federationOf(world).checkAddress(vault.address);
  need(world.rights.endpoint(namespace, host));
}

/** What the object declares, with what its Secret and its CA add. */
export function declaredRegistration(
  { backend, federation, effective }: RegistrationSubject,
  found: { readonly authMethod: "approle" | "token"; readonly ca: string | undefined },
): DeclaredRegistration {
  const { awsSecretsManager, hashicorpVault } = backend.spec;
  const store: DeclaredRegistration["store"] =
    hashicorpVault === undefined
      ? { type: "aws-secrets-manager", region: awsSecretsManager?.region ?? "" }
      : {
          type: "hashicorp-vault",
          address: hashicorpVault.address,
          namespace: hashicorpVault.namespace,
          ...found,
        };
  return {
    mode: effective.mode,
    pathMapping: federation.pathMapping,
    syncInterval: effectiveBackend(backend.spec).syncInterval,
    conflictResolution: effective.conflictResolution,
    store,
    credentialsPath: federation.credentials?.scaivaultPath,
  };
}

/** Right before a registration is sent: the credentials' own metadata have to allow the host. @throws SyncError */
export async function checkCredentialHost(
  world: World,
  declared: DeclaredRegistration,
  signal: AbortSignal,
): Promise<void> {
  const { credentialsPath, store } = declared;
  if (credentialsPath === undefined) return;
  const allowed = await federationOf(world).allowedHosts(credentialsPath, signal);
  checkAllowedHost(credentialsPath, registrationHost(store), allowed);
}
