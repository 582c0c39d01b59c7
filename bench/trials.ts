/** The phases in which something happens: changes, hand edits, outages. Each leaves its figures. */
import { annotations, parseDuration } from "../src/api/index.ts";
import { ownResources } from "../src/controllers/caches.ts";
import { type KubeObject, resources } from "../src/runtime/index.ts";
import { systemClock } from "../src/time/clock.ts";
import { each } from "./each.ts";
import { createBackend, createSyncs } from "./objects.ts";
import { backendName } from "./outside.ts";
import { percentile, round } from "./percentiles.ts";
import { usageOf } from "./usage.ts";
import { type BenchWorld, nameOf, say, startProcess } from "./world.ts";

const since = (started: number): number => systemClock.monotonic() - started;
const seconds = (ms: number): number => round(ms / 1000);

/** How many objects are changed at the source: a quarter, so that no brake holds them. */
const changesOf = (size: number): number => Math.min(250, Math.max(1, Math.floor(size / 4)));

/** Changes a secret at the source. @returns milliseconds until the Secret had the new version, once it has */
async function changeAndWait(
  world: BenchWorld,
  index: number,
  timeoutMs: number,
): Promise<{ arrives: Promise<number> }> {
  const { outside, source } = world;
  const name = nameOf(index);
  const started = systemClock.monotonic();
  const version = await source.change(index);
  const late = (): string => `The change of ${name} did not arrive.`;
  const arrives = (async (): Promise<number> => {
    await outside.until(() => outside.secret(name)?.version === version, timeoutMs, late);
    const at = outside.secret(name)?.at ?? 0;
    await outside.until(() => outside.syncVersion(name) === version, timeoutMs, late);
    return at - started;
  })();
  // Whoever asked waits later; meanwhile a failure is not forgotten.
  arrives.catch(() => undefined);
  return { arrives };
}

/** Changes a quarter of the secrets, spread over an interval, and waits until all have arrived. */
async function changes(world: BenchWorld): Promise<void> {
  const { settings, freshness } = world;
  const count = changesOf(settings.size);
  const spreadMs = settings.spreadMs ?? parseDuration(settings.interval) ?? 0;
  await say(world, `${count} changes at the source`, async (update) => {
    const waiting: Promise<number>[] = [];
    for (let index = 0; index < count; index++) {
      const { arrives } = await changeAndWait(world, index, spreadMs * 2 + 120_000);
      waiting.push(arrives);
      update(`${index + 1} changed`);
      await systemClock.sleep(spreadMs / count);
    }
    freshness.push(...(await Promise.all(waiting)));
  });
  world.figures["changes"] = count;
}

/** Secrets and SecretSyncs of a backend that is not there yet: as many as `size`, beside those that are in sync. */
async function declareLater(world: BenchWorld): Promise<void> {
  const { settings, source, outside } = world;
  const { size } = settings;
  await say(world, `${size} SecretSyncs that wait for their backend`, async (update) => {
    await source.seed(size, size * 2, update);
    await createSyncs(world, size, size * 2, "later", update);
    const told = (): boolean => outside.syncsWith((ready) => /^(?:False|Unknown)/.test(ready)) >= size;
    await outside.until(told, 120_000, () => "The SecretSyncs without a backend were not told so.");
  });
}

/** Edits a Secret by hand. @returns milliseconds until it was as before */
async function editAndWait(world: BenchWorld, index: number): Promise<number> {
  const { outside, namespace } = world;
  const { client } = outside;
  const name = nameOf(index);
  const read = (): Promise<KubeObject & { readonly data?: Readonly<Record<string, string>> }> =>
    client.get(resources.secrets, { namespace, name });
  const before = await read();
  const seen: { resourceVersion: string; at: number }[] = [];
  const end = outside.onSecret((secret) => void (secret.name === name && seen.push(secret)));
  try {
    const started = systemClock.monotonic();
    const patch = { data: { password: Buffer.from("edited by hand").toString("base64") } };
    const edited = await client.mergePatch(resources.secrets, { namespace, name }, patch, { fieldManager: "somebody" });
    const later = () => seen.find((one) => Number(one.resourceVersion) > Number(edited.metadata.resourceVersion));
    await outside.until(
      () => later() !== undefined,
      120_000,
      () => `The edit of ${name} was not repaired; it is ${outside.syncReady(name)}.`,
    );
    for (;;) {
      // Counted before the look: a repair that comes meanwhile must not be waited for.
      const known = seen.length;
      const now = await read();
      const last = seen.at(-1);
      if (now.data?.["password"] === before.data?.["password"] && last !== undefined) return last.at - started;
      await outside.until(
        () => seen.length > known,
        120_000,
        () => `The edit of ${name} was not repaired; it is ${outside.syncReady(name)}.`,
      );
    }
  } finally {
    end();
  }
}

