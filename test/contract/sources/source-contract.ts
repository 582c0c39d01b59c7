import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { SyncError } from "../../../src/errors/index.ts";
import type {
  PollDemand,
  PollResult,
  SecretSource,
  SourceFact,
  SourceRead,
  SourceRef,
} from "../../../src/ports/index.ts";
import type { VirtualClock } from "../../../src/time/clock.ts";

/** Part of every value that the suite writes; no error may hold it in any form. */
export const CANARY = "canary-Zx81-value";

/** What the suite needs of a store. Names are relative; `path` makes the logical path. Names below `denied/` are denied to the source. */
export interface SourceFixture {
  readonly source: SecretSource;
  readonly clock: VirtualClock;
  path(name: string): string;
  /** Writes a new version. @returns the version that facts and reads must show; undefined when only the source knows it */
  put(name: string, value: string | Uint8Array): Promise<string | undefined>;
  /** Removes it for good. */
  remove(name: string): Promise<void>;
  /** A secret that exists and has no value; absent: the store has no such thing. */
  putEmpty?(name: string): Promise<void>;
  /** Deletes so that the store still knows it. */
  softDelete?(name: string): Promise<void>;
  /** The store throttles until the returned function is called. */
  throttle(): Promise<() => Promise<void>>;
  /** The store takes connections and says nothing. */
  hang(on: boolean): void;
  /** The store's connections are reset. */
  reset(on: boolean): void;
  /** What the store was asked since the last reset: all calls, and values that left it. Logins are not counted. */
  counts(): Promise<{ readonly calls: number; readonly values: number }>;
  resetCounts(): Promise<void>;
  close(): Promise<void>;
}

/** What a store can do. */
export interface SourceAbilities {
  readonly binary: boolean;
  /** Polls read no values and versions can be read by id. */
  readonly versions: boolean;
  readonly defaultStage: "AWSCURRENT" | "latest";
  readonly softDeleted?: "PendingDeletion" | "Deleted";
  /** KV v2 itself keeps numbers as 64-bit floats: what it lost, nobody can read. Default true. */
  readonly exactNumbers?: boolean;
  /** A list tells versions also of secrets that may not be described (ASM's ListSecrets is a right to the whole account). */
  readonly listTellsDenied?: boolean;
  readonly badPaths: readonly string[];
}

