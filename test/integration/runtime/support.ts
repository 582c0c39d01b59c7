import { randomBytes } from "node:crypto";
import {
  KubeClient,
  KubeTransport,
  loadClusterConfig,
  type KubeObject,
  type RequestObservation,
} from "../../../src/runtime/index.ts";
import { systemClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";

export interface SecretObject extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** A client of ours as administrator, on its own connections. */
export function connect(fieldManager = "runtime-test"): {
  client: KubeClient;
  transport: KubeTransport;
  seen: RequestObservation[];
} {
  const seen: RequestObservation[] = [];
  const transport = new KubeTransport({
    config: loadClusterConfig({ kubeconfig: testEnvironment().kube.facts.adminKubeconfig }),
    clock: systemClock,
    userAgent: "runtime-test",
    onRequest: (observation) => seen.push(observation),
  });
  return { client: new KubeClient(transport, { fieldManager }), transport, seen };
}

/** A namespace for one test file. */
export async function ownNamespace(): Promise<string> {
  const name = `runtime-${randomBytes(4).toString("hex")}`;
  await testEnvironment().kube.ensureNamespace(name);
  return name;
}

export const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Waits for a condition; fails with what it waited for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 30_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
