import { describe, expect, it } from "vitest";
import { pathMapper } from "./mounts.ts";

const map = pathMapper(
  new Map([
    ["/app", "/here/app"],
    ["/var/run/secrets", "/here/secrets"],
    ["/var/run/secrets/scaivault-operator/marks", "/here/marks"],
  ]),
);

describe("pathMapper", () => {
  it.each([
    ["/app/operator.mjs", "/here/app/operator.mjs"],
    ["--allow-fs-read=/app/*", "--allow-fs-read=/here/app/*"],
    ["/app", "/here/app"],
    // The longest counts.
    ["keyFiles:\n  - /var/run/secrets/scaivault-operator/marks/key-1\n", "keyFiles:\n  - /here/marks/key-1\n"],
    ["caFile: /var/run/secrets/ca/ca.crt", "caFile: /here/secrets/ca/ca.crt"],
  ])("%j becomes %j", (text, expected) => {
    expect(map(text)).toBe(expected);
  });

  it.each(["/approle", "https://host/app/x", "auth/app/x", "/apps/x", "run", ""])("%j stays", (text) => {
    expect(map(text)).toBe(text);
  });
});
