/** What may happen on the stage. Steps are plain data, so that a failed history prints as what to play again. */
import fc from "fast-check";
import { SyncError } from "../../../src/errors/index.ts";
import { MINUTE } from "../memory-operator.ts";
import { settleDown } from "./rest.ts";
import {
  CLUSTERS,
  type ClusterName,
  INTERVAL,
  OBJECTS,
  type ObjectName,
  type SecretName,
  SECRETS,
  secretKey,
  sourcePath,
  type SpecChange,
  type Stage,
  vaultPath,
} from "./stage.ts";

export type Step =
  | { readonly do: "pass"; readonly ms: number }
  /** Until everything came to rest; then what status says is compared with what is true. */
  | { readonly do: "rest" }
  | { readonly do: "put" | "putSame" | "remove" | "schedule" | "unschedule" | "moveBack"; readonly secret: SecretName }
  | {
      readonly do: "vaultPut" | "vaultPutSourceValue" | "vaultPutSame" | "vaultMetadata" | "vaultStripMark";
      readonly secret: SecretName;
    }
  | { readonly do: "vaultDelete" | "vaultPurge"; readonly secret: SecretName }
  | {
      readonly do: "secretEdit" | "secretDelete" | "secretStrip";
      readonly cluster: ClusterName;
      readonly secret: SecretName;
    }
  | { readonly do: "source"; readonly down: boolean }
  | { readonly do: "scaivault"; readonly how: "up" | "refused" | "errors" | "noWrites" }
  | { readonly do: "cutAfterWrite" }
  | { readonly do: "backup" | "restoreScaiVault" }
  | { readonly do: "snapshot" | "restoreCluster" | "restart" | "stop" | "start"; readonly cluster: ClusterName }
  | {
      readonly do: "spec";
      readonly cluster: ClusterName | "both";
      readonly object: ObjectName;
      readonly change: SpecChange;
    }
  | { readonly do: "deleteObject"; readonly cluster: ClusterName; readonly object: ObjectName }
  /** People approve what an object holds, or settle a conflict: the nth of all that can be approved then. */
  | { readonly do: "approve"; readonly nth: number };

const secret = fc.constantFrom(...SECRETS);
const cluster = fc.constantFrom(...CLUSTERS);
const object = fc.constantFrom<ObjectName>("a", "b", "tree", "fed");
const one = <D extends string>(...names: D[]) => fc.constantFrom(...names);
const change: fc.Arbitrary<SpecChange> = fc.record({
  authority: fc.constantFrom(undefined, "Source" as const, "ScaiVault" as const),
  conflictResolution: fc.constantFrom(undefined, undefined, "manual" as const),
  adopt: fc.constantFrom(undefined, "IfEqual" as const),
  apply: fc.constantFrom(undefined, undefined, undefined, "OnApproval" as const, "Never" as const),
});

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: one("pass"), ms: fc.constantFrom(2_000, MINUTE, INTERVAL + 5_000, 12 * MINUTE) }),
  },
  { weight: 3, arbitrary: fc.constant<Step>({ do: "rest" }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: one("put", "put", "put", "putSame", "remove", "schedule", "unschedule", "moveBack"),
      secret,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: one("vaultPut", "vaultPut", "vaultPutSourceValue", "vaultPutSame", "vaultMetadata", "vaultStripMark"),
      secret,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: one("vaultDelete", "vaultPurge"), secret }) },
  { weight: 3, arbitrary: fc.record({ do: one("secretEdit", "secretDelete", "secretStrip"), cluster, secret }) },
  { weight: 2, arbitrary: fc.record({ do: one("source"), down: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: one("scaivault"), how: fc.constantFrom("up", "refused", "errors", "noWrites") }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "cutAfterWrite" }) },
  { weight: 3, arbitrary: fc.record({ do: one("backup", "restoreScaiVault") }) },
  { weight: 5, arbitrary: fc.record({ do: one("snapshot", "restoreCluster", "restart", "stop", "start"), cluster }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: one("spec"),
      cluster: fc.constantFrom(...CLUSTERS, "both" as const, "both" as const),
      object,
      change,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: one("deleteObject"), cluster, object }) },
  { weight: 3, arbitrary: fc.record({ do: one("approve"), nth: fc.nat(5) }) },
) as fc.Arbitrary<Step>;

/** Plays one step and judges what came of it. */
export async function play(stage: Stage, step: Step): Promise<void> {
  await act(stage, step);
  stage.judge.look();
}

type Acts = { readonly [D in Step["do"]]: (stage: Stage, step: Extract<Step, { readonly do: D }>) => unknown };

async function act(stage: Stage, step: Step): Promise<void> {
  await (acts[step.do] as (stage: Stage, step: Step) => unknown)(stage, step);
}

const person = { identity: "user:somebody" };
/** People write over what they read just now. */
const write = (stage: Stage, secret: SecretName, data: string | undefined): void => {
  const path = vaultPath(secret);
  if (data === undefined || stage.server.admin.peek(path)?.deleted === true) return;
  stage.server.admin.write(path, { data }, person);
};

