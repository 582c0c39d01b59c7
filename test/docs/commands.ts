/** Commands of shell and console blocks, and those of them that cannot run in tests. */

/** A command of the pages that tests only parse. */
export interface NotRun {
  /** Matches the beginning of the command. */
  readonly command: RegExp;
  /** Why it cannot run here. */
  readonly why: string;
  /** A file that shows the same, where there is one. */
  readonly instead?: string;
}

/** The allow-list: whatever is not on it runs. An entry that no page needs fails a test. */
export const notRun: readonly NotRun[] = [
  { command: /^docker (?:build|push) /, why: "no container runtime and no registry", instead: "scripts/build.ts" },
  { command: /^skopeo /, why: "no registry" },
  {
    command: /^kubectl exec /,
    why: "no kubelet: the operator runs as a process, not in a pod",
    instead: "test/integration/cli/plan.test.ts",
  },
  {
    command: /^npm run quickstart\b/,
    why: "starts a whole environment of its own",
    instead: "test/examples/quickstart.test.ts",
  },
  {
    command: /^(?:node scripts\/with-node\.mjs scripts\/keep-release\.ts|UPGRADE_RECORD=)/,
    why: "keeps a release for good, once",
    instead: "test/upgrade/golden.test.ts",
  },
  { command: /^npm (?:test|run unit|run integration)\b/, why: "this is it" },
  {
    command: /^npm run local\b/,
    why: "starts a whole environment of its own",
    instead: "test/integration/local/lifecycle.test.ts",
  },
  { command: /^aws /, why: "the emulator stands in for AWS, and its command line is not here" },
  {
    command: /^scaivault-operator config /,
    why: "the secret is made by the AWS command line, which is not here",
    instead: "test/integration/cli/config.test.ts",
  },
  { command: /^vault auth enable /, why: "the stage's Vault has it already, with logins of others" },
  { command: /^vault operator unseal/, why: "asks for a key" },
  { command: /^kubectl logs /, why: "no kubelet: the operator runs as a process, not in a pod" },
  { command: /^kubectl port-forward /, why: "no kubelet: the operator runs as a process, not in a pod" },
  { command: /^kubectl top /, why: "no kubelet, and no metrics server" },
  { command: /rollout status /, why: "no kubelet: a Deployment here gets no pods", instead: "local/deployment.ts" },
  { command: /^kubectl delete externalsecret /, why: "External Secrets Operator is not here; the tests play its part" },
  {
    command: /^kubectl (?:apply -k examples\/gitops|-n payments wait )/,
    why: "the backend needs a login that is not in Git",
    instead: "test/gitops/layouts.test.ts",
  },
  {
    command: /^helm upgrade scaivault-operator /,
    why: "needs a release from before, and pods that roll",
    instead: "test/upgrade/helm.test.ts",
  },
  { command: /^npm run bench\b/, why: "takes minutes", instead: "test/examples/bench.test.ts" },
];

/** A command as typed, with its continuation lines and here-documents, and what a console block says it prints. */
export interface Command {
  readonly text: string;
  readonly output: readonly string[];
}

/** Whether a command is on the allow-list. */
export const entryFor = (text: string): NotRun | undefined => notRun.find(({ command }) => command.test(text.trim()));

/** Lines of a script put together to commands: after a backslash at the end, and up to the end of a here-document. */
export function scriptCommands(text: string): string[] {
  const commands: string[] = [];
  let open: string | undefined;
  let here: string | undefined;
  for (const line of text.split("\n")) {
    open = open === undefined ? line : `${open}\n${line}`;
    if (here !== undefined) {
      if (line.trim() !== here) continue;
      here = undefined;
    } else {
      here = /<<-?\s*["']?(\w+)["']?/.exec(line)?.[1];
      if (here !== undefined || line.endsWith("\\")) continue;
    }
    if (open.trim() !== "") commands.push(open);
    open = undefined;
  }
  if (open !== undefined && open.trim() !== "") commands.push(open);
  return commands;
}

/** Commands of a console block: lines after `$ `, their continuations after `> `, and the lines that follow as output. */
export function consoleCommands(text: string): Command[] {
  const commands: { text: string; output: string[] }[] = [];
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const last = commands.at(-1);
    if (line.startsWith("$ ")) commands.push({ text: line.slice(2), output: [] });
    else if (last !== undefined && last.output.length === 0 && line.startsWith("> ") && last.text.endsWith("\\"))
      last.text += `\n${line.slice(2)}`;
    else if (last === undefined) commands.push({ text: "", output: [line] });
    else last.output.push(line);
  }
  return commands;
}

/** What differs from run to run: ages, timestamps, versions of AWS, hashes. */
const varying: readonly RegExp[] = [
  /^(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?$/,
  /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
];
const kindOf = (word: string): number => (word === "" ? -1 : varying.findIndex((pattern) => pattern.test(word)));
const sameWord = (wanted: string, found: string): boolean => {
  if (wanted === found) return true;
  const kind = kindOf(wanted);
  if (kind >= 0 && kind === kindOf(found)) return true;
  // `...` in the page stands for any rest of a word.
  const at = wanted.indexOf("...");
  return at >= 0 && found.startsWith(wanted.slice(0, at)) && found.endsWith(wanted.slice(at + 3));
};

function sameLine(wanted: string, found: string): boolean {
  const [a, b] = [wanted, found].map((line) => line.trim().split(/\s+/)) as [string[], string[]];
  // `...` as the last word stands for any rest of the line.
  if (a.at(-1) === "..." && a.length <= b.length + 1)
    return a.slice(0, -1).every((word, index) => sameWord(word, b[index] ?? ""));
  return a.length === b.length && a.every((word, index) => sameWord(word, b[index] ?? ""));
}

/**
 * Whether an output is what a page shows: each line of the page stands in the output, in this order; spaces, ages, times and
 * version ids do not count. A line `...` stands for any lines. A command with nothing below prints nothing.
 * @returns the first line that is missing
 */
export function missingLine(wanted: readonly string[], output: string): string | undefined {
  const found = output.split("\n");
  if (wanted.every((line) => line.trim() === "") && output.trim() !== "") return "nothing";
  let from = 0;
  for (const line of wanted) {
    if (line.trim() === "" || line.trim() === "...") continue;
    const at = found.findIndex((one, index) => index >= from && sameLine(line, one));
    if (at < 0) return line;
    from = at + 1;
  }
  return undefined;
}
