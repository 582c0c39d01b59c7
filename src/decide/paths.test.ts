import { grantGlobRules } from "../api/index.ts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import {
  belowSubtree,
  checkGlob,
  checkScaiVaultPath,
  createRights,
  globCovers,
  globMatches,
  mapAll,
  mapSubtree,
  secretNameOf,
  sourcePath,
  type Tenancy,
} from "./index.ts";
import { globMatches as counted } from "./glob.ts";

function reasonOf(what: () => unknown): string {
  try {
    what();
  } catch (error) {
    if (error instanceof SyncError) return error.reason;
    throw error;
  }
  return "none";
}

describe("globs", () => {
  it.each([
    ["prod/**", "prod/a", true],
    ["prod/**", "prod/a/b", true],
    ["prod/**", "prod", false],
    ["prod/**", "production/a", false],
    ["**", "a/b", true],
    ["prod/*", "prod/a", true],
    ["prod/*", "prod/a/b", false],
    ["prod/team-*/db", "prod/team-a/db", true],
    ["prod/team-*/db", "prod/team-a/x/db", false],
    ["prod/**/db", "prod/db", true],
    ["prod/**/db", "prod/a/b/db", true],
    ["prod/**/db/**", "prod/a/db", false],
    ["prod/a?c", "prod/abc", true],
    ["prod/a?c", "prod/a/c", false],
    ["prod/x", "/prod/x", false],
    ["/prod/x", "/prod/x", true],
    ["*/x", "/x", false],
    ["?", "/", false],
    ["{namespace}/x", "billing/x", true],
    ["{namespace}/x", "shop/x", false],
    ["a.c", "abc", false],
    ["a/**b", "a/xb", false],
    ["", "", false],
  ])("%s against %s: %s", (glob, path, matches) => {
    expect(globMatches(glob, path, "billing")).toBe(matches);
  });

  it("does not let a namespace be a wildcard, nor stand for none", () => {
    expect(globMatches("{namespace}/x", "shop/x", "*")).toBe(false);
    expect(globMatches("{namespace}/x", "/x", "")).toBe(false);
    expect(globMatches("{namespace}/x", "undefined/x")).toBe(false);
  });

  it.each(["x".repeat(513), "a/../b", "a//b", "a{namespace}/b", "{ns}/b", "*a*b*c*d*e*f*g*h*i", "a/**b"])(
    "refuses %s",
    (glob) => {
      expect(checkGlob(glob)).toBeTypeOf("string");
      expect(globMatches(glob, glob)).toBe(false);
    },
  );

  it("refuses at the door what would match nothing: what the rules of grants and tenancy take is a glob", () => {
    const piece = fc.constantFrom("a", "/", "*", "**", "?", ".", "..", "{namespace}", "{", "x%");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const glob = pieces.join("");
        const taken = glob !== "" && grantGlobRules.every((rule) => rule.test(glob, undefined));
        if (taken) expect(checkGlob(glob), glob).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it("takes at most the product of both lengths in steps", () => {
    for (const [glob, path] of [
      ["*a*a*a*a*a*a*a*b", "a".repeat(500)],
      ["**/a/**/a/**/a/**/b", Array.from({ length: 250 }, () => "a").join("/")],
      [`${"?".repeat(400)}*b`, "a".repeat(511)],
    ] as const) {
      const steps = { count: 0 };
      expect(counted(glob, path, undefined, steps)).toBe(false);
      expect(steps.count).toBeLessThanOrEqual((glob.length + 1) * (path.length + 1));
    }
  });

  it("agrees with the plain definition", () => {
    const plain = (g: readonly string[], p: readonly string[]): boolean => {
      const [head, ...rest] = g;
      if (head === undefined) return p.length === 0;
      if (head === "**") {
        if (rest.length === 0) return p.length > 0;
        return p.some((_, at) => plain(rest, p.slice(at))) || plain(rest, []);
      }
      return p.length > 0 && word([...head], [...(p[0] ?? "")]) && plain(rest, p.slice(1));
    };
    const word = (g: readonly string[], t: readonly string[]): boolean => {
      const [head, ...rest] = g;
      if (head === undefined) return t.length === 0;
      if (head === "*") return word(rest, t) || (t.length > 0 && word(g, t.slice(1)));
      return t.length > 0 && (head === "?" || head === t[0]) && word(rest, t.slice(1));
    };
    const segment = fc.constantFrom("a", "b", "ab", "*", "a*", "*b", "?", "**");
    const text = fc.array(fc.constantFrom("a", "b", "ab", "ba", "aab"), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), text, (glob, path) => {
        expect(globMatches(glob.join("/"), path.join("/"))).toBe(plain(glob, path));
      }),
      { numRuns: 2000 },
    );
  });

  it("covers a subtree only when it matches everything below", () => {
    expect(globCovers("prod/**", "prod")).toBe(true);
    expect(globCovers("prod/**", "prod/billing")).toBe(true);
    expect(globCovers("prod/*/**", "prod/billing")).toBe(true);
    expect(globCovers("prod/*/**", "prod")).toBe(false);
    expect(globCovers("prod/billing/*", "prod/billing")).toBe(false);
    expect(globCovers("prod/billing/**", "prod")).toBe(false);
    expect(globCovers("**", "prod")).toBe(true);
    expect(globCovers("{namespace}/**", "billing/x", "billing")).toBe(true);
    const segments = fc.array(fc.constantFrom("a", "b", "*", "**"), { maxLength: 4 });
    const names = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(segments, names, names, (glob, prefix, below) => {
        const text = [...glob, "**"].join("/");
        if (globCovers(text, prefix.join("/"))) expect(globMatches(text, [...prefix, ...below].join("/"))).toBe(true);
      }),
    );
  });
});

