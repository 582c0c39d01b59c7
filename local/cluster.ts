/**
 * A cluster through kubectl and helm alone, so that the local control plane and an existing cluster (`--context`) are used in
 * the same way: with whatever login the kubeconfig has.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { run, type RunResult } from "./run.ts";

/** Which cluster, and the programs to talk to it with. */
export interface ClusterOptions {
  readonly kubectl: string;
  readonly helm: string;
  /** Default: what kubectl takes by itself. */
  readonly kubeconfig?: string;
  /** Default: the kubeconfig's current context. */
  readonly context?: string;
}

/** A kubectl or helm that failed; the message is what it said. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
}

/** A cluster as seen by kubectl and helm. */
export interface Cluster {
  readonly options: ClusterOptions;
  /** Runs kubectl. @throws CommandFailed @returns its standard output */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Runs helm; `values` go to `-f -`. @throws CommandFailed @returns its standard output */
  helm(args: readonly string[], values?: object): Promise<string>;
  /** GET of a path, such as `/api/v1/namespaces/default`. @throws CommandFailed, also when there is none */
  get<T>(path: string): Promise<T>;
  /** The same, `undefined` when there is none. */
  find<T>(path: string): Promise<T | undefined>;
  /** Server-side apply of objects. @throws CommandFailed with the server's message */
  apply(objects: readonly object[]): Promise<void>;
  /**
   * Follows a list of objects. Each line is what the JSONPath template gives for an object, first for all that are there.
   * Runs until the signal aborts.
   */
  follow(
    what: { namespace: string; resource: string; template: string },
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): void;
  /** A token of a ServiceAccount. @param audience default the API server's */
  token(namespace: string, account: string, seconds: number, audience?: string): Promise<string>;
  /** The `cluster` entry of the kubeconfig: server, authority, proxy; without any login. */
  entry(): Promise<Readonly<Record<string, unknown>>>;
}

const timeoutMs = 180_000;

class CommandCluster implements Cluster {
  readonly options: ClusterOptions;
  readonly #kubectlArgs: readonly string[];
  readonly #helmArgs: readonly string[];

  constructor(options: ClusterOptions) {
    this.options = options;
    const { kubeconfig, context } = options;
    const file = kubeconfig === undefined ? [] : ["--kubeconfig", kubeconfig];
    this.#kubectlArgs = [...file, ...(context === undefined ? [] : ["--context", context])];
    this.#helmArgs = [...file, ...(context === undefined ? [] : ["--kube-context", context])];
  }

  async kubectl(args: readonly string[], input?: string): Promise<string> {
    return said("kubectl", args, await this.#run(args, input));
  }

  #run(args: readonly string[], input?: string): Promise<RunResult> {
    const given = input === undefined ? {} : { input };
    return run(this.options.kubectl, [...this.#kubectlArgs, ...args], { timeoutMs, ...given });
  }

  async helm(args: readonly string[], values?: object): Promise<string> {
    const file = values === undefined ? [] : ["-f", "-"];
    const input = values === undefined ? {} : { input: JSON.stringify(values) };
    return said(
      "helm",
      args,
      await run(this.options.helm, [...this.#helmArgs, ...args, ...file], { timeoutMs, ...input }),
    );
  }

  async get<T>(path: string): Promise<T> {
    return JSON.parse(await this.kubectl(["get", "--raw", path])) as T;
  }

  async find<T>(path: string): Promise<T | undefined> {
    const ran = await this.#run(["get", "--raw", path]);
    if (ran.code !== 0 && ran.stderr.includes("(NotFound)")) return undefined;
    return JSON.parse(said("kubectl", ["get", "--raw", path], ran)) as T;
  }

  async apply(objects: readonly object[]): Promise<void> {
    const list = { apiVersion: "v1", kind: "List", items: objects };
    await this.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], JSON.stringify(list));
  }

  follow(
    what: { namespace: string; resource: string; template: string },
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): void {
    if (signal.aborted) return;
    // Without --chunk-size=0 kubectl shows more than 500 objects as one list without a name.
    const args = [
      "-n",
      what.namespace,
      "get",
      what.resource,
      "--watch",
      "--chunk-size=0",
      "-o",
      `jsonpath=${what.template}{"\\n"}`,
    ];
    const child = spawn(this.options.kubectl, [...this.#kubectlArgs, ...args], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    child.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", onLine);
    const stop = (): void => void child.kill("SIGKILL");
    signal.addEventListener("abort", stop, { once: true });
    // A watch ends when the server says so; then it is taken up again.
    child.once("close", () => {
      signal.removeEventListener("abort", stop);
      if (!signal.aborted) setTimeout(() => this.follow(what, onLine, signal), 200).unref();
    });
  }

  async token(namespace: string, account: string, seconds: number, audience?: string): Promise<string> {
    const asked = audience === undefined ? [] : [`--audience=${audience}`];
    const args = ["-n", namespace, "create", "token", account, `--duration=${seconds}s`, ...asked];
    return (await this.kubectl(args)).trim();
  }

  async entry(): Promise<Readonly<Record<string, unknown>>> {
    const text = await this.kubectl(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    const config = JSON.parse(text) as { clusters?: readonly { cluster: Record<string, unknown> }[] };
    const found = config.clusters?.[0]?.cluster;
    if (found === undefined) throw new CommandFailed("The kubeconfig has no cluster in its context.");
    return found;
  }
}

function said(program: string, args: readonly string[], ran: RunResult): string {
  if (ran.code === 0) return ran.stdout;
  const why = ran.startError ?? (ran.stderr.trim() || `exit code ${ran.code}`);
  throw new CommandFailed(`${program} ${args.slice(0, 6).join(" ")}: ${why}`);
}

/** A cluster by its kubeconfig and context; nothing is asked yet. */
export function openCluster(options: ClusterOptions): Cluster {
  return new CommandCluster(options);
}
