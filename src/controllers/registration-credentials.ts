import {
  fingerprint,
  fingerprintMatches,
  fitField,
  ownerMatches,
  ownerOf,
  policyField,
  registrationHost,
  renderScaiVault,
  shapeDigest,
} from "../decide/index.ts";
import type { DeclaredRegistration } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import { type Mark, payloadFromObjectText } from "../model/index.ts";
import type { RenderedContent, TargetObservation } from "../ports/index.ts";
import { type Credential, credentialText } from "./credentials.ts";
import { scaivaultTargetID } from "./gather.ts";
import type { RevertCounter } from "./gather.ts";
import type { RegistrationSubject } from "./registration-state.ts";
import type { ScaiVaultAddress, World } from "./world.ts";

/** Over another writer this often in ten minutes, and no more. */
const MAX_REVERTS = 3;
type Keys = readonly string[];
const approle: Keys = ["role_id", "secret_id"];
const token: Keys = ["token"];

/** How ScaiVault logs in, by the keys of the Secret. */
export function authMethodOf(credential: Credential | undefined): "approle" | "token" {
  return credential !== undefined && credential.data.has("token") && !credential.data.has("role_id")
    ? "token"
    : "approle";
}

/** The Secret's content with the names that ScaiVault reads. @throws SyncError CredentialInvalid */
function contentOf(credential: Credential, store: DeclaredRegistration["store"]): RenderedContent {
  const keys =
    store.type === "hashicorp-vault"
      ? store.authMethod === "token"
        ? token
        : approle
      : ["access_key_id", "secret_access_key", ...(credential.data.has("session_token") ? ["session_token"] : [])];
  const members = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(textOf(credential, key))}`);
  return renderScaiVault(payloadFromObjectText(`{${members.join(",")}}`));
}

function textOf(credential: Credential, key: string): string {
  const text = credentialText(credential, key).text();
  if (text === undefined)
    throw new SyncError("CredentialInvalid", `key ${key} of Secret ${credential.name} is no text`);
  return text;
}

/** What has to happen to the credentials at their ScaiVault path. */
type CredentialAction = "Nothing" | "Write" | "Restore" | "Mark" | "Adopt";

/**
 * Keeps the credentials at their ScaiVault path as the namespace's Secret has them, with our mark, and with the one host that
 * they may be sent to. Nothing is read there but metadata, unless an adoption was asked for.
 * @returns whether ScaiVault has other credentials now
 * @throws SyncError NotOwned, Claimed, Conflict, TargetSoftDeleted, CredentialInvalid, ...
 */
export async function writeCredentials(
  world: World,
  subject: RegistrationSubject,
  what: {
    readonly credential: Credential;
    readonly declared: DeclaredRegistration;
    readonly reverts: RevertCounter & { add(targetID: string, version: string): void };
  },
  signal: AbortSignal,
): Promise<boolean> {
  const { credential, declared, reverts } = what;
  const { scaivault } = world;
  if (scaivault === undefined) throw new SyncError("ScaiVaultUnavailable", "the operator has no ScaiVault connection");
  const { target } = scaivault;
  const path = subject.federation.credentials?.scaivaultPath ?? "";
  const targetID = scaivaultTargetID(path);
  const host = registrationHost(declared.store);
  const ref: ScaiVaultAddress = { path, allowedHosts: [host], object: subject.key, lane: "user" };
  const content = contentOf(credential, declared.store);
  const observed = (await target.observe([ref], signal)).get(path);
  if (observed === undefined) throw new SyncError("Unexpected", "the target gave no answer");
  const action = actionFor(world, subject, { path, observed, content });
  if (action === "Nothing") return false;
  if (action === "Restore") {
    if (reverts.count(targetID, credential.resourceVersion) >= MAX_REVERTS)
      throw new SyncError("Conflict", `another writer keeps changing the credentials at ${path}`);
    reverts.add(targetID, credential.resourceVersion);
  }
  const { namespace, name } = subject.backend.metadata;
  const mark: Mark = {
    owner: ownerOf(world.ring, { cluster: world.cluster, namespace, kind: "FederationBackend", name }),
    source: fitField(world.ring, `secret:${namespace}/${credential.name}`),
    version: credential.resourceVersion === "" ? "-" : credential.resourceVersion,
    targetVersion: "-",
    authority: "Source",
    policy: policyField("Retain", "Retain", shapeDigest({ host })),
    fingerprint: fingerprint(world.ring, targetID, content),
  };
  world.assertHeld();
  const request = { content, mark, observed };
  if (action === "Mark") await target.mark(ref, request, signal);
  else if (action === "Adopt") await target.adopt(ref, request, signal);
  else await target.write(ref, request, signal);
  scaivault.observations.forget({ path });
  world.metrics.write("ScaiVault", action, { namespace, backend: subject.key });
  world.log.info("target written", { kind: "FederationBackend", namespace, name, action, target: path });
  return action === "Write" || action === "Restore";
}

function actionFor(
  world: World,
  { backend, effective }: RegistrationSubject,
  { path, observed, content }: { path: string; observed: TargetObservation; content: RenderedContent },
): CredentialAction {
  const { namespace, name } = backend.metadata;
  if (observed.presence === "Unknown") throw observed.failure ?? new SyncError("ScaiVaultUnavailable", "no answer");
  if (observed.presence !== "Present") return "Write";
  const { mark } = observed;
  if (mark.state !== "Valid") {
    if (effective.adopt === "IfEqual") return "Adopt";
    throw new SyncError("NotOwned", `${path} exists in ScaiVault and is not ours (federation.credentials)`);
  }
  const owner = { cluster: world.cluster, namespace, kind: "FederationBackend", name };
  if (!ownerMatches(world.ring, mark.mark.owner, owner))
    throw new SyncError("Claimed", `another object keeps the credentials at ${path}`);
  if (observed.content !== "AsMarked") return "Restore";
  if (!fingerprintMatches(world.ring, scaivaultTargetID(path), content, mark.mark.fingerprint)) return "Write";
  return observed.metadataAsDeclared ? "Nothing" : "Mark";
}
