import { Counter, Histogram, Registry } from "prom-client";

/** Metrics under the names that ScaiVault documents. [operations/health-and-monitoring] */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: "scaivault_requests_total",
    help: "Answered requests",
    labelNames: ["method", "path_category", "status"],
    registers: [this.#registry],
  });
  readonly #duration = new Histogram({
    name: "scaivault_request_duration_seconds",
    help: "Time to answer",
    labelNames: ["path_category"],
    registers: [this.#registry],
  });
  readonly #rateHits = new Counter({
    name: "scaivault_rate_limit_hits_total",
    help: "Requests refused for their rate",
    labelNames: ["category"],
    registers: [this.#registry],
  });
  readonly #reads = new Counter({
    name: "scaivault_secret_reads_total",
    help: "Values answered",
    registers: [this.#registry],
  });
  readonly #writes = new Counter({
    name: "scaivault_secret_writes_total",
    help: "Versions made",
    registers: [this.#registry],
  });

  answered(method: string, category: string, status: number, seconds: number): void {
    this.#requests.inc({ method, path_category: category, status: String(status) });
    this.#duration.observe({ path_category: category }, seconds);
  }

  rateLimited(category: string): void {
    this.#rateHits.inc({ category });
  }

  valueRead(): void {
    this.#reads.inc();
  }

  versionWritten(): void {
    this.#writes.inc();
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
