/** A process of its own that leads and writes; the test stops and resumes it. Arguments: kubeconfig, namespace, identity, times. */
import {
  KubeClient,
  KubeTransport,
  LeaderElector,
  loadClusterConfig,
  resources,
  type LeaderElectorOptions,
} from "../../../src/runtime/index.ts";
import { systemClock } from "../../../src/time/clock.ts";

const [kubeconfig = "", namespace = "", identity = "", times = "{}"] = process.argv.slice(2);
const transport = new KubeTransport({
  config: loadClusterConfig({ kubeconfig }),
  clock: systemClock,
  userAgent: identity,
});
const client = new KubeClient(transport, { fieldManager: identity });
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const elector = new LeaderElector({
  client,
  clock: systemClock,
  namespace,
  name: "fenced",
  identity,
  ...(JSON.parse(times) as Partial<LeaderElectorOptions>),
});
await elector.run(async (leadership) => {
  say("leading");
  for (let n = 1; ; n++) {
    const map = { metadata: { namespace, name: "written" }, data: { by: identity, n: String(n) } };
    try {
      leadership.assertHeld();
      await client.apply(resources.configMaps, map, { force: true, signal: leadership.signal, timeoutMs: 500 });
    } catch {
      say("fenced");
      return;
    }
    if (n === 1) say("written");
  }
}, stop.signal);
await transport.close();
