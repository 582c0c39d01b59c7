import { parseDuration } from "../api/index.ts";
import { DEFAULT_AWS_SECRET, parseAwsSecretRef } from "./aws-secret-ref.ts";
import { type ConfigFile, configDefaults } from "./schema.ts";

/** How the operator logs in to ScaiVault. Files are read again when they change. */
export type ScaiVaultAuth =
  | { readonly method: "TokenFile"; readonly tokenFile: string }
  | {
      readonly method: "ClientCredentials";
      readonly tokenURL: string;
      readonly clientIDFile: string;
      readonly clientSecretFile: string;
      readonly scope?: string;
    }
  | {
      readonly method: "TokenExchange";
      readonly subjectTokenFile: string;
      /** Absent: `/v1/auth/exchange` of the ScaiVault URL. */
      readonly url?: string;
      readonly audience?: string;
      readonly scope?: string;
      readonly role?: string;
    }
  /** Everything but the rights stands in a secret of AWS; `src/connection` loads and follows it. */
  | { readonly method: "AwsSecret"; readonly secret: AwsSecretLocation };

/** Whose rights an AWS secret is read with. */
export type AwsLogin =
  | { readonly mode: "InstanceRole" | "Default" }
  | { readonly mode: "Profile"; readonly profile: string; readonly profileFile?: string }
  | {
      readonly mode: "Explicit";
      /** Absent: the environment's variables. */
      readonly files?: {
        readonly accessKeyID: string;
        readonly secretAccessKey: string;
        readonly sessionToken?: string;
      };
    };

/** The secret of AWS that holds the ScaiVault connection. */
export interface AwsSecretLocation {
  /** Name, id or ARN; checked. */
  readonly name: string;
  /** Of the ARN or the field; absent: the instance's. */
  readonly region?: string;
  readonly intervalMs: number;
  readonly credentials: AwsLogin;
}

/** Calls a minute by category of ScaiVault's rate limits. */
export type ScaiVaultLimits = Partial<
  Readonly<
    Record<
      | "read"
      | "write"
      | "delete"
      | "list"
      | "batchRead"
      | "batchMetadata"
      | "audit"
      | "policy"
      | "federation"
      | "subscription"
      | "subscriptionPoll",
      number
    >
  >
>;

/** The ScaiVault connection. */
export interface ScaiVaultConnection {
  /** Absent with `auth.method: AwsSecret` until the secret was read. */
  readonly url?: string;
  readonly auth: ScaiVaultAuth;
  readonly tenantID?: string;
  /** How the tenant is named; absent counts as `Header`. */
  readonly tenantIn?: "Header" | "Path";
  /** `Reader`: this operator never writes to ScaiVault. */
  readonly role: "Writer" | "Reader";
  /** Whether changes in ScaiVault are told by a subscription, beside the polls. */
  readonly news: "Subscription" | "Polling";
  /** Part of the limits that this operator may use, above 0 up to 1. */
  readonly rateShare: number;
  /** Where they are not the documented ones. */
  readonly limits: ScaiVaultLimits;
  /** Clusters whose marks this writer takes over. */
  readonly takeOverFrom: readonly string[];
}

/** Rights of some namespaces; absent ones are empty. Globs may hold `{namespace}` as a whole segment. */
export interface TenancyEntry {
  readonly namespaces: readonly string[];
  readonly scaivault: {
    readonly read: readonly string[];
    readonly write: readonly string[];
    readonly credentials: readonly string[];
  };
  /** `HOST`, `HOST:PORT`, `*.DOMAIN`, each also with `https://` before it. */
  readonly endpoints: readonly string[];
  readonly ambientIdentity: boolean;
  readonly federation: boolean;
}

export interface Listener {
  readonly address: string;
  readonly port: number;
}

/** The operator's configuration with all defaults filled in; frozen through and through. */
export interface Config {
  readonly cluster: { readonly name: string };
  readonly operatorNamespace: string;
  /** Absent: no object can have a ScaiVault target. */
  readonly scaivault?: ScaiVaultConnection;
  /** The first signs, all verify; see `readMarkKeys`. */
  readonly marks: { readonly keyFiles: readonly string[] };
  readonly tenancyMode: "Restricted" | "Open";
  readonly tenancy: readonly TenancyEntry[];
  /** Absent: all namespaces. */
  readonly watchNamespaces?: readonly string[];
  readonly budgets: { readonly objects: number; readonly matches: number; readonly trees: number };
  readonly proxy?: { readonly url?: string; readonly urlFile?: string; readonly noProxy: readonly string[] };
  readonly caFile?: string;
  readonly leaderElection: {
    readonly leaseName: string;
    readonly leaseDurationMs: number;
    readonly renewDeadlineMs: number;
    readonly retryPeriodMs: number;
  };
  readonly health: Listener;
  /** `objects`: one series an object beside the counts. */
  readonly metrics: Listener & { readonly objects: boolean };
  readonly log: { readonly level: "error" | "warn" | "info" | "debug" };
  readonly kubernetes: { readonly kubeconfig?: string; readonly context?: string };
  /** Objects worked on at a time, per store. */
  readonly workers: number;
  readonly localEnvironment: boolean;
  readonly endpointOverrides: Readonly<Record<string, string>>;
  readonly allowLoopback: boolean;
}