/** The contract of {@link SecretSource}, checked on a real store. */
export function describeSecretSource(
  name: string,
  abilities: SourceAbilities,
  make: () => Promise<SourceFixture>,
): void {
  describe(`source contract: ${name}`, () => {
    let fixture: SourceFixture;
    const errors: unknown[] = [];
    const signal = (): AbortSignal => new AbortController().signal;
    const poll = (demand: Partial<PollDemand>, stop = signal()): Promise<PollResult> =>
      fixture.source.poll({ paths: [], subtrees: [], fresh: true, ...demand }, stop);
    const fact = async (secret: string): Promise<SourceFact | undefined> =>
      (await poll({ paths: [fixture.path(secret)] })).facts.get(fixture.path(secret));
    const read = (secret: string, ref: Partial<SourceRef> = {}): Promise<SourceRead> =>
      fixture.source.read({ path: fixture.path(secret), ...ref }, signal());
    const failure = async (promise: Promise<unknown>): Promise<SyncError> => {
      const error = await promise.then(
        (value) => new Error(`no failure but ${inspect(value)}`),
        (caught: unknown) => caught,
      );
      errors.push(error);
      expect(error).toBeInstanceOf(SyncError);
      return error as SyncError;
    };

    beforeAll(async () => {
      fixture = await make();
    });
    afterAll(async () => fixture.close());
    afterEach(() => {
      for (const error of errors) {
        const shown = inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error) + String(error);
        for (const form of [
          CANARY,
          Buffer.from(CANARY).toString("base64").slice(0, 20),
          Buffer.from(CANARY).toString("hex"),
        ])
          expect(shown).not.toContain(form);
      }
    });

    it("answers a probe without reading a value", async () => {
      await fixture.resetCounts();
      await fixture.source.probe(signal());
      expect((await fixture.counts()).values).toBe(0);
    });

    it("shows what is there, and its new version after a change", async () => {
      const first = await fixture.put("present", `{"a":"${CANARY}"}`);
      const before = await fact("present");
      expect(before).toMatchObject({ state: "Present", path: fixture.path("present") });
      if (before?.state !== "Present") return;
      const version = before.stages.get(abilities.defaultStage);
      if (first !== undefined) expect(version).toBe(first);
      const got = await read("present");
      expect(got).toMatchObject({ path: fixture.path("present"), version });
      expect(got.payload.keys.get("a")?.text()).toBe(CANARY);
      await fixture.put("present", `{"a":"${CANARY}2"}`);
      const after = await fact("present");
      expect(after?.state === "Present" && after.stages.get(abilities.defaultStage)).not.toBe(version);
      expect((await read("present")).payload.keys.get("a")?.text()).toBe(`${CANARY}2`);
    });

    it("says the same twice when nothing changed", async () => {
      await fixture.put("same", `{"a":"${CANARY}"}`);
      const [one, two] = [await fact("same"), await fact("same")];
      expect(one).toEqual(two);
    });

    it("knows what is missing", async () => {
      expect(await fact("missing")).toEqual({ state: "Gone", path: fixture.path("missing"), how: "NotFound" });
      expect((await failure(read("missing"))).reason).toBe("SourceNotFound");
      await fixture.put("removed", `{"a":"${CANARY}"}`);
      await fixture.remove("removed");
      expect(await fact("removed")).toMatchObject({ state: "Gone", how: "NotFound" });
    });

    it("keeps numbers, unicode, nesting and bytes as they are", async () => {
      await fixture.put(
        "json",
        `{"big":12345678901234567890,"text":"héllo 🗝 ${CANARY}","nested":{"n":9007199254740993},"yes":true,"none":null,"empty":""}`,
      );
      const { payload } = await read("json");
      expect(payload.form).toBe("Object");
      expect(payload.keys.get("big")?.text()).toBe(
        abilities.exactNumbers === false ? "12345678901234567000" : "12345678901234567890",
      );
      expect(payload.keys.get("text")?.text()).toBe(`héllo 🗝 ${CANARY}`);
      expect(payload.keys.get("nested")?.text()).toContain(
        abilities.exactNumbers === false ? "900719925474099" : "9007199254740993",
      );
      expect(payload.keys.get("yes")?.text()).toBe("true");
      expect(payload.keys.get("none")?.text()).toBe("null");
      expect(payload.keys.get("empty")?.text()).toBe("");
    });

    it.runIf(abilities.binary)("takes plain text and bytes that are no text", async () => {
      await fixture.put("plain", `line 1\nline 2 ${CANARY}\n`);
      expect((await read("plain")).payload).toMatchObject({ form: "Text" });
      expect((await read("plain")).payload.raw.text()).toBe(`line 1\nline 2 ${CANARY}\n`);
      const bytes = Buffer.from([0, 255, 254, 128, 10, 13]);
      await fixture.put("bytes", bytes);
      const got = await read("bytes");
      expect(got.payload.form).toBe("Binary");
      expect(got.payload.raw.bytes().equals(bytes)).toBe(true);
    });

    it.runIf(abilities.versions)("reads the version that was asked for", async () => {
      const first = await fixture.put("versions", `{"n":"1 ${CANARY}"}`);
      await fixture.put("versions", `{"n":"2 ${CANARY}"}`);
      expect((await read("versions", { version: first ?? "" })).payload.keys.get("n")?.text()).toBe(`1 ${CANARY}`);
      expect((await read("versions")).payload.keys.get("n")?.text()).toBe(`2 ${CANARY}`);
      expect((await failure(read("versions", { version: "99999999-9999-4999-8999-999999999999" }))).reason).toBe(
        "VersionNotFound",
      );
      expect((await failure(read("versions", { version: "77" }))).reason).toBe("VersionNotFound");
    });

    it("tells an empty secret from a missing one", async () => {
      if (fixture.putEmpty === undefined) return;
      await fixture.putEmpty("empty");
      expect(await fact("empty")).toMatchObject({ state: "Present", stages: new Map() });
      expect((await failure(read("empty"))).reason).toBe("SourceEmpty");
    });

    it("tells a deletion that can be taken back", async () => {
      if (fixture.softDelete === undefined) return;
      await fixture.put("soft", `{"a":"${CANARY}"}`);
      await fixture.softDelete("soft");
      expect(await fact("soft")).toMatchObject({ state: "Gone", how: abilities.softDeleted });
      expect((await failure(read("soft"))).reason).toBe(
        abilities.softDeleted === "PendingDeletion" ? "SourcePendingDeletion" : "SourceNotFound",
      );
    });

    it("lists a subtree completely, by whole segments", async () => {
      for (const secret of ["tree/b", "tree/a", "tree/deep/er/c", "tree2/x", "trees"])
        await fixture.put(secret, `{"a":"${CANARY}"}`);
      const { subtrees, facts } = await poll({ subtrees: [fixture.path("tree"), fixture.path("nothing-here")] });
      expect(subtrees.get(fixture.path("tree"))).toEqual(
        ["tree/a", "tree/b", "tree/deep/er/c"].map((secret) => fixture.path(secret)),
      );
      expect(subtrees.get(fixture.path("nothing-here"))).toEqual([]);
      for (const secret of ["tree/a", "tree/b", "tree/deep/er/c"])
        expect(facts.get(fixture.path(secret))?.state).toBe("Present");
      expect(facts.has(fixture.path("tree2/x"))).toBe(false);
    });

    it("fails only what is denied, and names the right", async () => {
      await fixture.put("denied/one", `{"a":"${CANARY}"}`);
      await fixture.put("allowed", `{"a":"${CANARY}"}`);
      const result = await poll({ paths: [fixture.path("denied/one"), fixture.path("allowed")] });
      if (abilities.listTellsDenied !== true) {
        expect(result.failures.get(fixture.path("denied/one"))).toMatchObject({
          reason: "AccessDenied",
          right: expect.any(String),
        });
        expect(result.facts.has(fixture.path("denied/one"))).toBe(false);
      }
      expect(result.facts.get(fixture.path("allowed"))?.state).toBe("Present");
      const error = await failure(read("denied/one"));
      expect(error).toMatchObject({ reason: "AccessDenied", right: expect.any(String) });
      // Principals, accounts and addresses are nobody else's business.
      expect(error.message).not.toMatch(/arn:|\d{12}|127\.0\.0\.1/);
    });

    it("refuses bad paths without asking the store", async () => {
      await fixture.source.probe(signal());
      await fixture.resetCounts();
      const { failures, facts } = await poll({ paths: abilities.badPaths });
      expect([...failures.values()].map((error) => error.reason)).toEqual(
        abilities.badPaths.map(() => expect.stringMatching(/InvalidPath|UnsupportedMount/)),
      );
      expect(facts.size).toBe(0);
      for (const path of abilities.badPaths)
        expect((await failure(fixture.source.read({ path }, signal()))).reason).toMatch(/InvalidPath|UnsupportedMount/);
      expect((await fixture.counts()).calls).toBe(0);
    });

    it("serves many reads at once, each with its own value", async () => {
      const names = Array.from({ length: 45 }, (_, n) => `many/s${n}`);
      for (const secret of names) await fixture.put(secret, `{"n":"${secret} ${CANARY}"}`);
      const all = await Promise.all([...names, ...names].map((secret) => read(secret)));
      expect(all.map((one) => one.payload.keys.get("n")?.text())).toEqual(
        [...names, ...names].map((secret) => `${secret} ${CANARY}`),
      );
      // Joined reads share nothing: one may be released while another is in use.
      all[0]?.payload.keys.get("n")?.release();
      expect(all[names.length]?.payload.keys.get("n")?.text()).toBe(`${names[0]} ${CANARY}`);
    });

    it.runIf(abilities.versions)("polls without reading a value", async () => {
      await fixture.put("quiet", `{"a":"${CANARY}"}`);
      await fixture.resetCounts();
      await poll({ paths: [fixture.path("quiet"), fixture.path("present")], fresh: false });
      await poll({ paths: [fixture.path("quiet")], subtrees: [fixture.path("tree")] });
      expect((await fixture.counts()).values).toBe(0);
    });

    it("passes throttling on with a pause, asks nothing during it, and recovers", async () => {
      await fixture.put("throttled", `{"a":"${CANARY}"}`);
      await fact("throttled");
      const undo = await fixture.throttle();
      // All of them have ended before calls are counted.
      const reads = await Promise.allSettled(Array.from({ length: 20 }, () => read("throttled")));
      const refused = reads.flatMap((one) => (one.status === "rejected" ? [Promise.reject(one.reason as Error)] : []));
      const error = await failure(Promise.all(refused));
      expect(error).toMatchObject({ reason: "RateLimited", retryAfterMs: expect.any(Number) });
      await fixture.resetCounts();
      expect((await failure(read("throttled"))).reason).toBe("RateLimited");
      expect((await failure(poll({ paths: [fixture.path("throttled")] }))).reason).toBe("RateLimited");
      expect((await fixture.counts()).calls).toBe(0);
      await undo();
      await fixture.clock.advance(60_000);
      expect((await fact("throttled"))?.state).toBe("Present");
    });

    it("ends a hanging call by its own limit and by the caller's signal, and says the same for every outage", async () => {
      await fixture.put("hanging", `{"a":"${CANARY}"}`);
      await fact("hanging");
      const texts = new Set<string>();
      fixture.hang(true);
      try {
        const timed = await failure(read("hanging"));
        texts.add(`${timed.reason} ${timed.message}`);
        const stop = new AbortController();
        const calls = [
          failure(poll({ paths: [fixture.path("hanging")] }, stop.signal)),
          failure(fixture.source.read({ path: fixture.path("hanging") }, stop.signal)),
        ];
        setImmediate(() => stop.abort());
        for (const error of await Promise.all(calls)) texts.add(`${error.reason} ${error.message}`);
        expect((await failure(poll({ paths: [fixture.path("hanging")] }, stop.signal))).reason).toBe(
          "SourceUnavailable",
        );
      } finally {
        fixture.hang(false);
      }
      fixture.reset(true);
      try {
        const cut = await failure(read("hanging"));
        texts.add(`${cut.reason} ${cut.message}`);
        expect((await failure(fixture.source.probe(signal()))).reason).toBe("SourceUnavailable");
      } finally {
        fixture.reset(false);
      }
      expect([...texts]).toEqual(["SourceUnavailable the store cannot be reached"]);
      await expect
        .poll(() => fact("hanging").catch(() => undefined), { timeout: 10_000 })
        .toMatchObject({ state: "Present" });
    });
  });
}
