import { type Reason, SyncError } from "../errors/index.ts";
import { globCovers, globMatches } from "./glob.ts";

/** Rights of some namespaces, as the operator's configuration has them; absent ones are empty. */
export interface Tenancy {
  readonly namespaces: readonly string[];
  readonly scaivault: {
    readonly read: readonly string[];
    readonly write: readonly string[];
    readonly credentials: readonly string[];
  };
  /** `HOST`, `HOST:PORT`, `*.DOMAIN`, each also with `https://` before it. */
  readonly endpoints: readonly string[];
  readonly ambientIdentity: boolean;
  readonly federation: boolean;
}

export interface RightsConfig {
  readonly tenancyMode: "Restricted" | "Open";
  readonly tenancy: readonly Tenancy[];
  readonly operatorNamespace: string;
}

/** What a backend lets other namespaces read. */
export interface Grant {
  readonly namespaces: { readonly names: readonly string[] };
  readonly read: readonly string[];
}

/** Allowed, or the error that says which factor is missing. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly error: SyncError };

/** What a namespace may do with a ScaiVault path. */
export type ScaiVaultRight = "read" | "write" | "credentials";

/** Rights of namespaces: the operator's configuration, narrowed by grants. No entry means nothing (R1, R2). */
export interface Rights {
  /** Why objects of a namespace are refused altogether; undefined when they are served (R25). */
  refusal(namespace: string): SyncError | undefined;
  /** A ScaiVault path, or a subtree `a/b/**` as a whole. Deleting needs `write`; logging in with it needs `credentials`. */
  scaivault(namespace: string, path: string, right: ScaiVaultRight): Verdict;
  /**
   * A source path, or a subtree as a whole, through a backend. A backend's own namespace may read all; others need a
   * grant, and both namespaces must be served.
   */
  source(
    consumer: { readonly namespace: string; readonly path: string },
    backend: { readonly namespace: string; readonly name?: string; readonly grants?: readonly Grant[] | undefined },
  ): Verdict;
  /** `host` or `host:port` that credentials of the namespace may be sent to, besides AWS's own hosts. */
  endpoint(namespace: string, host: string): Verdict;
  /** Patterns of {@link Rights.endpoint}, for the network's own check. */
  endpoints(namespace: string): readonly string[];
  /** The operator's own identity at a store (R6). */
  ambientIdentity(namespace: string): Verdict;
  /** Registering federation backends in ScaiVault (R3). */
  federation(namespace: string): Verdict;
}

const systemNamespaces: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease"]);
const allowed: Verdict = { ok: true };

function denied(message: string, reason: Reason = "NotGranted", right?: string): Verdict {
  return { ok: false, error: new SyncError(reason, message, right === undefined ? {} : { right }) };
}

export function createRights(config: RightsConfig): Rights {
  return new TenancyRights(config);
}

class TenancyRights implements Rights {
  readonly #open: boolean;
  readonly #operatorNamespace: string;
  readonly #byNamespace = new Map<string, Tenancy[]>();

  constructor(config: RightsConfig) {
    this.#open = config.tenancyMode === "Open";
    this.#operatorNamespace = config.operatorNamespace;
    for (const entry of config.tenancy)
      for (const namespace of entry.namespaces)
        this.#byNamespace.set(namespace, [...(this.#byNamespace.get(namespace) ?? []), entry]);
  }