/** The backend comes for which `size` SecretSyncs wait; while they are worked through, Secrets are edited by hand. */
async function driftUnderLoad(world: BenchWorld): Promise<void> {
  const { settings, outside, figures } = world;
  const before = outside.inSync;
  const all = before + settings.size;
  await say(world, "hand edits during a backlog", async (update) => {
    await createBackend(world, "later", "store");
    const begun = (): boolean => outside.inSync > before;
    await outside.until(begun, 120_000, () => "The backlog was not begun.");
    const times: number[] = [];
    let underLoad = 0;
    for (let index = 0; index < Math.min(20, settings.size); index++) {
      const backlog = all - outside.inSync;
      update(`${index} edited, backlog ${backlog}`);
      times.push(await editAndWait(world, index));
      if (backlog > 0) underLoad++;
    }
    await outside.until(
      () => outside.inSync >= all,
      180_000 + all * 60,
      () => "The backlog was not worked through.",
    );
    Object.assign(figures, {
      edits: times.length,
      editsDuringBacklog: underLoad,
      repairP50Ms: Math.round(percentile(times, 0.5) ?? 0),
      repairMaxMs: Math.round(percentile(times, 1) ?? 0),
    });
  });
}

/** Asks a backend or SecretSync to be looked at now. */
async function requestSync(world: BenchWorld, kind: "backends" | "syncs", name: string): Promise<void> {
  const { outside, namespace } = world;
  const patch = { metadata: { annotations: { [annotations.syncRequestedAt]: new Date().toISOString() } } };
  await outside.client.mergePatch(ownResources[kind], { namespace, name }, patch, { fieldManager: "somebody" });
}

const totalCalls = ({ source }: BenchWorld): number => Object.values(source.seen().calls).reduce((a, b) => a + b, 0);

/** Each call to the store fails for a while; counted until it is over, then waited until the backend is Ready again. */
async function outage(world: BenchWorld): Promise<void> {
  const { settings, source, outside, controlPlane, figures, namespace } = world;
  const isReady = (): boolean => outside.backendReady(backendName).startsWith("True");
  await say(world, `outage of ${settings.outageMs / 1000} s`, async () => {
    const audit = await controlPlane.auditMark();
    source.resetCounts();
    const toldBefore = outside.backendChanges;
    const started = systemClock.monotonic();
    source.fail();
    await requestSync(world, "backends", backendName);
    await outside.until(
      () => !isReady(),
      60_000,
      () => "The outage was not noticed.",
    );
    const [noticed, callsToNotice] = [since(started), totalCalls(world)];
    await systemClock.sleep(Math.max(0, settings.outageMs - noticed));
    const [ended, calls] = [since(started), totalCalls(world)];
    const backendStatusWrites = outside.backendChanges - toldBefore;
    const resource = "scaivault.scailabs.ai/secretsyncs";
    const syncWrites = await controlPlane.readAudit({ since: audit, resource, subresource: "status", namespace });
    Object.assign(figures, {
      noticedSeconds: seconds(noticed),
      outageSeconds: seconds(ended),
      outageCalls: calls,
      outageProbes: calls - callsToNotice,
      // Once it is noticed there are probes alone.
      outageCallsPerMinute: round((calls - callsToNotice) / ((ended - noticed) / 60_000)),
      outageBackendStatusWrites: backendStatusWrites,
      outageSyncStatusWrites: syncWrites.length,
    });
    source.heal();
    const over = systemClock.monotonic();
    await outside.until(isReady, 60_000, () => "The backend did not become Ready again.");
    figures["recoverySeconds"] = seconds(since(over));
  });
}

/** Deletes all managed Secrets of the namespace. */
async function deleteSecrets(world: BenchWorld, names: readonly string[]): Promise<void> {
  const { outside, namespace } = world;
  await each(names.length, 16, async (at) => {
    await outside.client.delete(resources.secrets, { namespace, name: names[at] ?? "" });
  });
}

const allNames = (size: number): string[] => Array.from({ length: size }, (_, index) => nameOf(index));

/**
 * The operator is away and all Secrets are lost. Then it starts.
 * @returns seconds from its first call to the store until all Secrets are there again
 */
async function restoreAll(world: BenchWorld): Promise<number> {
  const { settings, outside, source } = world;
  await world.operator?.stop();
  await deleteSecrets(world, allNames(settings.size));
  await outside.until(
    () => outside.secrets === 0,
    60_000,
    () => "The Secrets were not deleted.",
  );
  source.resetCounts();
  const [startedAt, started] = [systemClock.now(), systemClock.monotonic()];
  await startProcess(world);
  const there = (): boolean => outside.secrets >= settings.size;
  await outside.until(there, 120_000 + settings.size * 200, () => `Only ${outside.secrets} Secrets came back.`);
  const firstMs = (source.seen().firstAt ?? startedAt) - startedAt;
  return seconds(since(started) - firstMs);
}

async function restore(world: BenchWorld): Promise<void> {
  await say(world, "all Secrets lost and restored", async () => {
    world.figures["unthrottledSeconds"] = await restoreAll(world);
  });
}

async function restoreThrottled(world: BenchWorld): Promise<void> {
  await say(world, "the same while 30 % of calls are throttled", async () => {
    world.source.throttle(0.3);
    world.figures["throttledSeconds"] = await restoreAll(world);
    world.source.heal();
  });
}

