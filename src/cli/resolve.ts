import type { Conflict, KindInfo } from "../api/index.ts";
import { cleanText, SyncError } from "../errors/index.ts";
import { systemClock } from "../time/clock.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { conflictsReport, movedText, parseObjectName, resolveText, type ShownConflict } from "./conflicts-report.ts";
import { compareCodes, exitCodes } from "./exit-codes.ts";
import { failedResult } from "./failed.ts";
import { clusterOptions, textOption } from "./status.ts";
import type { SeenObject } from "./status-report.ts";

/** Which object, in which cluster. */
export interface ConflictQuery {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Absent: the namespace of the context, else `default`. */
  readonly namespace: string | undefined;
  readonly kind: KindInfo["kind"];
  readonly name: string;
}

/** One object in conflict, by the caller's login. */
export interface OpenConflict {
  readonly namespace: string;
  /** The object now; undefined: it is not there. @throws SyncError KubernetesUnavailable */
  read(): Promise<SeenObject | undefined>;
  /** Sets the annotation that approves, on this very object. @throws SyncError KubernetesUnavailable */
  approve(object: SeenObject, hash: string): Promise<void>;
  close(): Promise<void>;
}

type Keep = "source" | "scaivault";
const LOOK_MS = 500;

/** `conflicts resolve`: shows what keeping one side comes to, and does it when approved. */
export function resolveCommand(
  open: (query: ConflictQuery, io: CommandIO) => Promise<OpenConflict>,
): CommandDefinition {
  return {
    name: "conflicts resolve",
    summary: "Settles one conflict: shows what will be done, and does it when it is approved.",
    description:
      "Prints what keeping the source or ScaiVault comes to, with the hash of that plan. It is done only with --approve HASH, " +
      "or after a yes at a terminal: the annotation approve is set with your own login (verb approve), the operator takes it, and " +
      "the command waits until the conflict is settled. A hash counts once, for this object and these versions: when a side moves " +
      "before, nothing is done. Values are never shown. Exit codes: 0 settled, 1 not done or not settled yet, 2 could not tell.",
    examples: [
      "scaivault-operator conflicts resolve ssync/stripe -n billing --path environments/production/billing/stripe --keep source",
    ],
    arguments: [{ name: "object", description: "KIND/NAME, such as ssync/stripe", required: true }],
    options: [
      { name: "path", flags: "--path <path>", description: "ScaiVault path of the conflict", required: true },
      {
        name: "keep",
        flags: "--keep <side>",
        description: "side whose content stands",
        required: true,
        choices: ["source", "scaivault"],
      },
      { name: "approve", flags: "--approve <hash>", description: "do what was shown with this hash" },
      {
        name: "timeout",
        flags: "--timeout <seconds>",
        description: "how long to wait for the operator",
        default: "60",
      },
      { name: "namespace", flags: "-n, --namespace <name>", description: "namespace; default that of the context" },
      ...clusterOptions,
    ],
    handler: (args, io) => handle(open, args, io),
  };
}

type Open = Parameters<typeof resolveCommand>[0];

async function handle(open: Open, args: CommandArguments, io: CommandIO): Promise<CommandResult> {
  const named = parseObjectName(args.positionals[0] ?? "");
  const timeout = textOption(args, "timeout") ?? "";
  if (named === undefined) return usage("write KIND/NAME, such as ssync/stripe");
  if (!/^\d{1,5}$/.test(timeout)) return usage("--timeout: write a whole number of seconds");
  const query = {
    ...named,
    kubeconfig: textOption(args, "kubeconfig"),
    context: textOption(args, "context"),
    namespace: textOption(args, "namespace"),
  };
  let conflict: OpenConflict | undefined;
  try {
    conflict = await open(query, io);
    return await resolve(conflict, { args, io, kind: named.kind, timeoutMs: Number(timeout) * 1000 });
  } catch (error) {
    return { ...failedResult(error), exitCode: compareCodes.unknown };
  } finally {
    await conflict?.close();
  }
}

function usage(message: string): CommandResult {
  return { exitCode: exitCodes.usage, data: { error: { reason: "InvalidSpec", message } }, text: message };
}

interface Task {
  readonly args: CommandArguments;
  readonly io: CommandIO;
  readonly kind: KindInfo["kind"];
  readonly timeoutMs: number;
}

async function resolve(conflict: OpenConflict, task: Task): Promise<CommandResult> {
  const { args, io, kind } = task;
  const [path, keep] = [textOption(args, "path") ?? "", textOption(args, "keep") as Keep];
  const object = await conflict.read();
  const shown = object === undefined ? undefined : findConflict(object, kind, path);
  if (object === undefined || shown === undefined) {
    const lacks =
      object === undefined ? "there is no such object" : `its status names no conflict at ${cleanText(path, 600)}`;
    throw new SyncError(
      "InvalidSpec",
      `${kind} ${conflict.namespace}/${args.positionals[0]?.split("/")[1] ?? ""}: ${lacks}`,
    );
  }
  const hash = hashOf(object, path, keep);
  if (hash === undefined)
    throw new SyncError(
      "InvalidSpec",
      `this conflict cannot be settled by keeping ${keep}: ${shown.reason}, ${shown.message}`,
    );
  const plan = planLines(shown, keep, object);
  const data = { conflict: shown, keep, plan, hash };
  const given = textOption(args, "approve");
  if (given !== undefined && given !== hash)
    return refused(data, [...plan, `hash: ${hash}`, "not done: --approve names another plan than this one"]);
  if (given === undefined && (await asked(io, [...plan, `hash: ${hash}`])) !== true)
    return refused(data, [...plan, `hash: ${hash}`, `to do it: ${resolveText(shown, keep)} --approve ${hash}`]);
  await conflict.approve(object, hash);
  return settled(conflict, { ...task, path, hash, data });
}

