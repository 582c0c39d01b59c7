/**
 * The controllers over stores, targets and an API server in memory, on a virtual clock: for tests of orders of events that
 * real parts show too seldom. What real parts do is tested in test/integration and test/faults.
 */
import { API_VERSION, secretMetadata } from "../../src/api/index.ts";
import { Observations } from "../../src/catalogue/index.ts";
import {
  BackendResolver,
  createCaches,
  LingeringCopies,
  OperatorTerm,
  type World,
} from "../../src/controllers/index.ts";
import { BrakeWindows, createKeyRing, createMarkSeal, createRights, type Tenancy } from "../../src/decide/index.ts";
import { SyncError } from "../../src/errors/index.ts";
import { type Mark, type MarkReading, SecretValue } from "../../src/model/index.ts";
import type {
  RenderedContent,
  Reservation,
  SecretTarget,
  TargetObservation,
  WriteLane,
  WriteRequest,
  WriteResult,
} from "../../src/ports/index.ts";
import { keyOf, type KubeClient, type KubeObject, type Store } from "../../src/runtime/index.ts";
import type { RateBudget } from "../../src/scaivault/index.ts";
import { createMetrics, type Logger } from "../../src/telemetry/index.ts";
import { VirtualClock } from "../../src/time/clock.ts";
import { MemorySource } from "./memory-source.ts";

export const MINUTE = 60_000;

/** Counts resource versions and uids of all API servers in memory. */
let revision = 0;

/** One copy as it stands. */
export interface Copy {
  version: number;
  keys: ReadonlyMap<string, string>;
  type: string;
  fields: ReadonlyMap<string, string>;
}

/** Write to a target, for counting. */
export interface Write {
  readonly what: "write" | "mark" | "adopt" | "release" | "remove";
  readonly key: string;
}

interface AnyRef {
  readonly path?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** A target in memory. It keeps the fences of real ones: what moved since it was observed is not written. */
export class MemoryTarget implements SecretTarget<AnyRef> {
  readonly copies = new Map<string, Copy>();
  readonly writes: Write[] = [];
  /** Refs that were asked for, one entry a call. */
  readonly asked: string[][] = [];
  /** Every call fails with this. */
  failure: SyncError | undefined;
  /** Rate budget of its writes; none is short without it. */
  budget: RateBudget | undefined;
  /** Awaited by each write before anything is done. */
  beforeWrite: (() => Promise<void>) | undefined;
  /** A copy without a mark still carries our label. */
  labelKept = false;
  onChange: (key: string) => void = () => undefined;
  /** Told of each copy that is about to be removed by the operator. */
  onRemove: (key: string, copy: Copy | undefined) => void = () => undefined;
  readonly #seal = createMarkSeal(ring);
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  key(ref: AnyRef): string {
    return ref.path ?? `${ref.namespace ?? ""}/${ref.name ?? ""}`;
  }

  #look(key: string): TargetObservation {
    const common = { metadataAsDeclared: true } as const;
    const nothing = { version: "", mark: { state: "None" }, content: "Unknown", fence: "" } as const;
    if (this.failure !== undefined) return { presence: "Unknown", ...nothing, ...common, failure: this.failure };
    const copy = this.copies.get(key);
    if (copy === undefined) return { presence: "Absent", ...nothing, ...common };
    const version = String(copy.version);
    const mark: MarkReading = this.#seal.read(`${this.#prefix}/${key}`, copy.fields);
    const content = mark.state !== "Valid" ? "Unknown" : mark.mark.targetVersion === version ? "AsMarked" : "Changed";
    const lost = this.labelKept && copy.fields.size === 0 ? { markLost: true } : {};
    const fence = `${version} ${[...copy.fields].join()}`;
    return { presence: "Present", version, mark, content, fence, ...lost, ...common };
  }

