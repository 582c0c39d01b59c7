/** What a process used so far, by /proc on Linux and by ps elsewhere. */
import { readFileSync } from "node:fs";
import { run } from "../local/run.ts";

/** Processor time and memory of a process. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Linux: the most it ever had. Elsewhere: what it has now. */
  readonly peakRssMB: number;
}

/** Clock ticks a second in /proc, which Linux fixes for user space. */
const ticks = 100;

function fromProc(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name in parentheses may hold anything; fields are counted after it. utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const cpu = Number(fields[11]) + Number(fields[12]);
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { cpuSeconds: cpu / ticks, peakRssMB: Number(peak ?? 0) / 1024 };
}

async function fromPs(pid: number): Promise<Usage> {
  const { stdout } = await run("ps", ["-o", "time=,rss=", "-p", String(pid)]);
  const [time = "0:00", rss = "0"] = stdout.trim().split(/\s+/);
  const seconds = time.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return { cpuSeconds: seconds, peakRssMB: Number(rss) / 1024 };
}

/** Usage of a running process. */
export async function usageOf(pid: number): Promise<Usage> {
  return process.platform === "linux" ? fromProc(pid) : await fromPs(pid);
}