describe("paths", () => {
  const arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/billing/stripe-AbC123";
  it.each([
    ["aws-secrets-manager", "prod/billing/stripe", "prod/billing/stripe"],
    ["aws-secrets-manager", "/prod/x", "/prod/x"],
    ["aws-secrets-manager", "a_b+c=d.e@f-g", "a_b+c=d.e@f-g"],
    ["aws-secrets-manager", arn, "prod/billing/stripe"],
    ["hashicorp-vault", "kv/team a/ä", "kv/team a/ä"],
  ] as const)("%s takes %s", (type, text, path) => {
    expect(sourcePath(type, text, { region: "us-east-1" })).toBe(path);
  });

  it.each([
    ["aws-secrets-manager", "a//b"],
    ["aws-secrets-manager", "a/../b"],
    ["aws-secrets-manager", "a/."],
    ["aws-secrets-manager", "a b"],
    ["aws-secrets-manager", "ä"],
    ["aws-secrets-manager", ""],
    ["aws-secrets-manager", "x".repeat(513)],
    ["aws-secrets-manager", arn.replace("us-east-1", "eu-west-1")],
    ["aws-secrets-manager", arn.slice(0, -7)],
    ["aws-secrets-manager", `${arn}:json-key:AWSCURRENT:`],
    ["hashicorp-vault", "/kv/x"],
    ["hashicorp-vault", "kv/%2e%2e/sys"],
    ["hashicorp-vault", "kv/../sys"],
    ["hashicorp-vault", "kv/x\n"],
    ["hashicorp-vault", "kv\\x"],
    ["hashicorp-vault", "kv/x/"],
  ] as const)("%s refuses %j", (type, text) => {
    expect(reasonOf(() => sourcePath(type, text, { region: "us-east-1" }))).toBe("InvalidPath");
  });

  it("knows ScaiVault's grammar", () => {
    for (const good of ["a", "a/b-c/d_1", "a/b/c/d/e/f/g/h/i/j", "metadata/x"])
      expect(reasonOf(() => checkScaiVaultPath(good))).toBe("none");
    for (const bad of [
      "A",
      "a.b",
      "a/",
      "/a",
      "",
      "a//b",
      "a/b/c/d/e/f/g/h/i/j/k",
      "x/metadata",
      "batch",
      "a\n",
      `${"a".repeat(513)}`,
    ])
      expect(
        reasonOf(() => checkScaiVaultPath(bad)),
        bad,
      ).toBe("InvalidPath");
  });

  it("maps what is below a subtree, and nothing else", () => {
    expect(mapSubtree("prod/billing/**", "environments/production/billing/**", "prod/billing/a/b")).toBe(
      "environments/production/billing/a/b",
    );
    expect(belowSubtree("prod/billing/**", "prod/billing")).toBeUndefined();
    expect(belowSubtree("prod/billing/**", "prod/billing2/x")).toBeUndefined();
    expect(reasonOf(() => mapSubtree("prod/**", "x/**", "dev/a"))).toBe("InvalidPath");
  });

  it("names Secrets, also where a path holds what looks like a token or a pattern", () => {
    expect(secretNameOf("billing-{path}", "db/main")).toBe("billing-db-main");
    expect(secretNameOf("{name}", "db/main")).toBe("main");
    expect(reasonOf(() => secretNameOf("{path}", "Db"))).toBe("InvalidPath");
    expect(reasonOf(() => secretNameOf("{path}", "$&"))).toBe("InvalidPath");
    expect(reasonOf(() => secretNameOf("{path}", "a".repeat(254)))).toBe("InvalidPath");
  });

  it("reports collisions for both sides, whatever the order, and maps neither", () => {
    const from = { from: "prod/**", scaivault: "external/**", nameTemplate: "{path}" };
    const paths = ["prod/a/b", "prod/a-b", "prod/c", "prod/Upper", "dev/x"];
    const one = mapAll(paths, from);
    expect(one.mapped.map(({ path }) => path)).toEqual(["prod/c"]);
    expect(one.mapped[0]).toEqual({ path: "prod/c", scaivaultPath: "external/c", secretName: "c" });
    expect(one.problems.map(({ path, error }) => `${path} ${error.reason}`)).toEqual([
      "dev/x InvalidPath",
      "prod/Upper InvalidPath",
      "prod/a-b NameCollision",
      "prod/a/b NameCollision",
    ]);
    for (const { error } of one.problems.slice(2)) expect(error.message).toMatch(/prod\/a-b and prod\/a\/b/);
    const other = mapAll([...paths].reverse(), from);
    expect(other.problems.map(({ path, error }) => [path, error.message])).toEqual(
      one.problems.map(({ path, error }) => [path, error.message]),
    );
  });
});

