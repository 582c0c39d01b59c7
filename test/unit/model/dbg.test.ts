import { it } from "vitest";
import { play, type Step } from "../../support/model/steps.ts";
import { settleDown } from "../../support/model/rest.ts";
import { Stage } from "../../support/model/stage.ts";
import { readFileSync } from "node:fs";
it("dbg", { timeout: 100_000 }, async () => {
  const [kind, history] = JSON.parse(readFileSync("/tmp/history.json", "utf8").replaceAll("__proto__:null,", "")) as ["Id", Step[]];
  const stage = await Stage.open(kind);
  const log = (cluster: string) => {
    const op = stage.clusters.get(cluster as "east")!;
    op.caches.syncs.subscribe({ update: (o: never) => {
      const s = o as { metadata: { name: string }; status?: { targets?: unknown; conditions?: { type: string; status: string; reason: string; message: string }[] } };
      console.log(cluster, stage.clock.monotonic() / 60000, s.metadata.name, JSON.stringify(s.status?.targets ?? s.status), s.status?.conditions?.filter((c) => c.type === "Ready").map((c) => `${c.status} ${c.reason} ${c.message}`));
    } } as never);
  };
  log("east"); log("west");
  for (const s of history) { await play(stage, s); console.log(JSON.stringify(s), stage.judge.violations); for (const secret of ["a","b","tree/x","tree/y"]) { const p = stage.server.admin.peek(`env/${secret}`); console.log("   ", secret, "src", stage.current(secret as "a"), "vault", p?.version, p?.data, p?.deleted, (p?.metadata as never as Record<string,string>)?.["scaivault_operator_version"], (p?.metadata as never as Record<string,string>)?.["scaivault_operator_authority"], ...["east","west"].map((c) => JSON.stringify([...(stage.op(c as "east").secrets.copies.get(`team/${secret.replace("/","-")}`)?.keys ?? [])]))); } }
  await settleDown(stage);
  console.log(stage.judge.violations, stage.server.admin.requests().filter((r) => r.method !== "POST").map((r) => `${r.method} ${r.path} ${r.status} ${r.at}`).join("\n"));
  await stage.close();
});
