/** What a sync does with one path. Pure. */
import type { ConflictResolution } from "./record.ts";

/** The local side of a path that the store has. */
export interface LocalSide {
  readonly state: "none" | "live" | "deleted";
  /** Live with the same content as the store. */
  readonly equal: boolean;
  /** Whether the current version is one that a sync wrote or found equal: nobody touched it since. */
  readonly inStep: boolean;
  /** Whether it was a sync that deleted it. */
  readonly removedBySync: boolean;
}

/**
 * `write` makes a version, `restore` takes a deletion back (and makes a version when the content differs), `settled`
 * makes none, `conflict` keeps the local side and lists the path, `keep` leaves it alone.
 */
export type FoundAction = "write" | "restore" | "settled" | "conflict" | "keep";

/** The store has the secret. */
export function decideFound(resolution: ConflictResolution, local: LocalSide): FoundAction {
  switch (local.state) {
    case "none":
      return "write";
    case "deleted":
      if (local.removedBySync || resolution === "remote_wins") return "restore";
      return resolution === "manual" ? "conflict" : "keep";
    case "live":
      if (local.equal) return "settled";
      if (resolution === "remote_wins") return "write";
      if (resolution === "manual") return local.inStep ? "write" : "conflict";
      return "conflict";
  }
}

/** The store said, in a listing that was whole, that it does not have the secret any more. */
export function decideGone(
  resolution: ConflictResolution,
  local: Pick<LocalSide, "state" | "inStep">,
): "remove" | "forget" {
  return local.state === "live" && local.inStep && resolution !== "local_wins" ? "remove" : "forget";
}
