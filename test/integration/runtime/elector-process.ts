/** A process of its own that leads and writes; the test stops and resumes it. Arguments: kubeconfig, namespace, identity, times. */
import {
  KubeClient,
  KubeTransport,
  LeaderElector,
  applyExisting,
  applyNew,
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
  const map = (n: number) => ({ metadata: { namespace, name: "written" }, data: { by: identity, n: String(n) } });
  const options = {
    force: true,
    signal: leadership.signal,
    guard: () => leadership.assertHeld(),
    timeoutMs: 500,
  };
  const first = await applyNew(client, resources.configMaps, map(0), options);
  if (!first.created) return;
  let { uid = "", resourceVersion } = first.metadata.metadata;
  say("written");
  for (let n = 1; ; n++) {
    try {
      const next = await applyExisting(client, resources.configMaps, map(n), uid, { ...options, resourceVersion });
      if (!next.updated) break;
      ({ uid = "", resourceVersion } = next.metadata.metadata);
    } catch {
      break;
    }
  }
  say("fenced");
}, stop.signal);
await transport.close();
