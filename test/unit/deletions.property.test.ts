/**
 * Hostile histories over the controllers in memory: restarts, clocks that are set, outages, emptied stores, other credentials,
 * edited marks, specs that change, objects and backends that go. Whatever happens, each copy that the operator removes is
 * judged by what is true at that moment.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { createRights, parsePolicyField, sourceIDOf } from "../../src/decide/index.ts";
import { SyncError } from "../../src/errors/index.ts";
import type { Mark } from "../../src/model/index.ts";
import { type MemoryTarget, MemoryOperator, memoryRing, MINUTE } from "../support/memory-operator.ts";

const INTERVAL = MINUTE;
const WINDOW = 10 * MINUTE;
const REGIONS = ["us-east-1", "eu-west-1"] as const;
const NAMES = ["a", "b", "c", "d"] as const;
const MEMBERS = ["tree/x", "tree/y", "tree/z"] as const;
const PATHS = [...NAMES, ...MEMBERS].map((name) => `prod/${name}`);

/** What the operator removed without an approval, and whose secret it was. */
interface Removal {
  readonly atMs: number;
  readonly secret: string;
}

/** The operator and what is true around it. */
class Trial {
  readonly op = new MemoryOperator();
  region: (typeof REGIONS)[number] = "us-east-1";
  readonly removals: Removal[] = [];
  readonly violations: string[] = [];
  readonly causes = new Set<string>();
  startedMs = 0;
  /** Since when the operator reads as this identity. */
  identityMs = 0;
  held = true;
  /** Since when the namespace is being deleted; in that very moment an answer from before may be under way. */
  dyingMs: number | undefined;
  #values = 0;
  /** When a secret went, by region and path; absent: it is there. */
  readonly #goneMs = new Map<string, number>();
  readonly #vaultGoneMs = new Map<string, number>();

  constructor() {
    const { op } = this;
    for (const region of REGIONS) for (const path of PATHS) this.#goneMs.set(`${region} ${path}`, -Infinity);
    op.scaivault.onRemove = (key) => this.#judge(op.scaivault, key);
    op.secrets.onRemove = (key) => this.#judge(op.secrets, key);
    Object.assign(op.world, {
      assertHeld: () => {
        if (!this.held) throw new Error("the lease is lost");
      },
    });
  }

  get now(): number {
    return this.op.clock.monotonic();
  }

  async start(): Promise<void> {
    this.held = true;
    this.startedMs = this.now;
    this.identityMs = this.now;
    this.op.start();
    await this.op.advance(1_000);
  }

  put(path: string): void {
    this.op.source(this.region).put(path, `value-${(this.#values += 1)}`);
    this.#goneMs.delete(`${this.region} ${path}`);
  }

