import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Authority } from "../model/index.ts";
import { type Done, PairWorld, ring, SOURCE_ID, VAULT_PATH } from "./testing/pair-world.ts";
import { parsePolicyField, vaultSourceIDOf } from "./index.ts";
import type { PairInput, PairPlan, Policies, TargetKind } from "./types.ts";

/** Something that may happen to the world between two reconciles. */
type Event = { readonly name: string; readonly run: (world: PairWorld) => void };

const value = fc.constantFrom('{"a":"1"}', '{"a":"2"}', '{"a":"3"}', "text", '{"a":1.0}');
const kind = fc.constantFrom<TargetKind>("ScaiVault", "KubernetesSecret");
const event = (name: string, run: (world: PairWorld) => void): Event => ({ name, run });

/** Nothing stands in the way, and the operator gets to its end: most histories go through calm times. */
function calm(world: PairWorld): void {
  world.reader = false;
  world.deferred = false;
  world.rights = { read: true, write: true, delete: true };
  world.brakes = { deletion: "Open", change: "Open" };
  world.vaultUnknown = false;
  world.reverts = 0;
  world.policies = { ...world.policies, apply: "Automatic" };
  for (let rounds = 0; rounds < 3; rounds += 1) world.step();
}

const events: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(event("calm", calm)) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      event("gone for good", (w) => {
        w.sourceState = "Gone";
        w.believed = true;
      }),
      event("Delete, then gone for good", (w) => {
        w.policies = { ...w.policies, deletionPolicy: "Delete" };
        calm(w);
        w.sourceState = "Gone";
        w.believed = true;
      }),
      event("Delete, then gone for good, brakes closed", (w) => {
        w.policies = { ...w.policies, deletionPolicy: "Delete" };
        calm(w);
        w.sourceState = "Gone";
        w.believed = true;
        w.brakes = { deletion: "Held", change: "Open" };
      }),
      event("Delete, then gone, not believed yet", (w) => {
        w.policies = { ...w.policies, deletionPolicy: "Delete" };
        calm(w);
        w.sourceState = "Gone";
        w.believed = false;
      }),
      event("Delete, then gone, with another's mark on the copies", (w) => {
        w.policies = { ...w.policies, deletionPolicy: "Delete" };
        calm(w);
        w.sourceState = "Gone";
        w.believed = true;
        const name = w.reverts % 2 === 0 ? "other" : "gone";
        w.markAs("ScaiVault", { name });
        w.markAs("KubernetesSecret", { name });
      }),
      event("Delete, then gone, with a mark for another source", (w) => {
        w.policies = { ...w.policies, deletionPolicy: "Delete" };
        calm(w);
        w.sourceState = "Gone";
        w.believed = true;
        w.markAs("ScaiVault", {}, { source: "billing/aws@00000000:other" });
        w.markAs("KubernetesSecret", {}, { source: "billing/aws@00000000:other" });
      }),
      event("a reader of its own copies", (w) => {
        calm(w);
        w.reader = true;
      }),
      event("a reader of another cluster's copies, one behind", (w) => {
        calm(w);
        w.markAs("ScaiVault", { cluster: "west" });
        w.reader = true;
        w.put('{"a":"6"}');
      }),
      event("unmarked copies, to be adopted", (w) => {
        calm(w);
        for (const which of ["ScaiVault", "KubernetesSecret"] as const) {
          w.foreignWrite(which, w.versions.length % 2 === 0 ? (w.sourceValue ?? "x") : '{"a":"7"}');
          Object.assign(w.target(which), { marked: new Map(), labelled: false });
        }
        w.policies = { ...w.policies, adopt: "IfEqual" };
      }),
      event("flip while both sides differ", (w) => {
        calm(w);
        w.hasVault = true;
        calm(w);
        w.foreignWrite("ScaiVault", '{"a":"9"}');
        const manual = w.policies.conflictResolution === "manual";
        w.policies = { ...w.policies, authority: "ScaiVault", conflictResolution: manual ? "manual" : "local_wins" };
      }),
      event("both change, for people to decide", (w) => {
        w.policies = { ...w.policies, conflictResolution: "manual" };
        calm(w);
        w.put('{"a":"8"}');
        w.foreignWrite("ScaiVault", '{"a":"9"}');
      }),
      event("both change", (w) => {
        calm(w);
        w.put('{"a":"8"}');
        w.foreignWrite("ScaiVault", '{"a":"9"}');
      }),
      event("a restart while ScaiVault is away, then another value", (w) => {
        w.vaultSeen = undefined;
        w.vaultUnknown = true;
        w.put('{"a":"8"}');
      }),
      event("again and again", (w) => {
        calm(w);
        w.foreignWrite("KubernetesSecret", '{"a":"9"}');
        w.foreignWrite("ScaiVault", '{"a":"9"}');
        w.reverts = 3;
      }),
      event("flip", (w) => {
        calm(w);
        w.hasVault = true;
        const manual = w.policies.conflictResolution === "manual";
        w.policies = { ...w.policies, authority: "ScaiVault", conflictResolution: manual ? "manual" : "local_wins" };
        calm(w);
      }),
    ),
  },
  { weight: 20, arbitrary: anyEvent() },
);

