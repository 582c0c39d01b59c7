/** Imports point one way between folders (eslint) and within them (here): no module imports itself by way of others. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, it } from "vitest";

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
  .map((name) => join("src", name));
const imports = new Map(
  files.map((file) => {
    const found = readFileSync(file, "utf8").matchAll(/ from "(\.[^"]+)"/g);
    return [file, [...found].map(([, path = ""]) => normalize(join(dirname(file), path)))];
  }),
);

it("no module of src imports itself by way of others", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    const at = way.indexOf(file);
    if (at >= 0) circles.push([...way.slice(at), file].join(" > "));
    if (at >= 0 || done.has(file)) return;
    for (const next of imports.get(file) ?? []) visit(next, [...way, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});
