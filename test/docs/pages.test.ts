// Every code block of every page on real parts: objects and values on the API server, commands in a shell, outputs compared.
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { loadConfig } from "../../src/config/index.ts";
import { call } from "../../local/http.ts";
import { waitFor } from "../../local/process.ts";
import { chart } from "../../local/quickstart/chart.ts";
import { applySeed } from "../../scaivault-server/seed.ts";
import { startServer } from "../../scaivault-server/server.ts";
import { type Check, checkOf, documentsOf } from "./checks.ts";
import { consoleCommands, entryFor, missingLine, scriptCommands } from "./commands.ts";
import { type Block, type Page, readPages } from "./markdown.ts";
import { plans, type When } from "./plans.ts";
import { type Scratch, Stage } from "./stage.ts";

let stage: Stage;
/** Pages with plans first, in the order of the plans. */
const names = Object.keys(plans);
const rank = ({ name }: Page): number => (names.includes(name) ? names.indexOf(name) : names.length);
const pages = (await readPages()).toSorted((a, b) => rank(a) - rank(b));

/** Checks that need the stage; the others are done by test/unit/docs-blocks.test.ts and rights.test.ts. */
const here = new Set<Check["kind"]>(["objects", "values", "patch", "shell", "console", "seed"]);

interface Played {
  readonly at: string;
  readonly block: Block;
  readonly check: Check;
}

/** The blocks of a page that are played in a round. */
function played(page: Page, when: When): Played[] {
  return page.blocks.flatMap((block) => {
    const check = checkOf(block);
    const { file, actor } = block.note?.options ?? {};
    if (typeof check === "string" || !(here.has(check.kind) || file !== undefined || actor !== undefined)) return [];
    const own = block.note?.options["when"] ?? plans[page.name]?.when ?? "playing";
    return own === when ? [{ at: block.at, block, check }] : [];
  });
}

beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(async () => {
  await stage?.close();
});

/** A dry run on the API server, in namespaces that are there. */
async function dryRun(objects: readonly Record<string, unknown>[]): Promise<void> {
  const metadata = (one: Record<string, unknown>) => one["metadata"] as { name?: string; namespace?: string };
  const namespaces = new Set(objects.map((one) => metadata(one)?.namespace ?? "default"));
  for (const name of namespaces) await stage.kube.ensureNamespace(name);
  for (const one of objects) {
    // By create and not by apply: what stands under the same name already would be merged into it.
    const { name, ...rest } = metadata(one);
    const fresh = { ...one, metadata: { ...rest, generateName: `${String(name)}-` } };
    const ran = await stage.kube.kubectl(["create", "--dry-run=server", "--validate=strict", "-f", "-"], {
      input: JSON.stringify(fresh),
    });
    expect(ran.stderr).toBe("");
    expect(ran.stdout).toContain("created (server dry run)");
  }
}

/** Kinds that the API server of the stage does not serve, or has already. */
const notServed: ReadonlySet<string> = new Set(["CustomResourceDefinition", "ServiceMonitor", "PrometheusRule"]);

/** Values of the chart: the schema, the rendered configuration, the rendered objects. */
async function checkValues(text: string): Promise<void> {
  const base = { cluster: { name: "docs" } };
  const given = { ...base, ...(parse(text.replaceAll("DIGEST", "0".repeat(64))) as object) };
  // A namespace of its own: the key that proves marks is not changed, not even by a dry run.
  const release = ["template", "scaivault-operator", chart, "-n", "docs-values", "--kube-version", "1.35.4"];
  const objects = documentsOf(await stage.cluster.helm(release, given));
  const map = objects.find((one) => one["kind"] === "ConfigMap")?.["data"] as Record<string, string>;
  expect(loadConfig({ file: "config.yaml", text: map["config.yaml"] ?? "" }, {})).toMatchObject({ ok: true });
  const served = objects.filter(({ kind }) => !notServed.has(String(kind)));
  for (const one of served) {
    const { namespace } = one["metadata"] as { namespace?: string };
    if (namespace !== undefined) await stage.kube.ensureNamespace(namespace);
  }
  const flags = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
  const ran = await stage.kube.kubectl(flags, { input: served.map((one) => stringify(one)).join("---\n") });
  expect(ran.stderr).toBe("");
}

async function checkObjects(block: Block, apply: boolean): Promise<void> {
  const objects = documentsOf(block.text);
  await dryRun(objects);
  if (!apply) return;
  const ran = await stage.kube.kubectl(["apply", "-f", "-"], { input: block.text });
  expect(ran.stderr).toBe("");
}

async function checkPatch(block: Block, of: string): Promise<void> {
  const [kind = "", name = ""] = of.split("/");
  const patch = JSON.stringify(parse(block.text));
  const args = ["-n", "billing", "patch", kind, name, "--type=merge", "--dry-run=server", "-p", patch];
  const ran = await stage.kube.kubectl(args);
  expect(ran.stderr).toBe("");
}

