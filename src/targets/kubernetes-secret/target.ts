import { LABEL_TRUE, secretMetadata } from "../../api/index.ts";
import { SyncError } from "../../errors/index.ts";
import type {
  RenderedContent,
  SecretTarget,
  TargetObservation,
  WriteRequest,
  WriteResult,
} from "../../ports/target.ts";
import {
  applyExisting,
  applyNew,
  type CallOptions,
  isConflict,
  isInvalid,
  type JsonPatchOperation,
  type KubeClient,
  keyOf,
  type KubeObject,
  type PartialObjectMetadata,
  resources,
} from "../../runtime/index.ts";
import type { Clock } from "../../time/clock.ts";
import { markFields, type MarkSeal, markText } from "../marks.ts";
import { refuseAdoption } from "./adoption.ts";
import { checkContent, decodeSecret, encodeData, type SecretObject } from "./content.ts";
import { attempt, fenceError, notOwned } from "./errors.ts";
import { type MetadataStore, SecretLookup } from "./lookup.ts";
import {
  absent,
  fenceOf,
  isLabelled,
  markAnnotation,
  observationOf,
  sameStand,
  targetID,
  uidOfFence,
  unknown,
} from "./observation.ts";
import {
  allKeysOurs,
  dataOwners,
  keysVersion,
  MANAGER,
  markTakenOver,
  ownedKeys,
  ownershipClean,
  releasedFields,
  takenOver,
} from "./ownership.ts";
import { fencedPatch, removeMark, removeToolKeys, setManagedFields, setMark } from "./patches.ts";
import type { KubernetesSecretRef } from "./types.ts";

export interface KubernetesSecretTargetOptions {
  readonly client: KubeClient;
  /** Mirror of the Secrets that carry our label, metadata only and with managedFields, fed by a watch. */
  readonly store: MetadataStore;
  readonly seal: MarkSeal;
  readonly clock: Clock;
  /** Product and cluster for the User-Agent of writes, such as `scaivault-operator/0.1.0`; default: the transport's. */
  readonly userAgent?: string;
  readonly cluster: string;
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

