import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { Config } from "./config/index.ts";
import { errorCode, SyncError } from "./errors/index.ts";
import { Network, readCAFile } from "./net/index.ts";
import { followNetworkFiles, type NetworkFiles } from "./reload.ts";
import type { Logger, Metrics } from "./telemetry/index.ts";
import type { Clock } from "./time/clock.ts";

/** The network of all clients but the Kubernetes one; it follows its files until `unfollow`. @throws SyncError InvalidSpec */
export function makeNetwork(
  config: Config,
  parts: {
    /** URL of the API server. */
    readonly apiServer: string;
    readonly userAgent: string;
    readonly metrics: Metrics;
    readonly log: Logger;
    readonly clock: Clock;
  },
): { readonly network: Network; readonly unfollow: () => void } {
  const files = networkFiles(config);
  const network = networkOf(config, parts, files);
  return { network, unfollow: followNetworkFiles(config, files, { network, log: parts.log, clock: parts.clock }) };
}

function networkFiles({ caFile, proxy }: Config): NetworkFiles {
  return {
    extraCA: caFile === undefined ? undefined : readCAFile(caFile),
    proxyURL: proxy === undefined ? undefined : (proxy.url ?? fileText(proxy.urlFile ?? "", "proxy.urlFile")),
  };
}

function networkOf(
  config: Config,
  { apiServer, userAgent, metrics }: { apiServer: string; userAgent: string; metrics: Metrics },
  files: NetworkFiles,
): Network {
  const { extraCA, proxyURL } = files;
  const scaivaultHost = config.scaivault?.url === undefined ? undefined : new URL(config.scaivault.url).host;
  return new Network({
    userAgent,
    allowLoopback: config.allowLoopback,
    endpointOverrides: config.endpointOverrides,
    onExchange: ({ host, action, outcome, ms }) => {
      // ScaiVault's own calls are counted by category.
      if (host !== scaivaultHost) metrics.sourceCall(host, action, outcome, ms);
    },
    deniedAddresses: apiServerAddresses(apiServer),
    ...(extraCA === undefined ? {} : { extraCA }),
    ...(proxyURL === undefined ? {} : { proxy: { url: proxyURL, exceptions: config.proxy?.noProxy } }),
  });
}

/** A file that the configuration names. @throws SyncError InvalidSpec */
function fileText(path: string, field: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new SyncError("InvalidSpec", `${field}: ${path} cannot be read (${errorCode(error) ?? "unknown error"})`);
  }
}

/** The kube-apiserver is no store: credentials of backends are never sent to its address. */
function apiServerAddresses(server: string): string[] {
  const host = new URL(server).hostname.replace(/^\[|\]$/g, "");
  return isIP(host) === 0 || host.startsWith("127.") || host === "::1" ? [] : [host];
}
