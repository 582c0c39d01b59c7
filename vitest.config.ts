import { defineConfig } from "vitest/config";

// Two projects: `unit` needs nothing but Node; `integration` starts the local environment (real control plane, Vault,
// ASM emulator, ScaiVault reference server) once and shares it.
export default defineConfig({
  test: {
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
          include: ["test/{contract,integration,chart,examples,faults}/**/*.test.ts"],
          environment: "node",
          globalSetup: ["test/support/global-setup.ts"],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          pool: "forks",
        },
      },
    ],
  },
});
