/** Where the local environment keeps what it makes. */
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const repositoryRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** The ignored folder of this checkout: run folders, logs, the file with the facts of a running environment. */
export const localFolder = join(repositoryRoot, ".local");

/** The file that `npm run local` leaves while it runs; other commands and test runs find the environment by it. */
export const factsFile = join(localFolder, "environment.json");

/** Binaries and the Python environment, shared by all checkouts of this user (XDG base directory specification). */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env["XDG_CACHE_HOME"];
  // The specification says that a relative path is to be ignored.
  return join(base?.startsWith("/") === true ? base : join(homedir(), ".cache"), "scaivault-operator");
}
