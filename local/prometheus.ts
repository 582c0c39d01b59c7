/** A Prometheus on loopback that scrapes what it is told and loads rules; only the test of metrics, alerts and dashboard starts it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Binary } from "./binaries.ts";
import { call } from "./http.ts";
import { freePort, loopback } from "./ports.ts";
import { createProgram } from "./process.ts";

/** What is scraped. */
export interface ScrapeTarget {
  readonly job: string;
  /** `HOST:PORT`; the path is /metrics. */
  readonly address: string;
  /** As a ServiceMonitor would set them; labels of the metrics themselves go first. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** One series of an instant query. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A loaded rule as Prometheus tells of it. */
export interface LoadedRule {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
  readonly alerts: readonly {
    readonly state: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

/** A running Prometheus. */
export interface Prometheus {
  readonly url: string;
  /** An instant query. @throws with Prometheus's own words when it is refused */
  query(expression: string): Promise<Sample[]>;
  /** Values of a label over the series that match. */
  labelValues(label: string, match?: string): Promise<string[]>;
  rules(): Promise<LoadedRule[]>;
  stop(): Promise<void>;
}

interface Answer<T> {
  readonly status: string;
  readonly error?: string;
  readonly data: T;
}

/** Starts it; data and configuration lie in `folder`. Scrapes and evaluates each half second. @throws ProgramFailed */
export async function startPrometheus(options: {
  readonly folder: string;
  readonly binary: Binary;
  readonly targets: readonly ScrapeTarget[];
  readonly ruleFiles?: readonly string[];
}): Promise<Prometheus> {
  const { folder, binary, targets, ruleFiles = [] } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const config = {
    global: { scrape_interval: "500ms", scrape_timeout: "500ms", evaluation_interval: "500ms" },
    rule_files: ruleFiles,
    scrape_configs: targets.map(({ job, address, labels = {} }) => ({
      job_name: job,
      honor_labels: true,
      static_configs: [{ targets: [address], labels }],
    })),
  };
  const configFile = join(folder, "prometheus.json");
  writeFileSync(configFile, JSON.stringify(config, null, 2));
  const url = `http://${loopback}:${await freePort()}`;
  const program = createProgram({
    name: "prometheus",
    file: binary.path,
    args: [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${new URL(url).host}`,
      "--log.level=warn",
    ],
    logFile: join(folder, "prometheus.log"),
    ready: async () => (await call({ url: `${url}/-/ready`, timeoutMs: 1_000 })).status === 200,
  });
  await program.start();
  const ask = async <T>(path: string): Promise<T> => {
    const answer = (await call({ url: `${url}/api/v1/${path}` })).json<Answer<T>>();
    if (answer.status !== "success") throw new Error(answer.error ?? "refused without a word");
    return answer.data;
  };
  return {
    url,
    async query(expression) {
      const { result } = await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(expression)}`,
      );
      return result.map(({ metric, value: [, text] }) => ({ metric, value: Number(text) }));
    },
    labelValues: (label, match) =>
      ask<string[]>(`label/${label}/values${match === undefined ? "" : `?match[]=${encodeURIComponent(match)}`}`),
    async rules() {
      const { groups } = await ask<{ groups: { rules: LoadedRule[] }[] }>("rules");
      return groups.flatMap(({ rules }) => rules);
    },
    stop: () => program.stop(),
  };
}