/** Fills defaults in. The file was checked before. @param awsSecret name of the connection's secret where the file gives none */
export function resolveConfig(file: ConfigFile, awsSecret: string = DEFAULT_AWS_SECRET): Config {
  const duration = (text: string | undefined, fallback: string): number =>
    parseDuration(text ?? fallback) ?? parseDuration(fallback) ?? 0;
  const election = file.leaderElection;
  const listener = (given: { address?: string | undefined; port?: number | undefined } | undefined, port: number) => ({
    address: given?.address ?? configDefaults.address,
    port: given?.port ?? port,
  });
  return freeze({
    cluster: file.cluster,
    operatorNamespace: file.operatorNamespace,
    ...(file.scaivault === undefined ? {} : { scaivault: connection(file.scaivault, awsSecret) }),
    marks: file.marks,
    tenancyMode: file.tenancyMode ?? "Restricted",
    tenancy: (file.tenancy ?? []).map((entry) => ({
      namespaces: entry.namespaces,
      scaivault: {
        read: entry.scaivault?.read ?? [],
        write: entry.scaivault?.write ?? [],
        credentials: entry.scaivault?.credentials ?? [],
      },
      endpoints: entry.endpoints ?? [],
      ambientIdentity: entry.ambientIdentity ?? false,
      federation: entry.federation ?? false,
    })),
    ...(file.watchNamespaces === undefined ? {} : { watchNamespaces: file.watchNamespaces }),
    budgets: {
      objects: file.budgets?.objects ?? configDefaults.objects,
      matches: file.budgets?.matches ?? configDefaults.matches,
      trees: file.budgets?.trees ?? configDefaults.trees,
    },
    ...(file.proxy === undefined ? {} : { proxy: { ...present(file.proxy), noProxy: file.proxy.noProxy ?? [] } }),
    ...present({ caFile: file.caFile }),
    leaderElection: {
      leaseName: election?.leaseName ?? configDefaults.leaseName,
      leaseDurationMs: duration(election?.leaseDuration, configDefaults.leaseDuration),
      renewDeadlineMs: duration(election?.renewDeadline, configDefaults.renewDeadline),
      retryPeriodMs: duration(election?.retryPeriod, configDefaults.retryPeriod),
    },
    health: listener(file.health, configDefaults.healthPort),
    metrics: { ...listener(file.metrics, configDefaults.metricsPort), objects: file.metrics?.objects ?? false },
    log: { level: file.log?.level ?? configDefaults.logLevel },
    kubernetes: present(file.kubernetes ?? {}),
    workers: file.workers ?? configDefaults.workers,
    localEnvironment: file.localEnvironment ?? false,
    endpointOverrides: file.endpointOverrides ?? {},
    allowLoopback: file.allowLoopback ?? false,
  });
}

function connection(given: NonNullable<ConfigFile["scaivault"]>, awsSecret: string): ScaiVaultConnection {
  return {
    ...present({ url: given.url?.replace(/\/$/, "") }),
    auth: login(given, awsSecret),
    ...present({ tenantID: given.tenantID, tenantIn: given.tenantIn }),
    role: given.role ?? configDefaults.role,
    news: given.news ?? configDefaults.news,
    rateShare: given.rateShare ?? configDefaults.rateShare,
    limits: present(given.limits ?? {}),
    takeOverFrom: given.takeOverFrom ?? [],
  };
}

type GivenConnection = NonNullable<ConfigFile["scaivault"]>;

function login({ auth = {}, connectionFrom }: GivenConnection, awsSecret: string): ScaiVaultAuth {
  if (connectionFrom !== undefined)
    return { method: "AwsSecret", secret: awsSecretLocation(connectionFrom.awsSecret, awsSecret) };
  if (auth.clientCredentials !== undefined) return { method: "ClientCredentials", ...present(auth.clientCredentials) };
  if (auth.tokenExchange !== undefined) return { method: "TokenExchange", ...present(auth.tokenExchange) };
  return { method: "TokenFile", tokenFile: auth.tokenFile ?? "" };
}

type GivenSecret = NonNullable<GivenConnection["connectionFrom"]>["awsSecret"];

function awsSecretLocation(given: GivenSecret, fallback: string): AwsSecretLocation {
  const name = given.name ?? fallback;
  return {
    name,
    ...present({ region: parseAwsSecretRef(name)?.region ?? given.region }),
    intervalMs: parseDuration(given.interval ?? configDefaults.connectionInterval) ?? 0,
    credentials: awsLogin(given.credentials ?? {}),
  };
}

function awsLogin(given: NonNullable<GivenSecret["credentials"]>): AwsLogin {
  const { mode = configDefaults.awsCredentials, profile = "" } = given;
  if (mode === "Profile") return { mode, profile, ...present({ profileFile: given.profileFile }) };
  if (mode !== "Explicit") return { mode };
  const { accessKeyIDFile, secretAccessKeyFile, sessionTokenFile } = given;
  if (accessKeyIDFile === undefined || secretAccessKeyFile === undefined) return { mode };
  const key = { accessKeyID: accessKeyIDFile, secretAccessKey: secretAccessKeyFile };
  return { mode, files: { ...key, ...present({ sessionToken: sessionTokenFile }) } };
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without the members that are undefined. */
function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Present<T>;
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const item of Object.values(value)) freeze(item);
    Object.freeze(value);
  }
  return value;
}
