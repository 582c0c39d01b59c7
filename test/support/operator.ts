/**
 * The operator inside the test's process, through its composition root: real kube-apiserver with the rights of the chart,
 * real Vault, an AWS account and a ScaiVault of its own. Queues, polls, brakes and status run on a virtual clock.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry } from "../../local/audit.ts";
import type { AsmProxy } from "../../local/asm-proxy.ts";
import { call } from "../../local/http.ts";
import type { ScaiVaultPart } from "../../local/scaivault.ts";
import type { ServerOptions } from "../../scaivault-server/server.ts";
import { compose, type ComposeOptions, type Operator } from "../../src/compose.ts";
import { type Config, loadConfig } from "../../src/config/index.ts";
import type { OperatorTerm } from "../../src/controllers/index.ts";
import { createLogger } from "../../src/telemetry/index.ts";
import { systemClock, VirtualClock } from "../../src/time/clock.ts";
import { Canaries } from "./canary.ts";
import { expectSaneConditions } from "./conditions.ts";
import { type TestEnvironment, testEnvironment } from "./environment.ts";
import { LEASE_NAME, OPERATOR_NAMESPACE, OPERATOR_USER, operatorToken, prepareAccount } from "./operator-account.ts";
import {
  backend,
  type BackendThing,
  Cluster,
  condition,
  credential,
  type Kind,
  pathTo,
  type SyncThing,
  verdict,
} from "./operator-objects.ts";
import { quiet, watchRequests } from "./operator-quiet.ts";
import { type AwsCounts, AwsTeam, operatorKey, REGION } from "./operator-stores.ts";

export * from "./operator-objects.ts";
export * from "./operator-stores.ts";
export { OPERATOR_USER };

/** Host under which specs name the Vault of the environment. */
export const VAULT_HOST = "vault.example.com:8200";

/** How an operator of tests is set up. */
export interface HarnessOptions<N extends string> {
  /** Short names; the real ones are unique and in `ns`. All are watched. */
  readonly namespaces: readonly N[];
  /** What makes names of namespaces and cluster unique; fixed only where marks were made with it. Default: random. */
  readonly id?: string;
  /** `tenancy` of the configuration; absent: tenancyMode Open. */
  readonly tenancy?: (ns: Readonly<Record<N, string>>) => readonly object[];
  /** Merged over the configuration file. */
  readonly config?: object;
  readonly scaivault?: Omit<ServerOptions, "clock">;
  /**
   * `Followed`: ScaiVault's news are followed, as by default in the product. `Forbidden`: they would be, and the identity lacks the
   * scopes. Default: polling only, because most tests are about what polls see.
   */
  readonly news?: "Followed" | "Forbidden";
  /** What the operator takes ScaiVault's limits for, calls a minute by category. */
  readonly scaivaultLimits?: ComposeOptions["scaivaultLimits"];
  /** Another URL that leads to the API server, such as a relay's. */
  readonly apiServer?: string;
  /** Other parts than the shared ones, such as a Vault or a control plane of the test's own. */
  readonly env?: TestEnvironment;
  /** The operator may register federation backends in ScaiVault, which reaches the stores of this test. */
  readonly federation?: boolean;
  /** Another operator of the fleet: its clock, stores, mark keys and ScaiVault identity are this one's too. */
  readonly fleet?: Harness<string>;
}

/** What the outside saw since `mark`. */
export interface Seen {
  readonly aws: AwsCounts;
  readonly scaivault: ReturnType<ScaiVaultPart["server"]["admin"]["counters"]>;
  /** Writes of the operator to the API server, Leases and events apart. */
  readonly kubeWrites: readonly AuditEntry[];
  /** All its requests. */
  readonly kube: readonly AuditEntry[];
  /** Operations on Vault, logins and token calls apart. */
  readonly vault: readonly { readonly operation: string; readonly path: string; readonly error: string }[];
}

/** Options of {@link Harness.eventually}. */
export interface WaitOptions {
  /** Virtual time that may pass, in small steps, while waiting; default 10 s. Enough for coalescing and first retries. */
  readonly virtualMs?: number;
  /** Machine time; default 30 s. */
  readonly timeoutMs?: number;
}

