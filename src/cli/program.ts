import { Command, CommanderError, Option } from "commander";
import { cleanText, errorCode } from "../errors/index.ts";
import type { CommandArguments, CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

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
    .configureOutput({
      writeOut: (text) => out.write(text),
      writeErr: (text) => out.error(text),
      // One line, whatever was typed.
      outputError: (text, write) => write(`${cleanText(text.trim().replaceAll("\n", " "), 400)} (--help says more)\n`),
    });
  for (const definition of commands) {
    const [name = "", below] = definition.name.split(" ");
    // Options after the lower command's name are its own.
    const parent = below === undefined ? program : program.commands.find((one) => one.name() === name);
    const command = (parent ?? program)
      .command(below ?? name)
      .enablePositionalOptions()
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
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    out.error(defect(error));
    return exitCodes.failed;
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
  if (json && result.data !== undefined) out.write(`${jsonText(result.data)}\n`);
  else if (!json && result.text !== "") out.write(result.text.endsWith("\n") ? result.text : `${result.text}\n`);
}

const UNSAFE = /[\u{7f}-\u{9f}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** JSON whose texts a terminal can show: what JSON leaves as it is and a terminal obeys is escaped too. */
function jsonText(data: unknown): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(data, null, 2).replace(UNSAFE, (character) => [...character.split("")].map(escaped).join(""));
}

/** What nobody foresaw: where, and what kind. Never its message, which may quote values. */
function defect(error: unknown): string {
  const code = errorCode(error);
  const name = error instanceof Error ? error.name : typeof error;
  const frames = error instanceof Error ? (error.stack ?? "").split("\n").filter((line) => /^ {4}at /.test(line)) : [];
  const first = `unexpected error ${cleanText(name, 64)}${code === undefined ? "" : ` (${code})`}; please report it:`;
  return `${[first, ...frames.map((line) => cleanText(line, 400))].join("\n")}\n`;
}
