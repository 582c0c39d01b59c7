import { errorCode, SyncError } from "../errors/index.ts";
import { LABEL_TRUE, secretMetadata } from "../api/index.ts";
import { SecretValue } from "../model/index.ts";
import {
  isForbidden,
  type KubeClient,
  type KubeObject,
  type PartialObjectMetadata,
  type Resource,
  resources,
  type Store,
} from "../runtime/index.ts";

/** A released credential: its keys as bytes, and the version it was read at. */
export interface Credential {
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
  readonly data: ReadonlyMap<string, SecretValue>;
}

/** Where credentials and CA certificates of backends come from. */
export interface CredentialReader {
  /** @throws SyncError CredentialNotFound, CredentialNotReleased */
  secret(namespace: string, name: string, signal: AbortSignal): Promise<Credential>;
  /** One key of a released Secret or ConfigMap as PEM text. @throws SyncError CredentialNotFound, CredentialNotReleased, CredentialInvalid */
  certificate(
    ref: { kind: "Secret" | "ConfigMap"; name: string; key: string },
    namespace: string,
    signal: AbortSignal,
  ): Promise<string>;
  /** Version of a ConfigMap, which nobody watches; undefined when it cannot be told. One request, without its content. */
  configMapVersion(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined>;
}

const configMaps: Resource = { group: "", version: "v1", plural: "configmaps", namespaced: true, kind: "ConfigMap" };

interface WithData extends KubeObject {
  readonly data?: Record<string, string>;
}

/**
 * Reads credentials through the API server. A Secret without the release label is never read with data: first its
 * metadata is looked at, in the watch's store or by a metadata request.
 */
export function createCredentialReader(client: KubeClient, released: Store<PartialObjectMetadata>): CredentialReader {
  async function metadata(resource: Resource, namespace: string, name: string, signal: AbortSignal) {
    const watched = resource === resources.secrets ? released.get(`${namespace}/${name}`) : undefined;
    const found = watched ?? (await client.findMetadata(resource, { namespace, name }, { signal }));
    const what = `${resource.kind} ${name}`;
    if (found === undefined)
      throw new SyncError("CredentialNotFound", `${what} does not exist in namespace ${namespace}`);
    if (found.metadata.labels?.[secretMetadata.credentialLabel] !== LABEL_TRUE)
      throw new SyncError(
        "CredentialNotReleased",
        `${what} lacks the label ${secretMetadata.credentialLabel}=${LABEL_TRUE}`,
      );
  }

  async function withData(resource: Resource, namespace: string, name: string, signal: AbortSignal): Promise<WithData> {
    await metadata(resource, namespace, name, signal);
    const found = await client.find<WithData>(resource, { namespace, name }, { signal });
    // The label is looked at again: it may have been taken off between the two requests.
    if (found?.metadata.labels?.[secretMetadata.credentialLabel] !== LABEL_TRUE)
      throw new SyncError("CredentialNotReleased", `${resource.kind} ${name} is no longer released`);
    return found;
  }

  /** What the API server says is put into our words; its own may quote what it was sent. */
  async function read(resource: Resource, namespace: string, name: string, signal: AbortSignal): Promise<WithData> {
    try {
      return await withData(resource, namespace, name, signal);
    } catch (error) {
      if (error instanceof SyncError) throw error;
      const what = `${resource.kind} ${name} in namespace ${namespace}`;
      if (isForbidden(error))
        throw new SyncError("NotGranted", `the operator may not read ${what} (chart value credentialNamespaces)`, {
          right: `get ${resource.plural}`,
        });
      throw new SyncError("KubernetesUnavailable", `${what} could not be read`, {
        detail: errorCode(error) ?? "unknown",
      });
    }
  }

  return {
    async secret(namespace, name, signal) {
      const found = await read(resources.secrets, namespace, name, signal);
      const data = new Map(
        Object.entries(found.data ?? {}).map(([key, text]) => [
          key,
          SecretValue.fromBytes(Buffer.from(text, "base64")),
        ]),
      );
      return { namespace, name, resourceVersion: found.metadata.resourceVersion ?? "", data };
    },
    async certificate(ref, namespace, signal) {
      const resource = ref.kind === "Secret" ? resources.secrets : configMaps;
      const found = await read(resource, namespace, ref.name, signal);
      const raw = found.data?.[ref.key];
      if (raw === undefined) throw new SyncError("CredentialInvalid", `${ref.kind} ${ref.name} has no key ${ref.key}`);
      const pem = ref.kind === "Secret" ? Buffer.from(raw, "base64").toString("utf8") : raw;
      if (!pem.includes("-----BEGIN CERTIFICATE-----"))
        throw new SyncError("CredentialInvalid", `key ${ref.key} of ${ref.kind} ${ref.name} holds no PEM certificate`);
      return pem;
    },
    configMapVersion: (namespace, name, signal) => versionOf(client, { namespace, name }, signal),
  };
}

async function versionOf(client: KubeClient, ref: { namespace: string; name: string }, signal: AbortSignal) {
  const found = await client.findMetadata(configMaps, ref, { signal }).catch(() => undefined);
  return found?.metadata.resourceVersion;
}

/** The named key as text without surrounding white space (files and editors add line ends). @throws SyncError CredentialInvalid */
export function credentialText(credential: Credential, key: string): SecretValue {
  const value = credential.data.get(key);
  const text = value?.text()?.trim();
  if (text === undefined || text === "")
    throw new SyncError("CredentialInvalid", `Secret ${credential.name} has no key ${key}`);
  return SecretValue.fromText(text);
}
