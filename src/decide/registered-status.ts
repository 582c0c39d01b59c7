import type { EffectiveFederation, FederationBackendStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
import { type BackendStatusInput, effectiveOf, lastDone, type StoreVerdict } from "./backend-status.ts";
import { companions, listProblems, sameStatus, stamp, type Verdict } from "./conditions.ts";
import type { RegistrationReport } from "./registration-report.ts";

const MAX_PROBLEMS = 20;

/** The status of a FederationBackend that ScaiVault runs. Returns `previous` itself when nothing would differ. */
export function registeredStatus(
  input: BackendStatusInput,
  report: RegistrationReport,
  federation: Pick<EffectiveFederation, "mode" | "runsIn" | "authority" | "conflictResolution">,
): FederationBackendStatus {
  const { previous, generation, nowMs } = input;
  if (!report.seen && isStillTold(previous, report, generation)) return previous;
  const store = ownLogin(input.store);
  const problems = listProblems([...storeProblems(store), ...report.problems], previous?.problems, MAX_PROBLEMS, nowMs);
  const { mode, runsIn, authority, conflictResolution } = federation;
  const inForce = { mode, runsIn, ...(mode === "proxy" ? {} : { authority, conflictResolution }) };
  const next: FederationBackendStatus = {
    observedGeneration: generation,
    conditions: stamp(verdictsOf(input, store, report), previous?.conditions, generation, nowMs),
    ...(input.identity === undefined ? {} : { identity: input.identity }),
    effective: effectiveOf(input, inForce, input.notes),
    counts: input.counts,
    federation: report.status,
    ...lastDone(input, report.handledSyncRequest),
    ...(problems.length === 0 ? {} : { problems }),
  };
  return previous !== undefined && sameStatus(previous, next) ? previous : next;
}

/** After a restart a registration that is fine must not look otherwise because its operator was restarted. */
function isStillTold(
  previous: FederationBackendStatus | undefined,
  report: RegistrationReport,
  generation: number,
): previous is FederationBackendStatus {
  return previous?.observedGeneration === generation && previous.federation?.id === report.status.id;
}

/** A backend without a login of the operator's own has no store to speak of. */
function ownLogin(store: StoreVerdict): StoreVerdict | undefined {
  return store.kind === "Refused" && store.reason === "BackendNotReadable" ? undefined : store;
}

function verdictsOf(
  { scaivault: said }: BackendStatusInput,
  store: StoreVerdict | undefined,
  report: RegistrationReport,
): Verdict[] {
  const scaivault = said === "AsBefore" ? undefined : said;
  const verdicts = readyOf(store, report);
  if (report.conflict !== undefined)
    verdicts.push({ type: "Conflict", status: "True", reason: "BothChanged", message: report.conflict });
  verdicts.push(...sourceOf(store, report));
  const { reason, message } = report.ready;
  if (reason === "ScaiVaultUnavailable" || reason === "ScaiVaultDenied")
    verdicts.push({ type: "ScaiVaultReachable", status: "False", reason, message });
  else if (scaivault?.reachable === false)
    verdicts.push({ type: "ScaiVaultReachable", status: "False", ...withoutFlag(scaivault) });
  else if (report.status.health !== undefined || scaivault?.reachable === true)
    verdicts.push({ type: "ScaiVaultReachable", status: "True", reason: "Ok", message: "" });
  return verdicts;
}

function withoutFlag({ reason, message }: { readonly reason: Reason; readonly message: string }) {
  return { reason, message };
}

function readyOf(store: StoreVerdict | undefined, report: RegistrationReport): Verdict[] {
  if (store?.kind === "Suspended" || report.ready.reason === "BackendSuspended")
    return [{ type: "Ready", status: "Unknown", reason: "Suspended", message: "spec.suspend is true" }];
  // The operator's own login fails: SecretSyncs that read through it wait.
  if (store?.kind === "Refused" || store?.kind === "Failing") return notReady(store.reason, store.message);
  const { reason, message } = report.ready;
  if (reasons[reason].kind === "ok") return [{ type: "Ready", status: "True", reason, message }];
  return notReady(reason, message);
}

function notReady(reason: Reason, message: string): Verdict[] {
  const text = reason === "Progressing" ? message : `${message}. ${reasons[reason].hint}`;
  const beside = companions(reason, message).filter(({ type }) => type !== "Conflict");
  return [{ type: "Ready", status: "False", reason, message: text }, ...beside];
}

/** The operator's own sight of the store, where it has one; else ScaiVault's. */
function sourceOf(store: StoreVerdict | undefined, { source }: RegistrationReport): Verdict[] {
  if (store?.kind === "Good") return [{ type: "SourceReachable", status: "True", reason: "Ok", message: "" }];
  if (store?.kind === "Failing")
    return [{ type: "SourceReachable", status: "False", reason: store.reason, message: store.message }];
  if (store !== undefined || source === undefined) return [];
  const { reachable, message } = source;
  return reachable
    ? [{ type: "SourceReachable", status: "True", reason: "Ok", message: "as ScaiVault sees it" }]
    : [{ type: "SourceReachable", status: "False", reason: "RegistrationUnhealthy", message }];
}

function storeProblems(store: StoreVerdict | undefined) {
  return store?.kind === "Failing" || store?.kind === "Refused"
    ? [{ path: "", reason: store.reason, message: store.message }]
    : [];
}
