import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RenderedContent, SecretTarget, TargetObservation } from "../../../src/ports/target.ts";
import { CANARY, failure, someMark } from "./support.ts";

/** One kind of target on its real part. */
export interface TargetHarness<Ref> {
  readonly target: SecretTarget<Ref>;
  /** A ref that nothing stands at. */
  ref(name: string): Ref;
  /** Content whose values hold `value`. */
  content(value: string, key?: string): RenderedContent;
  /** Somebody else makes it, without any mark. */
  make(ref: Ref, content: RenderedContent): Promise<void>;
  /** Somebody else changes what stands there. */
  change(ref: Ref, content: RenderedContent): Promise<void>;
  /** Copies the mark of one target to another. */
  copyMark(from: Ref, to: Ref): Promise<void>;
  /** Values as the store holds them now, as one text; undefined when nothing is there. */
  stored(ref: Ref): Promise<string | undefined>;
  /** How many versions or generations of the value there have been, as far as the store tells. */
  writes(ref: Ref): Promise<number>;
  close(): Promise<void>;
}

/** What every kind of target must do, whatever it is made of. */
export function describeSecretTarget<Ref>(name: string, start: () => Promise<TargetHarness<Ref>>): void {
  describe(`${name}: contract of targets`, () => {
    let harness: TargetHarness<Ref>;
    const signal = new AbortController().signal;
    beforeAll(async () => {
      harness = await start();
    });
    afterAll(async () => harness?.close());

    const fresh = (): Ref => harness.ref(`t-${randomUUID().slice(0, 8)}`);
    const observe = async (ref: Ref): Promise<TargetObservation> => {
      const found = (await harness.target.observe([ref], signal)).get(harness.target.key(ref));
      if (found === undefined) throw new Error("not observed");
      return found;
    };
    /** Waits until the target's own watch or cache has caught up with what others did. */
    const settled = (ref: Ref, condition: (seen: TargetObservation) => boolean): Promise<TargetObservation> =>
      expect
        .poll(() => observe(ref), { timeout: 15_000 })
        .toSatisfy(condition)
        .then(() => observe(ref));
    const write = async (ref: Ref, value: string, version = "v1"): Promise<void> => {
      const observed = await observe(ref);
      await harness.target.write(ref, { content: harness.content(value), mark: someMark(version), observed }, signal);
    };

    test("what is absent is created with its mark, and then is as marked", async () => {
      const ref = fresh();
      const absent = await observe(ref);
      expect(absent).toMatchObject({ presence: "Absent", mark: { state: "None" } });
      const content = harness.content(`${CANARY}-1`);
      const result = await harness.target.write(ref, { content, mark: someMark(), observed: absent }, signal);
      const seen = await observe(ref);
      expect(seen).toMatchObject({ presence: "Present", content: "AsMarked", metadataAsDeclared: true });
      expect(seen.mark).toEqual({ state: "Valid", mark: { ...someMark(), targetVersion: result.version } });
      expect(await harness.stored(ref)).toContain(`${CANARY}-1`);
      const read = await harness.target.read(ref, signal);
      expect(read?.type).toBe(content.type);
      for (const [key, value] of content.keys) expect(read?.keys.get(key)?.equals(value)).toBe(true);
    });

    test("a later write replaces value and mark", async () => {
      const ref = fresh();
      await write(ref, `${CANARY}-old`);
      await write(ref, `${CANARY}-new`, "v2");
      expect(await observe(ref)).toMatchObject({ content: "AsMarked", mark: { mark: { version: "v2" } } });
      expect(await harness.stored(ref)).toContain(`${CANARY}-new`);
      expect(await harness.stored(ref)).not.toContain(`${CANARY}-old`);
    });

    test("what others made is not ours: never written, marked or deleted", async () => {
      const ref = fresh();
      await harness.make(ref, harness.content(`${CANARY}-theirs`));
      const observed = await observe(ref);
      expect(observed).toMatchObject({ presence: "Present", mark: { state: "None" } });
      expect(observed.markLost).toBeUndefined();
      const request = { content: harness.content(`${CANARY}-ours`), mark: someMark(), observed };
      expect((await failure(harness.target.write(ref, request, signal))).reason).toBe("NotOwned");
      expect((await failure(harness.target.mark(ref, request, signal))).reason).toBe("NotOwned");
      expect((await failure(harness.target.remove(ref, observed, signal))).reason).toBe("NotOwned");
      expect(await harness.stored(ref)).toContain(`${CANARY}-theirs`);
      expect(await harness.writes(ref)).toBe(1);
    });

    test("what appears between look and creation is not written over", async () => {
      const ref = fresh();
      const observed = await observe(ref);
      await harness.make(ref, harness.content(`${CANARY}-theirs`));
      const request = { content: harness.content(`${CANARY}-ours`), mark: someMark(), observed };
      const error = await failure(harness.target.write(ref, request, signal));
      expect(error.reason === "NotOwned" || error.code === "fence").toBe(true);
      expect(await harness.stored(ref)).toContain(`${CANARY}-theirs`);
      expect(await harness.writes(ref)).toBe(1);
    });

    test("equal content is adopted without a write, differing content is not", async () => {
      const ref = fresh();
      await harness.make(ref, harness.content(`${CANARY}-equal`));
      const observed = await observe(ref);
      const differs = { content: harness.content(`${CANARY}-other`), mark: someMark(), observed };
      expect((await failure(harness.target.adopt(ref, differs, signal))).reason).toBe("AdoptDiffers");
      await harness.target.adopt(ref, { ...differs, content: harness.content(`${CANARY}-equal`) }, signal);
      expect(await harness.writes(ref)).toBe(1);
      await settled(ref, (seen) => seen.content === "AsMarked" && seen.mark.state === "Valid");
      await write(ref, `${CANARY}-next`, "v2");
      expect(await harness.stored(ref)).toContain(`${CANARY}-next`);
      expect(await harness.stored(ref)).not.toContain(`${CANARY}-equal`);
    });

    test("a change by others is seen, fences what was planned before, and is put right after a new look", async () => {
      const ref = fresh();
      await write(ref, `${CANARY}-1`);
      const before = await settled(ref, (seen) => seen.content === "AsMarked");
      await harness.change(ref, harness.content(`${CANARY}-intruder`));
      const seen = await settled(ref, (now) => now.content === "Changed");
      expect(seen.mark.state).toBe("Valid");
      const stale = { content: harness.content(`${CANARY}-2`), mark: someMark("v2"), observed: before };
      expect((await failure(harness.target.write(ref, stale, signal))).code).toBe("fence");
      expect((await failure(harness.target.remove(ref, before, signal))).code).toBe("fence");
      expect((await failure(harness.target.remove(ref, seen, signal))).reason).toBe("NotOwned");
      expect(await harness.stored(ref)).toContain(`${CANARY}-intruder`);
      await harness.target.write(ref, { ...stale, observed: seen }, signal);
      expect(await observe(ref)).toMatchObject({ content: "AsMarked", mark: { mark: { version: "v2" } } });
      expect(await harness.stored(ref)).not.toContain("intruder");
    });

    test("a new mark is no write", async () => {
      const ref = fresh();
      await write(ref, `${CANARY}-1`);
      const observed = await settled(ref, (seen) => seen.content === "AsMarked");
      const writes = await harness.writes(ref);
      const mark = { ...someMark("v9"), authority: "ScaiVault" as const };
      await harness.target.mark(ref, { mark, observed }, signal);
      const seen = await observe(ref);
      expect(seen).toMatchObject({ content: "AsMarked", mark: { mark: { version: "v9", authority: "ScaiVault" } } });
      expect(await harness.writes(ref)).toBe(writes);
      await write(ref, `${CANARY}-2`, "v10");
      expect(await observe(ref)).toMatchObject({ content: "AsMarked", mark: { mark: { version: "v10" } } });
    });

    test("a mark that was copied from another target proves nothing", async () => {
      const [from, to] = [fresh(), fresh()];
      await write(from, `${CANARY}-1`);
      await write(to, `${CANARY}-1`);
      await settled(to, (seen) => seen.content === "AsMarked");
      await harness.copyMark(from, to);
      const observed = await settled(to, (seen) => seen.mark.state === "Unverified");
      expect(observed.content).toBe("Unknown");
      const request = { content: harness.content(`${CANARY}-2`), mark: someMark(), observed };
      expect((await failure(harness.target.write(to, request, signal))).reason).toBe("NotOwned");
      expect((await failure(harness.target.remove(to, observed, signal))).reason).toBe("NotOwned");
      await harness.target.adopt(to, { ...request, content: harness.content(`${CANARY}-1`) }, signal);
      expect(await observe(to)).toMatchObject({ content: "AsMarked", mark: { state: "Valid" } });
    });

    test("what is released stays as it is and is no longer ours", async () => {
      const ref = fresh();
      await write(ref, `${CANARY}-1`);
      const observed = await settled(ref, (seen) => seen.content === "AsMarked");
      const writes = await harness.writes(ref);
      await harness.target.release(ref, observed, signal);
      const seen = await observe(ref);
      expect(seen).toMatchObject({ presence: "Present", mark: { state: "None" } });
      expect(seen.markLost).toBeUndefined();
      expect(await harness.stored(ref)).toContain(`${CANARY}-1`);
      expect(await harness.writes(ref)).toBe(writes);
      await harness.target.release(ref, await observe(fresh()), signal);
    });

    test("what is ours and as marked can be deleted", async () => {
      const ref = fresh();
      await write(ref, `${CANARY}-1`);
      const observed = await settled(ref, (seen) => seen.content === "AsMarked");
      await harness.target.remove(ref, observed, signal);
      expect(await harness.stored(ref)).toBeUndefined();
      expect((await observe(ref)).presence).not.toBe("Present");
      await harness.target.remove(ref, await observe(ref), signal);
    });

    test("a value that is too large is refused before anything is sent, one of 900 KiB is kept", async () => {
      const ref = fresh();
      const observed = await observe(ref);
      const large = { content: harness.content(CANARY + "x".repeat(1024 * 1024)), mark: someMark(), observed };
      expect((await failure(harness.target.write(ref, large, signal))).reason).toBe("ValueTooLarge");
      expect(await harness.stored(ref)).toBeUndefined();
      await write(ref, CANARY + "y".repeat(900 * 1024));
      expect((await observe(ref)).content).toBe("AsMarked");
    });

    test("an ended signal ends the call with its own reason", async () => {
      const stop = new AbortController();
      stop.abort(new Error("lease lost"));
      const ref = fresh();
      const observed = await observe(ref);
      const request = { content: harness.content(CANARY), mark: someMark(), observed };
      await expect(harness.target.write(ref, request, stop.signal)).rejects.toThrow("lease lost");
      await expect(harness.target.observe([ref], stop.signal)).rejects.toThrow("lease lost");
    });
  });
}
