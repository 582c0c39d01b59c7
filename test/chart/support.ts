// What the chart's tests share: rendering with real helm, and calls to the API server with one token.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { parse, parseAllDocuments } from "yaml";
import type { ClusterConfig } from "../../src/runtime/index.ts";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const chart = join(root, "charts", "scaivault-operator");

/** The oldest and the newest Kubernetes that the chart is rendered for. */
export const kubeVersions = ["1.32.0", "1.35.4"] as const;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  // Manifests are read by path in assertions; each test knows the kind it asks for.
  readonly [field: string]: unknown;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function run(command: string, args: readonly string[], input?: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => (stdout += part));
    child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

/** `helm template` with the values given as an object. */
export async function renderRaw(
  helm: string,
  values: object,
  namespace = "scaivault",
  kubeVersion: string = kubeVersions[1],
): Promise<Ran> {
  return await run(
    helm,
    ["template", "scaivault-operator", chart, "-n", namespace, "--kube-version", kubeVersion, "-f", "-"],
    JSON.stringify(values),
  );
}

/** The documents of one YAML stream. */
export function documents(text: string): Manifest[] {
  return parseAllDocuments(text, { version: "1.1" })
    .map((one) => one.toJS() as Manifest | null)
    .filter((one): one is Manifest => one !== null);
}

/** The rendered objects; fails the test when helm refuses. */
export async function render(
  helm: string,
  values: object,
  namespace?: string,
  kubeVersion?: string,
): Promise<Manifest[]> {
  const ran = await renderRaw(helm, values, namespace, kubeVersion);
  if (ran.code !== 0) throw new Error(`helm template failed: ${ran.stderr}`);
  return documents(ran.stdout);
}

/** The one object of that kind (and name). */
export function one(objects: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  if (found.length !== 1 || found[0] === undefined)
    throw new Error(`${found.length} objects of kind ${kind} ${name ?? ""}`);
  return found[0];
}

/** A field by its path, such as `spec.template.spec.containers.0`. */
export function at(object: unknown, path: string): unknown {
  let value: unknown = object;
  for (const step of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

export interface Answer {
  readonly code: number;
  readonly body: Record<string, unknown>;
  /** `message` of a Status, else empty. */
  readonly message: string;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
}

/** A control plane with helm and kubectl for it. */
export interface Cluster {
  readonly helm: string;
  readonly kubeconfig: string;
  readonly kubectlPath: string;
}

/** Calls to an API server as the holder of one token. */
export class Caller {
  /** For clients of other makes. */
  readonly login: ClusterConfig;
  readonly #server: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(server: string, ca: string | undefined, token: string) {
    this.#server = server;
    this.#token = token;
    this.login = { server, token: { text: token }, ...(ca === undefined ? {} : { ca: { text: ca } }) };
    this.#agent = new Agent({ connect: ca === undefined ? { rejectUnauthorized: false } : { ca } });
  }

  async call(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    options: CallOptions = {},
  ): Promise<Answer> {
    const answer = await request(`${this.#server}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#token}`,
        accept: options.accept ?? "application/json",
        ...(options.body === undefined ? {} : { "content-type": options.contentType ?? "application/json" }),
      },
      body: options.body === undefined ? null : JSON.stringify(options.body),
    });
    const text = await answer.body.text();
    const body = (text.startsWith("{") ? JSON.parse(text) : { text }) as Record<string, unknown>;
    return { code: answer.statusCode, body, message: typeof body["message"] === "string" ? body["message"] : "" };
  }

  /** Server-side apply of one object at its URL. */
  async apply(path: string, body: object, query = ""): Promise<Answer> {
    return await this.call("PATCH", `${path}?fieldManager=scaivault-operator${query}`, {
      body,
      contentType: "application/apply-patch+yaml",
    });
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }
}

/** Runs kubectl as the administrator; throws with its error text. */
export async function kubectl(cluster: Cluster, args: readonly string[], input?: string): Promise<string> {
  const ran = await run(cluster.kubectlPath, ["--kubeconfig", cluster.kubeconfig, ...args], input);
  if (ran.code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${ran.stderr}`);
  return ran.stdout;
}

/** Runs helm as the administrator; the caller looks at the exit code. */
export async function helm(cluster: Cluster, args: readonly string[], values?: object): Promise<Ran> {
  const more = values === undefined ? [] : ["-f", "-"];
  return await run(
    cluster.helm,
    ["--kubeconfig", cluster.kubeconfig, ...args, ...more],
    values === undefined ? undefined : JSON.stringify(values),
  );
}

/** A caller with a token of that ServiceAccount, by TokenRequest. */
export async function asServiceAccount(cluster: Cluster, namespace: string, name: string): Promise<Caller> {
  const token = (await kubectl(cluster, ["-n", namespace, "create", "token", name, "--duration=1h"])).trim();
  const config = parse(readFileSync(cluster.kubeconfig, "utf8")) as {
    clusters: {
      cluster: { server: string; "certificate-authority-data"?: string; "certificate-authority"?: string };
    }[];
  };
  const entry = config.clusters[0]?.cluster;
  if (entry === undefined) throw new Error("kubeconfig without a cluster");
  const data = entry["certificate-authority-data"];
  const file = entry["certificate-authority"];
  const ca =
    data !== undefined
      ? Buffer.from(data, "base64").toString()
      : file !== undefined
        ? readFileSync(file, "utf8")
        : undefined;
  return new Caller(entry.server, ca, token);
}
