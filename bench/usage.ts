/** What a process used so far, by /proc on Linux and by ps elsewhere; and what it says of its event loop. */
import { readFileSync, writeFileSync } from "node:fs";
import { call } from "../local/http.ts";
import { run } from "../local/run.ts";
import { round } from "./percentiles.ts";

/** Processor time and memory of a process. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Linux: the most since {@link forgetPeak}. Elsewhere: what it has now. */
  readonly peakRssMB: number;
  /** What it has now. */
  readonly rssMB: number;
}

/** Clock ticks a second in /proc, which Linux fixes for user space. */
const ticks = 100;

function fromProc(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name in parentheses may hold anything; fields are counted after it. utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const cpu = Number(fields[11]) + Number(fields[12]);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  const now = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return { cpuSeconds: cpu / ticks, peakRssMB: Number(peak ?? 0) / 1024, rssMB: Number(now ?? 0) / 1024 };
}

async function fromPs(pid: number): Promise<Usage> {
  const { stdout } = await run("ps", ["-o", "time=,rss=", "-p", String(pid)]);
  const [time = "0:00", rss = "0"] = stdout.trim().split(/\s+/);
  const seconds = time.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return { cpuSeconds: seconds, peakRssMB: Number(rss) / 1024, rssMB: Number(rss) / 1024 };
}

/** Usage of a running process. */
export async function usageOf(pid: number): Promise<Usage> {
  return process.platform === "linux" ? fromProc(pid) : await fromPs(pid);
}

/** From now on `peakRssMB` is the most since now, where the system can do that (Linux). */
export function forgetPeak(pid: number): void {
  try {
    if (process.platform === "linux") writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch {
    // The peak is that of the whole life then.
  }
}

const lag = /^nodejs_eventloop_lag_(mean|p50|p90|p99|max)_seconds (\S+)$/gm;

/**
 * Delay of a process's event loop in milliseconds since the last reading, as its metrics say; empty when it does not answer.
 * @param metricsUrl its `/metrics`
 */
export async function eventLoopDelay(metricsUrl: string): Promise<Record<string, number>> {
  try {
    const { text } = await call({ url: metricsUrl, timeoutMs: 5_000 });
    return Object.fromEntries(
      [...text.matchAll(lag)].map(([, name, seconds]) => [name, round(Number(seconds) * 1000)]),
    );
  } catch {
    return {};
  }
}
