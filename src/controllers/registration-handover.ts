import {
  formerCopies,
  handoverRegistration,
  isHeldBy,
  isOpenConflict,
  isTree,
  isVerified,
  ownerMatches,
  recordedAfter,
  treePrefix,
  wantedRegistration,
} from "../decide/index.ts";
import type { DeclaredRegistration } from "../decide/index.ts";
import { effectiveBackend, MAX_COPIES } from "../api/index.ts";
import { SyncError } from "../errors/index.ts";
import type { WantedRegistration } from "../model/index.ts";
import type { TargetObservation } from "../ports/index.ts";
import type { RegistrationMemory, RegistrationSubject } from "./registration-state.ts";
import type { ScaiVaultAddress, ScaiVaultSide, World } from "./world.ts";

/** Marks released at one go; then others have their turn. */
const CHUNK = 25;

const countText = (many: number): string => (many === 1 ? "1 copy" : `${many} copies`);

const patternsOf = ({ federation }: RegistrationSubject): string[] =>
  federation.pathMapping.map(({ scaivaultPath }) => scaivaultPath);

/** Whether copies that the operator made stand where ScaiVault is to run now, and bear its marks yet. */
export function takesOver(world: World, subject: RegistrationSubject, memory: RegistrationMemory): boolean {
  if (world.scaivault?.role !== "Writer" || world.dryRun) return false;
  return formerCopies(memory.copies, patternsOf(subject)).below.length > 0;
}

/** What is to be registered now: while copies are taken over, a sync that only compares. */
export function registrationFor(
  world: World,
  subject: RegistrationSubject,
  memory: RegistrationMemory,
  declared: DeclaredRegistration,
): WantedRegistration {
  const wanted = wantedRegistration(memory.name, declared);
  if (!takesOver(world, subject, memory)) return wanted;
  return handoverRegistration(wanted, effectiveBackend(subject.backend.spec).syncInterval);
}

/** How a takeover goes on. */
export type HandoverResult =
  /** Nothing is taken over. */
  | "None"
  /** ScaiVault has not compared everything yet, or it found differences. */
  | "Waits"
  /** Some marks were released; more are left. */
  | "More"
  /** All marks are released: what is declared may come. */
  | "Done";

/**
 * Takes the operator's marks off the copies that ScaiVault's own sync found equal: metadata only, no version. What was released
 * before a restart has no mark any more, so nothing is done twice.
 * @throws SyncError
 */
export async function releaseMarks(
  world: World,
  subject: RegistrationSubject,
  memory: RegistrationMemory,
  signal: AbortSignal,
): Promise<HandoverResult> {
  const { scaivault } = world;
  if (scaivault === undefined || !takesOver(world, subject, memory)) return "None";
  if (!isVerified(memory.health, memory.conflicts)) {
    memory.marked = undefined;
    memory.under = isQuiet(memory) ? "ScaiVault compares the operator's copies with the store" : undefined;
    return "Waits";
  }
  const mapping = patternsOf(subject);
  const former = formerCopies(memory.copies, mapping);
  const marked = memory.marked ?? (await markedCopies(world, scaivault, subject, former.below, signal));
  memory.marked = marked;
  const below = [...marked].filter(([path]) => isHeldBy(mapping, path));
  memory.under = `ScaiVault has the same values; the operator's marks on ${countText(below.length)} are being released`;
  for (const [path, observed] of below.slice(0, CHUNK)) {
    const stays = await release(world, scaivault, subject, { path, observed }, signal);
    marked.delete(path);
    if (stays) memory.keepsMarks = true;
  }
  if (below.length > CHUNK) return "More";
  const left = [...marked.keys()];
  memory.marked = undefined;
  // Whoever changed one meanwhile is seen by another look; a server that lets none be released is not asked again.
  if (memory.keepsMarks !== true) {
    const again = await markedCopies(world, scaivault, subject, former.below, signal);
    if ([...again.keys()].some((path) => isHeldBy(mapping, path))) return "More";
  }
  memory.copies = recordedAfter(former, left, mapping, MAX_COPIES);
  memory.under = "the operator's marks are released; what is declared comes next";
  note(world, subject, memory);
  return "Done";
}

/** Nothing that ScaiVault said shows why the copies are not taken over yet. */
function isQuiet({ health, conflicts }: RegistrationMemory): boolean {
  const differs = conflicts?.conflicts.some(isOpenConflict) === true;
  return health?.status === "healthy" && !differs && (health.secretsFailed ?? 0) === 0;
}

/** Copies below some patterns that bear this object's own mark. @throws SyncError */
async function markedCopies(
  world: World,
  scaivault: ScaiVaultSide,
  subject: RegistrationSubject,
  patterns: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, TargetObservation>> {
  const { namespace, name } = subject.backend.metadata;
  const paths = new Set<string>();
  for (const pattern of patterns) {
    // Listing is reading: without a right to all of it nothing is listed.
    if (!world.rights.scaivault(namespace, pattern, "write").ok) continue;
    if (!isTree(pattern)) paths.add(pattern);
    else for (const one of await scaivault.list(treePrefix(pattern), signal)) paths.add(one);
  }
  const refs = [...paths].slice(0, world.budgets.trees).map((path) => addressOf(subject, path));
  const seen = refs.length === 0 ? new Map() : await scaivault.observations.refresh(refs, signal);
  const { reachability } = scaivault.observations;
  if (reachability.state === "Failing") throw reachability.error;
  const self = { cluster: world.cluster, namespace, kind: "FederationBackend", name };
  const own = new Map<string, TargetObservation>();
  for (const [path, observed] of seen as ReadonlyMap<string, TargetObservation>) {
    if (observed.presence === "Unknown") throw observed.failure ?? new SyncError("ScaiVaultUnavailable", "no answer");
    const { mark } = observed;
    if (mark.state === "Valid" && ownerMatches(world.ring, mark.mark.owner, self)) own.set(path, observed);
  }
  return own;
}

/** @returns whether ScaiVault lets the mark stay for good */
async function release(
  world: World,
  scaivault: ScaiVaultSide,
  subject: RegistrationSubject,
  { path, observed }: { readonly path: string; readonly observed: TargetObservation },
  signal: AbortSignal,
): Promise<boolean> {
  world.assertHeld();
  try {
    await scaivault.target.release(addressOf(subject, path), observed, signal);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    // It moved since: it is looked at again.
    if (error.reason === "TargetChanged") return false;
    // Some servers take no metadata where they sync. The mark says no more than who made the copy once.
    if (error.reason === "ReadOnlyPath") return true;
    throw error;
  }
  scaivault.observations.forget({ path });
  world.metrics.write("ScaiVault", "Release", { namespace: subject.backend.metadata.namespace, backend: subject.key });
  return false;
}

const addressOf = ({ key }: RegistrationSubject, path: string): ScaiVaultAddress => ({
  path,
  object: key,
  lane: "verification",
});

function note(world: World, subject: RegistrationSubject, memory: RegistrationMemory): void {
  const { namespace, name } = subject.backend.metadata;
  world.log.info("copies handed over", {
    kind: "FederationBackend",
    namespace,
    name,
    target: memory.name,
    message: memory.keepsMarks === true ? "ScaiVault keeps the marks on paths that it syncs" : "marks are released",
  });
}