  lose(path: string, how: "removed" | "pending" = "removed"): void {
    const source = this.op.source(this.region);
    if (how === "removed") source.remove(path);
    else source.setState(path, "PendingDeletion");
    const id = `${this.region} ${path}`;
    if (!this.#goneMs.has(id)) this.#goneMs.set(id, this.now);
  }

  backend(): void {
    this.op.aws(this.region, { syncInterval: "1m" });
  }

  apply(name: string, more: object = {}): void {
    if (name === "tree") {
      this.op.sync("tree", {
        source: { backendRef: { name: "aws" }, subtree: "prod/tree/**" },
        targets: { scaivault: { path: "env/tree/**" }, kubernetesSecret: { nameTemplate: "tree-{name}" } },
        ...more,
      });
    } else this.op.both(name, more);
  }

  /** Somebody removes a path in ScaiVault. */
  dropVault(key: string): void {
    if (!this.op.scaivault.copies.has(key)) return;
    this.op.scaivault.delete(key);
    this.#vaultGoneMs.set(key, this.now);
  }

  #judge(target: MemoryTarget, key: string): void {
    const mark = target.markOn(key);
    const copy = target.copies.get(key);
    const say = (what: string): void => void this.violations.push(`${what}: ${key} at ${this.now / MINUTE} min`);
    if (!this.held) say("removed without the lease");
    if (mark === undefined) return say("removed without a valid mark");
    if (target === this.op.scaivault && mark.targetVersion !== String(copy?.version)) say("removed what was changed");
    const [cluster, namespace, kind, name = ""] = mark.owner.split("/");
    if (cluster !== "east" || namespace !== "team" || kind !== "SecretSync") return say("removed another's copy");
    const object = this.op.caches.syncs.get(`team/${name}`) as SyncObject | undefined;
    if (object === undefined) return say("removed a copy of an object that is gone");
    const policies = parsePolicyField(mark.policy);
    const leaves = object.metadata.deletionTimestamp !== undefined || !declares(object, target, key, this.op);
    this.causes.add(leaves ? "cleanup" : "source gone");
    if (leaves) {
      if (policies?.cleanupPolicy !== "Delete") say("cleaned up without cleanupPolicy Delete in the mark");
      if (this.dyingMs !== undefined && this.now > this.dyingMs) say("cleaned up in a namespace that is being deleted");
    } else {
      if (policies?.deletionPolicy !== "Delete") say("removed without deletionPolicy Delete in the mark");
      if (object.spec.deletionPolicy !== "Delete") say("removed without deletionPolicy Delete in the spec");
      this.#judgeBelief(mark, key, say);
    }
    if (target === this.op.scaivault) {
      if (mark.authority === "ScaiVault") say("removed what ScaiVault is the authority of");
      if (!this.op.world.rights.scaivault("team", key, "write").ok) say("removed without the right");
    }
    this.#judgeBrake(`${name} ${pathOf(mark) ?? key}`, say);
  }

  #judgeBelief(mark: Mark, key: string, say: (what: string) => void): void {
    if (mark.source.startsWith("scaivault:")) {
      const goneMs = this.#vaultGoneMs.get(mark.source.slice("scaivault:".length));
      if (goneMs === undefined || this.now - goneMs < INTERVAL) say("removed without belief in ScaiVault");
      return;
    }
    const path = pathOf(mark) ?? "";
    const region = REGIONS.find((one) => mark.source === sourceOf(one, path));
    const goneMs = this.#goneMs.get(`${region ?? ""} ${path}`);
    if (region !== this.region) say("removed for another place");
    if (goneMs === undefined) say(`removed though the source has it (${key})`);
    else if (this.now - Math.max(goneMs, this.startedMs, this.identityMs) < INTERVAL) say("removed without belief");
  }

  /** With so few secrets the brakes let one of them go in ten minutes, and none in the first ten. */
  #judgeBrake(secret: string, say: (what: string) => void): void {
    if (this.now - this.startedMs < WINDOW) say("removed in the first ten minutes");
    const others = this.removals.filter((one) => one.secret !== secret && this.now - one.atMs < WINDOW);
    if (others.length > 0) say(`removed beside ${others.map((one) => one.secret).join()} within ten minutes`);
    this.removals.push({ atMs: this.now, secret });
  }
}

interface SyncObject {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string | undefined };
  readonly spec: {
    readonly deletionPolicy?: string;
    readonly source: { readonly subtree?: string };
    readonly targets: {
      readonly scaivault?: { readonly path: string };
      readonly kubernetesSecret?: { readonly name?: string; readonly nameTemplate?: string };
    };
  };
}

const sourceOf = (region: string, path: string): string =>
  sourceIDOf(memoryRing, { namespace: "team", name: "aws", location: `aws ${region}` }, path);

function pathOf(mark: Mark): string | undefined {
  const colon = mark.source.indexOf(":");
  return colon < 0 || mark.source.startsWith("scaivault:") ? undefined : mark.source.slice(colon + 1);
}

