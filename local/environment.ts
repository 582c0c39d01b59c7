/**
 * The local environment: control plane, Vault, AWS emulator and ScaiVault reference server on loopback, one module for the
 * quickstart, the tests and the benchmarks.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ServerOptions } from "../scaivault-server/server.ts";
import type { Clock } from "../src/time/clock.ts";
import { startAsmProxy, type AsmControl, type AsmProxy } from "./asm-proxy.ts";
import { ensureBinaries, type Binary, type BinaryName } from "./binaries.ts";
import { createAuthority, type CertificateAuthority } from "./certificates.ts";
import type { ControlPlaneFacts } from "./control-plane-client.ts";
import { controlPlaneBinaries, startControlPlane, type ControlPlane, type KubernetesChoice } from "./control-plane.ts";
import { isAlive } from "./lock.ts";
import { ensureMoto, startMoto, type Moto } from "./moto.ts";
import { localFolder } from "./paths.ts";
import type { Program } from "./process.ts";
import { silentProgress, type Progress } from "./progress.ts";
import { serveRemote, type RemoteFacts } from "./remote.ts";
import { federationNetwork, startScaiVault, type ScaiVaultFacts, type ScaiVaultPart } from "./scaivault.ts";
import type { VaultFacts } from "./vault-client.ts";
import { startVault, type Vault } from "./vault.ts";

/** The parts that can be left out. */
export const parts = ["control-plane", "vault", "asm", "scaivault"] as const;
/** A part of the environment. */
export type Part = (typeof parts)[number];

/** What `startEnvironment` can be told. */
export interface EnvironmentOptions {
  readonly without?: readonly Part[];
  /** Data, certificates and logs; default a folder of this run below `.local/`, removed by `stop`. A given one stays. */
  readonly dataDir?: string;
  readonly progress?: Progress;
  /** Clock of the AWS emulator and the reference server. Control plane and Vault run on the machine's time. */
  readonly clock?: Clock;
  readonly asm?: { readonly account?: string };
  /** Settings of the reference server, e.g. `limits`. */
  readonly scaivault?: Omit<ServerOptions, "clock">;
  readonly featureGates?: readonly string[];
  /** Which Kubernetes the control plane runs; default the newest that is tested. */
  readonly kubernetes?: KubernetesChoice;
}

/** Where the AWS emulator is. Serialisable. */
export interface AsmFacts {
  readonly url: string;
  readonly tlsUrl: string;
  readonly account: string;
  /** moto itself, for further proxies with an account (and a clock) of their own. */
  readonly motoUrl: string;
}

/** All that other processes need to use an environment. Serialisable; it holds credentials of the environment. */
export interface EnvironmentFacts {
  readonly pid: number;
  readonly folder: string;
  /** The authority that all servers' certificates come from. */
  readonly caFile: string;
  /** Its private key, so that test processes can start servers of their own under it. */
  readonly caKeyFile: string;
  readonly harness: RemoteFacts;
  /** Paths of the binaries in use. */
  readonly binaries: Readonly<Partial<Record<BinaryName, string>>>;
  readonly controlPlane?: ControlPlaneFacts;
  readonly vault?: VaultFacts;
  readonly asm?: AsmFacts;
  readonly scaivault?: ScaiVaultFacts;
}

/** Names of the programs that can be steered. */
export type ProgramName = "etcd" | "kube-apiserver" | "kube-controller-manager" | "vault" | "moto";

/** Steers programs by name; the form of it that also works from other processes. */
export interface ProgramControl {
  pid(name: ProgramName): number | undefined;
  running(name: ProgramName): boolean;
  start(name: ProgramName): Promise<void>;
  stop(name: ProgramName): Promise<void>;
  /** SIGKILL. */
  kill(name: ProgramName): Promise<void>;
  /** SIGSTOP. */
  pause(name: ProgramName): void;
  /** SIGCONT. */
  resume(name: ProgramName): void;
  /** Kill (or, with `graceful`, stop) and start on the same port and data. */
  restart(name: ProgramName, options?: { graceful?: boolean }): Promise<void>;
  logTail(name: ProgramName, lines?: number): string;
}

/** What the harness offers to other processes. */
export interface HarnessObjects {
  readonly programs: ProgramControl;
  readonly asm?: AsmControl;
  /** The reference server's admin handle. */
  readonly scaivault?: ScaiVaultPart["server"]["admin"];
  /** The reference server's `stopListening` and `listenAgain`. */
  readonly scaivaultServer?: Pick<ScaiVaultPart["server"], "stopListening" | "listenAgain">;
  readonly environment: { stop(): void };
}