const STEP_MS = 250;
const writes = new Set(["create", "update", "patch", "delete", "deletecollection"]);

/** An operator under test with everything around it. */
export class Harness<N extends string = string> {
  readonly env: TestEnvironment;
  readonly ns: Readonly<Record<N, string>>;
  readonly clock: VirtualClock;
  readonly cluster: Cluster;
  readonly asm: AsmProxy;
  readonly aws: AwsTeam;
  readonly scaivault: ScaiVaultPart;
  readonly canaries = new Canaries();
  readonly folder: string;
  /** The configuration file as an object; a restart takes changes of it up. */
  file: Record<string, unknown>;
  /** Log lines of all runs. */
  readonly lines: string[] = [];
  /** A call without an answer for so long (machine time) counts as hung; lower it before calls are made to hang. */
  hungMs = 1_500;
  /** More of what `compose` takes. */
  more: Partial<ComposeOptions> = {};
  /** False: the lease is lost, writes must stop. */
  held = true;
  /** Texts of other processes that hold logs, for the search for canaries. */
  readonly otherTexts: (() => Iterable<readonly [string, string]>)[] = [];
  #running: { operator: Operator; term: OperatorTerm; abort: AbortController; done: Promise<void> } | undefined;
  #audit = 0;
  #vaultAudit = 0;
  /** All operators of the fleet, this one among them; the first has the stores. */
  #fleet: Harness<string>[] = [this as Harness<string>];

  private constructor(
    env: TestEnvironment,
    ns: Readonly<Record<N, string>>,
    parts: {
      clock: VirtualClock;
      asm: AsmProxy;
      scaivault: ScaiVaultPart;
      folder: string;
      file: Record<string, unknown>;
    },
  ) {
    this.env = env;
    this.ns = ns;
    this.clock = parts.clock;
    this.asm = parts.asm;
    this.aws = new AwsTeam(parts.asm);
    this.scaivault = parts.scaivault;
    this.folder = parts.folder;
    this.file = parts.file;
    this.cluster = new Cluster(env.kube);
  }

  /** Makes namespaces and stores and writes the configuration; `start` runs the operator. */
  static async prepare<N extends string>(options: HarnessOptions<N>): Promise<Harness<N>> {
    watchRequests();
    const env = options.env ?? testEnvironment();
    await prepareAccount(env);
    const id = options.id ?? randomBytes(3).toString("hex");
    const ns = Object.fromEntries(options.namespaces.map((name) => [name, `${name}-${id}`])) as Record<N, string>;
    for (const name of Object.values<string>(ns)) await env.kube.ensureNamespace(name);
    // Objects carry the machine's time, so the virtual clock begins there.
    let harness: Harness<N> | undefined = undefined as Harness<N> | undefined;
    const { fleet } = options;
    const clock = fleet?.clock ?? new VirtualClock(Date.now(), { settle: async () => harness?.quiet() });
    const asm = fleet?.asm ?? (await env.ownAsm({ clock }));
    const outgoing = {
      overrides: { [`secretsmanager.${REGION}.amazonaws.com`]: asm.tlsUrl ?? "", [VAULT_HOST]: env.vault.facts.url },
      ca: env.authority.cert,
    };
    const scaivault =
      fleet?.scaivault ?? (await env.ownScaiVault({ clock, federation: outgoing, ...options.scaivault }));
    const folder = mkdtempSync(join(tmpdir(), "operator-test-"));
    const file = await configFile(env, { ...options, id, ns, asm, scaivault, folder });
    if (fleet !== undefined) file["marks"] = fleet.file["marks"];
    harness = new Harness<N>(env, ns, { clock, asm, scaivault, folder, file });
    if (fleet !== undefined) {
      harness.#fleet = fleet.#fleet;
      harness.#fleet.push(harness as Harness<string>);
    }
    const { scaivaultLimits } = options;
    if (scaivaultLimits !== undefined) harness.more = { scaivaultLimits };
    await harness.mark();
    return harness;
  }

