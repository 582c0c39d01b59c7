import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { copiedSpec, edited, proxySpec, syncSpec } from "../../test/integration/api/specs.ts";
import { findingLine } from "./findings.ts";
import { validateManifests } from "./validate.ts";

const apiVersion = "scaivault.scailabs.ai/v1alpha1";
const tree = (name: string, spec: unknown) => ({
  apiVersion,
  kind: "FederationBackend",
  metadata: { name, namespace: "platform" },
  spec,
});
const sync = (path: string) => ({
  apiVersion,
  kind: "SecretSync",
  metadata: { name: "x", namespace: "team" },
  spec: edited(syncSpec, { targets: { scaivault: { path } } }),
});
const lines = (...objects: readonly object[]) =>
  validateManifests([{ file: "x.yaml", text: objects.map((one) => stringify(one)).join("---\n") }]).findings.map(
    (finding) => findingLine(finding).replace(/^[^ ]* /u, ""),
  );
const mapped = (scaivaultPath: string, sourcePath: string, more: object = {}) =>
  edited(copiedSpec, { federation: { pathMapping: [{ scaivaultPath, sourcePath, ...more }] } });

describe("federations that are validated together", () => {
  it("may not map the same part of ScaiVault", () => {
    const found = lines(
      tree("a", mapped("external/aws/**", "prod/**")),
      tree("b", mapped("external/aws/dev/**", "dev/**")),
    );
    expect(found).toHaveLength(1);
    expect(found[0]).toContain("FederationBackend platform/a maps external/aws/dev/** too");
    expect(lines(tree("a", mapped("external/a/**", "prod/**")), tree("b", mapped("external/b/**", "dev/**")))).toEqual(
      [],
    );
  });

  it("keep SecretSyncs from their paths, unless the mapping excludes them", () => {
    expect(lines(tree("a", mapped("external/aws/**", "prod/**")), sync("external/aws/x"))[0]).toContain("Claimed");
    const free = mapped("external/aws/**", "prod/**", { exclude: ["prod/x"] });
    expect(lines(tree("a", free), sync("external/aws/x"))).toEqual([]);
    expect(lines(tree("p", proxySpec), sync("external/aws/x"))[0]).toContain("ReadOnlyPath");
  });

  it("name paths that the store can have", () => {
    const found = lines(tree("a", mapped("external/aws/**", "a b/**")));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain("an ASM name has");
  });
});
