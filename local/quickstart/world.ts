/** What the steps of the quickstart work on. Tests give them an environment, a release and namespaces of their own. */
import type { AsmControl } from "../asm-proxy.ts";
import type { Cluster } from "../cluster.ts";
import type { Progress } from "../progress.ts";
import type { VaultClient } from "../vault-client.ts";
import type { ScaiVaultServer } from "../../scaivault-server/server.ts";

/** The stores on this machine. */
export interface Stores {
  readonly asm: AsmControl & { readonly url: string; readonly tlsUrl: string | undefined };
  /** Absent with `--without vault`. */
  readonly vault: (VaultClient & { readonly facts: { readonly url: string } }) | undefined;
  readonly scaivault: Pick<ScaiVaultServer, "url" | "admin">;
  /** The authority of all of them, PEM. */
  readonly ca: string;
}

/** Everything that a step may need. */
export interface World {
  readonly cluster: Cluster;
  readonly stores: Stores;
  /** Name of the helm release. */
  readonly release: string;
  /** Namespace of the operator. */
  readonly operatorNamespace: string;
  /** Folder with the manifests that are applied. */
  readonly examples: string;
  /** Folder with the bundle `operator.mjs`. */
  readonly bundle: string;
  /** Folder for mounted files and logs; it holds credentials. */
  readonly folder: string;
  readonly progress: Progress;
  /** Further values for the chart, over those of the quickstart. */
  readonly values?: object;
  /** Rights of the operator's identity in ScaiVault beside those of the quickstart. */
  readonly rights?: ScaiVaultRights;
}

/** Scopes, and path patterns that may be read, listed and written. */
export interface ScaiVaultRights {
  readonly scopes: readonly string[];
  readonly paths: readonly string[];
}

/** Namespace of the examples. */
export const namespace = "billing";
/** Hosts as the examples and the configuration name them; `endpointOverrides` leads them to this machine. */
export const hosts = {
  aws: "secretsmanager.us-east-1.amazonaws.com",
  scaivault: "scaivault.scailabs.ai",
  vault: "vault.internal",
} as const;
/** Where the examples write in ScaiVault; the operator's identity has rights there and nowhere else. */
export const scaivaultPaths = "environments/production/billing/**";
/** The mount of Vault's KV engine. */
export const vaultMount = "kv";
/** What the labels of namespaces say that the quickstart made. */
export const partOf = { "app.kubernetes.io/part-of": "scaivault-quickstart" } as const;

/** A step did not come to its end. */
export class QuickstartFailed extends Error {
  override readonly name = "QuickstartFailed";
  readonly hint: string | undefined;

  /** @param message what is wrong: object, reason, message; never a value @param hint what to do */
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** Shows a piece of work. */
export async function step<T>(
  progress: Progress,
  name: string,
  work: (say: (text: string) => void) => Promise<T>,
): Promise<T> {
  const shown = progress.step(name);
  try {
    const result = await work((text) => shown.update(text));
    shown.done();
    return result;
  } catch (error) {
    shown.fail();
    throw error;
  }
}