const acts: Acts = {
  pass: (stage, { ms }) => stage.pass(ms),
  rest: (stage) => settleDown(stage),
  put: (stage, { secret }) => stage.put(secret),
  putSame: (stage, { secret }) => stage.put(secret, stage.current(secret)),
  remove: (stage, { secret }) => stage.source.remove(sourcePath(secret)),
  schedule: (stage, { secret }) => stage.source.setState(sourcePath(secret), "PendingDeletion"),
  unschedule: (stage, { secret }) => {
    stage.source.setState(sourcePath(secret), "Present");
    stage.judge.sourceChanged(secret);
  },
  moveBack: (stage, { secret }) => {
    const [before] = stage.source.versions(sourcePath(secret)).slice(-2);
    if (before !== undefined) stage.source.moveTo(sourcePath(secret), before);
    stage.judge.sourceChanged(secret);
  },
  vaultPut: (stage, { secret }) => write(stage, secret, stage.value("v")),
  vaultPutSourceValue: (stage, { secret }) => write(stage, secret, stage.current(secret)),
  vaultPutSame: (stage, { secret }) => write(stage, secret, stage.server.admin.peek(vaultPath(secret))?.data),
  vaultMetadata: (stage, { secret }) => metadata(stage, secret, (all) => ({ ...all, tags: ["theirs"] })),
  vaultStripMark: (stage, { secret }) =>
    metadata(stage, secret, (all) =>
      Object.fromEntries(Object.entries(all).filter(([key]) => !key.startsWith("scaivault_operator_"))),
    ),
  vaultDelete: (stage, { secret }) => remove(stage, secret, false),
  vaultPurge: (stage, { secret }) => remove(stage, secret, true),
  secretEdit: (stage, { cluster: name, secret }) => {
    const value = (JSON.parse(stage.value("k")) as { value: string }).value;
    if (stage.op(name).secrets.copies.has(secretKey(secret)))
      stage.op(name).secrets.edit(secretKey(secret), (copy) => {
        copy.keys = new Map([["value", value]]);
        copy.version += 1;
      });
  },
  secretDelete: (stage, { cluster: name, secret }) => {
    stage.op(name).secrets.delete(secretKey(secret));
    stage.judge.secretDeleted(name, secret);
  },
  secretStrip: (stage, { cluster: name, secret }) => {
    if (stage.op(name).secrets.copies.has(secretKey(secret)))
      stage.op(name).secrets.edit(secretKey(secret), (copy) => void (copy.fields = new Map()));
  },
  source: (stage, { down }) =>
    stage.source.failAll(down ? new SyncError("SourceUnavailable", "the store is down") : undefined),
  scaivault: async ({ server }, { how }) => {
    server.admin.clearFaults();
    if (how === "refused") server.admin.inject({ action: { kind: "reset" } });
    if (how === "errors") server.admin.inject({ action: { kind: "status", status: 503 } });
    if (how === "noWrites")
      server.admin.inject({ match: { category: "write" }, action: { kind: "status", status: 500 } });
    await Promise.resolve();
  },
  cutAfterWrite: ({ server }) =>
    void server.admin.inject({ match: { method: "PUT" }, times: 1, action: { kind: "reset", when: "after" } }),
  backup: (stage) => void (stage.backup = stage.server.admin.backup()),
  restoreScaiVault: (stage) => stage.restoreScaiVault(),
  snapshot: (stage, { cluster: name }) => void stage.snapshots.set(name, stage.op(name).state()),
  restoreCluster: async (stage, { cluster: name }) => {
    const state = stage.snapshots.get(name);
    if (state !== undefined) await stage.restart(name, state);
  },
  restart: (stage, { cluster: name }) => stage.restart(name),
  stop: (stage, { cluster: name }) => stage.stop(name),
  start: (stage, { cluster: name }) => stage.start(name),
  spec: (stage, { cluster: name, object: what, change: to }) => {
    for (const each of CLUSTERS) if (name === "both" || name === each) stage.apply(each, what, to);
  },
  deleteObject: (stage, { cluster: name, object: what }) => stage.op(name).remove(what),
  approve: (stage, { nth }) => approve(stage, nth),
};

function metadata(
  { server }: Stage,
  secret: SecretName,
  edit: (all: Record<string, unknown>) => Record<string, unknown>,
): void {
  const stored = server.admin.peek(vaultPath(secret));
  // A PUT with the same content and other metadata: the one way that people have in the reference server's admin handle.
  if (stored !== undefined && !stored.deleted)
    server.admin.write(vaultPath(secret), { data: stored.data, metadata: edit({ ...stored.metadata }) }, person);
}

function remove({ server }: Stage, secret: SecretName, permanent: boolean): void {
  const stored = server.admin.peek(vaultPath(secret));
  if (stored === undefined || (stored.deleted && !permanent)) return;
  server.admin.remove(vaultPath(secret), { permanent, ...person });
}

interface Waiting {
  readonly plan?: { readonly hash: string };
  readonly problems?: readonly {
    readonly conflict?: { readonly keepSource?: string; readonly keepScaiVault?: string };
  }[];
}

function approve(stage: Stage, nth: number): void {
  const waiting = CLUSTERS.flatMap((name) =>
    OBJECTS.flatMap((which) => {
      const { plan, problems = [] } = stage.status(name, which) as Waiting;
      const conflicts = problems.flatMap(({ conflict }) => [
        { what: "source", hash: conflict?.keepSource },
        { what: "ScaiVault", hash: conflict?.keepScaiVault },
      ]);
      const all = [{ what: "plan", hash: plan?.hash }, ...conflicts];
      return all.flatMap(({ what, hash = "" }) => (hash === "" ? [] : [{ name, which, what, hash }]));
    }),
  );
  const chosen = waiting[nth % Math.max(1, waiting.length)];
  if (chosen === undefined) return;
  stage.judge.seen.add(`approved ${chosen.what}`);
  stage.judge.approves(chosen.name, chosen.which);
  const annotations = { "scaivault.scailabs.ai/approve": chosen.hash };
  if (chosen.which === "fed") stage.op(chosen.name).annotateBackend("fed", annotations);
  else stage.op(chosen.name).annotate(chosen.which, annotations);
}
