/**
 * The binaries of the local environment: which versions are taken, where they come from, and the pins that are checked.
 *
 * The Go modules below `go/` pin every source file by `go.sum`; they are built with `-mod=readonly`.
 */
import { join } from "node:path";
import { repositoryRoot } from "./paths.ts";

/** Names of the binaries. */
export type BinaryName =
  | "etcd"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kubectl"
  | "helm"
  | "vault"
  // Only tests take these: the oldest supported Kubernetes, and what GitOps tools make of our objects.
  | "kube-apiserver-oldest"
  | "kube-controller-manager-oldest"
  | "gitops-judge"
  // The test of metrics, alerts and dashboard.
  | "prometheus"
  | "promtool"
  | "kube-state-metrics";

/** Half-open range of versions: `atLeast <= version < below`. */
export interface VersionRange {
  readonly atLeast: string;
  readonly below: string;
}

/** A file on the web, with the sum that it must have. */
export interface PinnedDownload {
  readonly version: string;
  readonly url: string;
  readonly sha512: string;
  /** The binary's path inside the archive. */
  readonly member: string;
}

/** How one binary is found or made. */
export interface Recipe {
  readonly name: BinaryName;
  /** The pinned version: what is built. */
  readonly version: string;
  /** The module's version, where it is not the same. */
  readonly moduleVersion?: string;
  /** Environment variable with the binary's path. */
  readonly variable: string;
  /** Environment variable with a folder that holds the binary under its name. */
  readonly folderVariable?: string;
  /** Versions that are taken from an environment variable: an explicit choice, so the range is wide. */
  readonly acceptsChosen: VersionRange;
  /** Versions that are taken from PATH. */
  readonly acceptsFromPath: VersionRange;
  /** Arguments that make it print its version. */
  readonly versionArguments: readonly string[];
  /** Published archives by `platform-arch`. */
  readonly downloads: Readonly<Record<string, PinnedDownload>>;
  /** The committed Go module that it is built from. */
  readonly module: string;
  readonly goPackage: string;
  readonly linkerFlags: readonly string[];
  /** Build tags, joined by commas. */
  readonly tags?: string;
  /** Measured build time on two cores with an empty build cache, for the progress line. */
  readonly usualBuild: string;
}

/** The newest Kubernetes that is tested; the environment runs it. */
export const kubernetes = "1.35.4";
/** The oldest supported Kubernetes. */
export const oldestKubernetes = "1.32.13";

// setup-envtest's archive. It has no 1.35.4; it is used only where its sum is known here. The sum is the one of the
// release index (envtest-releases.yaml).
function envtest(member: string): Record<string, PinnedDownload> {
  return {
    "linux-x64": {
      version: "envtest-1.35.0",
      url: "https://github.com/kubernetes-sigs/controller-tools/releases/download/envtest-v1.35.0/envtest-v1.35.0-linux-amd64.tar.gz",
      sha512:
        "130369c16f076e724d089189afaede960316f5f5dea6cf57be7a4fc6f09c77342893192509790e4056e116e232dff832ed863f5bd55dcb55d38f3ab834828a11",
      member: `controller-tools/envtest/${member}`,
    },
  };
}

const goFolder = join(repositoryRoot, "local", "go");

// A plain `go build` leaves the version at v0.0.0; clients and the feature gates read it.
const kubernetesLinkerFlags = (version: string): string[] =>
  ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((path) => [
    `-X ${path}.gitVersion=v${version}`,
    `-X ${path}.gitMajor=${version.split(".")[0] ?? ""}`,
    `-X ${path}.gitMinor=${version.split(".")[1] ?? ""}`,
    `-X ${path}.gitTreeState=clean`,
  ]);

function kubernetesRecipe(
  name: "kube-apiserver" | "kube-controller-manager" | "kubectl",
  rest: Pick<Recipe, "variable" | "acceptsFromPath" | "versionArguments" | "downloads" | "usualBuild">,
): Recipe {
  return {
    name,
    version: kubernetes,
    folderVariable: "KUBEBUILDER_ASSETS",
    acceptsChosen: { atLeast: "1.32.0", below: "2.0.0" },
    module: join(goFolder, "kubernetes"),
    goPackage: `k8s.io/kubernetes/cmd/${name}`,
    linkerFlags: kubernetesLinkerFlags(kubernetes),
    ...rest,
  };
}

function oldestRecipe(name: "kube-apiserver" | "kube-controller-manager", usualBuild: string): Recipe {
  const range: VersionRange = { atLeast: "1.32.0", below: "1.33.0" };
  return {
    name: `${name}-oldest`,
    version: oldestKubernetes,
    variable: `${name.toUpperCase().replaceAll("-", "_")}_OLDEST_BIN`,
    acceptsChosen: range,
    acceptsFromPath: range,
    versionArguments: ["--version"],
    downloads: {},
    module: join(goFolder, "kubernetes-1.32"),
    goPackage: `k8s.io/kubernetes/cmd/${name}`,
    linkerFlags: kubernetesLinkerFlags(oldestKubernetes),
    usualBuild,
  };
}

