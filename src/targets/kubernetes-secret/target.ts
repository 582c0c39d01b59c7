import { LABEL_TRUE, secretMetadata } from "../../api/index.ts";
import { SyncError } from "../../errors/index.ts";
import type {
  RenderedContent,
  SecretTarget,
  TargetObservation,
  WriteRequest,
  WriteResult,
} from "../../ports/target.ts";
import { applyExisting, type KubeClient, keyOf, type PartialObjectMetadata, resources } from "../../runtime/index.ts";
import type { Clock } from "../../time/clock.ts";
import { type MarkSeal, markText } from "../marks.ts";
import { refuseAdoption, refuseTakeOver } from "./adoption.ts";
import { checkContent, decodeSecret, encodeData, type SecretObject } from "./content.ts";
import { attempt, fenceError, notOwned } from "./errors.ts";
import { type MetadataStore, SecretLookup } from "./lookup.ts";
import { absent, fenceOf, isLabelled, observationOf, sameStand, targetID, uidOfFence, unknown } from "./observation.ts";
import { allKeysOurs, dataOwners, keysVersion, markTakenOver, releasedFields, takenOver } from "./ownership.ts";
import { removeMark, removeToolKeys, setLabel, setManagedFields } from "./patches.ts";
import type { KubernetesSecretRef } from "./types.ts";
import { type MarkChange, SecretWriter, type Step } from "./writer.ts";

export interface KubernetesSecretTargetOptions {
  readonly client: KubeClient;
  /** Mirror of the Secrets that carry our label, metadata only and with managedFields, fed by a watch. */
  readonly store: MetadataStore;
  readonly seal: MarkSeal;
  readonly clock: Clock;
  /** Product and cluster for the User-Agent of writes, such as `scaivault-operator/0.1.0`; default: the transport's. */
  readonly userAgent?: string;
  readonly cluster: string;
  /** Asked right before each request is sent; throws when nothing may be written any more. */
  readonly guard?: () => void;
}

/**
 * Kubernetes Secrets as targets.
 *
 * A Secret is written whole by server-side apply from the first write on, so that a key that is dropped from the apply
 * goes, and drift is told from managedFields without reading data. Creation is refused by the server when the name is
 * taken, later writes when the object is another one (uid). Ownership of fields is never forced: where other managers
 * hold fields of a Secret that is ours, one fenced patch of managedFields takes them back before the apply.
 */
export function createKubernetesSecretTarget(
  options: KubernetesSecretTargetOptions,
): SecretTarget<KubernetesSecretRef> {
  return new KubernetesSecretTarget(options);
}

class KubernetesSecretTarget implements SecretTarget<KubernetesSecretRef> {
  readonly #options: KubernetesSecretTargetOptions;
  readonly #client: KubeClient;
  readonly #lookup: SecretLookup;
  readonly #writer: SecretWriter;
  readonly #seen = new WeakMap<PartialObjectMetadata, TargetObservation>();
  /** What our last writes left, until the watch brings it. */
  readonly #left = new Map<string, TargetObservation>();

  constructor(options: KubernetesSecretTargetOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#lookup = new SecretLookup(options.client, options.store);
    this.#writer = new SecretWriter({ ...options, lookup: this.#lookup });
  }

  key(ref: KubernetesSecretRef): string {
    return keyOf(ref);
  }