/** A running environment. Parts that were left out are `undefined`. */
export interface Environment {
  readonly facts: EnvironmentFacts;
  readonly authority: CertificateAuthority;
  readonly binaries: ReadonlyMap<BinaryName, Binary>;
  readonly controlPlane: ControlPlane | undefined;
  readonly vault: Vault | undefined;
  readonly moto: Moto | undefined;
  readonly asm: AsmProxy | undefined;
  readonly scaivault: ScaiVaultPart | undefined;
  readonly programs: ProgramControl;
  /** Resolves when another process asked through the harness to stop; whoever started it then calls `stop`. */
  readonly stopRequested: Promise<void>;
  /** Ends everything and removes the run's folder. May be called more than once. */
  stop(): Promise<void>;
}

const runPrefix = "run-";

/** Removes folders of runs whose process is gone. */
function removeLeftovers(): void {
  if (!existsSync(localFolder)) return;
  for (const name of readdirSync(localFolder)) {
    const pid = Number(/^run-(\d{1,10})-/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isInteger(pid) && pid !== process.pid && !isAlive(pid))
      rmSync(join(localFolder, name), { recursive: true, force: true });
  }
}

function runFolder(given: string | undefined): { folder: string; temporary: boolean } {
  if (given !== undefined) {
    mkdirSync(given, { recursive: true, mode: 0o700 });
    return { folder: given, temporary: false };
  }
  removeLeftovers();
  mkdirSync(localFolder, { recursive: true, mode: 0o700 });
  return { folder: mkdtempSync(join(localFolder, `${runPrefix}${process.pid}-`)), temporary: true };
}

function programControl(programs: ReadonlyMap<ProgramName, Program>): ProgramControl {
  const get = (name: ProgramName): Program => {
    const program = programs.get(name);
    if (program === undefined) throw new Error(`${name} is not part of this environment.`);
    return program;
  };
  return {
    pid: (name) => get(name).pid,
    running: (name) => get(name).running,
    start: (name) => get(name).start(),
    stop: (name) => get(name).stop(),
    kill: (name) => get(name).kill(),
    pause: (name) => get(name).pause(),
    resume: (name) => get(name).resume(),
    restart: (name, options) => get(name).restart(options),
    logTail: (name, lines) => get(name).logTail(lines),
  };
}

interface Started {
  controlPlane?: ControlPlane;
  vault?: Vault;
  moto?: Moto;
  asm?: AsmProxy;
  scaivault?: ScaiVaultPart;
}

async function startParts(
  options: EnvironmentOptions,
  folder: string,
  binaries: ReadonlyMap<BinaryName, Binary>,
  interpreter: string | undefined,
  authority: CertificateAuthority,
  started: Started,
): Promise<void> {
  const wanted = (part: Part): boolean => options.without?.includes(part) !== true;
  const clock = options.clock === undefined ? {} : { clock: options.clock };
  const progress = options.progress ?? silentProgress;
  const shown = async (name: string, work: () => Promise<void>): Promise<void> => {
    const step = progress.step(name);
    try {
      await work();
      step.done();
    } catch (error) {
      step.fail();
      throw error;
    }
  };
  const work: Promise<void>[] = [];
  if (wanted("control-plane")) {
    const { featureGates, kubernetes } = options;
    const more = {
      ...(featureGates === undefined ? {} : { featureGates }),
      ...(kubernetes === undefined ? {} : { kubernetes }),
    };
    work.push(
      shown("Kubernetes control plane", async () => {
        const cluster = join(folder, "control-plane");
        started.controlPlane = await startControlPlane({ folder: cluster, binaries, authority, ...more });
      }),
    );
  }
  const vaultBinary = binaries.get("vault");
  if (wanted("vault") && vaultBinary !== undefined) {
    work.push(
      shown("Vault", async () => {
        started.vault = await startVault({ folder: join(folder, "vault"), binary: vaultBinary, authority });
      }),
    );
  }
  if (wanted("asm") && interpreter !== undefined) {
    work.push(
      shown("AWS emulator", async () => {
        started.moto = await startMoto({ folder: join(folder, "moto"), interpreter });
        started.asm = await startAsmProxy({ motoUrl: started.moto.url, authority, ...clock, ...options.asm });
      }),
    );
  }
  if (wanted("scaivault")) {
    work.push(
      shown("ScaiVault reference server", async () => {
        started.scaivault = await startScaiVault({ authority, ...clock, ...options.scaivault });
      }),
    );
  }
  // All of them come to an end before a failure is passed on, so that nothing starts after the clean-up.
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  const { vault, asm, scaivault } = started;
  const stores = { vault: vault?.facts.url, asm: asm?.tlsUrl };
  await scaivault?.server.admin.setFederationNetwork(federationNetwork(stores, authority.cert));
}

