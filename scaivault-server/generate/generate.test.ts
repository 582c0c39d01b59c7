import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { rawMembers } from "../json/raw-json.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer } from "../server.ts";
import { callServer } from "../testing.ts";
import type { CallAnswer } from "../testing.ts";
import { checkRecipe, generate } from "./generators.ts";
import { regenerate } from "./service.ts";

const make = (generator: string, config: object = {}): ReadonlyMap<string, string> =>
  generate({ name: "f", generator, config: config as Record<string, unknown> }, new Map([["user", "u"]]));

describe("generators", () => {
  it.each([
    ["random", {}, /^[A-Z0-9]{32}$/i],
    ["random", { length: 4, charset: "numeric" }, /^\d{4}$/],
    ["random", { length: 9, charset: "ab" }, /^[ab]{9}$/],
    ["hex", { length: 7 }, /^[0-9a-f]{7}$/],
    ["uuid", {}, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/],
    ["uuid", { version: 7 }, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/],
    ["template", { template: "{{user}}-{{ user }}-{{{" }, /^u-u-\{\{\{$/],
    ["static", { value: "same" }, /^same$/],
  ])("%s with %j", (generator, config, form) => {
    expect(make(generator, config).get("f")).toMatch(form);
  });

  it("random has all that is required, of any length that has room for it", () => {
    const flags = ["require_upper", "require_lower", "require_digit", "require_symbol"];
    const forms = [/[A-Z]/, /[a-z]/, /\d/, /[^A-Z0-9]/i];
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 12 }), fc.subarray(flags), (length, wanted) => {
        const config = { length, charset: "ascii", ...Object.fromEntries(wanted.map((flag) => [flag, true])) };
        const text = make("random", config).get("f") ?? "";
        expect(text).toHaveLength(length);
        for (const flag of wanted) expect(text).toMatch(forms[flags.indexOf(flag)] as RegExp);
      }),
    );
  });

  it("key pairs fit together", () => {
    for (const generator of ["rsa_keypair", "ec_keypair"]) {
      const pair = make(generator);
      const signature = sign("sha256", Buffer.from("x"), createPrivateKey(pair.get("f") ?? ""));
      const publicKey = createPublicKey(pair.get("f_public") ?? "");
      expect(verify("sha256", Buffer.from("x"), publicKey, signature)).toBe(true);
    }
  });

  it("ssh-keygen reads the private key and finds the public key in it", ({ skip }) => {
    const folder = mkdtempSync(join(tmpdir(), "scaivault-ssh-"));
    try {
      const pair = make("ssh_keypair", { comment: "me@here" });
      const file = join(folder, "key");
      writeFileSync(file, pair.get("f") ?? "", { mode: 0o600 });
      const ran = spawnSync("ssh-keygen", ["-y", "-P", "", "-f", file], { encoding: "utf8" });
      if (ran.error !== undefined) skip("ssh-keygen is not installed");
      expect([ran.status, ran.stdout.trim()]).toEqual([0, pair.get("f_public")]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ["bcrypt_hash", {}],
    ["dice", {}],
    ["constructor", {}],
    ["random", { length: 0 }],
    ["random", { charset: "abc", require_digit: true }],
    ["random", { length: 1, require_digit: true, require_upper: true }],
    ["uuid", { version: 1 }],
    ["static", {}],
    ["rsa_keypair", { bits: 512 }],
  ])("refuse %s with %j", (generator, config) => {
    expect(() => checkRecipe({ name: "f", generator, config }, "fields.0")).toThrow(
      expect.objectContaining({ code: "validation_error" }) as Error,
    );
  });
});

describe("making a value anew", () => {
  it("keeps the text of all other fields, whatever they are", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (data) => {
        const text = JSON.stringify(data);
        const made = rawMembers(regenerate(text, [{ name: "new", generator: "static", config: { value: "v" } }]));
        const before = rawMembers(text);
        for (const [name, raw] of before) if (name !== "new") expect(made.get(name)).toBe(raw);
        expect(made.get("new")).toBe('"v"');
        expect(made.size).toBe(before.size + (before.has("new") ? 0 : 1));
      }),
    );
  });

  it("does not fill a template with the value that is being replaced", () => {
    const recipes = [
      { name: "url", generator: "template", config: { template: "{{password}}" } },
      { name: "password", generator: "hex", config: {} },
    ];
    expect(() => regenerate('{"password":"old"}', recipes)).toThrow(/template/);
  });
});

describe("value-generation policies", () => {
  let server: ScaiVaultServer;
  beforeEach(async () => {
    server = await startServer({});
  });
  afterEach(() => server.stop());
  const call = (method: string, path: string, body?: object): Promise<CallAnswer> =>
    callServer(server, method, path, body === undefined ? {} : { body });

  it("are made, read, changed, previewed, listed, and not deleted while in use", async () => {
    const fields = [{ name: "password", generator: "random", config: { length: 10 } }];
    const made = await call("POST", "/v1/secret-policies", { name: "pw", fields, policy_type: "password" });
    expect([made.status, made.json]).toMatchObject([
      201,
      { name: "pw", policy_type: "password", fields, is_active: true },
    ]);
    const where = `/v1/secret-policies/${String(made.json["id"])}`;
    expect((await call("POST", "/v1/secret-policies", { name: "pw", fields })).code).toBe("policy_exists");
    expect((await call("PATCH", where, { description: "d" })).json).toMatchObject({ description: "d", fields });
    expect((await call("POST", `${where}/preview`)).json).toEqual({
      data: { password: expect.stringMatching(/^[A-Z0-9]{10}$/i) as string },
    });
    expect((await call("GET", "/v1/secret-policies")).json["data"]).toMatchObject([{ name: "pw" }]);
    const secret_policy_id = made.json["id"];
    const rotation = await call("POST", "/v1/rotation/policies", { name: "r", interval: "1d", secret_policy_id });
    expect(await call("DELETE", where)).toMatchObject({ status: 409, code: "policy_in_use" });
    await call("DELETE", `/v1/rotation/policies/${String(rotation.json["id"])}`);
    expect((await call("DELETE", where)).status).toBe(204);
    expect((await call("GET", where)).code).toBe("secret_policy_not_found");
  });
});
