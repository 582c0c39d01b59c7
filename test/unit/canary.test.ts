import { describe, expect, it } from "vitest";
import { Canaries } from "../support/canary.ts";

describe("the search for canaries", () => {
  const canaries = new Canaries();
  const value = canaries.value("password");
  const found = (text: string) => canaries.search([["log", text]]).length > 0;

  it.each([
    ["plain", (text: string) => `error: ${text}!`],
    ["in JSON", (text: string) => JSON.stringify({ a: `x${text}\n` })],
    ["hex", (text: string) => Buffer.from(text).toString("hex")],
    ["upper hex", (text: string) => Buffer.from(text).toString("hex").toUpperCase()],
    ["percent-encoded", (text: string) => [...Buffer.from(text)].map((b) => `%${b.toString(16)}`).join("")],
    ["reversed", (text: string) => [...text].reverse().join("")],
    ["as a list of bytes", (text: string) => JSON.stringify([...Buffer.from(text)])],
    ["base64", (text: string) => Buffer.from(text).toString("base64")],
    ["base64 behind one byte", (text: string) => Buffer.from(`a${text}b`).toString("base64")],
    ["base64 behind two bytes", (text: string) => Buffer.from(`ab${text}cd`).toString("base64")],
    ["base64url of JSON", (text: string) => Buffer.from(`{"password":"${text}"}`).toString("base64url")],
    ["cut", (text: string) => `…${text.slice(3, 18)}…`],
  ])("finds a value %s", (_name, hide) => {
    expect(found(hide(value))).toBe(true);
  });

  it("finds nothing where nothing is", () => {
    const others = new Canaries();
    expect(
      found(`password ${others.value("other")} ${Buffer.from(others.value("x")).toString("base64")} 12345678`),
    ).toBe(false);
  });

  it("says where and what, without the whole text", () => {
    const [leak] = canaries.search([["status of x", `${"y".repeat(500)}${value}${"z".repeat(500)}`]]);
    expect(leak).toMatchObject({ where: "status of x", what: expect.stringContaining("password") as string });
    expect(leak?.around.length).toBeLessThan(200);
  });
});
