import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import { runProgram } from "./program.ts";
import { statusCommand, type StatusReader } from "./status.ts";
import { type SeenObject, statusExitCode, statusReport } from "./status-report.ts";
import { renderStatus } from "./status-text.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const ago = (seconds: number): string => `${new Date(NOW - seconds * 1000).toISOString().slice(0, 19)}Z`;
const ready = (status: string, reason: string, message = "", generation = 1) => ({
  type: "Ready",
  status,
  reason,
  message,
  observedGeneration: generation,
  lastTransitionTime: ago(300),
});

const backend = (name: string, condition: object, more: object = {}): SeenObject => ({
  metadata: { namespace: "billing", name, generation: 1 },
  spec: { type: "aws-secrets-manager" },
  status: {
    conditions: [condition],
    effective: { syncInterval: "5m" },
    counts: { dependants: 2, inSync: 1 },
    lastPollTime: ago(41),
    ...more,
  },
});
const sync = (name: string, condition: object, more: object = {}): SeenObject => ({
  metadata: { namespace: "billing", name, generation: 1 },
  spec: { source: { backendRef: { name: "aws" }, path: `prod/${name}` } },
  status: { conditions: [condition], ...more },
});
const fine = { colours: false, limit: 5 };

describe("statusReport", () => {
  it("is 0 and one line a backend when all is fine", () => {
    const report = statusReport([backend("aws", ready("True", "InSync"))], [sync("a", ready("True", "InSync"))], NOW);
    expect(statusExitCode(report)).toBe(0);
    expect(renderStatus(report, fine)).toBe(
      [
        "FederationBackend billing/aws: InSync, 1 of 2 in sync, last poll 41s ago",
        "1 SecretSync: 1 fine, 0 not, 0 suspended, 0 held; 1 FederationBackend: 1 fine, 0 not, 0 suspended; oldest poll 41s ago",
      ].join("\n"),
    );
  });

  it("tells what is not fine by backend and reason: some by name, the hint once, the approval as a command", () => {
    const denied = "AWS denies secretsmanager:GetSecretValue";
    const hint = "The store denies the call; give the backend's identity the right that the message names.";
    const syncs = [
      ...["a", "b", "c"].map((name) => sync(name, ready("False", "AccessDenied", `${denied}. ${hint}`))),
      sync("held", ready("False", "ManyChanges"), { plan: { hash: "h1", add: 0, change: 2, delete: 0 } }),
      sync("off", ready("Unknown", "Suspended", "spec.suspend is true")),
    ];
    const report = statusReport([backend("aws", ready("True", "InSync"))], syncs, NOW);
    expect(statusExitCode(report)).toBe(2);
    const text = renderStatus(report, { ...fine, limit: 2 });
    expect(text).toContain(
      [
        "  AccessDenied: 3 SecretSyncs",
        `    billing/a (5m): ${denied}.`,
        `    billing/b (5m): ${denied}.`,
        "    and 1 more",
        `    hint: ${hint}`,
      ].join("\n"),
    );
    expect(text).toContain(
      [
        "  waits for approval: billing/held: 0 to create, 2 to change, 0 to delete",
        "    kubectl annotate ssync -n billing held --overwrite scaivault.scailabs.ai/approve=h1",
      ].join("\n"),
    );
    expect(text).toContain("5 SecretSyncs: 0 fine, 4 not, 1 suspended, 1 held");
    expect(text).not.toContain("billing/off");
  });

  it.each([
    ["nothing was ever said", sync("a", ready("True", "InSync"), { conditions: undefined })],
    ["what is said is of an older generation", sync("a", ready("True", "InSync", "", 0))],
    ["status is none at all", { metadata: { namespace: "billing", name: "a" } }],
  ])("believes nothing of an object of which %s", (_, object) => {
    const report = statusReport([], [object], NOW);
    expect(report.syncs[0]).toMatchObject({ standing: "NotFine", reason: "NotSeen" });
    expect(renderStatus(report, fine)).toContain("is one running");
  });

  it("does not take a backend's word when nobody has polled for three intervals", () => {
    const report = statusReport([backend("aws", ready("True", "InSync"), { lastPollTime: ago(1_000) })], [], NOW);
    expect(report.backends[0]).toMatchObject({ standing: "NotFine", reason: "PollOld", lastPollSeconds: 1_000 });
    expect(statusExitCode(report)).toBe(2);
  });

  it("shows foreign text fit for a terminal, and colours only when asked", () => {
    const message = "bad \u001b[31m \u202e text";
    const report = statusReport([], [sync("a", ready("False", "Differs", message))], NOW);
    expect(renderStatus(report, fine).replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(renderStatus(report, { colours: true, limit: 5 })).toContain("\u001b[31mDiffers\u001b[0m");
  });
});

describe("status", () => {
  async function run(args: readonly string[], read: StatusReader) {
    const out: string[] = [];
    const io = {
      environment: {},
      readStdin: () => Promise.resolve(""),
      readFile: () => Promise.resolve(""),
      listFolder: () => Promise.resolve(undefined),
      progress: () => undefined,
      signal: new AbortController().signal,
    };
    const write = (text: string) => void out.push(text);
    const code = await runProgram(["status", ...args], [statusCommand(read)], io, { write, error: write });
    return { code, out: out.join("") };
  }

  it("asks for one namespace, all, or that of the context", async () => {
    const asked: unknown[] = [];
    const read: StatusReader = ({ namespace }) => {
      asked.push(namespace);
      return Promise.resolve({ backends: [], syncs: [] });
    };
    for (const args of [["-n", "billing"], ["-A"], []]) expect((await run(args, read)).code).toBe(0);
    expect(asked).toEqual([{ name: "billing" }, "all", undefined]);
    expect((await run(["--limit", "x"], read)).code).toBe(64);
  });

  it("ends with 1 and one line when the cluster cannot be read", async () => {
    const message = "cannot list secretsyncs in namespace billing: this login may not do it (403)";
    const read: StatusReader = () => Promise.reject(new SyncError("KubernetesUnavailable", message));
    expect(await run([], read)).toEqual({ code: 1, out: `${message}\n` });
  });
});
