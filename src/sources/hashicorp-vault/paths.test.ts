import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SyncError } from "../../errors/index.ts";
import { encodePath, splitPath } from "./paths.ts";

describe("Vault paths", () => {
  it.each([
    "kv/app",
    "team/kv/app/db",
    "kv/with space",
    "kv/ü/日本",
    "kv/a+b*c{{d}}",
    "kv/#?&",
    "kv/back\\slash",
    "kv/...",
  ])("takes %s", (path) => expect(splitPath(path).join("/")).toBe(path));
  it.each([
    "",
    "/kv/a",
    "kv/a/",
    "kv//a",
    "kv/./a",
    "kv/../sys",
    "kv/a%2e",
    "kv/a\u0000",
    "kv/a\n",
    "kv/a\u202Eb",
    "kv/ a",
    "kv/a ",
    "kv/a\u00a0b",
    "kv/\ud800",
    "k".repeat(513),
  ])("refuses %j", (path) => expect(() => splitPath(path)).toThrow(SyncError));
  it.each(["sys/seal", "auth/token/lookup-self", "identity/x", "cubbyhole/x"])("never reads %s", (path) =>
    expect(() => splitPath(path)).toThrow(expect.objectContaining({ reason: "UnsupportedMount" })),
  );

  it("keeps every path that it takes below its first segment, whatever a URL parser makes of it", () => {
    const nasty = fc.oneof(
      fc.constantFrom(
        "..",
        ".",
        "%2e%2e",
        "%2f",
        "\\",
        "\\..",
        "..\\",
        ";",
        "#",
        "?",
        "@",
        ":",
        "//",
        "&#x2F;",
        "{{x}}",
        "\t",
        "\u0000",
        "sys",
        "data",
      ),
      fc.string({ unit: "binary" }),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(nasty, { minLength: 1, maxLength: 5 }), (parts) => {
        const path = ["kv", ...parts].join("/");
        let segments;
        try {
          segments = splitPath(path);
        } catch (error) {
          expect(error).toBeInstanceOf(SyncError);
          return;
        }
        const url = new URL(`https://vault.example.com/v1/${encodePath(segments)}`);
        expect(url.pathname.split("/").slice(2).map(decodeURIComponent)).toEqual(segments);
        expect(url.search + url.hash).toBe("");
      }),
      { numRuns: 2_000 },
    );
  });
});
