import { Command, CommanderError, Option } from "commander";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";

/** Exit codes that every command keeps to: 0 fine, 1 failed or problems found, 2 changes found (plan), 64 wrong usage. */
export const exitCodes = { ok: 0, failed: 1, changes: 2, usage: 64 } as const;

const NAME = "scaivault-operator";

/**
 * Parses the command line and runs one command. Handlers return data; it is rendered here, as text or JSON.
 * @returns the exit code
 */
export async function runProgram(
  argv: readonly string[],
  commands: readonly CommandDefinition[],
  io: CommandIO,
  out: { write(text: string): void; error(text: string): void },
): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = new Command(NAME)
    .description("Keeps AWS Secrets Manager and HashiCorp Vault in sync with ScaiVault and Kubernetes Secrets.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => out.write(text), writeErr: (text) => out.error(text) })
    .showHelpAfterError("(--help says more)");
  for (const definition of commands) {
    const command = program
      .command(definition.name)
      .summary(definition.summary)
      .description(definition.description ?? definition.summary);
    for (const argument of definition.arguments)
      command.argument(argument.required === true ? `<${argument.name}>` : `[${argument.name}]`, argument.description);
    for (const option of definition.options) command.addOption(optionOf(option));
    command.addOption(
      new Option("-o, --output <format>", "how to print the result").choices(["text", "json"]).default("text"),
    );
    if (definition.examples !== undefined)
      command.addHelpText("after", `\nExamples:\n${definition.examples.map((line) => `  ${line}`).join("\n")}`);
    command.exitOverride();
    command.action(async (...given: unknown[]) => {
      const options = command.opts<Record<string, string | boolean | string[]>>();
      const positionals = given
        .slice(0, definition.arguments.length)
        .filter((item): item is string => typeof item === "string");
      const result = await definition.handler({ positionals, options } satisfies CommandArguments, io);
      render(result, options["output"] === "json", out);
      exitCode = result.exitCode;
    });
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  return exitCode;
}

function optionOf(definition: CommandDefinition["options"][number]): Option {
  const option = new Option(definition.flags, definition.description);
  if (definition.choices !== undefined) option.choices([...definition.choices]);
  if (definition.default !== undefined) option.default(definition.default);
  if (definition.required === true) option.makeOptionMandatory();
  return option;
}

function render(result: CommandResult, json: boolean, out: { write(text: string): void }): void {
  if (json && result.data !== undefined) out.write(`${JSON.stringify(result.data, null, 2)}\n`);
  else if (!json && result.text !== "") out.write(result.text.endsWith("\n") ? result.text : `${result.text}\n`);
}
