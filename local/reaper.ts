/**
 * Ends the started programs when this process dies, however it dies.
 *
 * A small shell reads process ids from a pipe that only this process holds open. When the pipe closes (exit, crash, SIGKILL) it
 * ends the process groups that are still named: SIGTERM, three seconds, SIGKILL.
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { Socket } from "node:net";

const script = `
trap '' INT TERM HUP QUIT
pids=
while read -r op pid; do
  case $op in
    +) pids="$pids $pid" ;;
    -) left=; for p in $pids; do [ "$p" = "$pid" ] || left="$left $p"; done; pids=$left ;;
  esac
done
for p in $pids; do kill -s TERM -- "-$p"; kill -s CONT -- "-$p"; done 2>/dev/null
n=0
while [ $n -lt 30 ]; do
  alive=
  for p in $pids; do kill -s 0 -- "-$p" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && exit 0
  sleep 0.1
  n=$((n + 1))
done
for p in $pids; do kill -s KILL -- "-$p"; done 2>/dev/null
`;

let shell: ChildProcess | undefined;

function pipe(): NodeJS.WritableStream {
  if (shell === undefined || shell.exitCode !== null) {
    // Its own session: Ctrl-C in a terminal must not reach it.
    shell = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    shell.on("error", () => undefined);
    shell.stdin?.on("error", () => undefined);
    shell.unref();
    (shell.stdin as Socket | null)?.unref();
  }
  return shell.stdin as NodeJS.WritableStream;
}

/** From now on the process group `pid` ends with this process. */
export function reapWithUs(pid: number): void {
  pipe().write(`+ ${pid}\n`);
}

/** The process group has ended; its number may be used by others from now on. */
export function reaped(pid: number): void {
  pipe().write(`- ${pid}\n`);
}