  async observe(
    refs: readonly KubernetesSecretRef[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, TargetObservation>> {
    const observations = await Promise.all(
      refs.map(async (ref): Promise<[string, TargetObservation]> => {
        try {
          const action = `look at Secret ${keyOf(ref)}`;
          const options = this.#writer.call(ref, signal);
          const found = await attempt(action, "get", signal, () => this.#lookup.find(ref, options));
          return [keyOf(ref), found === undefined ? absent : this.#observationOf(ref, found)];
        } catch (error) {
          signal.throwIfAborted();
          return [keyOf(ref), unknown(error, `look at Secret ${keyOf(ref)}`)];
        }
      }),
    );
    return new Map(observations);
  }

  assume(ref: KubernetesSecretRef): TargetObservation | undefined {
    const known = this.#lookup.known(ref);
    if (known !== undefined) return this.#observationOf(ref, known);
    return this.#lookup.mayBeFree(ref) ? { ...absent, assumed: true } : undefined;
  }

  /** Only what is in order is no news: somebody may have got in between (an admission webhook). */
  isEcho(ref: KubernetesSecretRef, seen: PartialObjectMetadata): boolean {
    const left = this.#left.get(keyOf(ref));
    if (left === undefined || left.fence !== fenceOf(seen.metadata)) return false;
    this.#left.delete(keyOf(ref));
    this.#seen.set(seen, left);
    this.#lookup.known(ref);
    return true;
  }

  async read(ref: KubernetesSecretRef, signal: AbortSignal): Promise<RenderedContent | undefined> {
    const secret = await this.#readObject(ref, signal);
    return secret === undefined ? undefined : decodeSecret(secret, ref.keys);
  }

  async write(ref: KubernetesSecretRef, request: WriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const step: Step = { ref, action: `write Secret ${keyOf(ref)}`, signal };
    const { action } = step;
    const { content, mark, observed } = request;
    checkContent(content, action);
    const version = keysVersion(content.keys.keys());
    const object = this.#object(ref, content, this.#sealed(ref, { ...mark, targetVersion: version }));
    if (observed.presence === "Absent") {
      const metadata = await this.#writer.create(step, object, observed.assumed === true);
      return this.#wrote(ref, metadata, version);
    }
    if (observed.presence !== "Present") throw observed.failure ?? fenceError(action, "could not be looked at");
    if (observed.mark.state !== "Valid" && observed.markLost !== true) {
      throw notOwned(ref.name, "exists and is not ours", action);
    }
    const current = await this.#writer.takeOver(step, await this.#current(step, observed));
    const result = await attempt(action, "patch", signal, () =>
      applyExisting(
        this.#client,
        resources.secrets,
        object,
        current.metadata.uid ?? "",
        this.#writer.call(ref, signal),
      ),
    );
    if (!result.updated) throw fenceError(action, "was deleted or replaced");
    return this.#wrote(ref, result.metadata, version);
  }

  #wrote(ref: KubernetesSecretRef, answer: PartialObjectMetadata, version: string): WriteResult {
    this.#lookup.wrote(ref, answer);
    const left = this.#observationOf(ref, answer);
    if (left.content === "AsMarked" && left.otherWriter === undefined) this.#left.set(keyOf(ref), left);
    else this.#left.delete(keyOf(ref));
    return { version, fence: fenceOf(answer.metadata) };
  }

  async mark(
    ref: KubernetesSecretRef,
    request: Pick<WriteRequest, "mark" | "observed">,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const step: Step = { ref, action: `mark Secret ${keyOf(ref)}`, signal };
    const { action } = step;
    const { observed } = request;
    if (observed.mark.state !== "Valid" && observed.markLost !== true) {
      throw notOwned(ref.name, "is not ours", action);
    }
    const current = await this.#current(step, observed);
    const version = keysVersion(dataOwners(current.metadata).ours);
    const text = this.#sealed(ref, { ...request.mark, targetVersion: version });
    const fields: MarkChange["fields"] = (metadata) => markTakenOver(metadata, this.#writer.time());
    return this.#writer.setMark(step, current, { text, fields });
  }

  async adopt(
    ref: KubernetesSecretRef,
    request: WriteRequest & { readonly differs?: boolean | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const step: Step = { ref, action: `adopt Secret ${keyOf(ref)}`, signal };
    const { action } = step;
    const { content, observed } = request;
    checkContent(content, action);
    if (request.differs === true) return this.#adoptDiffering(step, request);
    const secret = await this.#readObject({ ...ref, keys: new Set(content.keys.keys()) }, signal);
    if (secret === undefined) throw fenceError(action, "was deleted");
    if (secret.metadata.uid !== uidOfFence(observed.fence)) throw fenceError(action, "was replaced");
    refuseAdoption(ref, secret, content, action);
    const version = keysVersion(content.keys.keys());
    const text = this.#sealed(ref, { ...request.mark, targetVersion: version });
    const fields: MarkChange["fields"] = (metadata) =>
      takenOver(metadata, content.keys.keys(), this.#writer.time(), true);
    return this.#writer.setMark(step, secret, { text, fields, more: removeToolKeys(secret.metadata) });
  }

  /**
   * Label and field ownership first, without a mark and only over the very state that was approved; then an ordinary write.
   * Stopped in between, it is a Secret of ours that lost its mark, which the next look writes.
   */
  async #adoptDiffering(step: Step, request: WriteRequest): Promise<WriteResult> {
    const { ref, action, signal } = step;
    const { content, mark, observed } = request;
    const secret = await this.#readObject({ ...ref, keys: new Set() }, signal);
    if (secret === undefined) throw fenceError(action, "was deleted");
    if (fenceOf(secret.metadata) !== observed.fence) throw fenceError(action, "was changed");
    if (observed.mark.state !== "None" || observed.consent === undefined)
      throw notOwned(ref.name, "has no consent of its owner to a take-over", action);
    refuseTakeOver(ref, secret, content, action);
    const keys = Object.keys(secret.data ?? {});
    const fields = takenOver(secret.metadata, keys, this.#writer.time(), true);
    const operations = [setManagedFields(fields), ...setLabel(secret.metadata), ...removeToolKeys(secret.metadata)];
    const labelled = await this.#writer.patch(step, secret, operations);
    const current = await this.#writer.takeOver(step, labelled);
    const version = keysVersion(content.keys.keys());
    const object = this.#object(ref, content, this.#sealed(ref, { ...mark, targetVersion: version }));
    const { uid = "" } = current.metadata;
    const result = await attempt(action, "patch", signal, () =>
      applyExisting(this.#client, resources.secrets, object, uid, this.#writer.call(ref, signal)),
    );
    if (!result.updated) throw fenceError(action, "was deleted or replaced");
    return this.#wrote(ref, result.metadata, version);
  }

  async release(ref: KubernetesSecretRef, observed: TargetObservation, signal: AbortSignal): Promise<void> {
    const step: Step = { ref, action: `release Secret ${keyOf(ref)}`, signal };
    if (observed.presence === "Absent") return;
    const current = await this.#current(step, observed);
    const fields = releasedFields(current.metadata, this.#writer.time());
    await this.#writer.patch(step, current, [setManagedFields(fields), ...removeMark(current.metadata)]);
  }

  async remove(ref: KubernetesSecretRef, observed: TargetObservation, signal: AbortSignal): Promise<void> {
    const step: Step = { ref, action: `delete Secret ${keyOf(ref)}`, signal };
    const { action } = step;
    if (observed.presence === "Absent") return;
    if (observed.mark.state !== "Valid") throw notOwned(ref.name, "has no valid mark of ours", action);
    const { metadata } = await this.#current(step, observed);
    const owners = dataOwners(metadata);
    if (!allKeysOurs(owners) || keysVersion(owners.ours) !== observed.mark.mark.targetVersion) {
      throw notOwned(ref.name, "holds keys of others, or not what its mark says", action);
    }
    const { uid, resourceVersion } = metadata;
    if (uid === undefined || resourceVersion === undefined) throw fenceError(action, "cannot be told apart");
    await attempt(action, "delete", signal, () =>
      this.#client.delete(
        resources.secrets,
        { namespace: ref.namespace, name: ref.name },
        { ...this.#writer.call(ref, signal), uid, resourceVersion, propagationPolicy: "Background" },
      ),
    );
    this.#left.delete(keyOf(ref));
    this.#lookup.deleted(ref, uid);
  }

  /** What metadata says is found out once for each state of a Secret: proofs cost more than all else in a look at it. */
  #observationOf(ref: KubernetesSecretRef, found: PartialObjectMetadata): TargetObservation {
    const known = this.#seen.get(found);
    if (known !== undefined) return known;
    const made = observationOf(ref, found, this.#options.seal);
    this.#seen.set(found, made);
    return made;
  }

  /** The Secret as it is now, if it is still the one that was observed, and still ours by its label. */
  async #current({ ref, action, signal }: Step, observed: TargetObservation): Promise<PartialObjectMetadata> {
    const found = await attempt(action, "get", signal, () => this.#lookup.find(ref, this.#writer.call(ref, signal)));
    if (found === undefined) throw fenceError(action, "was deleted");
    if (!isLabelled(found.metadata)) throw notOwned(ref.name, "does not carry our label (any more)", action);
    if (!sameStand(observed, this.#observationOf(ref, found))) throw fenceError(action, "changed");
    if (found.metadata.deletionTimestamp !== undefined) {
      throw new SyncError("WriteRefused", "the Secret is being deleted", { action });
    }
    return found;
  }

  async #readObject(ref: KubernetesSecretRef, signal: AbortSignal): Promise<SecretObject | undefined> {
    return attempt(`read Secret ${keyOf(ref)}`, "get", signal, () =>
      this.#client.find<SecretObject>(
        resources.secrets,
        { namespace: ref.namespace, name: ref.name },
        this.#writer.call(ref, signal),
      ),
    );
  }

  #object(ref: KubernetesSecretRef, content: RenderedContent, mark: string): SecretObject {
    return {
      metadata: {
        namespace: ref.namespace,
        name: ref.name,
        labels: { [secretMetadata.managedLabel]: LABEL_TRUE },
        annotations: { [secretMetadata.markAnnotation]: mark },
      },
      type: content.type,
      data: encodeData(content),
    };
  }

  #sealed(ref: KubernetesSecretRef, mark: WriteRequest["mark"]): string {
    return markText(this.#options.seal.seal(targetID(ref), mark));
  }
}