const placed = (text: string, replace: Readonly<Record<string, string>>): string =>
  Object.entries(replace).reduce((all, [from, to]) => all.replaceAll(from, to), text);

async function checkShell(block: Block, until: string | undefined, scratch: Scratch): Promise<void> {
  const replace = plans[block.page]?.replace?.(stage, scratch) ?? {};
  const commands = scriptCommands(block.text).filter((text) => entryFor(text) === undefined);
  const fresh = commands.filter((text) => !scratch.ran.has(text));
  for (const text of fresh) if (/^kubectl get [^|>]*$/.test(text)) scratch.ran.add(text);
  if (fresh.every((text) => text.trim().startsWith("#"))) return;
  const script = placed(fresh.join("\n"), replace);
  if (until !== undefined) {
    expect(await scratch.background(script, placed(until, replace))).toBe("");
    return;
  }
  const ran = await scratch.bash(script);
  expect(ran.code === 0 ? "" : `${ran.stderr}\n${ran.stdout}`).toBe("");
}

/** A seed of the reference server: the server starts with it and knows what it names. */
async function checkSeed(block: Block, scratch: Scratch): Promise<void> {
  const server = await startServer({ port: 0 });
  try {
    const text = block.text.replaceAll("/tmp/", `${scratch.folder}/`);
    applySeed(server.admin, text);
    const seed = JSON.parse(text) as { tokens: { token_file: string }[]; secrets: object };
    for (const { token_file: file } of seed.tokens) {
      const headers = { authorization: `Bearer ${readFileSync(file, "utf8").trim()}` };
      for (const path of Object.keys(seed.secrets))
        expect((await call({ url: `${server.url}/v1/secrets/${path}`, headers })).status).toBe(200);
    }
  } finally {
    await server.stop();
  }
}

/** Commands that only look may be asked again until the state that the page shows is there. */
const looks = /^(?:kubectl (?:get|describe|-n \S+ get)|scaivault-operator |curl -?s? ?http)/;

async function checkConsole(block: Block, scratch: Scratch): Promise<void> {
  const replace = plans[block.page]?.replace?.(stage, scratch) ?? {};
  for (const { text, output } of consoleCommands(block.text)) {
    if (entryFor(text) !== undefined) continue;
    let printed = "";
    const shown = async (): Promise<boolean> => {
      const ran = await scratch.bash(placed(text, replace));
      printed = ran.stdout + ran.stderr;
      return missingLine(output, printed) === undefined;
    };
    if (looks.test(text)) await waitFor(shown, 30_000, 300);
    else await shown();
    const missing = missingLine(output, printed);
    expect(missing === undefined ? "" : `$ ${text}\n${printed}\nlacks: ${missing}`).toBe("");
  }
}

async function play({ block, check }: Played, scratch: Scratch): Promise<void> {
  const file = block.note?.options["file"];
  if (file !== undefined) scratch.write(file, block.text);
  if (check.kind === "objects") await checkObjects(block, check.apply);
  if (check.kind === "values") await checkValues(block.text);
  if (check.kind === "patch") await checkPatch(block, check.of);
  if (check.kind === "seed") await checkSeed(block, scratch);
  if (check.kind === "shell") await checkShell(block, check.until, scratch);
  if (check.kind === "console") await checkConsole(block, scratch);
  const actor = block.note?.options["actor"];
  if (actor !== undefined) {
    const act = plans[block.page]?.actors?.[actor];
    if (act === undefined) throw new Error(`test/docs/plans.ts has no actor ${actor} for ${block.page}`);
    await act(stage, scratch);
  }
}

function playPages(when: When): void {
  for (const page of pages.filter((one) => played(one, when).length > 0))
    describe(page.name, () => {
      let scratch: Scratch;
      beforeAll(async () => {
        scratch = stage.scratch();
        await plans[page.name]?.before?.(stage, scratch);
      });
      afterAll(async () => {
        await plans[page.name]?.after?.(stage, scratch);
        scratch.close();
      });
      it.each(played(page, when))("$at", (one) => play(one, scratch));
    });
}

it("plays pages that are there", () => {
  for (const name of Object.keys(plans)) expect(existsSync(name), name).toBe(true);
  expect(pages.filter((page) => played(page, "playing").length > 0).length).toBeGreaterThan(5);
});

describe("before the operator is there", () => {
  playPages("bare");
});
describe("with the operator of the quickstart", () => {
  beforeAll(() => stage.play());
  playPages("playing");
});
describe("in the end", () => {
  let before: string[];
  beforeAll(() => {
    before = stage.scaivault.server.admin.paths();
  });
  playPages("last");
  it("leaves every value in ScaiVault", () => {
    expect(before.length).toBeGreaterThan(3);
    expect(stage.scaivault.server.admin.paths()).toEqual(before);
  });
});