  refusal(namespace: string): SyncError | undefined {
    const isProtected = systemNamespaces.has(namespace) || namespace === this.#operatorNamespace;
    if (!isProtected || this.#byNamespace.has(namespace)) return undefined;
    return new SyncError("NamespaceProtected", `objects in namespace ${namespace} are refused unless tenancy names it`);
  }

  scaivault(namespace: string, path: string, right: ScaiVaultRight): Verdict {
    const refusal = this.refusal(namespace);
    if (refusal !== undefined) return { ok: false, error: refusal };
    if (this.#open) return allowed;
    const globs = this.#entries(namespace).flatMap((entry) => entry.scaivault[right]);
    if (globs.some((glob) => fits(glob, path, namespace))) return allowed;
    const factor = `tenancy.scaivault.${right}`;
    const doing = right === "credentials" ? "log in with" : right;
    return denied(`namespace ${namespace} may not ${doing} ${path} in ScaiVault (${factor})`, "NotGranted", factor);
  }

  source(
    consumer: { readonly namespace: string; readonly path: string },
    backend: { readonly namespace: string; readonly name?: string; readonly grants?: readonly Grant[] | undefined },
  ): Verdict {
    const name = `FederationBackend ${backend.namespace}/${backend.name ?? ""}`;
    const refusal = this.refusal(consumer.namespace);
    if (refusal !== undefined) return { ok: false, error: refusal };
    if (backend.namespace === consumer.namespace) return allowed;
    if (this.refusal(backend.namespace) !== undefined)
      return denied(`${name} is in a namespace that is not served`, "NotGranted", "tenancy.namespaces");
    const grants = (backend.grants ?? []).filter(({ namespaces }) => namespaces.names.includes(consumer.namespace));
    if (grants.length === 0)
      return denied(`${name} has no grant for namespace ${consumer.namespace}`, "NotGranted", "grants.namespaces");
    const globs = grants.flatMap((grant) => grant.read);
    if (globs.some((glob) => fits(glob, consumer.path, consumer.namespace))) return allowed;
    return denied(
      `${name} grants namespace ${consumer.namespace} other paths than ${consumer.path}`,
      "NotGranted",
      "grants.read",
    );
  }

  endpoint(namespace: string, host: string): Verdict {
    const refusal = this.refusal(namespace);
    if (refusal !== undefined) return { ok: false, error: refusal };
    if (this.#open || this.endpoints(namespace).some((pattern) => hostMatches(pattern, host))) return allowed;
    return denied(
      `namespace ${namespace} may not send credentials to ${host} (tenancy.endpoints)`,
      "EndpointNotAllowed",
      "tenancy.endpoints",
    );
  }

  endpoints(namespace: string): readonly string[] {
    if (this.refusal(namespace) !== undefined) return [];
    return this.#open ? ["*"] : this.#entries(namespace).flatMap((entry) => entry.endpoints);
  }

  ambientIdentity(namespace: string): Verdict {
    const refusal = this.refusal(namespace);
    if (refusal !== undefined) return { ok: false, error: refusal };
    if (this.#open || this.#entries(namespace).some((entry) => entry.ambientIdentity)) return allowed;
    return denied(
      `namespace ${namespace} may not use the operator's own identity (tenancy.ambientIdentity)`,
      "NotGranted",
      "tenancy.ambientIdentity",
    );
  }

  federation(namespace: string): Verdict {
    const refusal = this.refusal(namespace);
    if (refusal !== undefined) return { ok: false, error: refusal };
    if (this.#open || this.#entries(namespace).some((entry) => entry.federation)) return allowed;
    return denied(
      `namespace ${namespace} may not register federation backends in ScaiVault (tenancy.federation)`,
      "NotGranted",
      "tenancy.federation",
    );
  }

  #entries(namespace: string): readonly Tenancy[] {
    return this.#byNamespace.get(namespace) ?? [];
  }
}

function fits(glob: string, path: string, namespace: string): boolean {
  return path.endsWith("/**") ? globCovers(glob, path.slice(0, -3), namespace) : globMatches(glob, path, namespace);
}

/** Whether a host (with a port, or 443) is on a list such as `allowed_hosts` of credentials. */
export function hostListed(patterns: readonly string[], host: string): boolean {
  return patterns.some((pattern) => hostMatches(pattern, host));
}

/** `HOST`, `HOST:PORT`, `*.DOMAIN[:PORT]`, each also with `https://`; without a port every port; case does not matter. */
function hostMatches(pattern: string, host: string): boolean {
  const bare = pattern.toLowerCase().replace(/^https:\/\//, "");
  const [wantedName = "", wantedPort] = bare.split(":");
  const [name = "", port = "443"] = host.toLowerCase().split(":");
  if (wantedPort !== undefined && wantedPort !== port) return false;
  if (wantedName.startsWith("*.")) return name.endsWith(wantedName.slice(1)) && name.length >= wantedName.length;
  return name === wantedName;
}
