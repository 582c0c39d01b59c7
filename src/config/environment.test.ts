import { describe, expect, it } from "vitest";
import { parseMarkKey, refuseDangerousEnvironment } from "./index.ts";

describe("refuseDangerousEnvironment", () => {
  it.each([
    ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
    ["VAULT_SKIP_VERIFY", "false"],
    ["DEBUG", "node-vault"],
    ["DEBUG", "*"],
    ["NODE_DEBUG", "http2"],
    ["NODE_OPTIONS", "--max-old-space-size=200 --inspect=0.0.0.0:9229"],
    ["NODE_OPTIONS", "--require /tmp/x.js"],
  ])("refuses %s=%s without quoting it", (name, value) => {
    const { problems } = refuseDangerousEnvironment({ [name]: value });
    expect(problems.map((p) => p.variable)).toEqual([name]);
    if (value.length > 12) expect(problems[0]?.message).not.toContain(value);
  });

  it("lets harmless values stand", () => {
    const { problems, remove } = refuseDangerousEnvironment({
      NODE_TLS_REJECT_UNAUTHORIZED: "1",
      DEBUG: "vitest",
      NODE_OPTIONS: "--max-old-space-size=200",
      AWS_ROLE_ARN: "arn:aws:iam::1:role/x",
      AWS_WEB_IDENTITY_TOKEN_FILE: "/t",
      KUBERNETES_SERVICE_HOST: "10.0.0.1",
    });
    expect(problems).toEqual([]);
    expect(remove).toEqual([]);
  });

  it.each([
    "VAULT_ADDR",
    "VAULT_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "ALL_PROXY",
  ])("removes %s", (name) => expect(refuseDangerousEnvironment({ [name]: "x" }).remove).toEqual([name]));
});

describe("parseMarkKey", () => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7));
  it("takes base64 and raw bytes", () => {
    expect(parseMarkKey(key)).toEqual(key);
    expect(parseMarkKey(Buffer.from(`${key.toString("base64")}\n`))).toEqual(key);
  });
  it("refuses everything else", () => {
    for (const content of ["", "short", "x".repeat(33), key.toString("hex"), key.toString("base64").slice(0, -1)])
      expect(parseMarkKey(Buffer.from(content))).toBeUndefined();
  });
});
