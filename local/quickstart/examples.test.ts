import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Cluster } from "../cluster.ts";
import { repositoryRoot } from "../paths.ts";
import { silentProgress } from "../progress.ts";
import { readExamples, waitReady } from "./examples.ts";
import { type Stores, type World } from "./world.ts";

const examples = join(repositoryRoot, "examples", "quickstart");

/** A world whose watches say these lines. */
function worldWith(lines: Readonly<Record<string, readonly string[]>>, vault = true): World {
  const cluster: Pick<Cluster, "follow"> = {
    follow({ resource }, onLine) {
      for (const line of lines[resource.split(".")[0] ?? ""] ?? []) onLine(line);
    },
  };
  const stores = { vault: vault ? {} : undefined } as unknown as Stores;
  return {
    cluster: cluster as Cluster,
    stores,
    release: "r",
    operatorNamespace: "o",
    examples,
    bundle: "",
    folder: "",
    progress: silentProgress,
  };
}

const ready = (name: string): string => `${name}|1|1|True|InSync|`;
const silent = (): void => undefined;

describe("readExamples", () => {
  it("gives all five objects in the order of the files", () => {
    const names = readExamples(worldWith({})).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toEqual([
      "FederationBackend aws-prod",
      "FederationBackend vault-prod",
      "SecretSync stripe",
      "SecretSync database",
      "SecretSync workers",
    ]);
  });

  it("leaves out what needs a Vault when there is none", () => {
    const names = readExamples(worldWith({}, false)).map(({ metadata }) => metadata.name);
    expect(names).toEqual(["aws-prod", "stripe", "workers"]);
  });
});

describe("waitReady", () => {
  const backends = [ready("aws-prod"), ready("vault-prod")];

  it("ends when every object is Ready at its generation, and says how far it is", async () => {
    const said: string[] = [];
    const world = worldWith({
      federationbackends: backends,
      secretsyncs: [
        "stripe|2|1|True|InSync|",
        "stripe|2|2|True|InSync|",
        ready("database"),
        ready("other"),
        ready("workers"),
      ],
    });
    await waitReady(world, readExamples(world), (text) => said.push(text));
    expect(said).toEqual([
      "1 of 5 Ready, FederationBackend vault-prod",
      "2 of 5 Ready, SecretSync stripe",
      "2 of 5 Ready, SecretSync stripe",
      "3 of 5 Ready, SecretSync database",
      "4 of 5 Ready, SecretSync workers",
      "5 of 5 Ready",
    ]);
  });

  it("gives up at once on what only people can mend, with reason, message and hint", async () => {
    const world = worldWith({
      federationbackends: backends,
      secretsyncs: ["stripe|1|1|False|InvalidPath|a path that | is odd"],
    });
    await expect(waitReady(world, readExamples(world), silent)).rejects.toMatchObject({
      message: "SecretSync stripe is not Ready: InvalidPath: a path that | is odd",
      hint: expect.stringContaining("path") as string,
    });
  });

  it("waits on through what mends itself, and then says what it last saw", async () => {
    const world = worldWith({
      federationbackends: backends,
      secretsyncs: ["stripe|1|1|False|SourceUnavailable|timeout"],
    });
    await expect(waitReady(world, readExamples(world), silent, 10)).rejects.toMatchObject({
      message: "SecretSync stripe is not Ready: SourceUnavailable: timeout",
    });
    const quiet = worldWith({});
    await expect(waitReady(quiet, readExamples(quiet), silent, 10)).rejects.toMatchObject({
      message: "FederationBackend aws-prod has no condition yet.",
    });
  });
});
