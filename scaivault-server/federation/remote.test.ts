import { expect, it } from "vitest";
import { eachOf } from "./remote.ts";

it("after a failure nothing begins, and what runs comes to its end first", async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const slow = Promise.withResolvers<void>();
  const all = eachOf([0, 1, 2, 3], 2, async (item) => {
    begun.push(item);
    if (item === 0) throw new Error("first");
    await slow.promise;
    ended.push(item);
  });
  let done = false;
  const outcome = all.then(
    () => "ended",
    (error: Error) => {
      done = true;
      return error.message;
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect([begun, done]).toEqual([[0, 1], false]);
  slow.resolve();
  expect(await outcome).toBe("first");
  expect(ended).toEqual([1]);
});

it("runs as many at a time as told", async () => {
  let now = 0;
  let most = 0;
  await eachOf([1, 2, 3, 4, 5], 3, async () => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
  });
  expect(most).toBe(3);
});
