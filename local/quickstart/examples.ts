/** Applies the examples with kubectl, and waits for what the operator says about them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { reasons } from "../../src/errors/index.ts";
import type { Logins } from "./stores.ts";
import { namespace, QuickstartFailed, type World } from "./world.ts";

/** A manifest of one of our kinds, as far as the quickstart looks at it. */
export interface Manifest {
  readonly file: string;
  readonly kind: "FederationBackend" | "SecretSync";
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly type?: string;
    readonly source?: {
      readonly backendRef: { readonly name: string };
      readonly path?: string;
      readonly subtree?: string;
    };
    readonly targets?: {
      readonly scaivault?: { readonly path: string };
      readonly kubernetesSecret?: { readonly name?: string; readonly nameTemplate?: string };
    };
  };
}

/** The manifests of the examples folder; without a Vault those that need one are left out. */
export function readExamples({ examples, stores }: Pick<World, "examples" | "stores">): Manifest[] {
  const files = readdirSync(examples).filter((name) => name.endsWith(".yaml"));
  const all = files.toSorted().flatMap((name) => {
    const file = join(examples, name);
    const documents = parseAllDocuments(readFileSync(file, "utf8"));
    return documents.map((document) => ({ file, ...(document.toJS() as Omit<Manifest, "file">) }));
  });
  const noVault = all.filter(({ spec }) => stores.vault === undefined && spec.type === "hashicorp-vault");
  const missing = new Set(noVault.map(({ metadata }) => metadata.name));
  return all.filter((one) => !noVault.includes(one) && !missing.has(one.spec.source?.backendRef.name ?? ""));
}

/** What the comments in the examples tell people to make: credential Secrets and the CA, released by their label. */
export async function makeCredentials(world: World, logins: Logins): Promise<void> {
  const metadata = (name: string) => ({ name, namespace, labels: { "scaivault.scailabs.ai/credential": "true" } });
  const secret = (name: string, stringData: Readonly<Record<string, string>>) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: metadata(name),
    stringData,
  });
  const { aws, vault } = logins;
  const objects: object[] = [
    secret("aws-reader", { access_key_id: aws.accessKeyId, secret_access_key: aws.secretAccessKey }),
  ];
  if (vault !== undefined) {
    objects.push(secret("vault-approle", { role_id: vault.roleId, secret_id: vault.secretId }), {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata("vault-ca"),
      data: { "ca.crt": world.stores.ca },
    });
  }
  await world.cluster.apply(objects);
}

/** `kubectl apply` of the files. */
export async function applyExamples({ cluster }: World, manifests: readonly Manifest[]): Promise<void> {
  const files = [...new Set(manifests.map(({ file }) => file))];
  await cluster.kubectl(["apply", ...files.flatMap((file) => ["-f", file])]);
}

/** What an object says of itself. */
interface Verdict {
  readonly kind: string;
  readonly name: string;
  readonly ready: string;
  readonly reason: string;
  readonly message: string;
}

const ready = '.status.conditions[?(@.type=="Ready")]';
/** One line for each change: name, generation, observed generation, condition. The message comes last: it may hold tabs. */
const template = [
  "{.metadata.name}",
  "{.metadata.generation}",
  "{.status.observedGeneration}",
  `{${ready}.status}`,
  `{${ready}.reason}`,
  `{${ready}.message}`,
].join("|");

function parseVerdict(kind: string, line: string): Verdict {
  const [name = "", generation = "", observed = "", status = "", reason = "", ...message] = line.split("|");
  const current = generation === observed;
  return { kind, name, ready: current ? status : "Unknown", reason: current ? reason : "", message: message.join("|") };
}

function failure(verdict: Verdict | undefined, object: string): QuickstartFailed {
  if (verdict === undefined || verdict.reason === "")
    return new QuickstartFailed(`${object} has no condition yet.`, "The operator's log says what it did.");
  const row = (reasons as Readonly<Record<string, { hint: string }>>)[verdict.reason];
  // Most messages end in the hint already.
  const hint = row === undefined || verdict.message.includes(row.hint) ? undefined : row.hint;
  return new QuickstartFailed(`${object} is not Ready: ${verdict.reason}: ${verdict.message}`, hint);
}

/** What can only be mended by people: waiting longer would help nobody. */
function isTerminal({ ready: status, reason }: Verdict): boolean {
  const row = (reasons as Readonly<Record<string, { kind: string }>>)[reason];
  return status === "False" && row?.kind === "terminal";
}

/** How long the wait for readiness is, in ms. */
const readyMs = 90_000;

/**
 * Watches the objects until each is Ready.
 * @param say told what the state is, for progress
 * @throws QuickstartFailed with reason, message and hint of the first object that is not
 */
export function waitReady(
  world: World,
  manifests: readonly Manifest[],
  say: (text: string) => void,
  limitMs = readyMs,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const wanted = new Set(manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`));
  const seen = new Map<string, Verdict>();
  const stop = new AbortController();
  const pending = (): string[] => [...wanted].filter((object) => seen.get(object)?.ready !== "True");
  const look = (verdict: Verdict): void => {
    const object = `${verdict.kind} ${verdict.name}`;
    if (!wanted.has(object)) return;
    seen.set(object, verdict);
    const left = pending();
    const [next] = left.map((name) => `${name} ${seen.get(name)?.reason ?? ""}`);
    say(`${wanted.size - left.length} of ${wanted.size} Ready${next === undefined ? "" : `, ${next.trim()}`}`);
    if (left.length === 0) resolve();
    else if (isTerminal(verdict)) reject(failure(verdict, object));
  };
  for (const [kind, resource] of [
    ["FederationBackend", "federationbackends.scaivault.scailabs.ai"],
    ["SecretSync", "secretsyncs.scaivault.scailabs.ai"],
  ] as const)
    world.cluster.follow({ namespace, resource, template }, (line) => look(parseVerdict(kind, line)), stop.signal);
  const late = setTimeout(() => {
    const [object = ""] = pending();
    reject(failure(seen.get(object), object));
  }, limitMs);
  return promise.finally(() => {
    clearTimeout(late);
    stop.abort();
  });
}