const offers = (world: PairWorld, side: Authority): boolean =>
  world.plan().plan.choices.some(({ keep }) => keep === side);

/** People kept what ScaiVault holds, for the version that the source has now. */
function isKept(world: PairWorld): boolean {
  const { mark } = world.observeTruly("ScaiVault");
  return mark.state === "Valid" && parsePolicyField(mark.mark.policy)?.kept === true;
}

function anyEvent(): fc.Arbitrary<Event> {
  return fc.oneof(
    value.map((v) => event(`source put ${v}`, (w) => w.put(v))),
    fc.nat(3).map((n) =>
      event(`source back ${n}`, (w) => {
        w.current = Math.max(0, w.current - n);
      }),
    ),
    fc.constantFrom(
      event("source gone", (w) => {
        w.sourceState = "Gone";
        w.believed = false;
      }),
      event("source believed gone", (w) => {
        w.believed = w.sourceState === "Gone";
      }),
      event("source fails", (w) => {
        w.sourceState = "Failed";
        w.believed = false;
      }),
      event("source is back", (w) => {
        if (w.current >= 0) w.sourceState = "Present";
        w.believed = false;
      }),
    ),
    fc.tuple(kind, value).map(([k, v]) => event(`foreign write ${k} ${v}`, (w) => w.foreignWrite(k, v))),
    kind.map((k) =>
      event(
        `foreign copy of the source to ${k}`,
        (w) => w.sourceValue !== undefined && w.foreignWrite(k, w.sourceValue),
      ),
    ),
    kind.map((k) => event(`remove ${k}`, (w) => w.remove(k))),
    kind.map((k) => event(`strip mark ${k}`, (w) => (w.target(k).marked = new Map()))),
    kind.map((k) =>
      event(`forge mark ${k}`, (w) => {
        const marked = new Map(w.target(k).marked);
        marked.set("version", "id-9");
        w.target(k).marked = marked;
      }),
    ),
    fc
      .tuple(kind, fc.constantFrom({ name: "other" }, { namespace: "shop" }, { cluster: "west" }, { name: "gone" }))
      .map(([k, by]) => event(`mark of ${JSON.stringify(by)} on ${k}`, (w) => w.markAs(k, by))),
    fc
      .constantFrom<TargetKind>("ScaiVault")
      .map((k) => event("another cluster flips", (w) => w.markAs(k, { cluster: "west" }, { authority: "ScaiVault" }))),
    fc
      .boolean()
      .map((gone) =>
        event(`ScaiVault gone believed ${gone}`, (w) => (w.vaultGoneBelieved = gone && w.vault.value === undefined)),
      ),
    fc
      .constantFrom<Authority>("Source", "ScaiVault")
      .map((side) => event(`people keep ${side}`, (w) => void (offers(w, side) && w.step({ keep: side })))),
    fc.constant(event("a restart", (w) => (w.vaultSeen = undefined))),
    fc.boolean().map((unknown) => event(`ScaiVault unknown ${unknown}`, (w) => (w.vaultUnknown = unknown))),
    fc.constantFrom("Source", "ScaiVault").map((a) =>
      event(`authority ${a}`, (w) => {
        const manual = w.policies.conflictResolution === "manual";
        const authority = a as "Source" | "ScaiVault";
        const conflictResolution = manual ? "manual" : authority === "Source" ? "remote_wins" : "local_wins";
        w.policies = { ...w.policies, authority, conflictResolution };
        if (authority === "ScaiVault") w.hasVault = true;
      }),
    ),
    fc.boolean().map((manual) =>
      event(`manual ${manual}`, (w) => {
        const wins = w.policies.authority === "Source" ? "remote_wins" : "local_wins";
        w.policies = { ...w.policies, conflictResolution: manual ? "manual" : wins };
      }),
    ),
    fc
      .constantFrom<"Retain" | "Delete">("Retain", "Delete")
      .map((p) => event(`deletionPolicy ${p}`, (w) => (w.policies = { ...w.policies, deletionPolicy: p }))),
    fc
      .constantFrom<Policies["adopt"]>("Never", "IfEqual", "WithApproval")
      .map((p) => event(`adopt ${p}`, (w) => (w.policies = { ...w.policies, adopt: p }))),
    fc
      .constantFrom<"Automatic" | "OnApproval" | "Never">("Automatic", "Automatic", "OnApproval", "Never")
      .map((p) => event(`apply ${p}`, (w) => (w.policies = { ...w.policies, apply: p }))),
    fc.constantFrom("shape1", "shape2").map((s) => event(`shape ${s}`, (w) => (w.shape = s))),
    fc
      .tuple(fc.boolean(), fc.boolean(), fc.boolean())
      .map(([r, w, d]) => event(`rights ${r} ${w} ${d}`, (x) => (x.rights = { read: r || w, write: w, delete: d }))),
    fc.constant(event("all rights", (w) => (w.rights = { read: true, write: true, delete: true }))),
    fc
      .tuple(fc.constantFrom<"Open" | "Held">("Open", "Held"), fc.constantFrom<"Open" | "Held">("Open", "Held"))
      .map(([deletion, change]) => event(`brakes ${deletion} ${change}`, (w) => (w.brakes = { deletion, change }))),
    fc.boolean().map((deferred) => event(`deferred ${deferred}`, (w) => (w.deferred = deferred))),
    fc.boolean().map((consented) => event(`consented ${consented}`, (w) => (w.consented = consented))),
    fc.boolean().map((reader) => event(`reader ${reader}`, (w) => (w.reader = reader))),
    fc.nat(4).map((n) => event(`reverts ${n}`, (w) => (w.reverts = n))),
  );
}