  observe(refs: readonly AnyRef[]): Promise<ReadonlyMap<string, TargetObservation>> {
    const keys = refs.map((ref) => this.key(ref));
    this.asked.push(keys);
    return Promise.resolve(new Map(keys.map((key) => [key, this.#look(key)])));
  }

  read(ref: AnyRef): Promise<RenderedContent | undefined> {
    const copy = this.copies.get(this.key(ref));
    if (copy === undefined) return Promise.resolve(undefined);
    const keys = new Map([...copy.keys].map(([name, text]) => [name, SecretValue.fromText(text)]));
    return Promise.resolve({ keys, type: copy.type, payload: { form: "Object", raw: SecretValue.fromText(""), keys } });
  }

  reserve(ref: AnyRef, lane: WriteLane): Reservation {
    if (this.budget !== undefined) return this.budget.reserve("write", lane, this.key(ref));
    return { granted: true, permit: { use: () => true, release: () => undefined } };
  }

  async write(ref: AnyRef, { content, mark, observed, permit }: WriteRequest): Promise<WriteResult> {
    permit?.use();
    const keys = new Map([...content.keys].map(([name, value]) => [name, value.bytes().toString("utf8")]));
    await this.#begin(ref, observed);
    return this.#put("write", ref, { keys, type: content.type, version: this.#version(ref) + 1 }, mark);
  }

  async mark(ref: AnyRef, { mark, observed, permit }: Omit<WriteRequest, "content">): Promise<WriteResult> {
    permit?.use();
    await this.#begin(ref, observed);
    const copy = this.copies.get(this.key(ref));
    if (copy === undefined) throw new Error("nothing to mark");
    return this.#put("mark", ref, copy, mark);
  }

  async adopt(ref: AnyRef, request: WriteRequest): Promise<WriteResult> {
    return this.mark(ref, request);
  }

  async release(ref: AnyRef, observed: TargetObservation): Promise<void> {
    await this.#begin(ref, observed);
    const copy = this.copies.get(this.key(ref));
    if (copy !== undefined) copy.fields = new Map();
    this.#note("release", ref);
  }

  async remove(ref: AnyRef, observed: TargetObservation): Promise<void> {
    await this.#begin(ref, observed);
    this.onRemove(this.key(ref), this.copies.get(this.key(ref)));
    this.copies.delete(this.key(ref));
    this.#note("remove", ref);
  }

  /** What somebody else does. */
  edit(key: string, change: (copy: Copy) => void): void {
    const copy = this.copies.get(key);
    if (copy === undefined) throw new Error(`${key} is not there`);
    change(copy);
    this.onChange(key);
  }

  delete(key: string): void {
    this.copies.delete(key);
    this.onChange(key);
  }

  /** The mark as it stands, whatever it is worth. */
  markOn(key: string): Mark | undefined {
    const { mark } = this.#look(key);
    return mark.state === "Valid" ? mark.mark : undefined;
  }

  #version(ref: AnyRef): number {
    return this.copies.get(this.key(ref))?.version ?? 0;
  }

  async #begin(ref: AnyRef, observed: TargetObservation): Promise<void> {
    await this.beforeWrite?.();
    if (this.failure !== undefined) throw this.failure;
    if (this.#look(this.key(ref)).fence !== observed.fence)
      throw new SyncError("TargetChanged", "it moved", { code: "fence" });
  }

  #put(what: "write" | "mark", ref: AnyRef, copy: Omit<Copy, "fields">, mark: Mark): WriteResult {
    const key = this.key(ref);
    const version = String(copy.version);
    const fields = this.#seal.seal(`${this.#prefix}/${key}`, { ...mark, targetVersion: version });
    this.copies.set(key, { ...copy, fields });
    this.#note(what, ref);
    return { version, fence: `${version} ${[...fields].join()}` };
  }

  #note(what: Write["what"], ref: AnyRef): void {
    this.writes.push({ what, key: this.key(ref) });
    this.onChange(this.key(ref));
  }
}

const ring = createKeyRing([Buffer.alloc(32, 3)]);
/** The key that marks in memory are proven with. */
export const memoryRing = ring;
const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
};

/** Status as tests read it. */
export interface SeenStatus {
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly plan?: { readonly hash: string };
  readonly lastHandledApproval?: string;
  readonly counts?: Record<string, number>;
}

/** What an API server holds: as its etcd would be backed up. */
export interface ClusterState {
  readonly backends: readonly KubeObject[];
  readonly syncs: readonly KubeObject[];
  readonly copies: ReadonlyMap<string, Copy>;
}

