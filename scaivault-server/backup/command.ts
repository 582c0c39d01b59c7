/** `npm run scaivault -- backup FILE` and `restore FILE`: of a data file, or of a running server by its admin port. */
import { existsSync, readFileSync } from "node:fs";
import { Agent, request } from "undici";
import { isLoopback } from "../http/guard.ts";
import { writePrivateFile } from "../private-file.ts";
import { SqliteStore } from "../store/sqlite.ts";
import { backupOf, restoreInto } from "./backup.ts";

/** Where the data is: exactly one of `data` and `adminUrl`. */
export interface BackupFlags {
  readonly data?: string;
  readonly adminUrl?: string;
  readonly adminTokenFile?: string;
}

/** Writes a backup that only its owner can read, whole or not at all. @param now ms since the epoch. */
export async function writeBackup(file: string, flags: BackupFlags, now: number): Promise<void> {
  const text =
    placeOf(flags) === "port"
      ? await ask("GET", "/admin/backup", flags)
      : onFile(flags, (store) => backupOf(store, now));
  writePrivateFile(file, text);
}

/** Puts a backup back. */
export async function readBackup(file: string, flags: BackupFlags): Promise<void> {
  const text = readFileSync(file, "utf8");
  if (placeOf(flags) === "port") {
    await ask("POST", "/admin/restore", flags, text);
    return;
  }
  if (existsSync(`${flags.data ?? ""}-wal`))
    throw new Error("a server uses the data file, or did not end well: restore by its admin port, or start and end it");
  onFile(flags, (store) => restoreInto(store, text), true);
}

function placeOf(flags: BackupFlags): "file" | "port" {
  if ((flags.data === undefined) === (flags.adminUrl === undefined))
    throw new Error("name either --data or --admin-url");
  if (flags.adminUrl !== undefined && flags.adminTokenFile === undefined)
    throw new Error("--admin-url needs --admin-token-file");
  return flags.data === undefined ? "port" : "file";
}

function onFile<T>(flags: BackupFlags, work: (store: SqliteStore) => T, mayBeNew = false): T {
  const file = flags.data ?? "";
  if (!mayBeNew && !existsSync(file)) throw new Error("there is no such data file");
  const store = new SqliteStore(file);
  try {
    return work(store);
  } finally {
    store.close();
  }
}

async function ask(method: "GET" | "POST", path: string, flags: BackupFlags, body?: string): Promise<string> {
  const url = new URL(flags.adminUrl ?? "");
  if (!isLoopback(url.hostname.replace(/^\[|\]$/g, ""))) throw new Error("the admin port is on loopback only");
  const token = readFileSync(flags.adminTokenFile ?? "", "utf8").trim();
  const agent = new Agent();
  try {
    const answer = await request(new URL(path, url), {
      method,
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`the admin port answers ${answer.statusCode}`);
    return text;
  } finally {
    await agent.close();
  }
}
