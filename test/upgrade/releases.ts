/** Releases that are kept beside the tests: their bundle runs as a process of its own, as the image runs it. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { call } from "../../local/http.ts";
import { freePort } from "../../local/ports.ts";
import { createProgram, type Program } from "../../local/process.ts";
import { LEASE_NAME, OPERATOR_NAMESPACE } from "../support/operator-account.ts";
import type { Harness } from "../support/operator.ts";

/** `release.json` of a kept release. */
export interface Release {
  readonly version: string;
  readonly commit: string;
  readonly bundle: { readonly bytes: number; readonly sha256: string };
  /** File name of the packaged chart. */
  readonly chart: string;
}

/** What runs: a kept release, or the code of this checkout. */
export type Which = "0.1.0" | "current";

const folderOf = (version: string): string => join(import.meta.dirname, version);

export function release(version: string): Release {
  return JSON.parse(readFileSync(join(folderOf(version), "release.json"), "utf8")) as Release;
}

/** Path of the packaged chart. */
export const chartOf = (version: string): string => join(folderOf(version), release(version).chart);

/** Unpacks the bundle into a folder. @returns its path @throws when it is not what the release states */
export function unpack(version: string, folder: string): string {
  const bundle = brotliDecompressSync(readFileSync(join(folderOf(version), "operator.mjs.br")));
  const sha256 = createHash("sha256").update(bundle).digest("hex");
  if (sha256 !== release(version).bundle.sha256) throw new Error(`the bundle of ${version} is not the one it states`);
  const file = join(folder, `operator-${version}.mjs`);
  writeFileSync(file, bundle);
  return file;
}

/** A release refuses fields that it does not know, and 0.1.0 has no news; the chart of a release writes what it knows. */
function withoutNews(file: Harness["file"]): Harness["file"] {
  const { news: _, ...scaivault } = file["scaivault"] as Record<string, unknown>;
  return { ...file, scaivault };
}

let started = 0;

/** Starts an operator over the harness's stores and waits until it leads; the caller stops it. */
export async function runRelease(op: Harness, which: Which): Promise<Program> {
  const name = `operator-${which.replaceAll(".", "-")}-${(started += 1)}`;
  const address = "127.0.0.1";
  const [health, metrics] = [await freePort(), await freePort()];
  const file = join(op.folder, `${name}.json`);
  const config = {
    ...(which === "current" ? op.file : withoutNews(op.file)),
    health: { address, port: health },
    metrics: { address, port: metrics },
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const logFile = join(op.folder, `${name}.log`);
  const program = createProgram({
    name,
    file: process.execPath,
    args: [which === "current" ? "src/main.ts" : unpack(which, op.folder), "run", "--config", file],
    env: { POD_NAME: name, NODE_OPTIONS: undefined },
    logFile,
    ready: async () => (await call({ url: `http://${address}:${health}/readyz`, timeoutMs: 1_000 })).status === 200,
  });
  op.otherTexts.push(() => [[`log of ${name}`, readFileSync(logFile, "utf8")]]);
  await program.start();
  const lease = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/${LEASE_NAME}`;
  await op.waitFor(`${name} leads`, async () => {
    const answer = await op.env.kube.request({ path: lease });
    const { spec } = answer.json<{ spec?: { holderIdentity?: string | null } }>();
    return spec?.holderIdentity?.startsWith(name) === true;
  });
  return program;
}
