import type { SecretValue } from "../../model/index.ts";
import type { Segments } from "./paths.ts";

/** One call's circumstances. */
export interface VaultCall {
  /** Absent for logins. */
  readonly token?: SecretValue | undefined;
  readonly signal: AbortSignal;
}

/** An answer of Vault as it came; nothing is thrown for a status. */
export interface VaultAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body's text; JSON as Vault wrote it, so that numbers keep their digits. */
  readonly text: string;
}

/**
 * The narrow port to Vault. `under` are the leading segments that the final URL must have; the path is `under` and
 * `rest`, each segment encoded by itself.
 *
 * @throws NetError from every method when there is no answer
 */
export interface VaultAPI {
  read(
    under: Segments,
    rest: Segments,
    call: VaultCall & { readonly version?: string | undefined },
  ): Promise<VaultAnswer>;
  list(under: Segments, rest: Segments, call: VaultCall): Promise<VaultAnswer>;
  write(under: Segments, rest: Segments, data: Readonly<Record<string, string>>, call: VaultCall): Promise<VaultAnswer>;
  close(): Promise<void>;
}
