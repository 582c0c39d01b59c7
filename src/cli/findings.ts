import { cleanText } from "../errors/index.ts";

/** One thing that was found in a file. It quotes no value of a Secret. */
export interface Finding {
  readonly severity: "error" | "warning";
  /** Stable: a code such as `UnknownField`, the id of a rule, or a reason. */
  readonly code: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `SecretSync billing/stripe`; empty for problems of a whole file. */
  readonly object: string;
  /** Dotted, such as `spec.source.path`; empty for problems of a whole file. */
  readonly path: string;
  /** One line that says what to write instead. */
  readonly message: string;
}

export interface FindingsReport {
  readonly findings: readonly Finding[];
  /** Objects of our kinds that were looked at. */
  readonly objects: number;
  /** Documents of other kinds. */
  readonly ignored: number;
}

/** Findings in the order of reading: file, line, column. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted(
    (a, b) => compare(a.file, b.file) || a.line - b.line || a.column - b.column || compare(a.path, b.path),
  );
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** One line: `file:line:column: error: SecretSync billing/stripe spec.source.path: message [code]`. */
export function findingLine(finding: Finding): string {
  const place = `${finding.file}:${finding.line}:${finding.column}`;
  const subject = [finding.object, finding.path].filter((part) => part !== "").join(" ");
  const about = subject === "" ? "" : `${cleanText(subject, 400)}: `;
  return `${cleanText(place, 400)}: ${finding.severity}: ${about}${cleanText(finding.message, 600)} [${finding.code}]`;
}

/** All findings and a last line with the counts. */
export function renderFindings(report: FindingsReport): string {
  const count = (severity: Finding["severity"]): number =>
    report.findings.filter((f) => f.severity === severity).length;
  const ignored = report.ignored === 0 ? "" : ` (${plural(report.ignored, "document")} of other kinds ignored)`;
  const summary = `${plural(report.objects, "object")} checked${ignored}: ${plural(count("error"), "error")}, ${plural(count("warning"), "warning")}`;
  return [...report.findings.map(findingLine), summary].join("\n");
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
