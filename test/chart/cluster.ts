// A control plane of its own for one test file: chart tests install cluster-wide objects and remove them again.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBinaries, ensureBinary } from "../../local/binaries.ts";
import { createAuthority } from "../../local/certificates.ts";
import { controlPlaneBinaries, type KubernetesChoice, startControlPlane } from "../../local/control-plane.ts";
import type { Cluster } from "./support.ts";

/** The path of helm. */
export async function helmBinary(): Promise<string> {
  return (await ensureBinary("helm")).path;
}

/** Starts etcd, kube-apiserver and kube-controller-manager; `stop` ends them and removes their data. */
export async function chartCluster(
  kubernetes: KubernetesChoice = "newest",
): Promise<{ cluster: Cluster; stop: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "scaivault-chart-"));
  const binaries = await ensureBinaries(controlPlaneBinaries(kubernetes));
  const controlPlane = await startControlPlane({ folder, binaries, authority: createAuthority(), kubernetes });
  return {
    cluster: {
      helm: await helmBinary(),
      kubeconfig: controlPlane.facts.adminKubeconfig,
      kubectlPath: controlPlane.facts.kubectl,
    },
    stop: async () => {
      await controlPlane.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