const history = fc.array(fc.record({ event: events, approved: fc.boolean(), limit: fc.nat(2), act: fc.boolean() }), {
  minLength: 1,
  maxLength: 30,
});
const setup = fc.record({
  numbered: fc.boolean(),
  tellsOlder: fc.boolean(),
  hasVault: fc.boolean(),
  hasSecret: fc.boolean(),
});

function newWorld(options: {
  numbered: boolean;
  tellsOlder: boolean;
  hasVault: boolean;
  hasSecret: boolean;
}): PairWorld {
  const world = new PairWorld();
  Object.assign(world, options);
  if (!options.hasVault && !options.hasSecret) world.hasSecret = true;
  world.put('{"a":"1"}');
  return world;
}

/** Histories for each property; more by PROPERTY_RUNS. */
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 120);

/** Goes through a history and hands each step to the judge. */
function run(
  judge: (world: PairWorld, step: { plan: PairPlan; done: Done[]; input: PairInput }, approved: boolean) => void,
  options: { numRuns?: number; seed?: number } = {},
): void {
  fc.assert(
    fc.property(setup, history, (chosen, steps) => {
      const world = newWorld(chosen);
      for (const { event: happens, approved, limit, act } of steps) {
        happens.run(world);
        if (world.policies.authority === "ScaiVault") world.hasVault = true;
        judge(world, world.step({ approved, limit: act ? limit : 2 }), approved);
      }
    }),
    { numRuns: RUNS, ...options },
  );
}

/** The mark of this object, or one that it may follow; a living other object's concerns that object alone. */
const ownsFence = (owner: string): boolean => !owner.includes("/other") && !owner.includes("/shop/");

const canonical = (world: PairWorld, target: TargetKind, text: string): string =>
  [...world.render(target, text).keys]
    .map(([key, bytes]) => `${key}=${bytes.text()}`)
    .sort()
    .join();

