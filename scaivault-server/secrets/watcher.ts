import type { Origin } from "../events/hub.ts";
import type { Owner, SecretRecord } from "../store/store.ts";
import type { WriteInput } from "./body.ts";

/** Somebody who has a part in writes and deletions: rotation and expiry. */
export interface SecretWatcher {
  /**
   * Looks at a write before it happens.
   * @returns whether it is the rotation that is waited for. @throws ApiError to refuse it.
   */
  beforeWrite?(owner: Owner, path: string, input: WriteInput): boolean;
  /** Called within the write, after its event. Must not throw. */
  written?(record: SecretRecord, write: Write): void;
  /** Called within the taking back of a soft delete, after its event. Must not throw. */
  restored?(record: SecretRecord): void;
  /** Called within a soft or permanent deletion, after its event. Must not throw. */
  deleted?(record: SecretRecord, permanent: boolean): void;
}

/** A write that happens. */
export interface Write {
  /** The secret before; undefined when it is new. */
  readonly old: SecretRecord | undefined;
  readonly input: WriteInput;
  readonly origin: Origin;
  readonly isRotation: boolean;
}