export interface MemoryOptions {
  readonly tenancy?: readonly Tenancy[];
  readonly budgets?: World["budgets"];
  /** Default `east`. */
  readonly cluster?: string;
  /** Shared with other operators. */
  readonly clock?: VirtualClock;
  /** Stores by place, shared with other operators. */
  readonly sources?: Map<string, MemorySource>;
  /** Another ScaiVault than the one in memory. */
  readonly scaivault?: Pick<NonNullable<World["scaivault"]>, "target" | "observations" | "list">;
  /** What the cluster holds when the process starts. */
  readonly state?: ClusterState;
}

/** Controllers in memory. */
export class MemoryOperator {
  readonly clock: VirtualClock;
  readonly caches: ReturnType<typeof createCaches>;
  readonly scaivault = new MemoryTarget("scaivault");
  readonly secrets = new MemoryTarget("kubernetes-secret");
  readonly statusWrites: string[] = [];
  /** Prefixes that were listed in ScaiVault. */
  readonly lists: string[] = [];
  /** Every write of status fails with this. */
  statusFailure: Error | undefined;
  /** Reads of credentials. */
  credentialReads = 0;
  credentialFailure: SyncError | undefined;
  /** Awaited by each read of a credential. */
  beforeCredential: (() => Promise<void>) | undefined;
  /** The namespace of all objects is being deleted. */
  dying = false;
  /** Names what makes a new store identity beside the region. */
  credential = "";
  readonly #sources: Map<string, MemorySource>;
  readonly world: World;
  #term: { run: Promise<void>; abort: AbortController } | undefined;
  readonly #tenancy: readonly Tenancy[] | undefined;

  constructor(options: MemoryOptions = {}) {
    this.#tenancy = options.tenancy;
    this.#sources = options.sources ?? new Map<string, MemorySource>();
    const cluster = options.cluster ?? "east";
    const clock = (this.clock = options.clock ?? new VirtualClock(Date.UTC(2026, 0, 1)));
    const caches = (this.caches = createCaches(silent, cluster));
    this.secrets.onChange = (key) => this.#mirror(key);
    this.rotate("key-1");
    const rights = createRights({
      tenancyMode: this.#tenancy === undefined ? "Open" : "Restricted",
      tenancy: this.#tenancy ?? [],
      operatorNamespace: "scaivault-operator",
    });
    const resolver = new BackendResolver({
      credentials: {
        secret: async (namespace, name) => {
          this.credentialReads += 1;
          await this.beforeCredential?.();
          if (this.credentialFailure !== undefined) throw this.credentialFailure;
          return { namespace, name, resourceVersion: "1", data: new Map() };
        },
        certificate: () => Promise.reject(new Error("no certificates here")),
        configMapVersion: () => Promise.resolve(undefined),
      },
      rights: { refusal: () => undefined, ambientIdentity: () => true, endpoints: () => ["*"] },
      make: ({ backend }) => {
        const place = backend.spec.awsSecretsManager?.region ?? backend.spec.hashicorpVault?.address ?? "";
        const id = `${place} ${backend.spec.awsSecretsManager?.auth?.secretRef?.name ?? ""} ${this.credential}`;
        return { identityKey: id, identity: place, create: () => this.source(place) };
      },
    });
    this.world = {
      clock,
      cluster,
      budgets: options.budgets ?? { objects: 1000, matches: 1000, trees: 50_000 },
      caches,
      client: this.#client(),
      registry: undefined as never,
      resolver,
      rights,
      ring,
      brakes: new BrakeWindows({ startedMs: clock.monotonic() }),
      lingering: new LingeringCopies(),
      treeSizes: new Map(),
      secrets: this.secrets as World["secrets"],
      scaivault: {
        id: "memory",
        role: "Writer",
        takeOverFrom: new Set(),
        federation: {
          backends: undefined as never,
          perMinute: () => 20,
          allowedHosts: () => Promise.resolve(undefined),
          checkAddress: () => undefined,
        },
        list: (prefix) => {
          this.lists.push(prefix);
          if (this.scaivault.failure !== undefined) return Promise.reject(this.scaivault.failure);
          return Promise.resolve([...this.scaivault.copies.keys()].filter((path) => path.startsWith(prefix)));
        },
        target: this.scaivault as never,
        observations: new Observations({ target: this.scaivault as never, clock, onReachability: () => undefined }),
        ...options.scaivault,
      },
      log: silent,
      metrics: createMetrics({ defaults: false, objects: false, version: "test" }),
      events: { record: () => undefined },
      assertHeld: () => undefined,
      dryRun: false,
    };
    if (options.state !== undefined) this.#load(options.state);
  }

