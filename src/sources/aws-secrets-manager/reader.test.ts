import { beforeEach, describe, expect, it } from "vitest";
import { SyncError } from "../../errors/index.ts";
import { VirtualClock } from "../../time/clock.ts";
import { AsmFailure, type AsmApi, type AsmValue, type BatchAnswer } from "./api.ts";
import { AsmReader } from "./reader.ts";

const value = (name: string, more: Partial<AsmValue> = {}): AsmValue => ({
  name,
  arn: `arn:aws:secretsmanager:us-east-1:111122223333:secret:${name}-AbCdEf`,
  version: "11111111-1111-4111-8111-111111111111",
  text: `value of ${name}`,
  binary: undefined,
  ...more,
});

let batches: (readonly string[])[];
let gets: string[];
let unmatched: number;
let batch: (names: readonly string[]) => Promise<BatchAnswer>;
let get: (name: string) => Promise<AsmValue>;
let reader: AsmReader;
let clock: VirtualClock;
const signal = new AbortController().signal;
const unused = (): never => {
  throw new Error("not here");
};

beforeEach(() => {
  clock = new VirtualClock();
  batches = [];
  gets = [];
  unmatched = 0;
  batch = (names) => Promise.resolve({ values: names.map((name) => value(name)), errors: [] });
  get = (name) => Promise.resolve(value(name));
  const api: AsmApi = {
    list: unused,
    versions: unused,
    describe: () => Promise.reject(new AsmFailure("AccessDeniedException")),
    close: () => Promise.resolve(),
    get: ({ name }) => (gets.push(name), get(name)),
    batchGet: (names) => (batches.push(names), batch(names)),
  };
  reader = new AsmReader({
    api,
    clock,
    gatherClock: clock,
    region: "us-east-1",
    onUnmatched: (count) => (unmatched += count),
  });
});
const read = (path: string): Promise<string | undefined> =>
  reader.read({ path }, signal).then(
    (got) => got.payload.raw.text(),
    (error: SyncError) => error.reason,
  );

describe("batches", () => {
  it("joins what comes together, twenty at a time, each name once", async () => {
    const names = Array.from({ length: 45 }, (_, n) => `s${n}`);
    const all = Promise.all([...names, ...names].map(read));
    await clock.advance(100);
    expect(await all).toEqual([...names, ...names].map((name) => `value of ${name}`));
    expect(batches.map((one) => one.length)).toEqual([20, 20, 5]);
    expect(gets).toEqual([]);
    await clock.advance(100);
    expect(await read("alone")).toBe("value of alone");
    expect(gets).toEqual(["alone"]);
  });

  it("gathers what comes one by one while a batch is under way, and waits for nobody who is slow", async () => {
    let answer = (): void => undefined;
    get = (name) => new Promise((resolve) => (answer = () => resolve(value(name))));
    const slow = read("first");
    await expect.poll(() => gets).toEqual(["first"]);
    const later: Promise<unknown>[] = [];
    for (let n = 0; n < 5; n++) {
      later.push(read(`s${n}`));
      await new Promise(setImmediate);
    }
    await clock.advance(100);
    await Promise.all(later);
    expect(batches).toEqual([["s0", "s1", "s2", "s3", "s4"]]);
    await Promise.all(Array.from({ length: 20 }, (_, n) => read(`full${n}`)));
    expect(batches.map((one) => one.length)).toEqual([5, 20]);
    answer();
    expect(await slow).toBe("value of first");
  });

  it("gathers on between two batches while reads keep coming, and lets a lone one go at once afterwards", async () => {
    await Promise.all(["a", "b"].map(read));
    const next = [read("c")];
    await new Promise(setImmediate);
    next.push(read("d"));
    await clock.advance(100);
    await Promise.all(next);
    expect(batches).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    await clock.advance(100);
    expect(await read("alone")).toBe("value of alone");
    expect(gets).toEqual(["alone"]);
  });

  it("drops a neighbour's secret and asks for the right one by itself", async () => {
    batch = (names) =>
      Promise.resolve({
        values: [
          value("neighbour"),
          value("a", { arn: value("neighbour").arn }),
          value("b", { arn: value("b").arn.replace("us-east-1", "eu-west-1") }),
          value("c"),
          value("c", { text: "second" }),
          value("d", { version: "" }),
        ].filter((one) => names.length > 0 && one !== undefined),
        errors: [],
      });
    expect(await Promise.all(["a", "b", "c", "d"].map(read))).toEqual([
      "value of a",
      "value of b",
      "value of c",
      "value of d",
    ]);
    expect(gets.sort()).toEqual(["a", "b", "d"]);
    expect(unmatched).toBe(5);
  });

  it("gives nothing when a single read answers with another secret, region or version", async () => {
    for (const wrong of [
      value("other"),
      value("a", { arn: value("other").arn }),
      value("a", { arn: "" }),
      value("a", { version: "" }),
    ]) {
      get = () => Promise.resolve(wrong);
      expect(await read("a")).toBe("SourceUnavailable");
    }
    get = () => Promise.resolve(value("a"));
    await expect(
      reader.read({ path: "a", version: "22222222-2222-4222-8222-222222222222" }, signal),
    ).rejects.toMatchObject({ reason: "SourceUnavailable" });
    expect(unmatched).toBe(5);
  });

  it("fails all of a batch when the store fails, and the next batch works", async () => {
    batch = () => Promise.reject(new SyncError("RateLimited", "x", { retryAfterMs: 5 }));
    expect(await Promise.all(["a", "b"].map(read))).toEqual(["RateLimited", "RateLimited"]);
    batch = (names) => Promise.resolve({ values: names.map((name) => value(name)), errors: [] });
    await clock.advance(100);
    expect(await Promise.all(["a", "b"].map(read))).toEqual(["value of a", "value of b"]);
  });
});

describe("errors without the right to describe", () => {
  it.each([
    [new AsmFailure("ResourceNotFoundException"), "SourceNotFound"],
    [new AsmFailure("InvalidRequestException", { deletion: true }), "SourcePendingDeletion"],
    [new AsmFailure("InvalidRequestException"), "SourceUnavailable"],
    [new AsmFailure("DecryptionFailure"), "AccessDenied"],
    [new AsmFailure("AccessDeniedException"), "AccessDenied"],
  ])("%s is %s", async (failure, reason) => {
    get = () => Promise.reject(failure);
    expect(await read("a")).toBe(reason);
  });

  it("names the key when the key is what is denied", async () => {
    get = () => Promise.reject(new AsmFailure("AccessDeniedException", { kms: true }));
    await expect(reader.read({ path: "a" }, signal)).rejects.toMatchObject({ right: "kms:Decrypt" });
  });

  it("takes no value, an empty text and an empty object for empty", async () => {
    for (const empty of [
      { text: undefined },
      { text: "" },
      { text: "{}" },
      { text: undefined, binary: new Uint8Array() },
    ]) {
      get = () => Promise.resolve(value("a", empty));
      expect(await read("a")).toBe("SourceEmpty");
    }
  });
});
