import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

// Two projects: `unit` needs nothing but Node; `integration` starts the local environment (real control plane, Vault,
// ASM emulator, ScaiVault reference server) once for each worker. A worker runs one file at a time, so that no two files
// ever share an environment; `npm test` takes two workers.
const workers = Number(process.env["SCAIVAULT_TEST_WORKERS"] ?? 1);

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: ["{src,local,scaivault-server,bench,test/unit}/**/*.test.ts"],
          environment: "node",
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/{contract,integration,chart,examples,faults,gitops,upgrade,docs,guides}/**/*.test.ts"],
          environment: "node",
          globalSetup: ["test/support/global-setup.ts"],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          maxWorkers: workers,
          pool: "forks",
        },
      },
    ],
  },
});
