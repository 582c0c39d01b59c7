/** Changes one value in ASM and watches it arrive. */
import { systemClock } from "../../src/time/clock.ts";
import { waitFor } from "../process.ts";
import { sameInScaiVault } from "./flows.ts";
import { madeUp, type Seed, type Seeded } from "./stores.ts";
import { namespace, QuickstartFailed, type World } from "./world.ts";

/** What a rotation did; times are milliseconds from the change in ASM. */
export interface Rotation {
  readonly source: { readonly path: string; readonly from: string; readonly to: string };
  readonly scaivault: { readonly path: string; readonly from: number; readonly to: number; readonly ms: number };
  readonly secret: { readonly name: string; readonly key: string; readonly ms: number };
}

/** The example that is rotated. */
const rotated = {
  sync: "stripe",
  path: "prod/billing/stripe",
  field: "api_key",
  scaivault: "environments/production/billing/stripe",
  secret: "stripe",
  key: "STRIPE_API_KEY",
} as const;

const arriveMs = 60_000;

/** Resolves with the time when the Secret's key has the value. */
function secretArrival(world: World, value: string, signal: AbortSignal): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const encoded = Buffer.from(value).toString("base64");
  const what = { namespace, resource: `secret/${rotated.secret}`, template: `{.data.${rotated.key}}` };
  world.cluster.follow(what, (line) => void (line === encoded && resolve(systemClock.monotonic())), signal);
  return promise;
}

/**
 * Rotates the value and asks the operator to look now (`sync-requested-at`); by itself it would look within the interval.
 * @throws QuickstartFailed when the value does not arrive
 */
export async function rotate(world: World, seeded: Seeded): Promise<Rotation> {
  const seed = seeded.seeds.find(({ path }) => path === rotated.path) as Seed;
  const { admin } = world.stores.scaivault;
  const from = { source: seed.version, scaivault: admin.peek(rotated.scaivault)?.version ?? 0 };
  const value = madeUp("key");
  const next: Seed = { ...seed, data: { ...seed.data, [rotated.field]: value } };
  const stop = new AbortController();
  try {
    const inSecret = secretArrival(world, value, stop.signal);
    await seeded.rotate(seed, next.data);
    Object.assign(seed, { data: next.data });
    const started = systemClock.monotonic();
    await requestSync(world, rotated.sync);
    const inScaiVault = waitFor(
      async () => Promise.resolve(sameInScaiVault(world, rotated.scaivault, next)),
      arriveMs,
    ).then((there) => (there ? systemClock.monotonic() : undefined));
    const late = systemClock.sleep(arriveMs, stop.signal, { unref: true }).then(
      () => undefined,
      () => undefined,
    );
    const [scaivaultAt, secretAt] = await Promise.all([inScaiVault, Promise.race([inSecret, late])]);
    if (scaivaultAt === undefined || secretAt === undefined) {
      const missing = scaivaultAt === undefined ? "ScaiVault" : `Secret ${rotated.secret}`;
      throw new QuickstartFailed(`The new value of ${rotated.path} did not arrive in ${missing}.`);
    }
    const to = { source: seed.version, scaivault: admin.peek(rotated.scaivault)?.version ?? 0 };
    return {
      source: { path: rotated.path, from: from.source, to: to.source },
      scaivault: {
        path: rotated.scaivault,
        from: from.scaivault,
        to: to.scaivault,
        ms: Math.round(scaivaultAt - started),
      },
      secret: { name: rotated.secret, key: rotated.key, ms: Math.round(secretAt - started) },
    };
  } finally {
    stop.abort();
  }
}

/** Asks for a look at the source now. */
export async function requestSync({ cluster }: World, name: string): Promise<void> {
  const request = `scaivault.scailabs.ai/sync-requested-at=${new Date(systemClock.now()).toISOString()}`;
  await cluster.kubectl(["-n", namespace, "annotate", "--overwrite", `secretsync/${name}`, request]);
}