async function stopParts(started: Started): Promise<void> {
  await Promise.allSettled([
    started.scaivault?.stop(),
    started.asm?.stop(),
    started.moto?.stop(),
    started.vault?.stop(),
    started.controlPlane?.stop(),
  ]);
}

function programsOf({ controlPlane, vault, moto }: Started): Map<ProgramName, Program> {
  const programs = new Map<ProgramName, Program>();
  if (controlPlane !== undefined) {
    programs.set("etcd", controlPlane.etcd);
    programs.set("kube-apiserver", controlPlane.apiserver);
    programs.set("kube-controller-manager", controlPlane.controllerManager);
  }
  if (vault !== undefined) programs.set("vault", vault.program);
  if (moto !== undefined) programs.set("moto", moto.program);
  return programs;
}

/** The binaries that a choice of parts needs; helm comes with the control plane, for the chart. */
function neededBinaries(without: readonly Part[], kubernetes?: KubernetesChoice): BinaryName[] {
  return [
    ...(without.includes("control-plane") ? [] : controlPlaneBinaries(kubernetes)),
    ...(without.includes("vault") ? [] : (["vault"] as const)),
  ];
}

/**
 * Makes what is missing (the first time for about twenty minutes, with progress), then starts all parts.
 * @throws MissingTool with what to install; UnusableBinary; PinnedPartFailed; ProgramFailed with the end of the program's log
 */
export async function startEnvironment(options: EnvironmentOptions = {}): Promise<Environment> {
  const progress = options.progress ?? silentProgress;
  const without = options.without ?? [];
  const interpreter = without.includes("asm") ? undefined : await ensureMoto({ progress });
  const binaries = await ensureBinaries(neededBinaries(without, options.kubernetes), { progress });
  const { folder, temporary } = runFolder(options.dataDir);
  const authority = createAuthority();
  const caFile = join(folder, "ca.crt");
  const caKeyFile = join(folder, "ca.key");
  writeFileSync(caFile, authority.cert);
  writeFileSync(caKeyFile, authority.key, { mode: 0o600 });
  const started: Started = {};
  const cleanUp = async (): Promise<void> => {
    await stopParts(started);
    if (temporary) rmSync(folder, { recursive: true, force: true });
  };
  try {
    await startParts(options, folder, binaries, interpreter, authority, started);
  } catch (error) {
    await stopParts(started);
    throw error;
  }
  const programs = programControl(programsOf(started));
  const { promise: stopRequested, resolve: requestStop } = Promise.withResolvers<void>();
  const { controlPlane, vault, moto, asm, scaivault } = started;
  const objects: HarnessObjects = {
    programs,
    environment: { stop: () => requestStop() },
    ...(asm === undefined ? {} : { asm }),
    ...(scaivault === undefined ? {} : { scaivault: scaivault.server.admin, scaivaultServer: scaivault.server }),
  };
  const harness = await serveRemote(objects);
  let stopping: Promise<void> | undefined;
  return {
    facts: {
      pid: process.pid,
      folder,
      caFile,
      caKeyFile,
      harness: harness.facts,
      binaries: Object.fromEntries([...binaries].map(([name, { path }]) => [name, path])),
      ...(controlPlane === undefined ? {} : { controlPlane: controlPlane.facts }),
      ...(vault === undefined ? {} : { vault: vault.facts }),
      ...(asm === undefined || moto === undefined
        ? {}
        : { asm: { url: asm.url, tlsUrl: asm.tlsUrl ?? asm.url, account: asm.account, motoUrl: moto.url } }),
      ...(scaivault === undefined ? {} : { scaivault: scaivault.facts }),
    },
    authority,
    binaries,
    controlPlane,
    vault,
    moto,
    asm,
    scaivault,
    programs,
    stopRequested,
    stop: () => (stopping ??= Promise.all([harness.stop(), cleanUp()]).then(() => undefined)),
  };
}
