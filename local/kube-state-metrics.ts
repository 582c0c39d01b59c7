/** kube-state-metrics on loopback with a configuration for custom kinds; only the test of that configuration starts it. */
import { join } from "node:path";
import type { Binary } from "./binaries.ts";
import { call } from "./http.ts";
import { freePort, loopback } from "./ports.ts";
import { createProgram } from "./process.ts";

/** A running kube-state-metrics. */
export interface KubeStateMetrics {
  /** What it gives out now, in the text format. */
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts it for custom kinds alone. @throws ProgramFailed */
export async function startKubeStateMetrics(options: {
  readonly folder: string;
  readonly binary: Binary;
  readonly kubeconfig: string;
  readonly configFile: string;
}): Promise<KubeStateMetrics> {
  const [port, telemetryPort] = [await freePort(), await freePort()];
  const url = `http://${loopback}:${port}`;
  const program = createProgram({
    name: "kube-state-metrics",
    file: options.binary.path,
    args: [
      `--kubeconfig=${options.kubeconfig}`,
      "--custom-resource-state-only",
      `--custom-resource-state-config-file=${options.configFile}`,
      `--host=${loopback}`,
      `--port=${port}`,
      `--telemetry-host=${loopback}`,
      `--telemetry-port=${telemetryPort}`,
    ],
    logFile: join(options.folder, "kube-state-metrics.log"),
    ready: async () => (await call({ url: `${url}/metrics`, timeoutMs: 1_000 })).status === 200,
  });
  await program.start();
  return {
    metrics: async () => (await call({ url: `${url}/metrics` })).text,
    stop: () => program.stop(),
  };
}
