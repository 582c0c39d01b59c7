// What a bundle contains that could run text as code, start processes or load files by a computed name.
import ts from "typescript";

/** Builtin modules that the operator has no use for in production. */
const watchedModules = new Set([
  "child_process",
  "cluster",
  "dgram",
  "inspector",
  "inspector/promises",
  "repl",
  "vm",
  "worker_threads",
]);

export type FindingKind = "eval" | "new-function" | "computed-import" | "computed-require" | "module";

export interface Finding {
  readonly kind: FindingKind;
  /** The package (`pino`, `@scope/name`) or our own file, out of esbuild's module comments. */
  readonly from: string;
  /** The builtin module of a `module` finding, else the expression, cut to 60 characters. */
  readonly what: string;
  readonly line: number;
}

/** A finding that is known, harmless at run time, and why. */
export interface Allowed {
  readonly kind: FindingKind;
  readonly from: string;
  /** As in {@link Finding}; absent: any. */
  readonly what?: string;
  readonly why: string;
}

export interface Scan {
  readonly known: readonly (Finding & { readonly why: string })[];
  readonly unexpected: readonly Finding[];
}

/**
 * Third-party code that stays in the bundle and why it does not matter. The image runs with `--permission`, which refuses
 * child processes and workers whatever the code says.
 */
export const allowed: readonly Allowed[] = [
  {
    kind: "module",
    from: "@kubernetes/client-node",
    what: "child_process",
    why: "exec and GCP logins of a kubeconfig, on a developer's machine only; a pod logs in by its token file",
  },
  {
    kind: "module",
    from: "@aws-sdk/credential-provider-process",
    what: "child_process",
    why: "credential_process of a profile; not in the operator's credential chain, and no profile file is readable",
  },
  { kind: "module", from: "commander", what: "child_process", why: "subcommands as separate programs; we have none" },
  { kind: "module", from: "undici", what: "worker_threads", why: "the class MessagePort, for type checks only" },
  {
    kind: "module",
    from: "pino",
    what: "worker_threads",
    why: "transports; our logger writes to standard output itself",
  },
  { kind: "module", from: "thread-stream", what: "worker_threads", why: "pino's transports; none is configured" },
  { kind: "module", from: "prom-client", what: "cluster", why: "metrics of Node's cluster mode; we run one process" },
  {
    kind: "new-function",
    from: "function-bind",
    why: "stands in where Function.prototype.bind is missing; never called on Node",
  },
];

/** `// node_modules/@scope/name/dist/x.js` -> `@scope/name`; `// src/main.ts` -> `src/main.ts`. */
function ownerOf(comment: string): string | undefined {
  const path = /^\/\/ (\S+\.[cm]?[jt]s|\S+\.json)$/.exec(comment)?.[1];
  if (path === undefined) return undefined;
  const inPackages = path.lastIndexOf("node_modules/");
  if (inPackages < 0) return path;
  const [first, second] = path.slice(inPackages + "node_modules/".length).split("/");
  return first?.startsWith("@") === true ? `${first}/${second ?? ""}` : first;
}

function literal(node: ts.Expression | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}

/** Every use in the text that the rules name, in order. */
export function findUses(text: string): Finding[] {
  const file = ts.createSourceFile("bundle.mjs", text, ts.ScriptTarget.ES2024, false, ts.ScriptKind.JS);
  const owners: string[] = [];
  let owner = "bundle";
  for (const line of text.split("\n")) {
    owner = ownerOf(line.trim()) ?? owner;
    owners.push(owner);
  }
  const found: Finding[] = [];
  const add = (kind: FindingKind, node: ts.Node, what: string): void => {
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line;
    found.push({ kind, from: owners[line] ?? "bundle", what: what.slice(0, 60), line: line + 1 });
  };
  const addModule = (node: ts.Node, name: string): void => {
    const bare = name.replace(/^node:/, "");
    if (watchedModules.has(bare)) add("module", node, bare);
  };
  const visitCall = (node: ts.CallExpression | ts.NewExpression): void => {
    const callee = node.expression;
    const argument = node.arguments?.[0];
    if (
      callee.kind === ts.SyntaxKind.ImportKeyword ||
      (ts.isIdentifier(callee) && /^(?:__)?require\d*$/.test(callee.text))
    ) {
      const name = literal(argument);
      if (name !== undefined) addModule(node, name);
      else if (argument !== undefined) {
        add(
          callee.kind === ts.SyntaxKind.ImportKeyword ? "computed-import" : "computed-require",
          node,
          argument.getText(file),
        );
      }
    } else if (ts.isIdentifier(callee) && callee.text === "eval") add("eval", node, node.getText(file));
    else if (ts.isIdentifier(callee) && callee.text === "Function") add("new-function", node, node.getText(file));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) visitCall(node);
    else if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      addModule(node, literal(node.moduleSpecifier) ?? "");
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Sorts what {@link findUses} finds into the listed and the rest. */
export function scanBundle(text: string, list: readonly Allowed[] = allowed): Scan {
  const known: (Finding & { why: string })[] = [];
  const unexpected: Finding[] = [];
  for (const finding of findUses(text)) {
    const entry = list.find(
      (one) =>
        one.kind === finding.kind && one.from === finding.from && (one.what === undefined || one.what === finding.what),
    );
    if (entry === undefined) unexpected.push(finding);
    else known.push({ ...finding, why: entry.why });
  }
  return { known, unexpected };
}

/** Lines for people. */
export function formatFindings(scan: Scan): string {
  const line = (finding: Finding): string =>
    `${finding.kind} in ${finding.from}${finding.what === "" ? "" : `: ${finding.what.replace(/\s+/g, " ")}`} (line ${finding.line})`;
  return [
    ...scan.known.map((finding) => `  known       ${line(finding)}: ${finding.why}\n`),
    ...scan.unexpected.map((finding) => `  UNEXPECTED  ${line(finding)}\n`),
    scan.unexpected.length === 0
      ? "bundle scan: nothing unexpected\n"
      : "bundle scan: see UNEXPECTED above; remove it or list it with a reason\n",
  ].join("");
}
