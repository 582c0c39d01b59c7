import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import {
  API_VERSION,
  check,
  type FederationBackendStatus,
  federationBackendSpec,
  GROUP,
  type SecretSyncStatus,
  secretSyncSpec,
} from "../../../src/api/index.ts";
import { testEnvironment } from "../../support/environment.ts";
import { type Attack, attacks, laterFields } from "./attacks.ts";
import { kubectlLines, ownFindings } from "./bad-specs.expected.ts";
import { badSpecs } from "./bad-specs.ts";
import { awsSpec, copiedSpec, edited, goodSpecs, syncSpec, treeSpec, vaultSpec } from "./specs.ts";

type Kind = "SecretSync" | "FederationBackend";

const NAMESPACE = "api-tests";
const plurals = { SecretSync: "secretsyncs", FederationBackend: "federationbackends" } as const;
const schemas = { SecretSync: secretSyncSpec, FederationBackend: federationBackendSpec } as const;
const NOTE =
  "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

const { kube } = testEnvironment();
const collection = (kind: Kind): string => `/apis/${API_VERSION}/namespaces/${NAMESPACE}/${plurals[kind]}`;
const collectionPath = (plural: string): string => `/apis/${API_VERSION}/${plural}`;
const object = (kind: Kind, name: string, spec: unknown) => ({
  apiVersion: API_VERSION,
  kind,
  metadata: { name, namespace: NAMESPACE },
  spec,
});

interface Answer {
  readonly code: number;
  readonly body: {
    readonly status?: unknown;
    readonly spec?: unknown;
    readonly message?: string;
    readonly details?: Details;
  };
}
interface Details {
  readonly causes?: readonly { readonly field?: string; readonly message?: string }[];
}

async function post(
  kind: Kind,
  name: string,
  spec: unknown,
  query = "dryRun=All&fieldValidation=Strict",
): Promise<Answer> {
  const answer = await kube.request({
    method: "POST",
    path: `${collection(kind)}?${query}`,
    body: object(kind, name, spec),
  });
  return { code: answer.status, body: JSON.parse(answer.text) as Answer["body"] };
}

let made: string[] = [];

