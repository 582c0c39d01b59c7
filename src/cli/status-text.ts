import type { BackendStanding, StatusReport, SyncStanding } from "./status-report.ts";
import { type Paint, paint } from "./colours.ts";

export interface StatusTextOptions {
  readonly colours: boolean;
  /** Most objects that are named for one reason of one backend; 0 for all. */
  readonly limit: number;
}

/** One screen: what is not fine and why, by namespace and backend, then the counts. */
export function renderStatus(report: StatusReport, options: StatusTextOptions): string {
  const colour = paint(options.colours);
  const lines: string[] = [];
  const shown = new Set<string>();
  for (const backend of report.backends) {
    const key = `${backend.namespace}/${backend.name}`;
    shown.add(key);
    const its = report.syncs.filter((sync) => sync.backend === key);
    lines.push(...section(backendLine(backend, colour), backend, its, options, colour));
  }
  // Of backends that are not there, or in namespaces that were not asked for.
  const rest = [...new Set(report.syncs.map(({ backend }) => backend).filter((key) => !shown.has(key)))];
  for (const key of rest) {
    const its = report.syncs.filter((sync) => sync.backend === key);
    lines.push(...section(`FederationBackend ${key}`, undefined, its, options, colour));
  }
  lines.push(summaryLine(report, colour));
  return lines.join("\n");
}

/** Only what is not fine is told of in more than one line. */
function section(
  head: string,
  backend: BackendStanding | undefined,
  syncs: readonly SyncStanding[],
  options: StatusTextOptions,
  colour: Paint,
): string[] {
  const wrong = syncs.filter(({ standing }) => standing === "NotFine");
  const reasons = [...new Set(wrong.map(({ reason }) => reason))];
  return [
    head,
    ...(backend?.standing === "NotFine" ? why(backend, "  ") : []),
    ...(backend === undefined ? [] : [...problemLines(backend, options.limit), ...heldLines(backend, colour)]),
    ...reasons.flatMap((reason) => {
      const its = wrong.filter((sync) => sync.reason === reason);
      return [`  ${colour.bad(reason)}: ${plural(its.length, "SecretSync")}`, ...named(its, options.limit)];
    }),
    ...syncs.flatMap((sync) => heldLines(sync, colour)),
  ];
}

/** Objects with the same reason: some by name, the number of the others, the hint once. */
function named(syncs: readonly SyncStanding[], limit: number): string[] {
  const some = limit === 0 ? syncs : syncs.slice(0, limit);
  const hint = syncs[0]?.hint ?? "";
  return [
    ...some.flatMap(syncLines),
    ...(syncs.length > some.length ? [`    and ${syncs.length - some.length} more`] : []),
    ...(hint === "" ? [] : [`    hint: ${hint}`]),
  ];
}

function syncLines(sync: SyncStanding): string[] {
  const age = sync.sinceSeconds === undefined ? "" : ` (${duration(sync.sinceSeconds)})`;
  // Not what the message says already.
  const more = sync.problems.filter(({ path, message }) => path !== "" && !sync.message.includes(message)).slice(0, 3);
  return [
    `    ${sync.namespace}/${sync.name}${age}${said(sync.message)}`,
    ...more.map(({ path, reason, message }) => `      ${path}: ${reason}${said(message)}`),
  ];
}

/** What is wrong in a backend's tree, by name. */
function problemLines({ federation, problems, message }: BackendStanding, limit: number): string[] {
  if (federation === undefined) return [];
  const more = problems.filter(({ path, message: text }) => path !== "" && !message.includes(text));
  return (limit === 0 ? more : more.slice(0, limit)).map(
    ({ path, reason, message: text }) => `    ${path}: ${reason}${said(text)}`,
  );
}

function heldLines(
  { namespace, name, held }: Pick<SyncStanding, "namespace" | "name" | "held">,
  colour: Paint,
): string[] {
  if (held === undefined) return [];
  const what = `${held.add} to create, ${held.change} to change, ${held.delete} to delete`;
  return [`  ${colour.warn("waits for approval")}: ${namespace}/${name}: ${what}`, `    ${held.approve}`];
}

const said = (message: string): string => (message === "" ? "" : `: ${message}`);

function why({ message, hint }: BackendStanding, indent: string): string[] {
  return [...(message === "" ? [] : [`${indent}${message}`]), ...(hint === "" ? [] : [`${indent}hint: ${hint}`])];
}

function backendLine(backend: BackendStanding, colour: Paint): string {
  const { standing, reason, lastPollSeconds, dependants, inSync } = backend;
  const word = standing === "Fine" ? colour.good(reason) : standing === "NotFine" ? colour.bad(reason) : reason;
  const poll = lastPollSeconds === undefined ? "never polled" : `last poll ${duration(lastPollSeconds)} ago`;
  const tree = backend.federation;
  const copied = tree === undefined ? "" : `${tree.inSync} of ${tree.found} secrets copied, `;
  return `FederationBackend ${backend.namespace}/${backend.name}: ${word}, ${copied}${inSync} of ${dependants} in sync, ${poll}`;
}

function summaryLine({ summary: { backends, syncs, oldestPollSeconds } }: StatusReport, colour: Paint): string {
  const parts = [
    `${plural(syncs.total, "SecretSync")}: ${syncs.fine} fine, ${syncs.notFine} not, ${syncs.suspended} suspended, ${syncs.held} held`,
    `${plural(backends.total, "FederationBackend")}: ${backends.fine} fine, ${backends.notFine} not, ${backends.suspended} suspended`,
    ...(oldestPollSeconds === undefined ? [] : [`oldest poll ${duration(oldestPollSeconds)} ago`]),
  ];
  const fine = backends.notFine + syncs.notFine + syncs.held === 0;
  return (fine ? colour.good : colour.bad)(parts.join("; "));
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Seconds as kubectl shows ages: `41s`, `5m`, `3h`, `2d`. */
function duration(seconds: number): string {
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