describe("planPair, whatever happens", () => {
  it("gets into every kind of trouble here", () => {
    const seen = new Set<string>();
    run(
      (_world, { plan, done }) => {
        for (const { action } of done) seen.add(`${action.kind} ${action.target} ${action.why}`);
        for (const one of plan.outcomes) seen.add(one.reason);
        for (const one of plan.held) seen.add(`held ${one.kind}`);
      },
      { numRuns: 600, seed: 7 },
    );
    const expected = [
      "Create ScaiVault NewTarget",
      "Create KubernetesSecret NewTarget",
      "Update ScaiVault SourceChanged",
      "Update ScaiVault BothChanged",
      "Update KubernetesSecret SourceChanged",
      "Update KubernetesSecret MarkLost",
      "Restore ScaiVault Drift",
      "Restore KubernetesSecret Drift",
      "Mark ScaiVault NewBase",
      "Mark ScaiVault Flip",
      "Mark KubernetesSecret Flip",
      "Mark ScaiVault TakeOver",
      "Mark ScaiVault PolicyChanged",
      "Adopt ScaiVault Adopt",
      "Adopt KubernetesSecret Adopt",
      "Update ScaiVault AdoptDiffers",
      "Delete ScaiVault SourceGone",
      "Delete KubernetesSecret SourceGone",
      "held Update",
      "held Delete",
      ...[
        "InSync",
        "Retired",
        "SourceChanged",
        "SourceGoneRetained",
        "DeletionUnconfirmed",
        "DeletionBraked",
        "ManyChanges",
      ],
      ...[
        "VersionWentBack",
        "FlipHeld",
        "AuthorityFenced",
        "AuthorityUnknown",
        "BothChanged",
        "TargetChanged",
        "Conflict",
        "NotOwned",
        "Claimed",
      ],
      ...[
        "BaseUnknown",
        "OtherCluster",
        "NotGranted",
        "AdoptDiffers",
        "ApprovalNeeded",
        "Observed",
        "Differs",
        "TargetNotFound",
      ],
    ];
    expect(expected.filter((one) => !seen.has(one))).toEqual([]);
  });

  it("does nothing in ScaiVault, and reads nothing for it, while its budget has no room", () => {
    run((world, { plan, input }) => {
      if (!world.deferred) return;
      expect(plan.actions.filter(({ target }) => target === "ScaiVault")).toEqual([]);
      if (input.targets.some(({ kind }) => kind === "KubernetesSecret") || plan.writes.length === 0) return;
      expect(plan.needs).toEqual([]);
    });
  });

  it("plans nothing for ScaiVault as a reader, and says in sync only of the wanted version", () => {
    let [waits, settled] = [0, 0];
    run(
      (world, { plan, input }) => {
        if (!input.targets.some(({ readOnly }) => readOnly)) return;
        expect([...plan.actions, ...plan.held].filter(({ target }) => target === "ScaiVault")).toEqual([]);
        const path = plan.outcomes.find(({ kind }) => kind === "ScaiVault");
        if (path?.reason === "WaitingForWriter") waits += 1;
        if (path?.state !== "InSync" || plan.authority !== "Source" || input.policies.apply === "Never") return;
        settled += 1;
        const { mark, content } = input.targets.find(({ kind }) => kind === "ScaiVault")?.observation ?? {};
        expect(content).toBe("AsMarked");
        const { source } = input;
        expect(mark?.state === "Valid" && mark.mark.version).toBe(source.state === "Present" && source.version);
      },
      { numRuns: 300, seed: 7 },
    );
    expect(Math.min(waits, settled)).toBeGreaterThan(0);
  });

  it("deletes only with belief, policy in spec and mark, a valid mark of its own, the right and open brakes", () => {
    run((world, { plan, done }, approved) => {
      for (const { action, observed } of done.filter((one) => one.action.kind === "Delete")) {
        const { mark, content } = observed.observation;
        expect(mark.state).toBe("Valid");
        expect(observed.incumbent).toBe("Self");
        expect(content).toBe("AsMarked");
        expect(observed.rights.delete).toBe(true);
        expect(world.policies.deletionPolicy).toBe("Delete");
        expect(mark.state === "Valid" && parsePolicyField(mark.mark.policy)?.deletionPolicy).toBe("Delete");
        expect(world.brakes.deletion === "Open" || approved).toBe(true);
        expect(plan.fence).toBeUndefined();
        expect(mark.state === "Valid" && mark.mark.authority).toBe(plan.authority);
        const vault = vaultSourceIDOf(ring, VAULT_PATH);
        expect(mark.state === "Valid" && mark.mark.source).toBe(plan.authority === "Source" ? SOURCE_ID : vault);
        const fromVault = action.from === "ScaiVault";
        expect(fromVault ? world.vaultGoneBelieved && action.target === "KubernetesSecret" : world.believed).toBe(true);
      }
    });
  });

  it("never writes what is not its own, and nothing outside the rights", () => {
    run((world, { done }, approved) => {
      for (const { action, observed, before } of done) {
        expect(action.kind === "Delete" ? observed.rights.delete : observed.rights.write).toBe(true);
        const { presence, markLost } = observed.observation;
        const own = observed.incumbent === "Self" || observed.incumbent === "Gone" || markLost === true;
        if (action.kind === "Create") expect(presence).toBe("Absent");
        else if (action.kind === "Adopt") {
          expect(world.policies.adopt).not.toBe("Never");
          expect(observed.content.sourceEqualsTarget).toBe(true);
        } else if (action.why === "AdoptDiffers") {
          expect([world.policies.adopt, approved, observed.observation.mark.state]).toEqual([
            "WithApproval",
            true,
            "None",
          ]);
          expect(action.target === "ScaiVault" || world.consented).toBe(true);
        } else expect(presence === "Present" && own).toBe(true);
        if (action.kind === "Adopt" || action.kind === "Mark")
          expect(world.target(action.target).value).toBe(before.value);
      }
    });
  });

  it("flips the authority only when both sides are equal, or the old store's secret is gone", () => {
    run((world, { done, input }) => {
      const vaultMark = input.targets.find((target) => target.kind === "ScaiVault")?.observation.mark;
      // It has flipped already, here or in the cluster that keeps the path; the Secret comes after.
      if (vaultMark?.state === "Valid" && vaultMark.mark.authority === "ScaiVault") return;
      for (const { action, observed } of done) {
        const { mark } = observed.observation;
        if (mark.state !== "Valid" || mark.mark.authority !== "Source" || action.mark?.authority !== "ScaiVault")
          continue;
        if ((world.sourceState === "Gone" && world.believed) || isKept(world)) continue;
        const [old, now] = [world.sourceValue ?? "", world.vault.value ?? ""];
        expect(canonical(world, "ScaiVault", now)).toBe(canonical(world, "ScaiVault", old));
      }
    });
  });

  it("settles a conflict by one action at ScaiVault, over what people saw, and comes to rest with both copies equal", () => {
    let settled = 0;
    run((world) => {
      for (const { keep, action } of world.plan().plan.choices) {
        const copy = Object.assign(new PairWorld(), world, { vault: { ...world.vault }, secret: { ...world.secret } });
        const before = { ...copy.vault };
        const { done } = copy.step({ keep });
        if (done.length === 0) continue;
        expect(done.map((one) => one.action)).toEqual([action]);
        expect(action).toMatchObject({
          target: "ScaiVault",
          over: before.value === undefined ? "" : String(before.version),
        });
        expect(copy.vault.value).toBe(keep === "Source" ? copy.sourceValue : before.value);
        expect(copy.vault.version).toBe(before.version + (keep === "Source" ? 1 : 0));
        calm(copy);
        if (!copy.hasSecret || copy.secret.value === undefined || copy.plan().plan.outcomes[1]?.state !== "InSync")
          continue;
        settled += 1;
        expect(canonical(copy, "KubernetesSecret", copy.secret.value)).toBe(
          canonical(copy, "KubernetesSecret", copy.vault.value ?? ""),
        );
      }
    });
    expect(settled).toBeGreaterThan(0);
  });

  it("never writes an equal value to ScaiVault, and makes no version for it", () => {
    run((world, { done }) => {
      for (const { action, before } of done) {
        const after = world.target(action.target);
        if (action.target !== "ScaiVault" || before.value === undefined || after.value === undefined) continue;
        if (canonical(world, "ScaiVault", before.value) === canonical(world, "ScaiVault", after.value)) {
          // A change and its undoing between two looks is all that metadata cannot tell from a change.
          expect(after.version).toBe(before.version);
        }
      }
    });
  });

  it("does nothing while fenced, unapproved, observing or without an answer from the source", () => {
    run((world, { plan, done }, approved) => {
      if (world.policies.apply === "Never") expect(plan.actions).toEqual([]);
      if (world.policies.apply === "OnApproval" && !approved) expect(plan.actions).toEqual([]);
      if (plan.fence === "AuthorityFenced" && !approved) expect(plan.actions).toEqual([]);
      if (plan.authority === "Source" && world.sourceState === "Failed") expect(done).toEqual([]);
      if (plan.authority === "ScaiVault" && world.vaultUnknown) expect(plan.actions).toEqual([]);
      if (plan.authority === "ScaiVault")
        for (const { action } of done.filter((one) => one.action.target === "ScaiVault"))
          expect(action.kind).toBe("Mark");
    });
  });

  it("gives a Secret no other version from the old store while ScaiVault's mark has the authority or may have it", () => {
    run((world, { done }, approved) => {
      const { mark } = world.observeTruly("ScaiVault");
      const reading = mark.state === "Valid" ? mark.mark : undefined;
      const fenced = world.hasVault && reading?.authority === "ScaiVault" && ownsFence(reading.owner);
      const blind = world.hasVault && world.vaultUnknown && world.vaultSeen === undefined;
      if (approved || !(blind || (fenced && !world.vaultUnknown))) return;
      for (const { action, observed, before } of done) {
        const writes = action.kind === "Create" || action.kind === "Update" || action.kind === "Restore";
        if (action.target !== "KubernetesSecret" || action.from !== "Source" || !writes) continue;
        const own = observed.observation.mark;
        expect(before.value).toBeDefined();
        expect(own.state === "Valid" && [own.mark.authority, own.mark.version]).toEqual(["Source", action.fromVersion]);
      }
    });
  });

  it("never calls in sync what is not", () => {
    run((world, { plan }) => {
      const actions = new Set(plan.actions.map(({ target }) => target));
      for (const { kind: which, state, reason } of plan.outcomes) {
        if (state !== "InSync" || actions.has(which)) continue;
        const target = world.target(which);
        if (plan.authority === "ScaiVault" && which === "ScaiVault") {
          expect(target.value).toBeDefined();
          continue;
        }
        const wanted = plan.secretsFrom === "ScaiVault" ? world.vault.value : world.sourceValue;
        if (which === "ScaiVault" && isKept(world)) continue;
        expect(target.value, `${which} ${reason}`).toBeDefined();
        // Shapes are only a word in this model, so a Secret's content is its rendering.
        expect(canonical(world, which, target.value ?? "")).toBe(canonical(world, which, wanted ?? ""));
      }
    });
  });

  it("has one outcome for each target and at most one action, and reads nothing when it holds by metadata", () => {
    run((world, { plan }) => {
      const kinds = plan.outcomes.map((one) => one.kind);
      expect(kinds).toEqual([
        ...(world.hasVault ? ["ScaiVault"] : []),
        ...(world.hasSecret ? ["KubernetesSecret"] : []),
      ]);
      const touched = [...plan.actions, ...plan.held].map(({ target }) => target);
      expect(new Set(touched).size).toBe(touched.length);
      for (const { target } of plan.held) expect(plan.outcomes.find((one) => one.kind === target)?.state).toBe("Held");
    });
  });

  it("comes to rest: planning again after executing is empty, or one step closer to a flip", () => {
    run((world, { plan }) => {
      const copy = Object.assign(new PairWorld(), world, { vault: { ...world.vault }, secret: { ...world.secret } });
      const first = copy.step();
      const second = copy.step();
      if (!first.plan.again)
        expect(second.plan.actions, JSON.stringify([plan.outcomes, first.plan.actions])).toEqual([]);
      expect(copy.settle(2)).toBeLessThanOrEqual(1);
    });
  });

  it("costs no read when nothing changed since the last round", () => {
    run((world) => {
      if (world.policies.apply === "Never") return;
      const copy = Object.assign(new PairWorld(), world, { vault: { ...world.vault }, secret: { ...world.secret } });
      // A mark for which there is no room yet is compared for again; what that said is remembered outside the planner.
      copy.deferred = false;
      copy.settle(4);
      copy.reads = 0;
      const { plan } = copy.step();
      if (plan.outcomes.every(({ state }) => state === "InSync" || state === "Retained")) expect(copy.reads).toBe(0);
    });
  });
});
