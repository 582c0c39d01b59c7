import { effectiveBackend } from "../api/index.ts";
import type { DeclaredRegistration } from "../decide/index.ts";
import { declaredRegistration } from "./registration-checks.ts";
import { authMethodOf, writeCredentials } from "./registration-credentials.ts";
import type { RegistrationSubject } from "./registration-state.ts";
import { Reverts } from "./reverts.ts";
import type { World } from "./world.ts";

interface WrittenCredential {
  readonly basis: string;
  readonly authMethod: "approle" | "token";
  readonly atMs: number;
}

/** What objects declare. The Secret that one names is at its ScaiVault path before anything else happens. */
export class RegistrationDeclarations {
  readonly #world: World;
  readonly #reverts: Reverts;
  /** Versions of the Secrets that stand at ScaiVault paths, and when that was last looked at (monotonic). */
  readonly #written = new Map<string, WrittenCredential>();

  constructor(world: World) {
    this.#world = world;
    this.#reverts = new Reverts(() => world.clock.monotonic());
  }

  forget(key: string): void {
    this.#written.delete(key);
  }

  /** @throws SyncError */
  async of(subject: RegistrationSubject, signal: AbortSignal): Promise<DeclaredRegistration> {
    const { namespace } = subject.backend.metadata;
    const vault = subject.backend.spec.hashicorpVault;
    const ca =
      vault?.caRef === undefined ? undefined : await this.#world.resolver.certificate(vault.caRef, namespace, signal);
    const secret = subject.federation.credentials?.secretRef?.name;
    if (secret === undefined)
      return declaredRegistration(subject, { authMethod: vault?.auth?.token === undefined ? "approle" : "token", ca });
    const authMethod = await this.#credentialAt(subject, { secret, ca }, signal);
    return declaredRegistration(subject, { authMethod, ca });
  }

  /** Looked at again when the Secret or the object changed, and once an interval. @returns how ScaiVault logs in with it */
  async #credentialAt(
    subject: RegistrationSubject,
    { secret, ca }: { readonly secret: string; readonly ca: string | undefined },
    signal: AbortSignal,
  ): Promise<"approle" | "token"> {
    const world = this.#world;
    const { namespace, generation } = subject.backend.metadata;
    const known = this.#written.get(subject.key);
    const watched = world.caches.credentials.get(`${namespace}/${secret}`)?.metadata.resourceVersion;
    const basis = JSON.stringify([watched, generation]);
    const age = world.clock.monotonic() - (known?.atMs ?? -Infinity);
    const isFresh = watched !== undefined && age < effectiveBackend(subject.backend.spec).syncIntervalMs;
    if (isFresh && known?.basis === basis) return known.authMethod;
    const credential = await world.resolver.credential(namespace, secret, signal);
    const authMethod = authMethodOf(credential);
    const declared = declaredRegistration(subject, { authMethod, ca });
    await writeCredentials(world, subject, { credential, declared, reverts: this.#reverts }, signal);
    this.#written.set(subject.key, { basis, authMethod, atMs: world.clock.monotonic() });
    return authMethod;
  }
}
