import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import { payloadFromBinary, payloadFromText } from "../model/index.ts";
import { MAX_SECRET_BYTES, renderScaiVault, renderSecret, type SecretShape } from "./index.ts";
import { tls } from "./testing/tls.ts";

const rendered = (text: string, shape?: SecretShape) =>
  Object.fromEntries([...renderSecret(payloadFromText(text), shape).keys].map(([key, value]) => [key, value.text()]));

function refusal(what: () => unknown): SyncError {
  try {
    what();
  } catch (error) {
    if (error instanceof SyncError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("renderSecret", () => {
  it("takes every top-level key as it is, byte for byte", () => {
    expect(rendered('{"id":12345678901234567890,"f":1.0,"pem":"a\\nb\\n","o":{ "x": 1 },"n":null}')).toEqual({
      id: "12345678901234567890",
      f: "1.0",
      pem: "a\nb\n",
      o: '{ "x": 1 }',
      n: "null",
    });
    expect(rendered("plain\r\n")).toEqual({ value: "plain\r\n" });
    const bytes = Buffer.from([0, 255, 254, 10]);
    const [value] = renderSecret(payloadFromBinary(Buffer.from(bytes))).keys.values();
    expect(value?.bytes().equals(bytes)).toBe(true);
  });

  it("takes declared keys: fields, the whole, decoded", () => {
    const text = '{"db":{"password":"p","tls.crt":"Q0VSVA=="},"n":1.50}';
    const data = [
      { key: "PASSWORD", field: ".db.password" },
      { key: "ca.pem", field: '.db."tls.crt"', decode: "Base64" as const },
      { key: "n", field: ".n" },
      { key: "all", field: undefined },
    ];
    expect(rendered(text, { data })).toEqual({ PASSWORD: "p", "ca.pem": "CERT", n: "1.50", all: text });
    expect(rendered(" Q0VS\nVA==\n", { data: [{ key: "k", decode: "Base64" }] })).toEqual({ k: "CERT" });
  });

  it.each<[string, string, SecretShape, string]>([
    ["a field that is not there", '{"a":{}}', { data: [{ key: "k", field: ".a.b" }] }, "FieldNotFound"],
    ["a field of a prototype", '{"a":{}}', { data: [{ key: "k", field: ".a.constructor" }] }, "FieldNotFound"],
    ["a field of a text", "canary", { data: [{ key: "k", field: ".a" }] }, "NotJSON"],
    ["a field of a list", "[1]", { data: [{ key: "k", field: ".a" }] }, "NotJSON"],
    ["Base64 that is none", '{"a":"canary!"}', { data: [{ key: "k", field: ".a", decode: "Base64" }] }, "DecodeFailed"],
    [
      "Base64 without padding",
      '{"a":"Q0VSVA"}',
      { data: [{ key: "k", field: ".a", decode: "Base64" }] },
      "DecodeFailed",
    ],
    ["keys that no Secret takes", '{"a b":1,"..x":2,"":3,"ok":4}', {}, "InvalidKey"],
    ["a Helm release", "{}", { type: "helm.sh/release.v1" }, "TypeNotAllowed"],
    ["a token type", "{}", { type: "kubernetes.io/service-account-token" }, "TypeNotAllowed"],
    ["a bootstrap token", "{}", { type: "bootstrap.kubernetes.io/token" }, "TypeNotAllowed"],
    ["TLS without a key", '{"tls.crt":"x"}', { type: "kubernetes.io/tls" }, "MissingKey"],
    ["TLS that is no PEM", '{"tls.crt":"canary","tls.key":"canary"}', { type: "kubernetes.io/tls" }, "InvalidTLSPair"],
    [
      "a Docker configuration that is no JSON",
      '{".dockerconfigjson":"canary"}',
      { type: "kubernetes.io/dockerconfigjson" },
      "NotJSON",
    ],
    ["basic-auth without either", '{"user":"x"}', { type: "kubernetes.io/basic-auth" }, "MissingKey"],
    ["ssh-auth without a key", "{}", { type: "kubernetes.io/ssh-auth" }, "MissingKey"],
  ])("refuses %s, without quoting it", (_what, text, shape, reason) => {
    const error = refusal(() => renderSecret(payloadFromText(text), shape));
    expect(error.reason).toBe(reason);
    expect(inspect(error, { depth: 5 })).not.toContain("canary");
  });

  it("says how many keys are wrong and which", () => {
    expect(refusal(() => rendered('{"a b":1,"..x":2,"ok":4}')).message).toBe(
      '2 of 3 keys are no Secret keys: "a b", "..x"',
    );
  });

  it("writes a TLS pair only when key and certificate match", () => {
    const pair = (crt: string, key: string) => JSON.stringify({ "tls.crt": crt, "tls.key": key });
    const shape = { type: "kubernetes.io/tls" };
    expect(Object.keys(rendered(pair(tls.a.crt, tls.a.key), shape))).toEqual(["tls.crt", "tls.key"]);
    expect(Object.keys(rendered(pair(tls.a.crt + tls.b.crt, tls.a.key), shape))).toHaveLength(2);
    expect(refusal(() => rendered(pair(tls.a.crt, tls.b.key), shape)).reason).toBe("InvalidTLSPair");
    expect(refusal(() => rendered(pair(tls.b.crt + tls.a.crt, tls.a.key), shape)).reason).toBe("InvalidTLSPair");
  });

  it("takes the other types, and those of other domains", () => {
    expect(rendered('{".dockerconfigjson":{"auths":{}}}', { type: "kubernetes.io/dockerconfigjson" })).toEqual({
      ".dockerconfigjson": '{"auths":{}}',
    });
    expect(rendered('{"password":"p"}', { type: "kubernetes.io/basic-auth" })).toEqual({ password: "p" });
    expect(rendered('{"x":"p"}', { type: "example.com/constructor" })).toEqual({ x: "p" });
  });

  it("is whole or not at all at 1 MiB less room", () => {
    expect(renderSecret(payloadFromText("x".repeat(MAX_SECRET_BYTES))).keys.size).toBe(1);
    expect(refusal(() => renderSecret(payloadFromText("x".repeat(MAX_SECRET_BYTES + 1)))).reason).toBe("ValueTooLarge");
    const halves = JSON.stringify({ a: "x".repeat(MAX_SECRET_BYTES / 2), b: "x".repeat(MAX_SECRET_BYTES / 2 + 1) });
    expect(refusal(() => renderSecret(payloadFromText(halves))).reason).toBe("ValueTooLarge");
  });
});

describe("renderScaiVault", () => {
  it("compares by canonical data and tells the forms apart by type", () => {
    const data = (text: string) => renderScaiVault(payloadFromText(text)).keys.get("data")?.text();
    expect(data('{ "b": 1.0, "a": "x" }')).toBe(data('{"a":"x","b":1}'));
    expect([
      renderScaiVault(payloadFromText("x")).type,
      renderScaiVault(payloadFromText('{"value":"x"}')).type,
    ]).toEqual(["kv", "json"]);
  });

  it("refuses what is larger than 1 MiB", () => {
    expect(refusal(() => renderScaiVault(payloadFromText("x".repeat(1024 * 1024)))).reason).toBe("ValueTooLarge");
  });
});