  get operator(): Operator {
    if (this.#running === undefined) throw new Error("the operator does not run");
    return this.#running.operator;
  }
  get term(): OperatorTerm {
    if (this.#running === undefined) throw new Error("the operator does not run");
    return this.#running.term;
  }

  /** The checked configuration. */
  config(): Config {
    const loaded = loadConfig({ file: "test", text: JSON.stringify(this.file) }, {});
    if (!loaded.ok) throw new Error(loaded.problems.map(({ field, message }) => `${field}: ${message}`).join("\n"));
    return loaded.config;
  }

  /** Runs the operator: caches, then one term of leadership. */
  async start(): Promise<void> {
    const config = this.config();
    const log = createLogger({
      level: "debug",
      cluster: config.cluster.name,
      destination: { write: (line: string) => void this.lines.push(line) },
    });
    const environment = { POD_NAME: "operator-test" };
    const operator = compose({ config, clock: this.clock, log, environment, ...this.more });
    const abort = new AbortController();
    operator.reflectors.start();
    await operator.reflectors.synced(AbortSignal.any([abort.signal, AbortSignal.timeout(30_000)]));
    this.held = true;
    const assertHeld = (): void => {
      if (!this.held) throw new Error("not the leader");
    };
    const term = operator.term({ assertHeld });
    this.#running = { operator, term, abort, done: term.run(abort.signal) };
  }

  /** Ends the operator as SIGTERM does; the stores stay. */
  async end(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.abort.abort();
    // Queues wait for their workers on the virtual clock.
    const done = running.done.then(() => running.operator.close());
    let over = false;
    void done.finally(() => (over = true)).catch(() => undefined);
    for (let turn = 0; turn < 400 && !over; turn += 1) {
      await Promise.race([done, systemClock.sleep(25)]);
      if (!over) await this.clock.advance(STEP_MS);
    }
    await done;
  }

  async restart(): Promise<void> {
    await this.end();
    await this.start();
  }

  /** Ends everything, proves that no canary got out, and leaves the environment as it was. */
  async stop(): Promise<void> {
    let failure: unknown;
    try {
      this.asm.clearFaults();
      this.scaivault.server.admin.clearFaults();
      await this.assertNoCanary();
      await this.assertSaneStatuses();
    } catch (error) {
      failure = error;
    }
    await this.end();
    for (const namespace of Object.values<string>(this.ns)) {
      await this.cluster.clear(namespace);
      await this.env.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${namespace}` });
    }
    this.aws.close();
    if (this.#fleet[0] === (this as Harness<string>)) await Promise.all([this.asm.stop(), this.scaivault.stop()]);
    rmSync(this.folder, { recursive: true, force: true });
    if (failure !== undefined) throw failure as Error;
  }

  /** Nothing in flight but what hangs. */
  quiet(): Promise<void> {
    const inFlight = () => this.#fleet.map((one) => one.#running?.operator.transport.inFlight ?? 0);
    return quiet({ others: () => inFlight().reduce((sum, one) => sum + one, 0), hungMs: this.hungMs });
  }

  /** Nothing in flight and no key due. What waits for its time stays. */
  async idle(): Promise<void> {
    const end = systemClock.monotonic() + 20_000;
    for (let calm = 0; calm < 3 && systemClock.monotonic() < end;) {
      await this.quiet();
      calm = this.#busy() ? 0 : calm + 1;
      await systemClock.sleep(10);
    }
  }

  #busy(): boolean {
    const depths = this.#fleet.flatMap((one) => one.#running?.term.queueDepths() ?? []);
    return depths.some(({ depth, inFlight }) => depth > 0 || inFlight > 0);
  }

  /** Moves the virtual clock and lets what that set off come to its end. */
  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await this.idle();
  }

  /** Until the next poll of every store has passed: an interval and a moment. */
  async interval(ms = 300_000): Promise<void> {
    await this.advance(ms + 5_000);
  }

  /** Waits for a condition without moving the virtual clock. */
  waitFor(what: string, holds: () => Promise<unknown>, timeoutMs = 30_000): Promise<void> {
    return this.eventually(what, holds, { virtualMs: 0, timeoutMs });
  }

  /** Waits for a condition that needs a moment of virtual time (coalescing, first retries). */
  async eventually(what: string, holds: () => Promise<unknown>, options: WaitOptions = {}): Promise<void> {
    const end = systemClock.monotonic() + (options.timeoutMs ?? 30_000);
    let left = options.virtualMs ?? 10_000;
    let last: unknown;
    for (;;) {
      try {
        last = await holds();
        if (last !== false && last !== undefined) return;
      } catch (error) {
        last = error instanceof Error ? error.message : error;
      }
      if (systemClock.monotonic() > end) break;
      // After the budget time still trickles, so that nothing that waits for a moment waits for ever.
      const step = left > 0 ? Math.min(STEP_MS, left) : options.virtualMs === 0 ? 0 : 2;
      left = Math.max(0, left - step);
      if (step > 0) await this.clock.advance(step);
      await systemClock.sleep(left > 0 ? 5 : 30);
    }
    throw new Error(
      `timed out: ${what}; last: ${String(last)}\n${await this.#trouble()}\n${this.lines.slice(-12).join("")}`,
    );
  }

  /** What is not Ready, for the message of a failed test. */
  async #trouble(): Promise<string> {
    const lines: string[] = [];
    for (const namespace of Object.values<string>(this.ns)) {
      for (const kind of ["FederationBackend", "SecretSync"] as const) {
        for (const thing of await this.cluster.list<SyncThing>(kind, namespace).catch(() => [])) {
          const ready = condition(thing, "Ready");
          if (ready?.status !== "True")
            lines.push(`${kind} ${thing.metadata.name}: ${verdict(thing)} ${ready?.message ?? ""}`);
        }
      }
    }
    return lines.join("\n");
  }

  /** Waits for `Ready` (or another condition) of the current generation: `True InSync`. @returns the object */
  async verdict<K extends "SecretSync" | "FederationBackend">(
    kind: K,
    namespace: string,
    name: string,
    wanted: string | readonly string[],
    options: WaitOptions & { readonly type?: string } = {},
  ): Promise<K extends "SecretSync" ? SyncThing : BackendThing> {
    let found: SyncThing | BackendThing | undefined;
    const type = options.type ?? "Ready";
    const list = [wanted].flat();
    await this.eventually(
      `${kind} ${namespace}/${name} ${type} ${list.join(" or ")}`,
      async () => {
        found = await this.cluster.get<SyncThing>(kind, namespace, name);
        const current = condition(found, type)?.observedGeneration === found?.metadata.generation;
        if (current && list.includes(verdict(found, type))) return true;
        throw new Error(JSON.stringify(found?.status ?? "no status"));
      },
      options,
    );
    expectSaneConditions(found?.status);
    return found as K extends "SecretSync" ? SyncThing : BackendThing;
  }

  /** Every status that stands now is one that tools and people can rely on. */
  async assertSaneStatuses(): Promise<void> {
    for (const namespace of Object.values<string>(this.ns)) {
      for (const kind of ["SecretSync", "FederationBackend"] as const) {
        // Without conditions it is the API server's default, not a status that the operator wrote.
        for (const { status } of await this.cluster.list<SyncThing>(kind, namespace))
          if (status?.conditions !== undefined) expectSaneConditions(status);
      }
    }
  }

  /** Waits for `Ready=True InSync` of a SecretSync. */
  ready(namespace: string, name: string, options?: WaitOptions): Promise<SyncThing> {
    return this.verdict("SecretSync", namespace, name, "True InSync", options);
  }

  /** The operator's key for this file's AWS account, released. */
  async awsCredential(namespace: string, name: string): Promise<void> {
    const { accessKeyId, secretAccessKey } = operatorKey;
    const keys = { access_key_id: accessKeyId, secret_access_key: secretAccessKey };
    await this.cluster.apply(credential(namespace, name, keys));
  }

  /** A FederationBackend on this file's AWS account with the operator's key in a released Secret. */
  async awsBackend(namespace: string, name = "aws", spec: object = {}): Promise<void> {
    await this.awsCredential(namespace, `${name}-key`);
    await this.cluster.apply(
      backend(namespace, name, {
        type: "aws-secrets-manager",
        awsSecretsManager: { region: REGION, auth: { secretRef: { name: `${name}-key` } } },
        syncInterval: "5m",
        ...spec,
      }),
    );
  }

  /** A FederationBackend on the environment's Vault with an AppRole of its own that may read the given mounts. */
  async vaultBackend(namespace: string, name: string, mounts: readonly string[], spec: object = {}): Promise<void> {
    const role = `${name}-${namespace}`;
    const rules = mounts.map((mount) => `path "${mount}/*" { capabilities = ["read", "list"] }`);
    await this.env.vault.writePolicy(role, rules.join("\n"));
    const { roleId, secretId } = await this.env.vault.createAppRole({ name: role, policies: [role] });
    await this.cluster.apply(
      credential(namespace, `${name}-approle`, { role_id: roleId, secret_id: secretId }),
      backend(namespace, name, {
        type: "hashicorp-vault",
        hashicorpVault: {
          address: `https://${VAULT_HOST}`,
          auth: { appRole: { secretRef: { name: `${name}-approle` } } },
        },
        syncInterval: "5m",
        ...spec,
      }),
    );
  }

  /** Counts begin anew. */
  async mark(): Promise<void> {
    this.asm.resetCounts();
    this.scaivault.server.admin.resetCounters();
    this.#vaultAudit = this.env.vault.auditMark();
    this.#audit = await this.env.kube.auditMark();
  }

  /** What the stores and the API server saw since `mark`. */
  async seen(): Promise<Seen> {
    const namespaces = new Set<string>(Object.values<string>(this.ns));
    const kube = (await this.env.kube.readAudit({ since: this.#audit, user: OPERATOR_USER })).filter(
      (entry) => entry.namespace === "" || namespaces.has(entry.namespace) || entry.namespace === OPERATOR_NAMESPACE,
    );
    const kubeWrites = kube.filter(
      ({ verb, resource }) =>
        writes.has(verb) && !["coordination.k8s.io/leases", "events.k8s.io/events"].includes(resource),
    );
    const vault = this.env.vault
      .readAudit({ since: this.#vaultAudit })
      .filter((entry) => entry.displayName !== "root" && !entry.path.startsWith("auth/"));
    return { aws: this.aws.counts(), scaivault: this.scaivault.server.admin.counters(), kube, kubeWrites, vault };
  }

  /** Status writes and others of one object, as `patch secretsyncs/status`. */
  static describe(entries: readonly AuditEntry[]): string[] {
    return entries.map(
      ({ verb, resource, subresource, name }) =>
        `${verb} ${resource.split("/").pop() ?? ""}${subresource && `/${subresource}`} ${name}`,
    );
  }

  /** The value at a ScaiVault path as the reference server stores it (JSON source text). */
  stored(path: string): { readonly data: string; readonly version: number; readonly deleted: boolean } | undefined {
    return this.scaivault.server.admin.peek(path);
  }

  /** Everything that people can see without a right to values, as texts. */
  async texts(): Promise<(readonly [string, string])[]> {
    const texts: (readonly [string, string])[] = [["log", this.lines.join("")]];
    for (const namespace of Object.values<string>(this.ns)) {
      for (const kind of ["SecretSync", "FederationBackend"] as const) {
        const path = pathTo(kind, namespace);
        texts.push([path, (await this.env.kube.request({ path })).text]);
      }
      const events = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
      texts.push([events, (await this.env.kube.request({ path: events })).text]);
      for (const secret of await this.cluster.list("Secret", namespace))
        texts.push([`metadata of Secret ${secret.metadata.name}`, JSON.stringify(secret.metadata)]);
    }
    if (this.#running !== undefined) texts.push(["metrics", await this.#running.operator.metrics.registry.metrics()]);
    const { admin, url, token } = this.scaivault.server;
    for (const path of admin.paths()) texts.push([`metadata of ${path}`, JSON.stringify(admin.peek(path)?.metadata)]);
    const audit = await call({
      url: `${url}/v1/audit/logs?limit=1000`,
      ca: this.env.authority.cert,
      headers: { authorization: `Bearer ${token}` },
    });
    texts.push(["audit rows of ScaiVault", audit.text]);
    texts.push(["requests of ScaiVault", JSON.stringify(admin.requests())]);
    texts.push(["calls of AWS", JSON.stringify(this.asm.calls())]);
    texts.push([
      "audit of Kubernetes",
      JSON.stringify(await this.env.kube.readAudit({ since: 0, user: OPERATOR_USER })),
    ]);
    for (const more of this.otherTexts) texts.push(...more());
    return texts;
  }

  /** @throws with where a canary was found */
  async assertNoCanary(): Promise<void> {
    const leaks = this.canaries.search(await this.texts());
    if (leaks.length > 0) {
      const lines = leaks.slice(0, 10).map(({ where, what, around }) => `${where}: ${what}: ${around}`);
      throw new Error(`${leaks.length} canaries found:\n${lines.join("\n")}`);
    }
  }
}

interface FileParts {
  readonly id: string;
  readonly ns: Readonly<Record<string, string>>;
  readonly asm: AsmProxy;
  readonly scaivault: ScaiVaultPart;
  readonly folder: string;
}

/** The configuration of an operator of tests. All local hosts are reached by the names that people would write. */
async function configFile<N extends string>(
  env: TestEnvironment,
  options: HarnessOptions<N> & FileParts,
): Promise<Record<string, unknown>> {
  const { id, ns, asm, scaivault, folder } = options;
  const keyFile = join(folder, "mark-key");
  writeFileSync(keyFile, randomBytes(32).toString("base64"));
  const tokenFile = join(folder, "scaivault-token");
  writeFileSync(tokenFile, operatorScaiVaultToken(scaivault, options));
  const server = options.apiServer === undefined ? {} : { server: options.apiServer };
  const kubeconfig = env.kube.kubeconfigFor(await operatorToken(env), server);
  const tenancy = options.tenancy?.(options.ns as Readonly<Record<N, string>>);
  return {
    cluster: { name: `cluster-${id}` },
    operatorNamespace: OPERATOR_NAMESPACE,
    scaivault: {
      url: "https://scaivault.scailabs.ai",
      auth: { tokenFile },
      ...(options.news === undefined ? { news: "Polling" } : {}),
    },
    marks: { keyFiles: [keyFile] },
    ...(tenancy === undefined ? { tenancyMode: "Open" } : { tenancyMode: "Restricted", tenancy }),
    watchNamespaces: Object.values(ns),
    caFile: env.facts.caFile,
    leaderElection: { leaseName: LEASE_NAME, leaseDuration: "6s", renewDeadline: "4s", retryPeriod: "1s" },
    health: { address: "127.0.0.1", port: 0 },
    metrics: { address: "127.0.0.1", port: 0 },
    log: { level: "debug" },
    kubernetes: { kubeconfig },
    localEnvironment: true,
    allowLoopback: true,
    endpointOverrides: {
      [`secretsmanager.${REGION}.amazonaws.com`]: asm.tlsUrl,
      "scaivault.scailabs.ai": scaivault.facts.url,
      [VAULT_HOST]: env.vault.facts.url,
    },
    ...options.config,
  };
}

/** The operator's identity in ScaiVault: what its documentation asks for, and no more. */
function operatorScaiVaultToken(
  scaivault: ScaiVaultPart,
  { news, federation }: Pick<HarnessOptions<string>, "news" | "federation">,
): string {
  return scaivault.server.admin.createToken({
    identity: "sa:scaivault-operator",
    scopes: [
      ...["secrets:read", "secrets:write", "secrets:delete", "secrets:list"],
      ...(news === "Followed" ? ["subscriptions:read", "subscriptions:write"] : []),
      ...(federation === true ? ["federation:read", "federation:write"] : []),
    ],
    rules: [{ path_pattern: "**", permissions: ["read", "write", "delete", "list"] }],
  });
}

/** Prepares and starts. */
export async function startOperator<N extends string>(options: HarnessOptions<N>): Promise<Harness<N>> {
  const harness = await Harness.prepare(options);
  await harness.start();
  return harness;
}

export type { Kind };