async function asked(io: CommandIO, lines: readonly string[]): Promise<boolean | undefined> {
  return io.confirm?.(`${lines.join("\n")}\nDo it?`);
}

interface Answer {
  readonly conflict: ShownConflict;
  readonly keep: Keep;
  readonly plan: readonly string[];
  readonly hash: string;
}

function refused(data: Answer, lines: readonly string[]): CommandResult {
  return { exitCode: compareCodes.found, data: { ...data, done: false }, text: lines.join("\n") };
}

/** Waits until the operator has taken the approval and the conflict is no more. */
async function settled(
  conflict: OpenConflict,
  {
    io,
    kind,
    timeoutMs,
    path,
    hash,
    data,
  }: Task & { readonly path: string; readonly hash: string; readonly data: Answer },
): Promise<CommandResult> {
  const endMs = systemClock.monotonic() + timeoutMs;
  let taken = false;
  while (!io.signal.aborted) {
    const object = await conflict.read();
    const status = (object?.status ?? {}) as { readonly lastHandledApproval?: unknown };
    taken ||= status.lastHandledApproval === hash;
    if (taken && object !== undefined && isSettled(object, kind, path)) {
      const text = [...data.plan, `settled: ${data.keep} is kept`].join("\n");
      return { exitCode: compareCodes.same, data: { ...data, done: true }, text };
    }
    if (systemClock.monotonic() >= endMs) break;
    await systemClock.sleep(LOOK_MS);
  }
  const why = taken
    ? "the operator has taken the approval and is not done yet: scaivault-operator status says why"
    : "the approval stands, and no operator has taken it yet: is one running, and has a side moved meanwhile?";
  return { exitCode: compareCodes.found, data: { ...data, done: false, taken }, text: [...data.plan, why].join("\n") };
}

/** The conflict is gone, and the Secret has followed: where nothing else is in conflict the object says so by being Ready. */
function isSettled(object: SeenObject, kind: KindInfo["kind"], path: string): boolean {
  const { conditions = [] } = (object.status ?? {}) as { conditions?: readonly { type: string; status: string }[] };
  const ready = conditions.some(({ type, status }) => type === "Ready" && status === "True");
  return findConflict(object, kind, path) === undefined && (ready || conflictsOf(object, kind).length > 0);
}

function conflictsOf(object: SeenObject, kind: KindInfo["kind"]): ShownConflict[] {
  const [backends, syncs] = kind === "SecretSync" ? [[], [object]] : [[object], []];
  return conflictsReport(backends, syncs).conflicts.filter(({ source }) => source !== undefined);
}

function findConflict(object: SeenObject, kind: KindInfo["kind"], path: string): ShownConflict | undefined {
  return conflictsOf(object, kind).find((one) => one.path === path);
}

function hashOf({ status }: SeenObject, path: string, keep: Keep): string | undefined {
  const { problems = [] } = (status ?? {}) as { readonly problems?: readonly { path: string; conflict?: Conflict }[] };
  const conflict = problems.find((one) => one.path === path && one.conflict !== undefined)?.conflict;
  const hash = keep === "source" ? conflict?.keepSource : conflict?.keepScaiVault;
  return hash === undefined ? undefined : cleanText(hash);
}

/** What will be done, for people. */
function planLines(one: ShownConflict, keep: Keep, object: SeenObject): string[] {
  const { kind, namespace, name, path, source = {}, scaivault = {} } = one;
  const { effective } = (object.status ?? {}) as { readonly effective?: { readonly authority?: unknown } };
  const then =
    effective?.authority === "ScaiVault"
      ? "ScaiVault stays the authority"
      : "a new version of the source is written as ever";
  const what =
    keep === "source"
      ? [
          `write ${path} in ScaiVault from source version ${source.now ?? "?"}`,
          scaivault.now === undefined
            ? "it is not in ScaiVault now"
            : `version ${scaivault.now} there stays readable as an older version`,
        ]
      : [
          `leave ${path} in ScaiVault as it is (version ${scaivault.now ?? "?"}); only its mark is written`,
          source.now === undefined
            ? "the source is gone; the path is never deleted for that"
            : `source version ${source.now} is not taken; ${then}`,
        ];
  return [
    `${kind} ${namespace}/${name}: source ${movedText(source)}, ScaiVault ${movedText(scaivault)}`,
    ...what.map((line) => `  ${line}`),
    "  the Kubernetes Secret gets the content that is kept",
  ];
}
