/** A terminal as a reader of the guides has it: curl reaches the reference server by ScaiVault's own name. */
import { dirname } from "node:path";
import { run } from "../../local/run.ts";
import { Scratch } from "../docs/stage.ts";
import type { TestEnvironment } from "../support/environment.ts";

/** What the terminal is connected to. */
export interface ShellOptions {
  readonly env: TestEnvironment;
  /** URL of the reference server that `https://scaivault.scailabs.ai` leads to. */
  readonly scaivault: string;
  readonly token: string;
}

/** One terminal session. */
export class GuideShell {
  readonly #scratch: Scratch;

  private constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** @throws when a program that the guides use is not there */
  static async open({ env, scaivault, token }: ShellOptions): Promise<GuideShell> {
    for (const program of ["curl", "jq"])
      if ((await run("bash", ["-c", `command -v ${program}`])).code !== 0)
        throw new Error(`The guides use ${program}, which is not on the PATH.`);
    const { vault } = env;
    const scratch = new Scratch({
      PATH: `${dirname(env.facts.binaries.vault ?? "")}:${process.env["PATH"] ?? ""}`,
      LANG: "C.UTF-8",
      SCAIVAULT_TOKEN: token,
      VAULT_ADDR: vault.facts.url,
      VAULT_CACERT: vault.facts.caFile,
      VAULT_TOKEN: vault.facts.rootToken,
    });
    // curl: another address behind ScaiVault's name, and an answer that is no success is a failure.
    scratch.write(
      ".curlrc",
      [
        `connect-to = "scaivault.scailabs.ai:443:127.0.0.1:${new URL(scaivault).port}"`,
        `cacert = "${env.facts.caFile}"`,
        'noproxy = "*"',
        "fail-with-body",
        "silent",
        "show-error",
        "",
      ].join("\n"),
    );
    return new GuideShell(scratch);
  }

  /** Runs commands; variables stay for the next ones. @returns what they print @throws with both outputs when one fails */
  async bash(commands: string): Promise<string> {
    const { code, stdout, stderr } = await this.#scratch.bash(commands);
    if (code !== 0) throw new Error(`exit ${code}\n${commands}\n${stderr}\n${stdout}`);
    return stdout.trim();
  }

  /** Runs commands that print one JSON document. */
  async json(commands: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.bash(commands)) as Record<string, unknown>;
  }

  close(): void {
    this.#scratch.close();
  }
}
