import { SyncError } from "../errors/index.ts";
import type { AddressRules } from "./address.ts";
import { endpointListed, isAwsHost, parseEndpoint } from "./endpoint.ts";

/** Who a credential belongs to: not the writer of the backend, but the place that the credential came from. */
export type CredentialOwner =
  | { readonly kind: "Operator" }
  | { readonly kind: "Namespace"; readonly namespace: string }
  | { readonly kind: "ScaiVaultPath"; readonly path: string };

/** Where a credential is sent to. */
export interface Destination {
  /** Parsed and checked; host and port only. */
  readonly url: URL;
  /** PEM of the only authorities that this destination's certificate may come from; absent: the usual ones. */
  readonly ca?: string | undefined;
}

const token = Symbol("bound");

/**
 * A credential together with the one destination that it may be sent to. Clients take this and nothing else, so that a
 * credential and an address that do not belong together cannot meet. Only {@link bindCredential} makes one.
 */
export class BoundCredential<C> {
  readonly owner: CredentialOwner;
  readonly credential: C;
  readonly destination: Destination;

  constructor(proof: symbol, owner: CredentialOwner, credential: C, destination: Destination) {
    if (proof !== token) throw new TypeError("use bindCredential");
    this.owner = owner;
    this.credential = credential;
    this.destination = destination;
  }

  toJSON(): unknown {
    return { owner: ownerText(this.owner), destination: this.destination.url.origin };
  }
}

/** Input of {@link bindCredential}. */
export interface BindRequest<C> {
  /** `AWS` credentials may go to AWS's own hosts without being listed. */
  readonly service: "AWS" | "Vault" | "ScaiVault";
  readonly owner: CredentialOwner;
  readonly credential: C;
  /** As written in the spec or the configuration, or as the service's default. */
  readonly endpoint: string;
  /** Hosts that may receive credentials of this owner: tenancy `endpoints` of its namespace, or `allowed_endpoints` of its path. */
  readonly allowed: readonly string[];
  readonly ca?: string | undefined;
}

/**
 * The one place where a credential and a destination come together.
 * @throws SyncError InvalidSpec or EndpointNotAllowed
 */
export function bindCredential<C>(request: BindRequest<C>, rules: AddressRules): BoundCredential<C> {
  const url = parseEndpoint(request.endpoint, rules);
  const own = request.service === "AWS" && isAwsHost(url);
  if (!own && !endpointListed(url, request.allowed))
    throw new SyncError(
      "EndpointNotAllowed",
      `credentials of ${ownerText(request.owner)} may not be sent to ${url.host}`,
    );
  return new BoundCredential(token, request.owner, request.credential, {
    url,
    ...(request.ca === undefined ? {} : { ca: request.ca }),
  });
}

/** Readable and unique: `operator`, `namespace/x`, `scaivault/path`. */
export function ownerText(owner: CredentialOwner): string {
  if (owner.kind === "Operator") return "operator";
  return owner.kind === "Namespace" ? `namespace/${owner.namespace}` : `scaivault/${owner.path}`;
}
