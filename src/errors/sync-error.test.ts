import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reasons } from "./reasons.ts";
import { errorCode, SyncError, toSyncError } from "./sync-error.ts";

const CANARY = "hunter2-canary-value";

/** Everything of an error that can be printed. */
function shown(error: SyncError): string {
  const { reason, message, action, right, code, detail, hint, kind, cause } = error;
  return [
    JSON.stringify({ reason, message, action, right, code, detail, hint, kind, cause }),
    inspect(error),
    String(error),
    error.stack,
  ].join("\n");
}

function thrown(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe("toSyncError", () => {
  it.each([
    ["what JSON.parse throws", thrown(() => JSON.parse(CANARY))],
    ["a URL that cannot be parsed", thrown(() => new URL(CANARY))],
    ["an error with a value in its message", new Error(CANARY)],
    ["a cause", new Error("x", { cause: new Error(CANARY) })],
    ["an aggregate", new AggregateError([new Error(CANARY)], CANARY)],
    ["a text", CANARY],
    ["an object", { message: CANARY, code: CANARY, response: { data: CANARY } }],
    ["a code that is a text", Object.assign(new Error(CANARY), { code: `E${CANARY}` })],
    [
      "an answer of a client",
      Object.assign(new Error(CANARY), { response: { body: CANARY }, $response: CANARY, config: { headers: CANARY } }),
    ],
  ])("carries nothing of %s", (_, foreign) => {
    const error = toSyncError(foreign, "read a/b");
    expect(error.reason).toBe("Unexpected");
    expect(error.action).toBe("read a/b");
    expect(shown(error)).not.toContain("canary");
    expect(error.cause).toBeUndefined();
  });

  it("carries nothing of any text that it is given", () => {
    const words = fc.stringMatching(/^[a-z]{12,40}$/);
    fc.assert(
      fc.property(words, (word) => {
        const foreign = Object.assign(new Error(word, { cause: word }), { code: word, syscall: word, path: word });
        foreign.stack = word;
        return !shown(toSyncError(foreign)).includes(word);
      }),
    );
  });

  it("keeps a code that is a plain identifier, also of a cause, and what kind of error it was", () => {
    const reset = Object.assign(new Error(CANARY), { code: "ECONNRESET" });
    expect(toSyncError(reset)).toMatchObject({ code: "ECONNRESET", detail: "Error" });
    expect(toSyncError(new TypeError(CANARY, { cause: reset }))).toMatchObject({
      code: "ECONNRESET",
      detail: "TypeError",
    });
    expect(toSyncError(undefined)).toMatchObject({ detail: "undefined" });
  });

  it("leaves our own as they are", () => {
    const own = new SyncError("SourceNotFound", "x");
    expect(toSyncError(own, "read")).toBe(own);
  });

  it("ends with causes that go round", () => {
    const [a, b] = [new Error("a"), new Error("b")];
    a.cause = b;
    b.cause = a;
    expect(errorCode(a)).toBeUndefined();
  });
});

describe("SyncError", () => {
  it("is clean and short, whatever it is made of", () => {
    const error = new SyncError("InvalidPath", `a\u001b[31m${"x".repeat(1000)}`, {
      action: "read \u202e",
      code: "c".repeat(100),
      detail: "d".repeat(300),
    });
    expect(error.message).toHaveLength(256);
    expect(error.message.startsWith("a\\u{1b}[31m")).toBe(true);
    expect(error.action).toBe("read \\u{202e}");
    expect(error.code).toHaveLength(64);
    expect(error.detail).toHaveLength(128);
  });

  it("knows who can mend it and how", () => {
    for (const [reason, row] of Object.entries(reasons)) {
      const error = new SyncError(reason as keyof typeof reasons, "");
      expect([error.kind, error.hint]).toEqual([row.kind, row.hint]);
      expect(row.hint).toMatch(/^[^\n]{10,}\.$/);
    }
  });
});
