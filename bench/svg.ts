/** Draws horizontal bars as SVG: no script, no font of its own, readable on light and dark pages. */

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Text behind the bar; default the value with the unit. */
  readonly text?: string;
  /** What colour it has: ours, a comparison of our own (the floor), or another operator. */
  readonly kind: "ours" | "floor" | "peer";
}

/** One chart. */
export interface Chart {
  readonly title: string;
  /** Such as `s` or `MB`. */
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const colours: Readonly<Record<Bar["kind"], string>> = { ours: "#2f7ed8", floor: "#8bbc21", peer: "#9aa0a6" };
const [width, labelWidth, valueWidth, rowHeight, top] = [760, 250, 110, 26, 44];

/** Text as XML takes it. */
function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** The chart as an SVG document; the same chart gives the same text. */
export function barChart({ title, unit, bars }: Chart): string {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const room = width - labelWidth - valueWidth;
  const height = top + bars.length * rowHeight + 10;
  const rows = bars.map(({ label, value, kind, text }, index) => {
    const y = top + index * rowHeight;
    const length = Math.max(1, Math.round((value / most) * room));
    const shown = escape(text ?? `${value} ${unit}`);
    return [
      `  <text x="${labelWidth - 8}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`,
      `  <rect x="${labelWidth}" y="${y + 2}" width="${length}" height="${rowHeight - 9}" fill="${colours[kind]}"/>`,
      `  <text x="${labelWidth + length + 6}" y="${y + 14}">${shown}</text>`,
    ].join("\n");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title)}" font-family="system-ui, sans-serif" font-size="13">`,
    `  <rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `  <g fill="#222222">`,
    `  <text x="12" y="24" font-size="15" font-weight="600">${escape(title)}</text>`,
    ...rows,
    `  </g>`,
    `</svg>`,
    "",
  ].join("\n");
}
