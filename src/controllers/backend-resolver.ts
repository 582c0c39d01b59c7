import type { FederationBackend } from "../api/index.ts";
import { SyncError } from "../errors/index.ts";
import type { ResolvedBackend } from "./backend-registry.ts";
import type { Credential, CredentialReader } from "./credentials.ts";

/** What a source is made from. The composition root supplies the maker, so that no SDK type is known here. */
export interface SourceInput {
  readonly backend: FederationBackend;
  /** `operator`: the operator's own identity, after the right to it was checked. */
  readonly credential: Credential | "operator";
  /** PEM text of the backend's own CA. */
  readonly ca: string | undefined;
  /** Hosts that the configuration lists for the backend's namespace. */
  readonly endpoints: readonly string[];
}

/** @throws SyncError EndpointNotAllowed, CredentialInvalid, InvalidSpec */
export type SourceMaker = (input: SourceInput) => ResolvedBackend;

/** Rights of a namespace that matter for a backend; answered from the operator's configuration. */
export interface BackendRights {
  /** Undefined when objects in this namespace are served; else why not. */
  refusal(namespace: string): SyncError | undefined;
  ambientIdentity(namespace: string): boolean;
  endpoints(namespace: string): readonly string[];
}

/** Goes through what a backend needs, in order; the first thing that is missing is the answer. */
export class BackendResolver {
  readonly #credentials: CredentialReader;
  readonly #rights: BackendRights;
  readonly #make: SourceMaker;

  constructor(options: { credentials: CredentialReader; rights: BackendRights; make: SourceMaker }) {
    this.#credentials = options.credentials;
    this.#rights = options.rights;
    this.#make = options.make;
  }

  /** @throws SyncError what is missing: a right, a credential, a certificate */
  async resolve(backend: FederationBackend, signal: AbortSignal): Promise<ResolvedBackend> {
    const namespace = backend.metadata.namespace;
    const refusal = this.#rights.refusal(namespace);
    if (refusal !== undefined) throw refusal;
    if (backend.spec.suspend === true) throw new SyncError("BackendSuspended", "spec.suspend is true");
    const credential = await this.#credential(backend, signal);
    const caRef = backend.spec.hashicorpVault?.caRef;
    const ca = caRef === undefined ? undefined : await this.#credentials.certificate(caRef, namespace, signal);
    return this.#make({ backend, credential, ca, endpoints: this.#rights.endpoints(namespace) });
  }

  /** A released credential Secret that is not the backend's own login. @throws SyncError */
  credential(namespace: string, name: string, signal: AbortSignal): Promise<Credential> {
    return this.#credentials.secret(namespace, name, signal);
  }

  /** The backend's CA as PEM text. @throws SyncError */
  certificate(
    ref: Parameters<CredentialReader["certificate"]>[0],
    namespace: string,
    signal: AbortSignal,
  ): Promise<string> {
    return this.#credentials.certificate(ref, namespace, signal);
  }

  /** What the backend's CA is in, as of now, where no watch tells; undefined when it cannot be told. */
  unwatched(backend: FederationBackend, signal: AbortSignal): Promise<string | undefined> {
    const { namespace } = backend.metadata;
    const name = caConfigMap(backend);
    return name === undefined ? Promise.resolve("") : this.#credentials.configMapVersion(namespace, name, signal);
  }

  async #credential(backend: FederationBackend, signal: AbortSignal): Promise<Credential | "operator"> {
    const namespace = backend.metadata.namespace;
    if (!hasLogin(backend))
      throw new SyncError("BackendNotReadable", "the backend has no auth: only ScaiVault reads this store");
    const name = credentialName(backend);
    if (name !== undefined) return this.#credentials.secret(namespace, name, signal);
    if (this.#rights.ambientIdentity(namespace)) return "operator";
    throw new SyncError(
      "NotGranted",
      `namespace ${namespace} may not use the operator's own identity (tenancy.ambientIdentity); set auth.secretRef`,
    );
  }
}

/** False where only ScaiVault reads the store (`federation.runsIn: ScaiVault` without `auth`). */
export function hasLogin({ spec }: FederationBackend): boolean {
  return (spec.awsSecretsManager?.auth ?? spec.hashicorpVault?.auth) !== undefined;
}

/** Name of the Secret that a backend logs in with; undefined for the operator's own identity. */
export function credentialName(backend: FederationBackend): string | undefined {
  const { awsSecretsManager, hashicorpVault } = backend.spec;
  return (
    awsSecretsManager?.auth?.secretRef?.name ??
    hashicorpVault?.auth?.appRole?.secretRef.name ??
    hashicorpVault?.auth?.token?.secretRef.name
  );
}

/** The ConfigMap that holds the backend's CA. ConfigMaps are not watched: rights on them are given by name. */
export function caConfigMap(backend: FederationBackend): string | undefined {
  const ca = backend.spec.hashicorpVault?.caRef;
  return ca?.kind === "ConfigMap" ? ca.name : undefined;
}

/** Names of all Secrets whose change concerns the backend. */
export function credentialSecrets(backend: FederationBackend): string[] {
  const ca = backend.spec.hashicorpVault?.caRef;
  return [credentialName(backend), ca?.kind === "Secret" ? ca.name : undefined].filter((name) => name !== undefined);
}

/** The same with the Secret whose content ScaiVault gets as its own login. */
export function watchedSecrets(backend: FederationBackend): string[] {
  const registered = backend.spec.federation?.credentials?.secretRef?.name;
  return [...credentialSecrets(backend), ...(registered === undefined ? [] : [registered])];
}
