import { afterEach, describe, expect, it } from "vitest";
import { call } from "./http.ts";
import { remoteObjects, serveRemote } from "./remote.ts";

class Counter {
  #value = 0;
  add(by: number): number {
    return (this.#value += by);
  }
  async fail(): Promise<void> {
    await Promise.reject(new TypeError("not today"));
  }
  limit(): number {
    return Number.POSITIVE_INFINITY;
  }
}

describe("methods of another process", () => {
  let stop: (() => Promise<void>) | undefined;
  afterEach(() => stop?.());

  it("calls methods with arguments and gives results and errors back", async () => {
    const served = await serveRemote({ counter: new Counter() });
    stop = served.stop;
    const remote = remoteObjects<{ counter: Counter }>(served.facts);
    expect(await remote.counter.add(2)).toBe(2);
    expect(await remote.counter.add(3)).toBe(5);
    expect(await remote.counter.limit()).toBe(Number.POSITIVE_INFINITY);
    await expect(remote.counter.fail()).rejects.toThrow("counter.fail: not today");
  });

  it("offers only the objects' own methods, and only with the token", async () => {
    const served = await serveRemote({ counter: new Counter() });
    stop = served.stop;
    const remote = remoteObjects<Record<string, Record<string, () => void>>>(served.facts);
    for (const method of ["constructor", "toString", "hasOwnProperty", "__proto__", "none"])
      await expect(remote["counter"]?.[method]?.()).rejects.toThrow("no method");
    await expect(remote["__proto__"]?.["toString"]?.()).rejects.toThrow();
    const refused = await call({
      method: "POST",
      url: `${served.facts.url}/counter/add`,
      headers: { authorization: "Bearer x" },
    });
    expect(refused.status).toBe(403);
    const browser = await call({
      method: "POST",
      url: `${served.facts.url}/counter/add`,
      headers: { authorization: `Bearer ${served.facts.token}`, origin: "http://evil.example" },
    });
    expect(browser.status).toBe(403);
  });
});
