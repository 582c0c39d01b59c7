import { KubeConfig } from "@kubernetes/client-node";
import { afterEach, describe, expect, it, vi } from "vitest";
import { clusterConfigOf, loadClusterConfig } from "./kubeconfig.ts";

function config(user: object, cluster: object = {}): KubeConfig {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromOptions({
    clusters: [{ name: "c", server: "https://example.com:6443/", skipTLSVerify: false, ...cluster }],
    users: [{ name: "u", ...user }],
    contexts: [{ name: "x", cluster: "c", user: "u", namespace: "team" }],
    currentContext: "x",
  });
  return kubeConfig;
}

describe("clusterConfigOf", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("takes certificates from data and from files", () => {
    const caData = Buffer.from("CA").toString("base64");
    expect(clusterConfigOf(config({ certFile: "/c", keyFile: "/k" }, { caData, tlsServerName: "api" }))).toEqual({
      server: "https://example.com:6443",
      skipTlsVerify: false,
      ca: { text: Buffer.from("CA") },
      cert: { file: "/c" },
      key: { file: "/k" },
      tlsServerName: "api",
      namespace: "team",
    });
  });

  it("takes tokens and passwords", () => {
    expect(clusterConfigOf(config({ token: "t" })).token).toEqual({ text: "t" });
    expect(clusterConfigOf(config({ username: "a", password: "b" })).basic).toEqual({ username: "a", password: "b" });
    expect(clusterConfigOf(config({ exec: { command: "x" } })).dynamicAuth).toBeTypeOf("function");
  });

  it("names the pod's token and CA files in a cluster", () => {
    vi.stubEnv("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    vi.stubEnv("KUBERNETES_SERVICE_PORT", "443");
    const mount = "/root/var/run/secrets/kubernetes.io/serviceaccount";
    expect(loadClusterConfig({ inCluster: true, serviceAccountRoot: "/root" })).toEqual({
      server: "https://10.0.0.1:443",
      skipTlsVerify: false,
      ca: { file: `${mount}/ca.crt` },
      token: { file: `${mount}/token` },
    });
  });

  it("says when there is no usable context", () => {
    const empty = new KubeConfig();
    empty.loadFromOptions({ clusters: [], users: [], contexts: [], currentContext: "nope" });
    expect(() => clusterConfigOf(empty)).toThrow("no usable current context");
  });
});