function declares({ spec, metadata }: SyncObject, target: MemoryTarget, key: string, op: MemoryOperator): boolean {
  const { scaivault, kubernetesSecret } = spec.targets;
  if (target === op.scaivault)
    return scaivault !== undefined && (scaivault.path === key || key.startsWith(scaivault.path.replace("**", "")));
  if (kubernetesSecret === undefined) return false;
  return spec.source.subtree !== undefined || key === `team/${kubernetesSecret.name ?? metadata.name}`;
}

type Step = { readonly name: string; readonly run: (trial: Trial) => void | Promise<void> };
const step = (name: string, run: Step["run"]): Step => ({ name, run });
const spec = fc.record({
  deletionPolicy: fc.constantFrom("Delete", "Delete", "Retain"),
  cleanupPolicy: fc.constantFrom("Delete", "Delete", "Retain", "Release"),
  conflictResolution: fc.constantFrom(undefined, undefined, "manual"),
});
const some = fc.constantFrom(...NAMES, "tree");
const path = fc.constantFrom(...PATHS);
const given = (all: Record<string, unknown>): object =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));

/** Marks as people or other tools would damage them. */
function damage(trial: Trial, which: "scaivault" | "secrets", how: string): void {
  const target = trial.op[which];
  const keys = [...target.copies.keys()];
  const [first, second] = keys;
  if (first === undefined) return;
  target.edit(first, (copy) => {
    if (how === "strip") copy.fields = new Map();
    if (how === "policy") copy.fields = new Map([...copy.fields, ["policy", "Delete/Delete/x"]]);
    if (how === "copy" && second !== undefined) copy.fields = target.copies.get(second)?.fields ?? copy.fields;
    if (how === "change") copy.version += 1;
  });
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .constantFrom(2_000, 61_000, 3 * MINUTE, 11 * MINUTE)
      .map((ms) => step(`wait ${ms / 1000} s`, (t) => t.op.advance(ms))),
  },
  { weight: 2, arbitrary: path.map((p) => step(`put ${p}`, (t) => t.put(p))) },
  { weight: 4, arbitrary: path.map((p) => step(`lose ${p}`, (t) => t.lose(p))) },
  { weight: 1, arbitrary: path.map((p) => step(`pending deletion ${p}`, (t) => t.lose(p, "pending"))) },
  { weight: 1, arbitrary: fc.constant(step("an emptied store", (t) => PATHS.forEach((p) => t.lose(p)))) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(some, spec)
      .map(([name, s]) => step(`apply ${name} ${JSON.stringify(s)}`, (t) => t.apply(name, given(s)))),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...NAMES), spec).map(([name, s]) =>
      step(`rename the targets of ${name}`, (t) =>
        t.apply(name, {
          ...given(s),
          targets: { scaivault: { path: `env/new-${name}` }, kubernetesSecret: { name: `new-${name}` } },
        }),
      ),
    ),
  },
  {
    weight: 1,
    arbitrary: some.map((name) =>
      step(`flip ${name}`, (t) =>
        t.apply(name, { authority: "ScaiVault", deletionPolicy: "Delete", cleanupPolicy: "Delete" }),
      ),
    ),
  },
  { weight: 1, arbitrary: some.map((name) => step(`delete ${name}`, (t) => t.op.remove(name))) },
  {
    weight: 1,
    arbitrary: fc.constant(step("delete all objects", (t) => [...NAMES, "tree"].forEach((name) => t.op.remove(name)))),
  },
  { weight: 2, arbitrary: fc.constant(step("restart", async (t) => (await t.op.stop(), await t.start()))) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(-25, -1, 1, 25)
      .map((hours) => step(`clock ${hours} h`, (t) => t.op.clock.jump(hours * 60 * MINUTE))),
  },
  {
    weight: 2,
    arbitrary: fc
      .boolean()
      .map((down) =>
        step(`source down ${down}`, (t) =>
          REGIONS.forEach((one) =>
            t.op.source(one).failAll(down ? new SyncError("SourceUnavailable", "down") : undefined),
          ),
        ),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .boolean()
      .map((down) =>
        step(
          `ScaiVault down ${down}`,
          (t) => void (t.op.scaivault.failure = down ? new SyncError("ScaiVaultUnavailable", "down") : undefined),
        ),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.nat(1_000).map((n) =>
      step("another credential", (t) => {
        t.op.rotate(`key-${n}`);
        t.identityMs = t.now;
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...REGIONS).map((region) =>
      step(`move to ${region}`, (t) => {
        if (region !== t.region) t.identityMs = t.now;
        t.region = region;
        t.backend();
      }),
    ),
  },
  { weight: 1, arbitrary: fc.constant(step("the backend goes", (t) => t.op.caches.backends.remove("team/aws"))) },
  {
    weight: 1,
    arbitrary: fc.constant(
      step("the backend is there", (t) => {
        if (t.op.caches.backends.get("team/aws") === undefined) t.identityMs = t.now;
        t.backend();
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom("scaivault" as const, "secrets" as const),
        fc.constantFrom("strip", "policy", "copy", "change"),
      )
      .map(([which, how]) => step(`${how} a mark in ${which}`, (t) => damage(t, which, how))),
  },
  { weight: 1, arbitrary: some.map((name) => step(`ScaiVault loses ${name}`, (t) => t.dropVault(`env/${name}`))) },
  {
    weight: 1,
    arbitrary: fc.boolean().map((all) =>
      step(`rights ${all}`, (t) => {
        const tenancyMode = all ? "Open" : "Restricted";
        Object.assign(t.op.world, {
          rights: createRights({ tenancyMode, tenancy: [], operatorNamespace: "scaivault" }),
        });
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map((dying) =>
      step(`namespace dying ${dying}`, (t) => {
        t.op.dying = dying;
        t.dyingMs = dying ? t.now : undefined;
      }),
    ),
  },
  { weight: 1, arbitrary: fc.constant(step("the lease is lost", (t) => void (t.held = false))) },
  {
    weight: 1,
    arbitrary: fc.tuple(some, some).map(([name, other]) =>
      step(`the approval of ${other} on ${name}`, (t) => {
        const hash = name === other ? "" : (t.op.status(other).plan?.hash ?? "");
        t.op.annotate(name, { "scaivault.scailabs.ai/approve": hash });
      }),
    ),
  },
);

/** Histories; more by PROPERTY_RUNS. */
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 15);
const seen = new Set<string>();
/** Histories in which something is removed for certain. */
const sure: Step[][] = [
  [step("delete a", (t) => t.op.remove("a")), step("wait", (t) => t.op.advance(2_000))],
  [step("lose prod/a", (t) => t.lose("prod/a")), step("wait", (t) => t.op.advance(3 * MINUTE))],
];

it(
  "removes nothing without policy, belief, mark, right, brake and lease, whatever happens",
  { timeout: 600_000 },
  async () => {
    const calm = [{ deletionPolicy: "Delete", cleanupPolicy: "Delete" }];
    await fc.assert(
      fc.asyncProperty(
        fc.array(steps, { minLength: 4, maxLength: 40 }),
        fc.constantFrom(...calm),
        async (history, first) => {
          const trial = new Trial();
          try {
            await trial.start();
            trial.backend();
            for (const one of PATHS) trial.put(one);
            for (const name of [...NAMES, "tree"]) trial.apply(name, first);
            await trial.op.advance(3 * MINUTE);
            await trial.op.advance(8 * MINUTE);
            for (const { run } of history) await run(trial);
            expect(trial.violations).toEqual([]);
            for (const cause of trial.causes) seen.add(cause);
          } finally {
            trial.held = true;
            await trial.op.stop();
          }
        },
      ),
      {
        numRuns: RUNS,
        examples: sure.map((history) => [history, { deletionPolicy: "Delete", cleanupPolicy: "Delete" }]),
      },
    );
    // A property of deletions says nothing when nothing is deleted.
    expect([...seen].sort()).toEqual(["cleanup", "source gone"]);
  },
);