beforeAll(async () => {
  await kube.ensureNamespace(NAMESPACE);
  for (const file of readdirSync("crds")) {
    const crd = parse(readFileSync(`crds/${file}`, "utf8")) as { metadata: { name: string } };
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.metadata.name}`;
    if ((await kube.request({ path })).status === 404) made.push(crd.metadata.name);
    await kube.apply(path, crd);
  }
  for (const plural of Object.values(plurals)) {
    await kube.kubectl(["wait", "--for=condition=Established", "--timeout=30s", `crd/${plural}.${GROUP}`]);
    await vi.waitFor(
      async () => expect((await kube.request({ path: collectionPath(plural) })).status).toBe(200),
      30_000,
    );
  }
});

afterAll(async () => {
  await kube.kubectl(["delete", "namespace", NAMESPACE, "--wait=false"]);
  for (const name of made) await kube.kubectl(["delete", "crd", name, "--wait=true", "--timeout=60s"]);
  made = [];
});

/** Lines by object name of one `kubectl apply` of many objects. */
async function applyAll(
  objects: readonly ReturnType<typeof object>[],
): Promise<{ readonly lines: ReadonlyMap<string, string>; readonly taken: number }> {
  const input = objects.map((item) => stringify(item, { version: "1.1", aliasDuplicateObjects: false })).join("---\n");
  const run = await kube.kubectl(["apply", "--dry-run=server", "-f", "-"], { input });
  const lines = new Map(
    run.stderr.split("\n").flatMap((line): [string, string][] => {
      const found = /: \w+\.scaivault\.scailabs\.ai "([^"]+)" is invalid: (.+)$/.exec(line);
      return found === null ? [] : [[found[1] ?? "", found[2] ?? ""]];
    }),
  );
  return { lines, taken: run.stdout.split("\n").filter((line) => line.endsWith(" created (server dry run)")).length };
}

/** The one line that people have to read; the API server's fixed note is not counted. */
function oneLine(text: string | undefined): string | undefined {
  return text?.endsWith(`, ${NOTE}]`) === true ? text.slice(1, -NOTE.length - 3) : text;
}

describe("specs that are good", () => {
  it("are taken by kubectl apply and by validate", async () => {
    const { lines, taken } = await applyAll(goodSpecs.map(({ kind, name, spec }) => object(kind, name, spec)));
    expect([...lines]).toEqual([]);
    expect(taken).toBe(goodSpecs.length);
    for (const { kind, spec } of goodSpecs) expect(check(schemas[kind], spec, { unknown: "Refuse" })).toEqual([]);
  });

  it("are stored as they were written", async () => {
    for (const { kind, name, spec } of goodSpecs) {
      const answer = await post(kind, name, spec, "dryRun=All");
      expect(answer.body.spec).toEqual(spec);
    }
  });
});

describe("the largest specs", () => {
  const long = (length: number, start: string): string => start.padEnd(length, "x");
  it("are within the budget of the API server's rules", async () => {
    const sync = edited(syncSpec, {
      source: { path: long(512, "prod/") },
      targets: {
        scaivault: {
          path: `a/${long(500, "b")}`,
          tags: Array.from({ length: 32 }, (_, i) => long(256, `tag-${i}-`)),
          description: long(512, "d"),
        },
        kubernetesSecret: {
          data: Array.from({ length: 100 }, (_, i) => ({
            key: long(253, `key-${i}-`),
            field: long(512, ".f"),
            decode: "Base64",
          })),
        },
      },
    });
    const backend = edited(awsSpec, {
      grants: Array.from({ length: 32 }, (_, i) => ({
        name: `grant-${i}`,
        namespaces: { names: Array.from({ length: 64 }, (_item, j) => long(63, `ns-${j}-`)) },
        read: Array.from({ length: 32 }, (_item, j) => long(512, `prod/{namespace}/*/${j}/`)),
      })),
    });
    const federated = edited(backend, {
      federation: {
        mode: "sync",
        tags: Array.from({ length: 32 }, (_, i) => ({ from: long(128, `tag-${i}*-`), as: "value" })),
        pathMapping: Array.from({ length: 64 }, (_, i) => ({
          scaivaultPath: `${long(500, `tree-${i}-`)}/**`,
          sourcePath: `${long(500, `prod/${i}-`)}/**`,
          exclude: Array.from({ length: 16 }, (_item, j) => long(512, `prod/*/**/${j}/`)),
        })),
      },
    });
    expect(await post("FederationBackend", "largest", federated)).toMatchObject({
      code: 201,
      body: { spec: federated },
    });
    expect(check(federationBackendSpec, federated, { unknown: "Refuse" })).toEqual([]);
    expect(await post("SecretSync", "largest", sync)).toMatchObject({ code: 201, body: { spec: sync } });
    expect(await post("FederationBackend", "largest", backend)).toMatchObject({ code: 201, body: { spec: backend } });
    expect(check(secretSyncSpec, sync, { unknown: "Refuse" })).toEqual([]);
    expect(check(federationBackendSpec, backend, { unknown: "Refuse" })).toEqual([]);
  });
});

describe("specs that are bad", () => {
  it("are each refused by kubectl apply with exactly one line that says what to write", async () => {
    const { lines, taken } = await applyAll(badSpecs.map(({ kind, name, spec }) => object(kind, name, spec)));
    const shown = Object.fromEntries(badSpecs.map(({ name }) => [name, oneLine(lines.get(name))]));
    expect(shown).toEqual(kubectlLines);
    expect(taken).toBe(0);
  });

  it("show as one line when applied alone", async () => {
    const spec = edited(syncSpec, { source: { path: "prod/billing/**" } });
    const run = await kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object("SecretSync", "one", spec)) });
    expect(run.stderr.trim()).toBe(
      'The SecretSync "one" is invalid: spec.source.path: Invalid value: "prod/billing/**": path names one secret, without `*`, `{` or `}`; for everything below a path write `subtree: prod/billing/**` instead',
    );
  });

  it("are each refused by validate with the same message", () => {
    for (const { kind, name, spec } of badSpecs) {
      const found = check(schemas[kind], spec, { unknown: "Refuse" }).map(
        (p) => `${["spec", ...p.path].join(".")}: ${p.message}`,
      );
      expect(found).toHaveLength(1);
      const own = ownFindings[name];
      if (own !== undefined) expect(found[0]).toBe(own);
      else expect(kubectlLines[name]).toContain(found[0]?.slice(found[0].indexOf(": ")));
    }
  });
});

const segments = (field: string): readonly string[] => field.replace(/\[(\d+)\]/g, ".$1").split(".");
const at = (value: unknown, field: string): unknown =>
  segments(field).reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], value);

describe("fields that are not there", () => {
  const table: readonly Attack[] = [...attacks, ...laterFields];
  it.each(table)("$number $name", async ({ kind, spec, unknown }) => {
    const run = await kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object(kind, "attack", spec)) });
    const list = unknown.map((field) => `unknown field "${field}"`).join(", ");
    expect(run.stderr.trim().split("\n")).toEqual([
      `Error from server (BadRequest): error when creating "STDIN": ${kind} in version "v1alpha1" cannot be handled as a ${kind}: strict decoding error: ${list}`,
    ]);
    const found = check(schemas[kind], spec, { unknown: "Refuse" }).filter((p) => p.code === "UnknownField");
    expect(found.map((p) => p.path.join(".")).toSorted()).toEqual(
      unknown.map((field) => segments(field).slice(1).join(".")),
    );
    // Clients that do not ask for validation: the field is gone before anybody could read it.
    const lenient = await post(kind, "attack", spec, "dryRun=All&fieldValidation=Ignore");
    if (lenient.code === 201)
      for (const field of unknown) expect(at({ spec: lenient.body.spec }, field)).toBeUndefined();
    else expect(lenient.code).toBe(422);
  });
});

describe("changes", () => {
  const change = async (kind: Kind, name: string, from: unknown, to: unknown): Promise<string> => {
    await kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object(kind, name, from)) });
    const run = await kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object(kind, name, to)) });
    return run.stderr.trim();
  };

  it("of type are refused", async () => {
    expect(await change("FederationBackend", "type", awsSpec, vaultSpec)).toBe(
      'The FederationBackend "type" is invalid: spec.type: Forbidden: type cannot change; create another FederationBackend and move the SecretSyncs to it',
    );
  });

  it("of a federation's authority together with a policy becoming Delete are refused", async () => {
    expect(
      await change(
        "FederationBackend",
        "flip-tree",
        copiedSpec,
        edited(copiedSpec, { federation: { authority: "ScaiVault", deletionPolicy: "Delete" } }),
      ),
    ).toBe(
      'The FederationBackend "flip-tree" is invalid: spec.federation.deletionPolicy: Forbidden: authority and `deletionPolicy: Delete` cannot change together: change authority first, deletionPolicy when that is in sync',
    );
  });

  const flip = { authority: "ScaiVault" };
  it.each(["deletionPolicy", "cleanupPolicy"])(
    "of authority together with %s becoming Delete are refused",
    async (policy) => {
      const name = `flip-${policy.toLowerCase()}`;
      expect(await change("SecretSync", name, syncSpec, edited(syncSpec, { ...flip, [policy]: "Delete" }))).toBe(
        `The SecretSync "${name}" is invalid: spec.${policy}: Forbidden: authority and \`${policy}: Delete\` cannot change together: change authority first, ${policy} when that is in sync`,
      );
      // One after the other is fine, and a policy that was Delete before may stay.
      expect(await change("SecretSync", `${name}-1`, syncSpec, edited(syncSpec, flip))).toBe("");
      expect(
        await change(
          "SecretSync",
          `${name}-1`,
          edited(syncSpec, flip),
          edited(syncSpec, { ...flip, [policy]: "Delete" }),
        ),
      ).toBe("");
      expect(
        await change(
          "SecretSync",
          `${name}-1`,
          edited(syncSpec, { ...flip, [policy]: "Delete" }),
          edited(syncSpec, { authority: "Source", [policy]: "Delete" }),
        ),
      ).toBe("");
    },
  );

  it("are judged by check as by the API server", async () => {
    const specs = ["Source", "ScaiVault", null].flatMap((authority) =>
      [null, "Retain", "Delete"].map((deletionPolicy) => edited(syncSpec, { authority, deletionPolicy })),
    );
    for (const [index, old] of specs.entries()) {
      const name = `pair-${index}`;
      await kube.apply(`${collection("SecretSync")}/${name}`, object("SecretSync", name, old));
      for (const spec of specs) {
        const answer = await kube.request({
          method: "PATCH",
          path: `${collection("SecretSync")}/${name}?dryRun=All&fieldManager=api-tests`,
          contentType: "application/json-patch+json",
          body: [{ op: "replace", path: "/spec", value: spec }],
        });
        const found = check(secretSyncSpec, spec, { old });
        const { message } = JSON.parse(answer.text) as Answer["body"];
        expect({ old, spec, message, code: answer.status }).toEqual({
          old,
          spec,
          message,
          code: found.length === 0 ? 200 : 422,
        });
      }
    }
  });
});

describe("the API server and check", () => {
  const words = [
    "",
    "a",
    "prod/billing/**",
    "prod/x",
    "/prod",
    "a//b",
    "A.b",
    "Source",
    "ScaiVault",
    "local_wins",
    "manual",
    "Delete",
    "1d",
    "15m",
    "29s",
    "24h",
    "x".repeat(600),
    "{path}",
    "a\u0001",
    "%2e",
    ".a",
    '."a.b"',
    "Opaque",
    "helm.sh/x",
    "https://h",
    "us-east-1",
    "ä",
  ];
  const leaf = fc.oneof(
    fc.constantFrom(...words),
    fc.string({ maxLength: 12 }),
    fc.integer({ min: -2, max: 3 }),
    fc.boolean(),
    fc.constant({}),
    fc.constant([]),
  );
  const bases = {
    SecretSync: [syncSpec, treeSpec, ...goodSpecs.filter((g) => g.kind === "SecretSync").map((g) => g.spec)],
    FederationBackend: [
      awsSpec,
      vaultSpec,
      ...goodSpecs.filter((g) => g.kind === "FederationBackend").map((g) => g.spec),
    ],
  };

  /** Member names down to any place in a spec, read off the schema by walking good specs. */
  function places(value: unknown): readonly (readonly (string | number)[])[] {
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([name, item]) => {
      const key = Array.isArray(value) ? Number(name) : name;
      return [[key], ...places(item).map((rest) => [key, ...rest])];
    });
  }
  const replace = (value: unknown, [head, ...rest]: readonly (string | number)[], leafValue: unknown): unknown => {
    if (head === undefined) return leafValue;
    if (Array.isArray(value))
      return value.map((item: unknown, index) => (index === head ? replace(item, rest, leafValue) : item));
    return { ...(value as object), [head]: replace((value as Record<string, unknown>)[head], rest, leafValue) };
  };

  it("take and refuse the same specs", { timeout: 180_000 }, async () => {
    const kinds = fc.constantFrom<Kind>("SecretSync", "FederationBackend");
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(), leaf), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(kinds, fc.nat(), edits, async (kind, pick, changes) => {
        let spec: unknown = bases[kind][pick % bases[kind].length];
        for (const [where, other, value] of changes) {
          const all = places(bases[kind][other % bases[kind].length]).filter((place) =>
            place.every((segment) => typeof segment === "string"),
          );
          const place = all[where % all.length];
          if (place !== undefined && canHold(spec, place)) spec = replace(spec, place, value);
        }
        const answer = await post(kind, "fuzz", spec, "dryRun=All&fieldValidation=Strict");
        const found = check(schemas[kind], spec, { unknown: "Refuse" });
        const said = answer.body.message ?? "";
        expect({ taken: answer.code === 201, said }).toEqual({ taken: found.length === 0, said });
        // What the API server says in our words, check says too.
        for (const { message } of answer.body.details?.causes ?? []) {
          const ours = (message ?? "").replace(
            /^(?:Invalid value: (?:"(?:[^"\\]|\\.)*"|-?\d+|true|false)|Forbidden|Required value): /,
            "",
          );
          if (knownMessages.has(ours)) expect(found.map((p) => p.message)).toContain(ours);
        }
      }),
      { numRuns: 400 },
    );
  });

  /** True when the place's parents are there or can be made, so that edits do not go into texts and lists. */
  function canHold(spec: unknown, place: readonly (string | number)[]): boolean {
    let node = spec;
    for (const segment of place.slice(0, -1)) {
      if (typeof node !== "object" || node === null || Array.isArray(node)) return false;
      node = (node as Record<string, unknown>)[segment];
    }
    return typeof node === "object" && node !== null && !Array.isArray(node);
  }

  const knownMessages = new Set(
    readdirSync("crds").flatMap((file) => messagesOf(parse(readFileSync(`crds/${file}`, "utf8")))),
  );
  function messagesOf(value: unknown): string[] {
    if (Array.isArray(value)) return value.flatMap(messagesOf);
    if (typeof value !== "object" || value === null) return [];
    const { rule, message } = value as { rule?: unknown; message?: unknown };
    const own = typeof rule === "string" && typeof message === "string" ? [message] : [];
    return [...own, ...Object.values(value).flatMap(messagesOf)];
  }
});

