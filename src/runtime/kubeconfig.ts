import { KubeConfig, type User } from "@kubernetes/client-node";

/** Bytes from a file that may be rotated, or fixed ones. */
export type CredentialSource = { readonly file: string } | { readonly text: string | Buffer };

/** Headers and client certificate from a login that ends by itself (exec plugin, OIDC). */
export interface DynamicAuth {
  readonly headers: Readonly<Record<string, string>>;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** Where the API server is and how to log in to it. */
export interface ClusterConfig {
  /** Base URL, e.g. `https://10.0.0.1:443`; a path prefix is kept. */
  readonly server: string;
  readonly ca?: CredentialSource;
  readonly cert?: CredentialSource;
  readonly key?: CredentialSource;
  readonly tlsServerName?: string;
  readonly skipTlsVerify?: boolean;
  /** HTTP proxy of the kubeconfig. */
  readonly proxyUrl?: string;
  /** Bearer token. A file is read again every minute and after a 401. */
  readonly token?: CredentialSource;
  readonly basic?: { readonly username: string; readonly password: string };
  readonly impersonateUser?: string;
  /** Asked at most once a minute, and after a 401. */
  readonly dynamicAuth?: () => Promise<DynamicAuth>;
  /** Namespace of the context, or of the pod. */
  readonly namespace?: string;
}

export interface LoadOptions {
  /** Path of a kubeconfig. Without it and without `inCluster`: `KUBECONFIG`, `~/.kube/config`, else in-cluster. */
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Use the pod's ServiceAccount. */
  readonly inCluster?: boolean;
  /** Stands before `/var/run/secrets/kubernetes.io/serviceaccount` with `inCluster`; default empty. */
  readonly serviceAccountRoot?: string;
}

/** Loads the connection with client-node's `KubeConfig`. Throws when there is none that can be used. */
export function loadClusterConfig(options: LoadOptions = {}): ClusterConfig {
  const config = new KubeConfig();
  if (options.inCluster === true) config.loadFromCluster(options.serviceAccountRoot ?? "");
  else if (options.kubeconfig !== undefined) config.loadFromFile(options.kubeconfig);
  else config.loadFromDefault();
  if (options.context !== undefined) config.setCurrentContext(options.context);
  return clusterConfigOf(config);
}

function source(file: string | undefined, base64: string | undefined): CredentialSource | undefined {
  if (base64 !== undefined && base64 !== "") return { text: Buffer.from(base64, "base64") };
  return file === undefined || file === "" ? undefined : { file };
}

/** `tokenFile` of client-node's in-cluster user. Its field is untyped. */
function tokenFileOf(authProvider: unknown): string | undefined {
  if (typeof authProvider !== "object" || authProvider === null || !("config" in authProvider)) return undefined;
  const config: unknown = authProvider.config;
  if (typeof config !== "object" || config === null || !("tokenFile" in config)) return undefined;
  return typeof config.tokenFile === "string" ? config.tokenFile : undefined;
}

/**
 * Takes the current context out of a `KubeConfig`. The stock client's own connections are not used: it opens one per call and
 * reads the CA file synchronously each time.
 */
export function clusterConfigOf(config: KubeConfig): ClusterConfig {
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  if (cluster === null || cluster.server === "") throw new Error("the kubeconfig has no usable current context");
  const optional = {
    ca: source(cluster.caFile, cluster.caData),
    tlsServerName: cluster.tlsServerName,
    proxyUrl: cluster.proxyUrl,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    ...(user === null ? {} : loginOf(user, config)),
  };
  return { server: cluster.server.replace(/\/$/, ""), skipTlsVerify: cluster.skipTLSVerify, ...defined(optional) };
}

function loginOf(user: User, config: KubeConfig) {
  const tokenFile = tokenFileOf(user.authProvider);
  const dynamic = user.exec !== undefined || (user.authProvider !== undefined && tokenFile === undefined);
  const fixed = user.token === undefined ? undefined : { text: user.token };
  return {
    cert: source(user.certFile, user.certData),
    key: source(user.keyFile, user.keyData),
    token: tokenFile === undefined ? fixed : { file: tokenFile },
    basic: user.username === undefined ? undefined : { username: user.username, password: user.password ?? "" },
    impersonateUser: user.impersonateUser,
    dynamicAuth: dynamic ? () => askAuthenticators(config) : undefined,
  };
}

/** Without the properties that are undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

async function askAuthenticators(config: KubeConfig): Promise<DynamicAuth> {
  const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = {};
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (typeof value === "string") headers[name.toLowerCase()] = value;
  }
  const { cert, key } = options;
  const isPem = (value: unknown): value is string | Buffer => typeof value === "string" || Buffer.isBuffer(value);
  return { headers, ...(isPem(cert) ? { cert } : {}), ...(isPem(key) ? { key } : {}) };
}
