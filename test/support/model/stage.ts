/**
 * Everything that a history of edits, outages and restores is played on: two clusters (API servers in memory) with an operator
 * each, one old store, and one ScaiVault (the reference server). One virtual clock moves them all.
 */
import { type ScaiVaultServer, startServer } from "../../../scaivault-server/server.ts";
import { VirtualClock } from "../../../src/time/clock.ts";
import { type ClusterState, MemoryOperator, MINUTE, type SeenStatus } from "../memory-operator.ts";
import { MemorySource } from "../memory-source.ts";
import { Judge } from "./judge.ts";
import { scaivaultSide, Wire } from "./scaivault-over-http.ts";

export const INTERVAL = 5 * MINUTE;
export const CLUSTERS = ["east", "west"] as const;
export type ClusterName = (typeof CLUSTERS)[number];
/** Secrets of the old store below `prod/`, and their paths in ScaiVault below `env/`. */
export const SECRETS = ["a", "b", "tree/x", "tree/y", "fed/x", "fed/y"] as const;
export type SecretName = (typeof SECRETS)[number];
/**
 * SecretSyncs that exist in each cluster, and `fed`, a FederationBackend that copies a tree. `foreign` targets a path that the
 * namespace has no right to.
 */
export const OBJECTS = ["a", "b", "tree", "foreign", "fed"] as const;
export type ObjectName = (typeof OBJECTS)[number];

/** Policies of a SecretSync as a step sets them. */
export interface SpecChange {
  readonly authority?: "Source" | "ScaiVault" | undefined;
  readonly conflictResolution?: "manual" | undefined;
  readonly adopt?: "IfEqual" | undefined;
  readonly deletionPolicy?: "Delete" | undefined;
  readonly apply?: "OnApproval" | "Never" | undefined;
}

const OPERATOR_IDENTITY = "sa:scaivault-operator";
const tenancy = [
  {
    namespaces: ["team"],
    scaivault: { read: ["env/**"], write: ["env/**"], credentials: [] },
    endpoints: ["*"],
    ambientIdentity: true,
    federation: false,
  },
];

/** The object of a secret, and its Secret. */
export const objectOf = (secret: SecretName): ObjectName =>
  (secret.includes("/") ? secret.slice(0, secret.indexOf("/")) : secret) as ObjectName;
export const secretKey = (secret: SecretName): string => `team/${secret.replace("/", "-")}`;
export const vaultPath = (secret: SecretName): string => `env/${secret}`;
export const sourcePath = (secret: SecretName): string => `prod/${secret}`;

export class Stage {
  readonly clock: VirtualClock;
  readonly source: MemorySource;
  readonly server: ScaiVaultServer;
  readonly judge: Judge;
  readonly clusters = new Map<ClusterName, MemoryOperator>();
  readonly running = new Set<ClusterName>();
  readonly snapshots = new Map<ClusterName, ClusterState>();
  backup: string | undefined;
  readonly #wire: Wire;
  readonly #token: string;
  readonly #sources: Map<string, MemorySource>;
  #values = 0;