  constructor(options: KubernetesSecretTargetOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#lookup = new SecretLookup(options.client, options.store);
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
          const options = this.#call(ref, signal);
          const found = await attempt(action, "get", signal, () => this.#lookup.find(ref, options));
          return [keyOf(ref), found === undefined ? absent : observationOf(ref, found, this.#options.seal)];
        } catch (error) {
          signal.throwIfAborted();
          return [keyOf(ref), unknown(error, `look at Secret ${keyOf(ref)}`)];
        }
      }),
    );
    return new Map(observations);
  }

  async read(ref: KubernetesSecretRef, signal: AbortSignal): Promise<RenderedContent | undefined> {
    const secret = await this.#readObject(ref, signal);
    return secret === undefined ? undefined : decodeSecret(secret, ref.keys);
  }

  async write(ref: KubernetesSecretRef, request: WriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const action = `write Secret ${keyOf(ref)}`;
    const { content, mark, observed } = request;
    checkContent(content, action);
    const version = keysVersion(content.keys.keys());
    const object = this.#object(ref, content, this.#sealed(ref, { ...mark, targetVersion: version }));
    if (observed.presence === "Absent") return this.#create(ref, object, version, signal);
    if (observed.presence !== "Present") throw observed.failure ?? fenceError(action, "could not be looked at");
    if (observed.mark.state !== "Valid" && observed.markLost !== true) {
      throw notOwned(ref.name, "exists and is not ours", action);
    }
    const current = await this.#takeOver(ref, await this.#current(ref, observed, action, signal), action, signal);
    const result = await attempt(action, "patch", signal, () =>
      applyExisting(this.#client, resources.secrets, object, current.metadata.uid ?? "", this.#call(ref, signal)),
    );
    if (!result.updated) throw fenceError(action, "was deleted or replaced");
    this.#lookup.wrote(ref, result.metadata);
    return { version, fence: fenceOf(result.metadata.metadata) };
  }

  async mark(
    ref: KubernetesSecretRef,
    request: Pick<WriteRequest, "mark" | "observed">,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const action = `mark Secret ${keyOf(ref)}`;
    const { observed } = request;
    if (observed.mark.state !== "Valid" && observed.markLost !== true) {
      throw notOwned(ref.name, "is not ours", action);
    }
    const current = await this.#current(ref, observed, action, signal);
    const version = keysVersion(dataOwners(current.metadata).ours);
    const text = this.#sealed(ref, { ...request.mark, targetVersion: version });
    return this.#setMark(ref, current, text, [], (metadata) => markTakenOver(metadata, this.#time()), action, signal);
  }

  async adopt(ref: KubernetesSecretRef, request: WriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const action = `adopt Secret ${keyOf(ref)}`;
    const { content, observed } = request;
    checkContent(content, action);
    const secret = await this.#readObject({ ...ref, keys: new Set(content.keys.keys()) }, signal);
    if (secret === undefined) throw fenceError(action, "was deleted");
    if (secret.metadata.uid !== uidOfFence(observed.fence)) throw fenceError(action, "was replaced");
    refuseAdoption(ref, secret, content, action);
    const version = keysVersion(content.keys.keys());
    const text = this.#sealed(ref, { ...request.mark, targetVersion: version });
    const fields = (metadata: KubeObject["metadata"]): ReturnType<typeof takenOver> =>
      takenOver(metadata, content.keys.keys(), this.#time(), true);
    return this.#setMark(ref, secret, text, removeToolKeys(secret.metadata), fields, action, signal);
  }

  async release(ref: KubernetesSecretRef, observed: TargetObservation, signal: AbortSignal): Promise<void> {
    const action = `release Secret ${keyOf(ref)}`;
    if (observed.presence === "Absent") return;
    const current = await this.#current(ref, observed, action, signal);
    const fields = releasedFields(current.metadata, this.#time());
    await this.#patch(ref, current, [setManagedFields(fields), ...removeMark(current.metadata)], action, signal);
  }

  async remove(ref: KubernetesSecretRef, observed: TargetObservation, signal: AbortSignal): Promise<void> {
    const action = `delete Secret ${keyOf(ref)}`;
    if (observed.presence === "Absent") return;
    if (observed.mark.state !== "Valid") throw notOwned(ref.name, "has no valid mark of ours", action);
    const { metadata } = await this.#current(ref, observed, action, signal);
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
        { ...this.#call(ref, signal), uid, resourceVersion, propagationPolicy: "Background" },
      ),
    );
    this.#lookup.deleted(ref, uid);
  }

  async #create(
    ref: KubernetesSecretRef,
    object: SecretObject,
    version: string,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const action = `create Secret ${keyOf(ref)}`;
    const options = this.#call(ref, signal);
    const result = await attempt(action, "patch", signal, () =>
      applyNew(this.#client, resources.secrets, object, options),
    );
    if (!result.created) {
      const found = await attempt(action, "get", signal, () => this.#lookup.ask(ref, options));
      if (found === undefined || isLabelled(found.metadata)) throw fenceError(action, "appeared");
      throw notOwned(ref.name, "exists and is not ours", action);
    }
    const { metadata } = result.metadata;
    if (!allKeysOurs(dataOwners(metadata)) && Object.keys(object.data ?? {}).length > 0) {
      // Somebody else's keys got into it (an admission webhook, a race): what we put there goes again.
      const nothing: KubeObject = { metadata: { namespace: ref.namespace, name: ref.name } };
      await attempt(action, "patch", signal, () =>
        applyExisting(this.#client, resources.secrets, nothing, metadata.uid ?? "", options),
      );
      throw notOwned(ref.name, "holds keys of another writer", action);
    }
    this.#lookup.wrote(ref, result.metadata);
    return { version, fence: fenceOf(metadata) };
  }

  /** Makes every data key, the type, label and mark ours alone, so that the apply that follows needs no force. */
  async #takeOver(
    ref: KubernetesSecretRef,
    current: PartialObjectMetadata,
    action: string,
    signal: AbortSignal,
  ): Promise<PartialObjectMetadata> {
    if (ownershipClean(current.metadata)) return current;
    let { metadata } = current;
    if ((metadata.managedFields ?? []).length === 0) {
      // Restored or reset without managedFields: an apply of our label alone has the API server write down all keys.
      const { namespace, name } = ref;
      const labels = { [secretMetadata.managedLabel]: LABEL_TRUE };
      const noted = await attempt(action, "patch", signal, () =>
        applyExisting(
          this.#client,
          resources.secrets,
          { metadata: { namespace, name, labels } },
          metadata.uid ?? "",
          this.#call(ref, signal),
        ),
      );
      if (!noted.updated) throw fenceError(action, "was deleted or replaced");
      metadata = noted.metadata.metadata;
    }
    const fields = takenOver(metadata, ownedKeys(dataOwners(metadata)), this.#time(), false);
    return this.#patch(ref, { metadata }, [setManagedFields(fields)], action, signal);
  }

  /** The Secret as it is now, if it is still the one that was observed, and still ours by its label. */
  async #current(
    ref: KubernetesSecretRef,
    observed: TargetObservation,
    action: string,
    signal: AbortSignal,
  ): Promise<PartialObjectMetadata> {
    const found = await attempt(action, "get", signal, () => this.#lookup.find(ref, this.#call(ref, signal)));
    if (found === undefined) throw fenceError(action, "was deleted");
    if (!isLabelled(found.metadata)) throw notOwned(ref.name, "does not carry our label (any more)", action);
    if (!sameStand(observed, observationOf(ref, found, this.#options.seal))) throw fenceError(action, "changed");
    if (found.metadata.deletionTimestamp !== undefined) {
      throw new SyncError("WriteRefused", "the Secret is being deleted", { action });
    }
    return found;
  }

  /**
   * Sets label and mark, and puts them and `fields` into our apply entry. That takes two patches: the first one's own
   * changes are recorded under our name as an update, which the second drops. If the second does not get through, the
   * next write does it.
   */
  async #setMark(
    ref: KubernetesSecretRef,
    current: PartialObjectMetadata,
    text: string,
    more: readonly JsonPatchOperation[],
    fields: (metadata: KubeObject["metadata"]) => ReturnType<typeof takenOver>,
    action: string,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const operations = [
      setManagedFields(fields(current.metadata)),
      ...(isLabelled(current.metadata) && markAnnotation(current.metadata) === text
        ? []
        : setMark(current.metadata, text)),
      ...more,
    ];
    let marked = await this.#patch(ref, current, operations, action, signal);
    if (!ownershipClean(marked.metadata)) {
      const second = [setManagedFields(fields(marked.metadata))];
      marked = await this.#patch(ref, marked, second, action, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof SyncError) return marked;
        throw error;
      });
    }
    const mark = this.#options.seal.read(targetID(ref), markFields(text));
    return { version: mark.state === "Valid" ? mark.mark.targetVersion : "", fence: fenceOf(marked.metadata) };
  }

  async #patch(
    ref: KubernetesSecretRef,
    current: PartialObjectMetadata,
    operations: readonly JsonPatchOperation[],
    action: string,
    signal: AbortSignal,
  ): Promise<PartialObjectMetadata> {
    const answer = await attempt(action, "patch", signal, async () => {
      try {
        return await this.#client.jsonPatch(
          resources.secrets,
          { namespace: ref.namespace, name: ref.name },
          fencedPatch(current.metadata, operations),
          { ...this.#call(ref, signal), fieldManager: MANAGER },
        );
      } catch (error) {
        // A test in the patch that does not hold answers 422 without saying so.
        if (isInvalid(error) || isConflict(error)) throw fenceError(action, "was changed by somebody else");
        throw error;
      }
    });
    this.#lookup.wrote(ref, answer);
    return answer;
  }

  async #readObject(ref: KubernetesSecretRef, signal: AbortSignal): Promise<SecretObject | undefined> {
    return attempt(`read Secret ${keyOf(ref)}`, "get", signal, () =>
      this.#client.find<SecretObject>(
        resources.secrets,
        { namespace: ref.namespace, name: ref.name },
        this.#call(ref, signal),
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

  #call(ref: KubernetesSecretRef, signal: AbortSignal): CallOptions & { readonly fieldManager: string } {
    const { userAgent, cluster } = this.#options;
    const whom = ref.object === undefined ? cluster : `${cluster}; ${ref.object}`;
    return {
      signal,
      fieldManager: MANAGER,
      ...(userAgent === undefined ? {} : { userAgent: `${userAgent} (${whom.replace(/[^\w./:; -]/g, "_")})` }),
    };
  }

  /** Now, as managedFields carry it. */
  #time(): string {
    return `${new Date(this.#options.clock.now()).toISOString().slice(0, 19)}Z`;
  }
}