  /** All that the API server holds, as of now. */
  state(): ClusterState {
    return {
      backends: structuredClone(this.caches.backends.list()),
      syncs: structuredClone(this.caches.syncs.list()),
      copies: new Map([...this.secrets.copies].map(([key, copy]) => [key, { ...copy }])),
    };
  }

  #load({ backends, syncs, copies }: ClusterState): void {
    for (const one of backends) this.caches.backends.upsert(structuredClone(one));
    for (const one of syncs) this.caches.syncs.upsert(structuredClone(one));
    for (const [key, copy] of copies) {
      this.secrets.copies.set(key, { ...copy });
      this.#mirror(key);
    }
  }

  /** The store in one region. */
  source(place: string): MemorySource {
    const known = this.#sources.get(place) ?? new MemorySource();
    this.#sources.set(place, known);
    return known;
  }

  /** Puts the credential that backends log in with there, or changes it: a new store identity. */
  rotate(credential: string, namespace = "team"): void {
    this.credential = credential;
    this.caches.credentials.upsert({
      metadata: {
        namespace,
        name: "aws",
        uid: "credential",
        resourceVersion: String(++revision),
        labels: { [secretMetadata.credentialLabel]: "true" },
      },
    });
  }

  start(): void {
    const abort = new AbortController();
    const term = new OperatorTerm({
      clock: this.clock,
      workers: 4,
      // Windows live in memory: each term begins with its own, as in the composition root.
      world: (registry) =>
        Object.assign(this.world as object, {
          registry,
          brakes: new BrakeWindows({ startedMs: this.clock.monotonic() }),
          lingering: new LingeringCopies(),
          treeSizes: new Map(),
        }) as World,
    });
    this.#term = { run: term.run(abort.signal), abort };
  }

  async stop(): Promise<void> {
    this.#term?.abort.abort();
    let over = false;
    void this.#term?.run.finally(() => (over = true));
    for (let turn = 0; turn < 50 && !over; turn += 1) await this.clock.advance(250);
    await this.#term?.run;
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  backend(spec: object, name = "aws", namespace = "team"): void {
    this.#apply(this.caches.backends, "FederationBackend", namespace, name, { type: "aws-secrets-manager", ...spec });
  }

  aws(region = "us-east-1", more: object = {}): void {
    this.backend({ awsSecretsManager: { region, auth: { secretRef: { name: "aws" } } }, syncInterval: "5m", ...more });
  }

  sync(name: string, spec: object): void {
    this.#apply(this.caches.syncs, "SecretSync", "team", name, spec);
  }

  /** One secret to both targets. */
  both(name: string, more: object = {}): void {
    this.sync(name, {
      source: { backendRef: { name: "aws" }, path: `prod/${name}` },
      targets: { scaivault: { path: `env/${name}` }, kubernetesSecret: {} },
      ...more,
    });
  }

  /** `kubectl delete`: with a finalizer it only begins. */
  remove(name: string): void {
    const object = this.caches.syncs.get(`team/${name}`);
    if (object === undefined) return;
    if ((object.metadata.finalizers ?? []).length === 0) this.caches.syncs.remove(`team/${name}`);
    else this.#upsert(this.caches.syncs, object, { deletionTimestamp: new Date(this.clock.now()).toISOString() });
  }

  annotate(name: string, annotations: Record<string, string>): void {
    const object = this.caches.syncs.get(`team/${name}`);
    if (object !== undefined) this.#upsert(this.caches.syncs, object, { annotations });
  }

  annotateBackend(name: string, annotations: Record<string, string>): void {
    const object = this.caches.backends.get(`team/${name}`);
    if (object !== undefined) this.#upsert(this.caches.backends, object, { annotations });
  }

  /** Somebody else writes the status. */
  editStatus(name: string, status: unknown): void {
    const object = this.caches.syncs.get(`team/${name}`);
    if (object !== undefined) this.#upsert(this.caches.syncs, { ...object, status } as KubeObject, {});
  }

  status(name: string): SeenStatus {
    return (this.caches.syncs.get(`team/${name}`) as { status?: SeenStatus } | undefined)?.status ?? {};
  }

  backendStatus(name = "aws"): SeenStatus {
    return (this.caches.backends.get(`team/${name}`) as { status?: SeenStatus } | undefined)?.status ?? {};
  }

  /** `True InSync` and the like. */
  ready(name: string): string {
    const found = this.status(name).conditions?.find(({ type }) => type === "Ready");
    return `${found?.status ?? "-"} ${found?.reason ?? "-"}`;
  }

  #apply(store: Store<KubeObject>, kind: string, namespace: string, name: string, spec: object): void {
    const before = store.get(`${namespace}/${name}`);
    const { uid, creationTimestamp, generation = 0, finalizers, deletionTimestamp } = before?.metadata ?? {};
    store.upsert({
      apiVersion: API_VERSION,
      kind,
      metadata: {
        namespace,
        name,
        uid: uid ?? `uid-${++revision}`,
        generation: generation + 1,
        resourceVersion: String(++revision),
        creationTimestamp: creationTimestamp ?? new Date(this.clock.now()).toISOString(),
        ...(finalizers === undefined ? {} : { finalizers }),
        ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      },
      spec,
      ...((before as { status?: unknown } | undefined)?.status === undefined
        ? {}
        : { status: (before as { status?: unknown }).status }),
    } as KubeObject);
  }

  #upsert(store: Store<KubeObject>, object: KubeObject, metadata: object): void {
    const merged = { ...object.metadata, ...metadata, resourceVersion: String(++revision) };
    store.upsert({ ...object, metadata: merged });
  }

  /** Secrets as the watch shows them. */
  #mirror(key: string): void {
    const copy = this.secrets.copies.get(key);
    const [namespace = "", name = ""] = key.split("/");
    if (copy === undefined || (copy.fields.size === 0 && !this.secrets.labelKept)) {
      this.caches.managed.remove(key);
      return;
    }
    const mark = [...copy.fields].map(([field, value]) => `${field}: ${value}`).join("\n");
    this.caches.managed.upsert({
      metadata: {
        namespace,
        name,
        uid: key,
        resourceVersion: String(++revision),
        labels: { [secretMetadata.managedLabel]: "true" },
        annotations: { [secretMetadata.markAnnotation]: mark },
      },
    });
  }

  #client(): KubeClient {
    const storeOf = (plural: string) => (plural.startsWith("federation") ? this.caches.backends : this.caches.syncs);
    const client = {
      applyStatus: (resource: { plural: string }, body: KubeObject & { status: unknown }) => {
        if (this.statusFailure !== undefined) return Promise.reject(this.statusFailure);
        const store = storeOf(resource.plural);
        const object = store.get(keyOf(body.metadata));
        this.statusWrites.push(`${resource.plural} ${keyOf(body.metadata)}`);
        if (object !== undefined)
          this.#upsert(store, { ...object, status: structuredClone(body.status) } as KubeObject, {});
        return Promise.resolve({ metadata: { ...store.get(keyOf(body.metadata))?.metadata } });
      },
      findMetadata: (resource: { plural: string }) =>
        Promise.resolve(
          resource.plural === "namespaces"
            ? { metadata: { name: "team", ...(this.dying ? { deletionTimestamp: "now" } : {}) } }
            : undefined,
        ),
      groupDiscovery: () => Promise.resolve([{ name: "secretsyncs", verbs: ["create"] }]),
      mergePatch: (resource: { plural: string }, at: { namespace?: string; name: string }, patch: unknown) => {
        const store = storeOf(resource.plural);
        const object = store.get(keyOf(at));
        const { finalizers } = (patch as { metadata: { finalizers: string[] | null } }).metadata;
        if (object === undefined) return Promise.resolve(undefined);
        if (object.metadata.deletionTimestamp !== undefined && finalizers === null) store.remove(keyOf(at));
        else this.#upsert(store, object, { finalizers: finalizers ?? [] });
        return Promise.resolve(store.get(keyOf(at)));
      },
    };
    return client as unknown as KubeClient;
  }
}
