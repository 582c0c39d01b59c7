import { describe, expect, it } from "vitest";
import { parseFederationBackend } from "../api/index.ts";
import { proxySpec } from "../../test/integration/api/specs.ts";
import { BackendResolver } from "./backend-resolver.ts";

describe("a backend without auth", () => {
  it("is BackendNotReadable, also where the namespace may use the operator's own identity", async () => {
    const parsed = parseFederationBackend({
      apiVersion: "scaivault.scailabs.ai/v1alpha1",
      kind: "FederationBackend",
      metadata: {
        name: "aws-prod",
        namespace: "platform",
        uid: "u",
        generation: 1,
        creationTimestamp: "2026-01-01T00:00:00Z",
      },
      spec: proxySpec,
    });
    if (!parsed.ok) throw new Error(parsed.message);
    const never = () => Promise.reject(new Error("nothing is read without auth"));
    const resolver = new BackendResolver({
      credentials: { secret: never, certificate: never, configMapVersion: never },
      rights: { refusal: () => undefined, ambientIdentity: () => true, endpoints: () => ["*"] },
      make: () => {
        throw new Error("no source is made without auth");
      },
    });
    await expect(resolver.resolve(parsed.value, new AbortController().signal)).rejects.toMatchObject({
      reason: "BackendNotReadable",
    });
  });
});
