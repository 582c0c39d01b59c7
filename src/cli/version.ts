import type { CommandDefinition } from "./command.ts";

/** `version`: what this is, and what it runs on. */
export function versionCommand(version: string): CommandDefinition {
  return {
    name: "version",
    summary: "Prints the version.",
    arguments: [],
    options: [],
    handler: () =>
      Promise.resolve({
        exitCode: 0,
        data: { version, node: process.version },
        text: `scaivault-operator ${version} (Node ${process.version})`,
      }),
  };
}
