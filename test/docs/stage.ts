/**
 * The stage on which the pages' commands run: a control plane of its own, first empty, then with the chart, the operator and the
 * objects of the quickstart. Commands see a folder that looks like a fresh clone, and kubectl, helm and the operator's program
 * on the PATH.
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChildProcess, spawn } from "node:child_process";
import { ensureBinaries } from "../../local/binaries.ts";
import { type Cluster, openCluster } from "../../local/cluster.ts";
import { startControlPlane } from "../../local/control-plane.ts";
import { type ControlPlaneClient, controlPlaneClient } from "../../local/control-plane-client.ts";
import { call } from "../../local/http.ts";
import { freePort } from "../../local/ports.ts";
import { waitFor } from "../../local/process.ts";
import { silentProgress } from "../../local/progress.ts";
import { applyExamples, makeCredentials, waitReady } from "../../local/quickstart/examples.ts";
import { operatorConfig } from "../../local/quickstart/chart.ts";
import { newRun, type Run, runQuickstart } from "../../local/quickstart/run.ts";
import { namespace, scaivaultPaths, type Stores, type World } from "../../local/quickstart/world.ts";
import { run } from "../../local/run.ts";
import { federationNetwork, type ScaiVaultPart } from "../../local/scaivault.ts";
import { bundle } from "../../scripts/build.ts";
import { type TestEnvironment, testEnvironment } from "../support/environment.ts";
import { root } from "./markdown.ts";

/** What a command did. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder like a fresh clone, in which the commands of one page run one after the other, in one shell session. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), "scaivault-docs-"));
  /** Commands that only look and have worked once: they need not be run again. */
  readonly ran = new Set<string>();
  readonly #env: NodeJS.ProcessEnv;
  readonly #background: ChildProcess[] = [];

  constructor(env: NodeJS.ProcessEnv) {
    for (const name of readdirSync(root))
      if (![".git", ".local", "dist"].includes(name)) symlinkSync(join(root, name), join(this.folder, name));
    this.#env = { ...env, HOME: this.folder };
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Runs commands in bash. Variables and the working folder go on from one call to the next. */
  async bash(commands: string): Promise<Ran> {
    const state = join(this.folder, ".session");
    const script = [
      `[ -f '${state}' ] && . '${state}'`,
      `trap '{ export -p; declare -f; } > ${state}' EXIT`,
      "set -eauo pipefail",
      commands,
    ].join("\n");
    return await run("bash", ["-c", script], { cwd: this.folder, env: this.#env, timeoutMs: 120_000 });
  }

  /** Starts commands that go on, and waits until a URL answers. */
  async background(commands: string, until: string): Promise<string> {
    const child = spawn("bash", ["-c", commands], {
      cwd: this.folder,
      env: this.#env,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#background.push(child);
    let said = "";
    child.stderr.on("data", (part: Buffer) => (said += part.toString()));
    const answers = (): Promise<boolean> =>
      call({ url: until, timeoutMs: 1_000 }).then(
        () => true,
        () => false,
      );
    return (await waitFor(answers, 20_000)) ? "" : `no answer from ${until}: ${said}`;
  }

  close(): void {
    for (const { pid } of this.#background) if (pid !== undefined) process.kill(-pid, "SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What the pages about migrations need besides the quickstart: ScaiVault may run federations of the team's stores. */
function migrating(stores: Stores): Pick<World, "values" | "rights"> {
  const credentials = ["infra/aws/*", "infra/hashicorp/*"];
  const paths = ["external/**", ...credentials];
  const config = operatorConfig(stores, { namespace, paths: [scaivaultPaths, ...paths] });
  const tenancy = (config["tenancy"] as { scaivault: object }[]).map((one) => ({
    ...one,
    federation: true,
    scaivault: { ...one.scaivault, credentials },
  }));
  return {
    values: { config: { ...config, tenancy } },
    rights: { scopes: ["federation:read", "federation:write"], paths },
  };
}

/** The stage. */
export class Stage {
  readonly env: TestEnvironment;
  readonly kube: ControlPlaneClient;
  readonly world: World;
  readonly scaivault: ScaiVaultPart;
  readonly folder: string;
  readonly quickstart: Run = newRun();
  /** A free port for a server that a page starts. */
  readonly port: number;
  readonly #ends: (() => Promise<unknown>)[];

  private constructor(
    parts: Pick<Stage, "env" | "kube" | "world" | "scaivault" | "folder" | "port">,
    ends: (() => Promise<unknown>)[],
  ) {
    this.env = parts.env;
    this.kube = parts.kube;
    this.world = parts.world;
    this.port = parts.port;
    this.scaivault = parts.scaivault;
    this.folder = parts.folder;
    this.#ends = ends;
  }

  /** An empty control plane, an AWS account and a ScaiVault of its own, and the environment's Vault. */
  static async open(): Promise<Stage> {
    const env = testEnvironment();
    const folder = mkdtempSync(join(tmpdir(), "scaivault-docs-stage-"));
    const ends: (() => Promise<unknown>)[] = [() => Promise.resolve(rmSync(folder, { recursive: true, force: true }))];
    const binaries = await ensureBinaries(["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"]);
    const controlPlane = await startControlPlane({
      folder: join(folder, "cluster"),
      binaries,
      authority: env.authority,
    });
    ends.push(() => controlPlane.stop());
    const asm = await env.ownAsm();
    ends.push(() => asm.stop());
    const scaivault = await env.ownScaiVault();
    ends.push(() => scaivault.stop());
    const app = join(folder, "app");
    await bundle({ entry: join(root, "src/main.ts"), outfile: join(app, "operator.mjs") });
    const [kubectl, helm] = [binaries.get("kubectl")?.path ?? "kubectl", binaries.get("helm")?.path ?? "helm"];
    const stores = { asm, vault: env.vault, scaivault: scaivault.server, ca: readFileSync(env.facts.caFile, "utf8") };
    await scaivault.server.admin.setFederationNetwork(
      federationNetwork({ vault: env.vault.facts.url, asm: asm.tlsUrl }, env.authority.cert),
    );
    const world: World = {
      cluster: openCluster({ kubectl, helm, kubeconfig: controlPlane.facts.adminKubeconfig }),
      stores,
      ...migrating(stores),
      release: "scaivault-operator",
      operatorNamespace: "scaivault-operator",
      examples: join(root, "examples", "quickstart"),
      bundle: app,
      folder,
      progress: silentProgress,
    };
    const kube = controlPlaneClient(controlPlane.facts);
    return new Stage({ env, kube, world, scaivault, folder, port: await freePort() }, ends);
  }

  get cluster(): Cluster {
    return this.world.cluster;
  }

  /** Installs the chart, starts the operator, applies the objects of the quickstart and waits until they are Ready. */
  async play(): Promise<void> {
    this.#ends.push(async () => this.quickstart.operator?.stop());
    await runQuickstart(this.world, this.quickstart, { mayExist: true });
  }

  /** The objects of the quickstart as they were, and all of them Ready. */
  async restore(): Promise<void> {
    const manifests = this.quickstart.manifests ?? [];
    const { logins } = this.quickstart.seeded ?? {};
    if (logins !== undefined) await makeCredentials(this.world, logins);
    await applyExamples(this.world, manifests);
    await waitReady(this.world, manifests, () => undefined);
  }

  /** Removes the release, as far as it is there. CRDs, objects and the mark key stay. */
  async uninstall(): Promise<void> {
    const { release, operatorNamespace } = this.world;
    await this.cluster.helm(["uninstall", release, "-n", operatorNamespace, "--ignore-not-found"]);
  }

  /** A scratch folder whose PATH has the stage's programs. */
  scratch(): Scratch {
    const bin = join(this.folder, "bin");
    mkdirSync(bin, { recursive: true });
    const { kubectl, helm } = this.cluster.options;
    const program = [process.execPath, join(this.world.bundle, "operator.mjs")];
    for (const [name, words] of [
      ["kubectl", [kubectl]],
      ["helm", [helm]],
      ["vault", [this.env.facts.binaries.vault ?? "vault"]],
      ["scaivault-operator", program],
    ] as const) {
      writeFileSync(join(bin, name), `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`);
      chmodSync(join(bin, name), 0o755);
    }
    return new Scratch({
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      VAULT_ADDR: this.env.vault.facts.url,
      VAULT_CACERT: this.env.vault.facts.caFile,
      VAULT_TOKEN: this.env.vault.facts.rootToken,
      KUBECONFIG: this.cluster.options.kubeconfig,
      LANG: "C.UTF-8",
      NODE_EXTRA_CA_CERTS: this.env.facts.caFile,
    });
  }

  async close(): Promise<void> {
    this.quickstart.seeded?.close();
    for (const end of this.#ends.toReversed()) await end().catch(() => undefined);
  }
}
