import { LABEL_TRUE, secretMetadata } from "../../api/index.ts";
import { SyncError } from "../../errors/index.ts";
import type { WriteResult } from "../../ports/target.ts";
import {
  applyExisting,
  applyNew,
  type CallOptions,
  isConflict,
  isInvalid,
  type JsonPatchOperation,
  type KubeClient,
  type KubeObject,
  type ManagedFieldsEntry,
  type PartialObjectMetadata,
  resources,
} from "../../runtime/index.ts";
import type { Clock } from "../../time/clock.ts";
import { markFields, type MarkSeal } from "../marks.ts";
import type { SecretObject } from "./content.ts";
import { attempt, fenceError, notOwned, takenError } from "./errors.ts";
import type { SecretLookup } from "./lookup.ts";
import { fenceOf, isLabelled, markAnnotation, targetID } from "./observation.ts";
import { allKeysOurs, dataOwners, MANAGER, ownedKeys, ownershipClean, takenOver } from "./ownership.ts";
import { fencedPatch, setManagedFields, setMark } from "./patches.ts";
import type { KubernetesSecretRef } from "./types.ts";

interface WriterParts {
  readonly client: KubeClient;
  readonly lookup: SecretLookup;
  readonly seal: MarkSeal;
  readonly clock: Clock;
  readonly userAgent?: string;
  readonly cluster: string;
  readonly guard?: () => void;
}

/** What is being done, to which Secret, for how long. */
export interface Step {
  readonly ref: KubernetesSecretRef;
  /** For messages. */
  readonly action: string;
  readonly signal: AbortSignal;
}

/** Label and mark to set, with what goes along. */
export interface MarkChange {
  readonly text: string;
  /** managedFields as they shall be afterwards. */
  readonly fields: (metadata: KubeObject["metadata"]) => readonly ManagedFieldsEntry[];
  readonly more?: readonly JsonPatchOperation[];
}

/** The steps that writes are made of. Each is fenced, and each answer is metadata only. */
export class SecretWriter {
  readonly #parts: WriterParts;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /**
   * Creates it; refused by the server when the name is taken.
   * @param assumed nobody looked before: whoever finds the name taken has to
   * @throws SyncError NotOwned, or the fence
   */
  async create({ ref, action, signal }: Step, object: SecretObject, assumed: boolean): Promise<PartialObjectMetadata> {
    const options = this.call(ref, signal);
    const result = await attempt(action, "patch", signal, () =>
      applyNew(this.#parts.client, resources.secrets, object, options).catch((error: unknown) => {
        // What stands there may make the server refuse the object for another reason.
        if (assumed && isInvalid(error)) return { created: false } as const;
        throw error;
      }),
    );
    if (!result.created && assumed) {
      this.#parts.lookup.taken(ref);
      throw takenError(action);
    }
    if (!result.created) {
      const found = await attempt(action, "get", signal, () => this.#parts.lookup.ask(ref, options));
      if (found === undefined || isLabelled(found.metadata)) throw fenceError(action, "appeared");
      throw notOwned(ref.name, "exists and is not ours", action);
    }
    const { metadata } = result.metadata;
    if (!allKeysOurs(dataOwners(metadata)) && Object.keys(object.data ?? {}).length > 0) {
      // Somebody else's keys got into it (an admission webhook, a race): what we put there goes again.
      const nothing: KubeObject = { metadata: { namespace: ref.namespace, name: ref.name } };
      await attempt(action, "patch", signal, () =>
        applyExisting(this.#parts.client, resources.secrets, nothing, metadata.uid ?? "", options),
      );
      throw notOwned(ref.name, "holds keys of another writer", action);
    }
    return result.metadata;
  }

  /** Makes every data key, the type, label and mark ours alone, so that the apply that follows needs no force. */
  async takeOver(step: Step, current: PartialObjectMetadata): Promise<PartialObjectMetadata> {
    const { ref, action, signal } = step;
    if (ownershipClean(current.metadata)) return current;
    let { metadata } = current;
    if ((metadata.managedFields ?? []).length === 0) {
      // Restored or reset without managedFields: an apply of our label alone has the API server write down all keys.
      const { namespace, name } = ref;
      const labels = { [secretMetadata.managedLabel]: LABEL_TRUE };
      const noted = await attempt(action, "patch", signal, () =>
        applyExisting(
          this.#parts.client,
          resources.secrets,
          { metadata: { namespace, name, labels } },
          metadata.uid ?? "",
          this.call(ref, signal),
        ),
      );
      if (!noted.updated) throw fenceError(action, "was deleted or replaced");
      metadata = noted.metadata.metadata;
    }
    const fields = takenOver(metadata, ownedKeys(dataOwners(metadata)), this.time(), false);
    return this.patch(step, { metadata }, [setManagedFields(fields)]);
  }

  /**
   * Sets label and mark, and puts them and `fields` into our apply entry. That takes two patches: the first one's own
   * changes are recorded under our name as an update, which the second drops. If the second does not get through, the
   * next write does it.
   */
  async setMark(step: Step, current: PartialObjectMetadata, change: MarkChange): Promise<WriteResult> {
    const { ref, signal } = step;
    const { metadata } = current;
    const { text, fields, more = [] } = change;
    const there = isLabelled(metadata) && markAnnotation(metadata) === text;
    const marking = there ? [] : setMark(metadata, text);
    let marked = await this.patch(step, current, [setManagedFields(fields(metadata)), ...marking, ...more]);
    if (!ownershipClean(marked.metadata)) {
      const second = [setManagedFields(fields(marked.metadata))];
      marked = await this.patch(step, marked, second).catch((error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof SyncError) return marked;
        throw error;
      });
    }
    const mark = this.#parts.seal.read(targetID(ref), markFields(text));
    return { version: mark.state === "Valid" ? mark.mark.targetVersion : "", fence: fenceOf(marked.metadata) };
  }

  /** A patch that hits only the state that was looked at. */
  async patch(
    { ref, action, signal }: Step,
    current: PartialObjectMetadata,
    operations: readonly JsonPatchOperation[],
  ): Promise<PartialObjectMetadata> {
    const answer = await attempt(action, "patch", signal, async () => {
      try {
        return await this.#parts.client.jsonPatch(
          resources.secrets,
          { namespace: ref.namespace, name: ref.name },
          fencedPatch(current.metadata, operations),
          { ...this.call(ref, signal), fieldManager: MANAGER },
        );
      } catch (error) {
        // A test in the patch that does not hold answers 422 without saying so.
        if (isInvalid(error) || isConflict(error)) throw fenceError(action, "was changed by somebody else");
        throw error;
      }
    });
    this.#parts.lookup.wrote(ref, answer);
    return answer;
  }

  /** What every call carries. */
  call(ref: KubernetesSecretRef, signal: AbortSignal): CallOptions & { readonly fieldManager: string } {
    const { userAgent, cluster, guard } = this.#parts;
    const whom = ref.object === undefined ? cluster : `${cluster}; ${ref.object}`;
    return {
      signal,
      fieldManager: MANAGER,
      ...(guard === undefined ? {} : { guard }),
      ...(userAgent === undefined ? {} : { userAgent: `${userAgent} (${whom.replace(/[^\w./:; -]/g, "_")})` }),
    };
  }

  /** Now, as managedFields carry it. */
  time(): string {
    return `${new Date(this.#parts.clock.now()).toISOString().slice(0, 19)}Z`;
  }
}