  private constructor(server: ScaiVaultServer, clock: VirtualClock, wire: Wire, versionKind: "Id" | "Number") {
    this.server = server;
    this.clock = clock;
    this.#wire = wire;
    this.source = new MemorySource({
      versionKind,
      ...(versionKind === "Number" ? { now: () => clock.now() } : {}),
    });
    this.#sources = new Map([["us-east-1", this.source]]);
    this.#token = server.admin.createToken({
      identity: OPERATOR_IDENTITY,
      scopes: ["secrets:read", "secrets:write", "secrets:delete", "secrets:list"],
      rules: [{ path_pattern: "**", permissions: ["read", "write", "delete", "list"] }],
    });
    this.judge = new Judge({ stage: this, identity: OPERATOR_IDENTITY });
  }

  /** @param versionKind `Id`: an old store as AWS has it; `Number`: as KV v2 */
  static async open(versionKind: "Id" | "Number"): Promise<Stage> {
    let wire: Wire | undefined = undefined as Wire | undefined;
    const clock = new VirtualClock(Date.UTC(2026, 0, 1), { settle: async () => wire?.quiet() });
    const server = await startServer({ clock });
    wire = new Wire(() => server.url);
    const stage = new Stage(server, clock, wire, versionKind);
    for (const secret of SECRETS) stage.put(secret);
    stage.source.put("prod/foreign", stage.value("s"));
    // Nobody's business but their owner's.
    server.admin.write("other/foreign", { data: { value: "untouched" } });
    server.admin.write("env-other/a", { data: { value: "untouched" } });
    for (const cluster of CLUSTERS) {
      stage.clusters.set(cluster, stage.#operator(cluster, undefined));
      for (const object of OBJECTS) stage.apply(cluster, object, {});
      stage.op(cluster).aws("us-east-1", { syncInterval: "5m" });
      stage.op(cluster).secrets.copies.set("team/theirs", {
        version: 1,
        keys: new Map([["value", "untouched"]]),
        type: "Opaque",
        fields: new Map(),
      });
    }
    stage.start("east");
    await stage.pass(10_000);
    stage.start("west");
    await stage.pass(2 * INTERVAL);
    return stage;
  }

  op(cluster: ClusterName): MemoryOperator {
    const found = this.clusters.get(cluster);
    if (found === undefined) throw new Error(`no cluster ${cluster}`);
    return found;
  }

  /** A value that nobody wrote before. Its letter says who wrote it, its number when. */
  value(by: "s" | "v" | "k"): string {
    return JSON.stringify({ value: `${by}${(this.#values += 1)}` });
  }

  /** Somebody writes the next value in the old store. */
  put(secret: SecretName, value = this.value("s")): void {
    this.source.put(sourcePath(secret), value);
    // No two versions are written in the same moment.
    this.clock.jump(1);
    this.judge.sourceChanged(secret);
  }

  apply(cluster: ClusterName, object: ObjectName, change: SpecChange): void {
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    const flip = change.authority === "ScaiVault" && change.conflictResolution === undefined;
    if (object === "fed") {
      this.op(cluster).backend(
        {
          awsSecretsManager: { region: "us-east-1", auth: { secretRef: { name: "aws" } } },
          syncInterval: "5m",
          federation: { ...tree, ...given, ...(flip ? { conflictResolution: "local_wins" } : {}) },
        },
        "fed",
      );
      return;
    }
    this.op(cluster).sync(object, {
      ...shapes[object],
      ...given,
      ...(flip ? { conflictResolution: "local_wins" } : {}),
    });
  }

  /** What the old store shows now. */
  current(secret: SecretName): string | undefined {
    return this.source.peek(sourcePath(secret));
  }

  start(cluster: ClusterName): void {
    if (this.running.has(cluster)) return;
    this.running.add(cluster);
    this.op(cluster).start();
  }

  async stop(cluster: ClusterName): Promise<void> {
    if (!this.running.delete(cluster)) return;
    await this.op(cluster).stop();
  }

  /** A new process over what the API server holds, or held when it was backed up. */
  async restart(cluster: ClusterName, state?: ClusterState): Promise<void> {
    const ran = this.running.has(cluster);
    await this.stop(cluster);
    this.clusters.set(cluster, this.#operator(cluster, state ?? this.op(cluster).state()));
    if (state !== undefined) this.judge.clusterRestored(cluster);
    if (ran) this.start(cluster);
  }

  async restoreScaiVault(): Promise<void> {
    if (this.backup === undefined) return;
    await this.server.admin.restore(this.backup);
    this.judge.scaivaultRestored();
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await this.#wire.quiet();
  }

  status(cluster: ClusterName, object: ObjectName): SeenStatus {
    return object === "fed" ? this.op(cluster).backendStatus("fed") : this.op(cluster).status(object);
  }

  /** Whether the object exists. */
  has(cluster: ClusterName, object: ObjectName): boolean {
    const { backends, syncs } = this.op(cluster).caches;
    return (object === "fed" ? backends : syncs).get(`team/${object}`) !== undefined;
  }

  /** The authority that an object declares. */
  authority(cluster: ClusterName, object: ObjectName): string {
    const { backends, syncs } = this.op(cluster).caches;
    const { spec } = (object === "fed" ? backends : syncs).get(`team/${object}`) as unknown as { spec: Declared };
    return (object === "fed" ? spec.federation?.authority : spec.authority) ?? "Source";
  }

  async close(): Promise<void> {
    this.server.admin.clearFaults();
    for (const cluster of CLUSTERS) await this.stop(cluster);
    this.#wire.close();
    await this.server.stop();
  }

  #operator(cluster: ClusterName, state: ClusterState | undefined): MemoryOperator {
    const { clock } = this;
    const side = scaivaultSide(this.server, { wire: this.#wire, clock, token: this.#token, cluster });
    const operator = new MemoryOperator({
      cluster,
      clock,
      tenancy,
      sources: this.#sources,
      scaivault: side,
      ...(state === undefined ? {} : { state }),
    });
    this.judge.watch(cluster, operator.secrets);
    return operator;
  }
}

const from = (path: string) => ({ backendRef: { name: "aws" }, path });
interface Declared {
  readonly authority?: string;
  readonly federation?: { readonly authority?: string };
}
const tree = { mode: "sync", pathMapping: [{ scaivaultPath: "env/fed/**", sourcePath: "prod/fed/**" }] };
const shapes: Record<Exclude<ObjectName, "fed">, object> = {
  a: { source: from("prod/a"), targets: { scaivault: { path: "env/a", tags: ["team"] }, kubernetesSecret: {} } },
  b: { source: from("prod/b"), targets: { scaivault: { path: "env/b" }, kubernetesSecret: {} } },
  tree: {
    source: { backendRef: { name: "aws" }, subtree: "prod/tree/**" },
    targets: { scaivault: { path: "env/tree/**" }, kubernetesSecret: { nameTemplate: "tree-{name}" } },
  },
  foreign: {
    source: from("prod/foreign"),
    targets: { scaivault: { path: "other/foreign" }, kubernetesSecret: {} },
  },
};