const first = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

/** Changes secrets and asks for each of them at once. @returns milliseconds for each until it had arrived */
async function changeOnRequest(world: BenchWorld, indexes: readonly number[]): Promise<number[]> {
  const waiting: Promise<number>[] = [];
  await each(indexes.length, 4, async (at) => {
    const index = indexes[at] ?? 0;
    waiting.push((await changeAndWait(world, index, 120_000)).arrives);
    await requestSync(world, "syncs", nameOf(index));
  });
  return await Promise.all(waiting);
}

/** How many objects are changed in each half of `hang`. */
const halfOf = (size: number): number => Math.min(100, Math.max(1, Math.floor(size / 4)));

/** Number of the first secret of the other store; `drift` has those before it. */
const otherFrom = (size: number): number => size * 2;

/** SecretSyncs of a second store, all in sync: as many as are changed later. */
async function declareOther(world: BenchWorld): Promise<void> {
  const { settings, source, outside } = world;
  const from = otherFrom(settings.size);
  const to = from + halfOf(settings.size);
  await say(world, `${to - from} SecretSyncs of another store`, async (update) => {
    await source.seed(from, to, update);
    await createBackend(world, "other", "other");
    await createSyncs(world, from, to, "other", update);
    const there = (): boolean => first(to - from, from).every((index) => outside.secret(nameOf(index)) !== undefined);
    await outside.until(there, 60_000, () => "The other store's Secrets did not come.");
  });
}

async function changesAlone(world: BenchWorld): Promise<void> {
  const { settings, figures } = world;
  await say(world, "changes while both stores answer", async () => {
    const started = systemClock.monotonic();
    const times = await changeOnRequest(world, first(halfOf(settings.size)));
    Object.assign(figures, {
      aloneSeconds: seconds(since(started)),
      aloneP50Ms: Math.round(percentile(times, 0.5) ?? 0),
      aloneP99Ms: Math.round(percentile(times, 0.99) ?? 0),
    });
  });
}

/** The other store hangs, with its workers in it: its Secrets are deleted, so each of its objects asks for a value. */
async function changesBesideHang(world: BenchWorld): Promise<void> {
  const { settings, figures, source, outside, freshness } = world;
  const half = halfOf(settings.size);
  await say(world, "the same changes while the other store hangs", async () => {
    source.hangOther();
    await deleteSecrets(world, first(half, otherFrom(settings.size)).map(nameOf));
    const stuck = async (): Promise<void> => {
      for (let tries = 0; source.hanging() === 0 && tries < 200; tries++) await systemClock.sleep(50);
    };
    await stuck();
    figures["hangingCalls"] = source.hanging();
    const started = systemClock.monotonic();
    const times = await changeOnRequest(world, first(half, half));
    freshness.push(...times);
    Object.assign(figures, {
      besideHangSeconds: seconds(since(started)),
      besideHangP50Ms: Math.round(percentile(times, 0.5) ?? 0),
      besideHangP99Ms: Math.round(percentile(times, 0.99) ?? 0),
      stillHanging: source.hanging(),
    });
    source.heal();
    const back = (): boolean =>
      first(half, otherFrom(settings.size)).every((index) => outside.secret(nameOf(index)) !== undefined);
    await outside.until(back, 180_000, () => "The other store's Secrets did not come back.");
  });
}

/** Memory of the operator some seconds after it has started: the median of many looks. */
async function memory(world: BenchWorld): Promise<number> {
  const samples: number[] = [];
  for (let look = 0; look < (world.settings.samples ?? 25); look++) {
    const pid = world.operator?.program.pid;
    if (pid !== undefined) samples.push((await usageOf(pid)).rssMB);
    await systemClock.sleep(200);
  }
  return percentile(samples, 0.5) ?? 0;
}

async function memoryWithout(world: BenchWorld): Promise<void> {
  world.figures["rssWithoutForeignMB"] = round(await memory(world));
}

async function memoryWith(world: BenchWorld): Promise<void> {
  const { figures } = world;
  const now = round(await memory(world));
  const without = figures["rssWithoutForeignMB"] ?? 0;
  Object.assign(figures, { rssWithForeignMB: now, foreignMB: round(now - without) });
}

/** Secrets that are not ours, in the namespace of those that are. */
async function createForeign(world: BenchWorld): Promise<void> {
  const { outside, settings, namespace } = world;
  const data = { password: Buffer.from("foreign".repeat(20)).toString("base64") };
  await say(world, `${settings.foreign} Secrets of others`, async (update) => {
    await each(settings.foreign, 16, async (index) => {
      if (index % 500 === 0) update(String(index));
      const object = { metadata: { name: `foreign-${index}`, namespace }, data } as KubeObject;
      await outside.client.create(resources.secrets, object);
    });
  });
}

/** Phases by name. */
export const trials = {
  changes,
  declareLater,
  driftUnderLoad,
  outage,
  restore,
  restoreThrottled,
  declareOther,
  changesAlone,
  changesBesideHang,
  memoryWithout,
  memoryWith,
  createForeign,
} as const;