describe("status", () => {
  const now = "2026-11-23T10:00:00Z";
  const long = (length: number): string => "ä".repeat(length);
  const problems = Array.from({ length: 20 }, () => ({
    path: long(600),
    reason: "BothChanged",
    message: long(512),
    since: now,
  }));
  const conditions = [
    "Ready",
    "Reconciling",
    "Stalled",
    "Stale",
    "Conflict",
    "DeletionHeld",
    "ChangeHeld",
    "ApprovalNeeded",
    "TargetsDiverged",
  ].map((type) => ({
    type,
    status: "True" as const,
    reason: "InSync",
    message: long(1024),
    observedGeneration: 3,
    lastTransitionTime: now,
  }));

  const patch = async (kind: Kind, name: string, status: unknown) => {
    await kube.apply(`${collection(kind)}/${name}`, object(kind, name, kind === "SecretSync" ? syncSpec : awsSpec));
    const answer = await kube.request({
      method: "PATCH",
      path: `${collection(kind)}/${name}/status?fieldManager=scaivault-operator-status&force=true&fieldValidation=Strict`,
      contentType: "application/apply-patch+yaml",
      body: { apiVersion: API_VERSION, kind, metadata: { name }, status },
    });
    return { code: answer.status, body: JSON.parse(answer.text) as Answer["body"] };
  };

  it("of a SecretSync fits with everything in it, 20 problems of the longest kind", async () => {
    const status: SecretSyncStatus = {
      observedGeneration: 3,
      conditions,
      effective: { syncInterval: "15m", authority: "Source", conflictResolution: "remote_wins" },
      sourceVersion: "a1b2c3d4",
      targets: [
        { kind: "ScaiVault", ref: long(512), state: "Held", sourceVersion: "99aa", targetVersion: "7" },
        {
          kind: "KubernetesSecret",
          ref: "stripe",
          state: "InSync",
          keys: { equal: 3, differs: ["a"], missing: ["b"], extra: ["c"] },
        },
      ],
      counts: { found: 1, inSync: 0, failed: 0, conflicts: 1, held: 0 },
      plan: { hash: "", add: 0, change: 0, delete: 0 },
      problems,
      lastWriteTime: now,
      lastHandledSyncRequest: "",
    };
    const answer = await patch("SecretSync", "status", status);
    expect(answer).toMatchObject({ code: 200, body: { status } });
  });

  it("of a FederationBackend too, and columns answer whether it is fine", async () => {
    const status: FederationBackendStatus = {
      observedGeneration: 1,
      conditions: conditions.slice(0, 1),
      identity: "111122223333/us-east-1/role/sm-reader",
      effective: { syncInterval: "15m", poll: "List", notes: ["the list may lag five minutes"] },
      counts: { dependants: 212, inSync: 210, failed: 2, conflicts: 0, held: 0 },
      federation: {
        counts: { found: 10_000, inSync: 9_999, failed: 1, conflicts: 0, held: 0 },
        name: "k8s_prod_platform_aws-prod",
        id: "fed_1",
        mode: "sync",
        connection: "Connected",
        lastSyncTime: now,
      },
      plan: { hash: "", add: 0, change: 0, delete: 0 },
      lastWriteTime: now,
      lastPollTime: now,
      lastHandledSyncRequest: "",
      problems,
    };
    expect(await patch("FederationBackend", "status", status)).toMatchObject({ code: 200, body: { status } });
    const columns = async (kind: Kind): Promise<readonly string[]> => {
      const run = await kube.kubectl(["get", plurals[kind], "status", "-n", NAMESPACE, "--no-headers=false"]);
      return run.stdout
        .trim()
        .split("\n")
        .map((line) => line.replace(/ {2,}/g, "|"));
    };
    const backend = await columns("FederationBackend");
    expect(backend[0]).toBe("NAME|READY|STATUS|TYPE|DEPENDANTS|FAILING|LAST POLL|AGE");
    expect(backend[1]).toMatch(/^status\|True\|InSync\|aws-secrets-manager\|212\|2\|/);
    const sync = await columns("SecretSync");
    expect(sync[0]).toBe("NAME|READY|STATUS|SOURCE|LAST WRITE|AGE");
    expect(sync[1]).toMatch(/^status\|True\|InSync\|prod\/billing\/stripe\|/);
    const short = await kube.kubectl(["get", "scaivault,ssync,fedb", "-n", NAMESPACE, "-o", "name"]);
    expect(short.code).toBe(0);
  });

  it("beyond the bounds is refused, never cut", async () => {
    const answer = await patch("SecretSync", "status-21", { problems: [...problems, ...problems.slice(0, 1)] });
    expect(answer.code).toBe(422);
  });
});