describe("rights", () => {
  const tenancy: Tenancy[] = [
    {
      namespaces: ["billing"],
      scaivault: {
        read: ["shared/**"],
        write: ["environments/production/{namespace}/**"],
        credentials: ["infra/{namespace}/*"],
      },
      endpoints: ["vault.example.com:8200", "*.corp.example.com"],
      ambientIdentity: false,
      federation: true,
    },
    {
      namespaces: ["platform", "billing"],
      scaivault: { read: ["common/*"], write: [], credentials: [] },
      endpoints: [],
      ambientIdentity: false,
      federation: false,
    },
    {
      namespaces: ["platform"],
      scaivault: { read: [], write: [], credentials: [] },
      endpoints: [],
      ambientIdentity: true,
      federation: false,
    },
  ];
  const rights = createRights({ tenancyMode: "Restricted", tenancy, operatorNamespace: "scaivault-system" });
  const word = (verdict: ReturnType<typeof rights.source>): string =>
    verdict.ok ? "ok" : `${verdict.error.reason} ${verdict.error.right ?? ""}`.trim();

  it.each([
    ["billing", "environments/production/billing/x", "write", "ok"],
    ["billing", "environments/production/shop/x", "write", "NotGranted tenancy.scaivault.write"],
    ["billing", "environments/production/billing/x", "read", "NotGranted tenancy.scaivault.read"],
    ["billing", "shared/a/b", "read", "ok"],
    ["billing", "common/a", "read", "ok"],
    ["billing", "common/a/b", "read", "NotGranted tenancy.scaivault.read"],
    ["billing", "environments/production/billing/**", "write", "ok"],
    ["billing", "environments/production/**", "write", "NotGranted tenancy.scaivault.write"],
    ["shop", "shared/a", "read", "NotGranted tenancy.scaivault.read"],
    ["billing", "infra/billing/aws", "credentials", "ok"],
    ["billing", "infra/shop/aws", "credentials", "NotGranted tenancy.scaivault.credentials"],
    ["billing", "environments/production/billing/x", "credentials", "NotGranted tenancy.scaivault.credentials"],
    ["kube-system", "shared/a", "read", "NamespaceProtected"],
    ["scaivault-system", "shared/a", "read", "NamespaceProtected"],
  ] as const)("%s, ScaiVault path %s to %s: %s", (namespace, path, right, expected) => {
    expect(word(rights.scaivault(namespace, path, right))).toBe(expected);
  });

  const grants = [
    { name: "teams", namespaces: { names: ["billing", "kube-system"] }, read: ["prod/{namespace}/**"] },
    { name: "shared", namespaces: { names: ["billing"] }, read: ["prod/shared/*"] },
  ];
  const backend = { namespace: "platform", name: "aws", grants };
  it.each([
    ["billing", "prod/billing/stripe", backend, "ok"],
    ["billing", "prod/shared/x", backend, "ok"],
    ["billing", "prod/shop/x", backend, "NotGranted grants.read"],
    ["billing", "prod/billing/**", backend, "ok"],
    ["billing", "prod/shared/**", backend, "NotGranted grants.read"],
    ["shop", "prod/shop/x", backend, "NotGranted grants.namespaces"],
    ["platform", "anything", backend, "ok"],
    ["kube-system", "prod/kube-system/x", backend, "NamespaceProtected"],
    ["billing", "prod/billing/x", { ...backend, namespace: "kube-system" }, "NotGranted tenancy.namespaces"],
    ["billing", "prod/billing/x", { namespace: "platform" }, "NotGranted grants.namespaces"],
  ])("%s reading %s through a backend: %s", (namespace, path, through, expected) => {
    expect(word(rights.source({ namespace, path }, through))).toBe(expected);
  });

  it("knows endpoints and the operator's own identity", () => {
    expect(rights.endpoint("billing", "vault.example.com:8200").ok).toBe(true);
    expect(rights.endpoint("billing", "VAULT.corp.example.com").ok).toBe(true);
    for (const host of [
      "vault.example.com",
      "vault.example.com:8201",
      "corp.example.com",
      "evilcorp.example.com",
      "x.corp.example.com.evil.com",
    ])
      expect(word(rights.endpoint("billing", host)), host).toBe("EndpointNotAllowed tenancy.endpoints");
    expect(rights.ambientIdentity("platform").ok).toBe(true);
    expect(word(rights.ambientIdentity("billing"))).toBe("NotGranted tenancy.ambientIdentity");
    expect(rights.endpoints("shop")).toEqual([]);
    expect(rights.federation("billing").ok).toBe(true);
    expect(word(rights.federation("platform"))).toBe("NotGranted tenancy.federation");
    expect(word(rights.federation("shop"))).toBe("NotGranted tenancy.federation");
    expect(word(rights.federation("kube-system"))).toBe("NamespaceProtected");
  });

  it("Open allows everything but protected namespaces", () => {
    const open = createRights({ tenancyMode: "Open", tenancy: [], operatorNamespace: "scaivault-system" });
    expect(
      open.scaivault("any", "x/y", "write").ok && open.ambientIdentity("any").ok && open.endpoint("any", "h").ok,
    ).toBe(true);
    expect(open.source({ namespace: "any", path: "x" }, backend).ok).toBe(false);
    expect(open.refusal("kube-system")?.reason).toBe("NamespaceProtected");
  });

  it("no grant gives more than the backend's owner could read, and adding one takes nothing away", () => {
    const globs = fc.array(fc.constantFrom("prod/**", "prod/*", "**", "{namespace}/**", "prod/a"), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(globs, globs, fc.constantFrom("prod/a", "billing/x", "prod/a/b", "z"), (first, second, path) => {
        const grant = (read: string[]) => ({ namespaces: { names: ["billing"] }, read });
        const ask = (all: { namespaces: { names: string[] }; read: string[] }[]) =>
          rights.source({ namespace: "billing", path }, { namespace: "platform", grants: all }).ok;
        if (ask([grant(first)])) expect(ask([grant(first), grant(second)])).toBe(true);
        expect(rights.scaivault("billing", path, "write").ok).toBe(false);
      }),
    );
  });
});
