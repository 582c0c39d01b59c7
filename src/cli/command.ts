/** What a command may touch of the world; tests give their own. */
export interface CommandIO {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readStdin(): Promise<string>;
  /** @throws the error of the file system, with its `code` */
  readFile(path: string): Promise<string>;
  /** Names in a folder, unsorted; undefined when the path is no folder. */
  listFolder(path: string): Promise<readonly { readonly name: string; readonly isFolder: boolean }[] | undefined>;
  /** Writes a file that is not there yet, for its owner alone. @throws the error of the file system, with its `code` */
  writeNewFile?(path: string, content: Uint8Array): Promise<void>;
  /** Writes bytes to standard output. */
  writeBytes?(content: Uint8Array): Promise<void>;
  /** Asks a person yes or no; absent where nobody sits at a terminal. Anything but yes is no. */
  confirm?(question: string): Promise<boolean>;
  /** One line of progress for people; goes to standard error. */
  progress(line: string): void;
  /** Whether standard output is a terminal that takes colours; default false. */
  readonly colours?: boolean;
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal;
}

/** One option, in the words of the command line library: `-f, --filename <file...>`. */
export interface OptionDefinition {
  /** Key of its value in {@link CommandArguments.options}: the long name in camelCase. */
  readonly name: string;
  readonly flags: string;
  readonly description: string;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  readonly default?: string | boolean;
}

export interface ArgumentDefinition {
  readonly name: string;
  readonly description: string;
  readonly required?: boolean;
}

export interface CommandArguments {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
}

/** What a command answers: data for `--output json`, text for people, and the exit code. Neither holds values. */
export interface CommandResult {
  readonly exitCode: number;
  readonly data: unknown;
  readonly text: string;
}

/** A command as data: one place parses arguments and renders, so that all commands look and behave alike. */
export interface CommandDefinition {
  /** One word, or two for a command below another one that stands before it in the list. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly description?: string;
  readonly examples?: readonly string[];
  readonly arguments: readonly ArgumentDefinition[];
  /** Without `--output text|json`, which every command has. */
  readonly options: readonly OptionDefinition[];
  handler(args: CommandArguments, io: CommandIO): Promise<CommandResult>;
}
