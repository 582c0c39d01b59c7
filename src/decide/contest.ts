import { fenceSeen } from "./fence.ts";
import { parsePolicyField } from "./mark.ts";
import {
  fromVault,
  makeAction,
  needing,
  outcome,
  ownMark,
  type PairContext,
  targetValue,
  validMark,
  type Verdict,
  type Wanted,
} from "./plan-context.ts";
import type { Choice, Need, TargetInput } from "./types.ts";

// What people may say to a conflict between the old store and ScaiVault, and what stands once they said it.

/** The sides of a conflict, each with what has to be read before it can be kept; absent: there is nothing to keep. */
interface Sides {
  /** Writes ScaiVault from the source; the version that it held stays readable in ScaiVault. */
  readonly source?: {
    readonly wanted: Pick<Wanted, "from" | "sourceID" | "version">;
    readonly kind: "Create" | "Update";
  };
  /** Marks ScaiVault's content as it stands: seen and kept for this version of the source. */
  readonly scaivault?: Pick<Wanted, "from" | "sourceID" | "version">;
}

/** A conflict with the answers to it; once people gave one, it is that answer's action instead. */
export function contested(context: PairContext, vault: TargetInput, conflict: Verdict, sides: Sides): Verdict {
  if (!vault.rights.write || vault.readOnly === true) return conflict;
  const choices: Choice[] = [
    ...(sides.source === undefined
      ? []
      : [
          {
            keep: "Source" as const,
            action: makeAction(context, vault, sides.source.wanted, sides.source.kind, "Resolved"),
          },
        ]),
    ...(sides.scaivault === undefined
      ? []
      : [{ keep: "ScaiVault" as const, action: makeAction(context, vault, sides.scaivault, "Mark", "Kept") }]),
  ];
  const chosen = choices.find(({ keep }) => keep === context.input.keep);
  if (chosen === undefined) return { ...conflict, choices };
  const needs = needsOf(chosen, vault);
  // Its content has to be there before the action can be carried out.
  if (chosen.keep === "ScaiVault" && needs.length > 0) return { ...needing(vault, needs), writes: "Mark" };
  return {
    ...outcome(vault, "Pending", "Progressing", ""),
    action: chosen.action,
    ...(needs.length === 0 ? {} : { needs }),
  };
}

function needsOf({ keep }: Choice, vault: TargetInput): Need[] {
  const { content } = vault;
  if (keep === "ScaiVault") return content.held === true ? [] : [targetValue(vault)];
  return content.rendered === true ? [] : [{ kind: "SourceValue" }];
}

/** Whether people kept the content of this path: the mark there says so, or said so when it was seen last. */
export function isKept(vault: Pick<TargetInput, "observation" | "lastSeen">): boolean {
  const mark = validMark(vault) ?? (vault.observation.presence === "Unknown" ? vault.lastSeen?.mark : undefined);
  return mark !== undefined && parsePolicyField(mark.policy)?.kept === true;
}

/** What status says of it. */
export function keptMessage({ ref, observation }: TargetInput, sourceVersion: string): string {
  return `${ref} keeps version ${observation.version} of ScaiVault; source version ${shown(sourceVersion)} was not taken`;
}

/** The number alone of a version that carries its time; nothing of a keyed hash. */
function shown(version: string): string {
  return version.startsWith("content-") ? "now" : (version.split("@")[0] ?? version);
}

/** What a Secret follows under authority Source: ScaiVault, where people kept its content for this version of the source. */
export function secretFollows(vault: TargetInput | undefined, fromSource: Wanted): Wanted {
  if (vault === undefined || !isKept(vault)) return fromSource;
  const mark = validMark(vault) ?? vault.lastSeen?.mark;
  if (mark?.version !== fromSource.version || mark.authority !== "Source") return fromSource;
  return fromVault(vault);
}

/**
 * A Secret that is fed with what people kept in ScaiVault, while nothing tells whether that still holds: the source's value,
 * which they decided against, must not come back by an outage or by a mark that was lost.
 */
export function keptUnseen(context: PairContext, secret: TargetInput, wanted: Wanted): Verdict | undefined {
  const { vault } = context;
  if (vault === undefined || context.authority !== "Source") return undefined;
  const { presence, mark: reading, failure } = vault.observation;
  const own = ownMark(secret);
  const fed = own?.authority === "Source" && own.source === vault.sourceID;
  const keeps = `${secret.ref} keeps what ${vault.ref} held`;
  if (presence === "Unknown") {
    const kept = secretFollows(vault, wanted).from === "ScaiVault";
    if (!kept && (!fed || fenceSeen(vault)?.mark !== undefined)) return undefined;
    return outcome(secret, "Unknown", failure?.reason ?? "ScaiVaultUnavailable", `${keeps}, which was not seen`);
  }
  if (!fed || presence !== "Present" || reading.state === "Valid") return undefined;
  return outcome(secret, "Held", "BaseUnknown", `${keeps}, whose mark cannot be checked`);
}
