/** The chart from the last release to this one, to a later one with a new field, and back: CRDs change, objects survive. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { chartCluster } from "../chart/cluster.ts";
import { at, chart, type Cluster, helm, kubectl } from "../chart/support.ts";
import { chartOf } from "./releases.ts";

const namespace = "upgrade-operator";
const release = ["scaivault-operator", "-n", namespace];
const CRD = "crd/secretsyncs.scaivault.scailabs.ai";
let cluster: Cluster;
let stop: () => Promise<void>;
let work: string;

beforeAll(async () => {
  ({ cluster, stop } = await chartCluster());
  work = mkdtempSync(join(tmpdir(), "upgrade-chart-"));
});
afterAll(async () => {
  rmSync(work, { recursive: true, force: true });
  await stop?.();
});

async function get(...args: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await kubectl(cluster, ["get", ...args, "-o", "json"])) as Record<string, unknown>;
}

/** Runs helm and waits until the API server serves what the CRDs say. */
async function ok(...args: string[]): Promise<void> {
  const ran = await helm(cluster, args, args[0] === "rollback" ? undefined : { cluster: { name: "upgrade" } });
  expect([ran.code, ran.stderr]).toEqual([0, ""]);
}

const syncNamed = (name: string, more: object = {}): string =>
  JSON.stringify({
    apiVersion: "scaivault.scailabs.ai/v1alpha1",
    kind: "SecretSync",
    metadata: { name, namespace: "default" },
    spec: {
      source: { backendRef: { name: "aws" }, path: "prod/x" },
      targets: { kubernetesSecret: {} },
      ...more,
    },
  });
const create = (name: string, more?: object) => kubectl(cluster, ["create", "-f", "-"], syncNamed(name, more));
const object = (name: string) => get("-n", "default", "secretsync", name);

/** The chart as a later release may be: its SecretSync has one more field. */
function laterChart(): string {
  const copy = join(work, "later");
  cpSync(chart, copy, { recursive: true });
  const file = join(copy, "files", "crds", "scaivault.scailabs.ai_secretsyncs.yaml");
  const crd = parse(readFileSync(file, "utf8")) as object;
  const properties = at(crd, "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties") as Record<
    string,
    object
  >;
  properties["later"] = { type: "string", maxLength: 16, description: "A field of a later release." };
  writeFileSync(file, stringify(crd));
  return copy;
}

describe("helm upgrade", () => {
  let before: Record<string, unknown>;
  let key: unknown;

  test("from 0.1.0: objects and the mark key survive, the change of the CRDs is in force", async () => {
    await ok("install", ...release, chartOf("0.1.0"), "--create-namespace");
    await kubectl(cluster, ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    await create("old");
    before = await object("old");
    expect(before["status"]).toBeUndefined();
    key = (await get("-n", namespace, "secret", "scaivault-operator-key"))["data"];
    await ok("upgrade", ...release, chart);
    const after = await object("old");
    expect(at(after, "metadata.uid")).toBe(at(before, "metadata.uid"));
    expect(after["spec"]).toEqual(before["spec"]);
    expect((await get("-n", namespace, "secret", "scaivault-operator-key"))["data"]).toEqual(key);
    // What 0.1.0 did not have: also for objects that were stored before.
    await expect
      .poll(async () => at(await object("old"), "status"), { timeout: 20_000 })
      .toEqual({ observedGeneration: 0 });
    expect((await get(CRD))["metadata"]).toMatchObject({ annotations: { "helm.sh/resource-policy": "keep" } });
  });

  test("to a release with a new field: it is refused before, and usable after", async () => {
    await expect(create("early", { later: "yes" })).rejects.toThrow("unknown field");
    await ok("upgrade", ...release, laterChart());
    await expect
      .poll(() => create("new", { later: "yes" }).then(String, String), { timeout: 20_000 })
      .toContain("created");
    expect(at(await object("new"), "spec.later")).toBe("yes");
    expect(at(await object("old"), "metadata.uid")).toBe(at(before, "metadata.uid"));
  });

  test("and back, release by release: objects survive, and what the older release does not know is refused again", async () => {
    for (const revision of ["2", "1"]) await ok("rollback", ...release, revision);
    await expect
      .poll(() => create("late", { later: "yes" }).then(String, String), { timeout: 20_000 })
      .toContain("unknown field");
    await expect.poll(async () => at(await object("old"), "status"), { timeout: 20_000 }).toBeUndefined();
    const after = await object("old");
    expect([at(after, "metadata.uid"), after["spec"]]).toEqual([at(before, "metadata.uid"), before["spec"]]);
    expect((await object("new"))["metadata"]).toMatchObject({ name: "new" });
    expect((await get("-n", namespace, "secret", "scaivault-operator-key"))["data"]).toEqual(key);
  });
});
