/** What the quickstart prints at the end. No values, ever. */
import type { Flow } from "./flows.ts";
import type { Rotation } from "./rotation.ts";

/** Text styles; plain when the output is no terminal. */
export interface Style {
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

const wrap = (code: string) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;
const plain = (text: string): string => text;

/** Styles for a stream; https://no-color.org is kept. */
export function styleFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Style {
  const colours = stream.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  if (!colours) return { strong: plain, faint: plain, good: plain, bad: plain };
  return { strong: wrap("1"), faint: wrap("2"), good: wrap("32"), bad: wrap("31") };
}

/** Aligned columns; the first row is the head. */
export function table(rows: readonly (readonly string[])[], style: Style): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line, index) => (index === 0 ? style.strong(line) : line)).join("\n");
}

/** A version as it fits into a column: ids of ASM are long. */
const short = (version: string): string => (version.length > 12 ? `${version.slice(0, 8)}…` : version);

/** Source, ScaiVault and Secret of each flow. */
export function flowTable(flows: readonly Flow[], style: Style): string {
  const head = ["SOURCE", "VERSION", "SCAIVAULT", "VERSION", "SECRET", "KEYS"];
  const rows = flows.map(({ store, source, scaivault, secret }) => [
    `${store} ${source.path}`,
    short(source.version),
    scaivault?.path ?? "-",
    scaivault === undefined ? "-" : String(scaivault.version),
    secret?.name ?? "-",
    secret?.keys.join(", ") ?? "-",
  ]);
  return table([head, ...rows], style);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** What a rotation did, in three lines. */
export function rotationText({ source, scaivault, secret }: Rotation, style: Style): string {
  return [
    `A new value for ASM ${source.path}: version ${short(source.from)} became ${short(source.to)}.`,
    `  ${style.good("✓")} ScaiVault ${scaivault.path}: version ${scaivault.from} became ${scaivault.to} after ${seconds(scaivault.ms)}`,
    `  ${style.good("✓")} Secret ${secret.name}, key ${secret.key}: after ${seconds(secret.ms)}`,
  ].join("\n");
}

/** How to go on. @param kubectl the command, with a context when one is needed */
export function nextSteps(kubectl: string, kubeconfig: string | undefined, style: Style): string {
  const commands = [
    `${kubectl} -n billing get scaivault`,
    `${kubectl} -n billing describe secretsync stripe`,
    `${kubectl} -n billing delete secret stripe; ${kubectl} -n billing get secret stripe --watch`,
  ];
  const first = kubeconfig === undefined ? [] : [`  export KUBECONFIG=${kubeconfig}`];
  return [style.strong("Try, in another terminal:"), ...first, ...commands.map((command) => `  ${command}`)].join("\n");
}
