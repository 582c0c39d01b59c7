import { SyncError } from "../../errors/index.ts";
import type { ScaiVaultClient } from "../../scaivault/index.ts";
import type { Clock } from "../../time/clock.ts";
import { markKeys } from "./mark-place.ts";

/** For how long nothing is written after ScaiVault dropped a mark; each attempt leaves a version that nobody owns. */
const NO_ROOM_MS = 60 * 60_000;

/** What writes have shown about whether ScaiVault has room for marks: it may drop the metadata that carry them. */
export class MarkRoom {
  readonly #clock: Clock;
  /** Versions of ours whose mark ScaiVault did not keep, by path. */
  readonly #unmarked = new Map<string, number>();
  #noRoomSinceMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws SyncError NoRoomForMark while ScaiVault is known to drop marks */
  check(action: string): void {
    const since = this.#noRoomSinceMs;
    if (since === undefined || this.#clock.monotonic() - since >= NO_ROOM_MS) return;
    throw new SyncError("NoRoomForMark", "ScaiVault does not keep the operator's marks, so nothing is written", {
      action,
    });
  }

  /** @throws SyncError NoRoomForMark when the answer shows that ScaiVault dropped the mark of what was just written */
  checkKept(path: string, answer: Awaited<ReturnType<ScaiVaultClient["put"]>>, version: number, action: string): void {
    if (answer.metadata === undefined || markKeys(answer.metadata).length > 0) {
      this.#noRoomSinceMs = undefined;
      this.#unmarked.delete(path);
      return;
    }
    this.#noRoomSinceMs = this.#clock.monotonic();
    this.#unmarked.set(path, answer.version ?? version);
    throw notKept(path, action);
  }

  /** Whether this version is one of ours whose mark was dropped. */
  dropped(path: string, version: number): boolean {
    return this.#unmarked.get(path) === version;
  }
}

/** ScaiVault dropped the mark of a version of ours; `action` when a write just showed it. */
export function notKept(path: string, action?: string): SyncError {
  const message = `ScaiVault did not keep the operator's mark on ${path}`;
  return new SyncError("NoRoomForMark", message, action === undefined ? {} : { action });
}
