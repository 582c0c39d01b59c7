/** What a kubelet puts into a container: mounted files and fields of the pod; and where they lie on this machine. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Cluster } from "./cluster.ts";

interface VolumeItem {
  readonly key?: string;
  readonly path: string;
  readonly fieldRef?: { readonly fieldPath: string };
}
interface ProjectedSource {
  readonly serviceAccountToken?: {
    readonly path: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
  };
  readonly configMap?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly secret?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly downwardAPI?: { readonly items: readonly VolumeItem[] };
}
interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly secret?: { readonly secretName: string; readonly items?: readonly VolumeItem[] };
  readonly projected?: { readonly sources: readonly ProjectedSource[] };
  readonly emptyDir?: object;
}
interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
}
/** A container, as far as it matters here. */
export interface Container {
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
/** A pod, as far as it matters here. */
export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
}

/** Which pod. */
export interface MountOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly pod: PodSpec;
  /** Name of the pod. */
  readonly name: string;
  /** Folder that stands for the root of its file system. */
  readonly root: string;
}

/** The replica's own folder with what a kubelet would put there. */
export class Mounts {
  readonly #options: MountOptions;
  /** Path of a mount in the container to its folder here. */
  readonly paths = new Map<string, string>();
  readonly #renewAt = new Map<string, number>();
  readonly #written = new Map<string, Buffer>();

  constructor(options: MountOptions) {
    this.#options = options;
    for (const { mountPath } of options.pod.containers[0]?.volumeMounts ?? [])
      this.paths.set(mountPath, join(options.root, mountPath));
  }

  /**
   * Brings the files up to date; a token is renewed when it has lived four fifths of its time.
   * @param translate gives what is written for a file's content
   */
  async sync(translate: (file: string, content: Buffer) => Buffer): Promise<void> {
    for (const { name, mountPath } of this.#options.pod.containers[0]?.volumeMounts ?? []) {
      const volume = this.#options.pod.volumes?.find((candidate) => candidate.name === name);
      if (volume === undefined) throw new Error(`volume ${name} is not declared`);
      const folder = join(this.#options.root, mountPath);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const [path, content] of await this.#files(volume, folder))
        this.#put(join(folder, path), content, translate);
    }
  }

  #put(file: string, raw: string | Buffer, translate: (file: string, content: Buffer) => Buffer): void {
    const content = translate(file, Buffer.isBuffer(raw) ? raw : Buffer.from(raw));
    if (this.#written.get(file)?.equals(content) === true) return;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // As with a kubelet, a reader sees the old file or the new one, never a part.
    writeFileSync(`${file}.new`, content, { mode: 0o600 });
    renameSync(`${file}.new`, file);
    this.#written.set(file, content);
  }

  async #files(volume: Volume, folder: string): Promise<Map<string, string | Buffer>> {
    const files = new Map<string, string | Buffer>();
    const add = (data: Readonly<Record<string, string | Buffer>>, items: readonly VolumeItem[] | undefined): void => {
      for (const { key, path } of items ?? Object.keys(data).map((name) => ({ key: name, path: name }))) {
        const content = data[key ?? path];
        // A kubelet does not start a pod whose file is missing.
        if (content === undefined) throw new Error(`volume ${volume.name}: there is no entry ${key ?? path}`);
        files.set(path, content);
      }
    };
    if (volume.configMap !== undefined) add(await this.#configMap(volume.configMap.name), volume.configMap.items);
    if (volume.secret !== undefined) add(await this.#secret(volume.secret.secretName), volume.secret.items);
    for (const source of volume.projected?.sources ?? []) {
      if (source.configMap !== undefined) add(await this.#configMap(source.configMap.name), source.configMap.items);
      if (source.secret !== undefined) add(await this.#secret(source.secret.name), source.secret.items);
      for (const { path, fieldRef } of source.downwardAPI?.items ?? [])
        files.set(path, this.field(fieldRef?.fieldPath));
      const token = source.serviceAccountToken;
      if (token !== undefined && this.#due(join(folder, token.path), token.expirationSeconds ?? 3600))
        files.set(token.path, await this.#token(token));
    }
    return files;
  }

  /** A kubelet renews a token when it has lived four fifths of its time. */
  #due(file: string, seconds: number): boolean {
    const now = performance.now();
    if (now < (this.#renewAt.get(file) ?? 0)) return false;
    this.#renewAt.set(file, now + seconds * 800);
    return true;
  }

  async #token({ audience, expirationSeconds }: { audience?: string; expirationSeconds?: number }): Promise<string> {
    const { cluster, namespace } = this.#options;
    const account = this.#options.pod.serviceAccountName ?? "default";
    return await cluster.token(namespace, account, expirationSeconds ?? 3600, audience);
  }

  async #configMap(name: string): Promise<Record<string, string>> {
    const path = `/api/v1/namespaces/${this.#options.namespace}/configmaps/${name}`;
    return (await this.#options.cluster.get<{ data?: Record<string, string> }>(path)).data ?? {};
  }

  async #secret(name: string): Promise<Record<string, Buffer>> {
    const path = `/api/v1/namespaces/${this.#options.namespace}/secrets/${name}`;
    const { data = {} } = await this.#options.cluster.get<{ data?: Record<string, string> }>(path);
    return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64")]));
  }

  /** The downward API's fields that the chart uses. */
  field(path: string | undefined): string {
    if (path === "metadata.name") return this.#options.name;
    if (path === "metadata.namespace") return this.#options.namespace;
    throw new Error(`the field ${path ?? "?"} is not known here`);
  }
}

/**
 * Replaces container paths by paths on this machine, where they stand as whole paths: at the beginning of the text, or after
 * `=`, a quote, a space or a line break, and up to their end or a slash.
 */
export function pathMapper(paths: ReadonlyMap<string, string>): (text: string) => string {
  const ordered = [...paths].toSorted(([a], [b]) => b.length - a.length);
  return (text) => {
    let out = "";
    for (let at = 0; at < text.length;) {
      const starts = at === 0 || " =\"'\n\t[,".includes(text.charAt(at - 1));
      const fit = starts
        ? ordered.find(([inside]) => {
            const next = text.charAt(at + inside.length);
            return text.startsWith(inside, at) && (next === "" || "/\"' \n\t],*".includes(next));
          })
        : undefined;
      out += fit?.[1] ?? text.charAt(at);
      at += fit?.[0].length ?? 1;
    }
    return out;
  };
}
