import { describe, expect, it } from "vitest";
import { countAudit, matchesAudit, parseAudit } from "./audit.ts";
import { parseVaultAudit, vaultPath } from "./vault-client.ts";

const line = (fields: object): string => JSON.stringify(fields);

describe("the API server's audit log", () => {
  const text = [
    line({
      auditID: "1",
      verb: "list",
      user: { username: "op" },
      objectRef: { resource: "secrets", namespace: "a" },
      responseStatus: { code: 200 },
    }),
    line({
      auditID: "2",
      stage: "ResponseStarted",
      verb: "watch",
      user: { username: "op" },
      objectRef: { resource: "secretsyncs", apiGroup: "g.io" },
      responseStatus: { code: 200 },
    }),
    line({
      auditID: "2",
      stage: "ResponseComplete",
      verb: "watch",
      user: { username: "op" },
      objectRef: { resource: "secretsyncs", apiGroup: "g.io" },
      responseStatus: { code: 200 },
    }),
    line({
      auditID: "3",
      verb: "patch",
      user: { username: "admin" },
      impersonatedUser: { username: "op" },
      objectRef: { resource: "secretsyncs", apiGroup: "g.io", subresource: "status", name: "x" },
      responseStatus: { code: 409 },
    }),
    '{"auditID": "4", "half',
    "",
  ].join("\n");

  it("counts each request once, also a watch with two lines, and passes over a half-written line", () => {
    expect(countAudit(parseAudit(text))).toEqual({
      "list secrets": 1,
      "watch g.io/secretsyncs": 1,
      "patch g.io/secretsyncs/status": 1,
    });
  });

  it("filters by who really acted", () => {
    const mine = parseAudit(text).filter((entry) => matchesAudit(entry, { user: "op", verbs: ["patch"] }));
    expect(mine).toMatchObject([{ name: "x", code: 409, subresource: "status" }]);
  });
});

describe("Vault's audit log", () => {
  it("counts responses, refused ones included", () => {
    const request = { operation: "read", path: "kv/data/a" };
    const text = [
      line({ type: "request", request }),
      line({ type: "response", request, error: "permission denied" }),
    ].join("\n");
    expect(parseVaultAudit(text)).toMatchObject([{ operation: "read", path: "kv/data/a", error: "permission denied" }]);
  });

  it("escapes paths by segment", () => {
    expect(vaultPath("team a/ü/x%2Fy")).toBe("team%20a/%C3%BC/x%252Fy");
  });
});