function prometheusRecipe(name: "prometheus" | "promtool", rest: Pick<Recipe, "variable" | "usualBuild">): Recipe {
  return {
    name,
    // Version 3.N.M is the module v0.3NN.M.
    version: "3.11.3",
    moduleVersion: "0.311.3",
    acceptsChosen: { atLeast: "3.0.0", below: "4.0.0" },
    acceptsFromPath: { atLeast: "3.0.0", below: "4.0.0" },
    versionArguments: ["--version"],
    downloads: {},
    module: join(goFolder, "prometheus"),
    goPackage: `github.com/prometheus/prometheus/cmd/${name}`,
    linkerFlags: ["-X github.com/prometheus/common/version.Version=3.11.3"],
    // Without the service discoveries of clouds: half of the sources.
    tags: "remove_all_sd",
    ...rest,
  };
}

const sameMinor: VersionRange = { atLeast: "1.35.0", below: "1.36.0" };

/** All recipes, in the order in which they are made. */
export const recipes: Readonly<Record<BinaryName, Recipe>> = {
  etcd: {
    name: "etcd",
    version: "3.6.16",
    variable: "ETCD_BIN",
    folderVariable: "KUBEBUILDER_ASSETS",
    acceptsChosen: { atLeast: "3.5.0", below: "4.0.0" },
    acceptsFromPath: { atLeast: "3.6.0", below: "3.8.0" },
    versionArguments: ["--version"],
    downloads: envtest("etcd"),
    module: join(goFolder, "etcd"),
    goPackage: "go.etcd.io/etcd/server/v3",
    linkerFlags: [],
    usualBuild: "about a minute",
  },
  "kube-apiserver": kubernetesRecipe("kube-apiserver", {
    variable: "KUBE_APISERVER_BIN",
    acceptsFromPath: sameMinor,
    versionArguments: ["--version"],
    downloads: envtest("kube-apiserver"),
    usualBuild: "four to eight minutes",
  }),
  kubectl: kubernetesRecipe("kubectl", {
    variable: "KUBECTL_BIN",
    acceptsFromPath: { atLeast: "1.30.0", below: "2.0.0" },
    versionArguments: ["version", "--client"],
    downloads: envtest("kubectl"),
    usualBuild: "about a minute",
  }),
  "kube-controller-manager": kubernetesRecipe("kube-controller-manager", {
    variable: "KUBE_CONTROLLER_MANAGER_BIN",
    acceptsFromPath: sameMinor,
    versionArguments: ["--version"],
    downloads: {},
    usualBuild: "one to three minutes",
  }),
  helm: {
    name: "helm",
    version: "3.20.2",
    variable: "HELM_BIN",
    acceptsChosen: { atLeast: "3.14.0", below: "5.0.0" },
    acceptsFromPath: { atLeast: "3.14.0", below: "4.0.0" },
    versionArguments: ["version", "--short"],
    downloads: {},
    module: join(goFolder, "helm"),
    goPackage: "helm.sh/helm/v3/cmd/helm",
    linkerFlags: [
      "-X helm.sh/helm/v3/internal/version.version=v3.20.2",
      "-X helm.sh/helm/v3/internal/version.gitTreeState=clean",
    ],
    usualBuild: "about a minute",
  },
  vault: {
    name: "vault",
    version: "1.21.0",
    variable: "VAULT_BIN",
    acceptsChosen: { atLeast: "1.13.0", below: "3.0.0" },
    acceptsFromPath: { atLeast: "1.15.0", below: "2.0.0" },
    versionArguments: ["version"],
    downloads: {},
    module: join(goFolder, "vault"),
    goPackage: "github.com/hashicorp/vault",
    linkerFlags: [],
    usualBuild: "five to eight minutes",
  },
  "kube-apiserver-oldest": oldestRecipe("kube-apiserver", "four to eight minutes"),
  "kube-controller-manager-oldest": oldestRecipe("kube-controller-manager", "one to three minutes"),
  "gitops-judge": {
    name: "gitops-judge",
    version: "1.0.0",
    variable: "GITOPS_JUDGE_BIN",
    acceptsChosen: { atLeast: "1.0.0", below: "1.0.1" },
    acceptsFromPath: { atLeast: "1.0.0", below: "1.0.1" },
    versionArguments: ["version"],
    downloads: {},
    module: join(goFolder, "gitops-judge"),
    goPackage: ".",
    linkerFlags: [],
    usualBuild: "a minute",
  },
  promtool: prometheusRecipe("promtool", { variable: "PROMTOOL_BIN", usualBuild: "about a minute" }),
  prometheus: prometheusRecipe("prometheus", { variable: "PROMETHEUS_BIN", usualBuild: "about two minutes" }),
  "kube-state-metrics": {
    name: "kube-state-metrics",
    version: "2.15.0",
    variable: "KUBE_STATE_METRICS_BIN",
    acceptsChosen: { atLeast: "2.10.0", below: "3.0.0" },
    acceptsFromPath: { atLeast: "2.15.0", below: "3.0.0" },
    versionArguments: ["version"],
    downloads: {},
    module: join(goFolder, "kube-state-metrics"),
    goPackage: "k8s.io/kube-state-metrics/v2",
    linkerFlags: ["-X github.com/prometheus/common/version.Version=2.15.0"],
    usualBuild: "about a minute",
  },
};

/** Compares `1.2.3` with `1.10.0` by number. Missing parts count as 0. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether a version lies in a range. */
export function inRange(version: string, range: VersionRange): boolean {
  return compareVersions(version, range.atLeast) >= 0 && compareVersions(version, range.below) < 0;
}

/** The first `x.y.z` in what a binary printed about its version. */
export function parseVersion(output: string): string | undefined {
  return /\d{1,6}\.\d{1,6}\.\d{1,6}/.exec(output)?.[0];
}
