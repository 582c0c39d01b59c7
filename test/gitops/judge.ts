/** What GitOps tools say of objects: Argo CD by the health script that we ship, Flux and others by kstatus. */
import { join } from "node:path";
import { ensureBinary } from "../../local/binaries.ts";
import { run } from "../../local/run.ts";

export const healthScript = join(import.meta.dirname, "../../examples/gitops/argocd/health.lua");

/** What a tool says of one object. */
export interface Judgement {
  readonly status: string;
  readonly message: string;
}

async function judge(args: readonly string[], objects: readonly unknown[]): Promise<Judgement[]> {
  const { path } = await ensureBinary("gitops-judge");
  const input = objects.map((object) => `${JSON.stringify(object)}\n`).join("");
  const { code, stdout, stderr } = await run(path, args, { input });
  if (code !== 0) throw new Error(`gitops-judge: ${stderr}`);
  const lines = stdout.trimEnd().split("\n");
  return lines.map((line) => {
    const { status = "", message = "", error } = JSON.parse(line) as Partial<Judgement> & { error?: string };
    if (error !== undefined) throw new Error(`gitops-judge: ${error}`);
    return { status, message };
  });
}

/** Health by Argo CD, one for each object. */
export const argocdHealth = (objects: readonly unknown[], script = healthScript): Promise<Judgement[]> =>
  judge(["health", script], objects);

/** Status by kstatus, one for each object. */
export const kstatus = (objects: readonly unknown[]): Promise<Judgement[]> => judge(["kstatus"], objects);

/** `Healthy Current`: health and kstatus of one object. */
export async function judged(object: unknown): Promise<string> {
  const [[health], [status]] = [await argocdHealth([object]), await kstatus([object])];
  return `${health?.status ?? ""} ${status?.status ?? ""}`;
}
