import type { Config } from "../config/index.ts";
import type { ObjectPlan } from "../controllers/index.ts";
import { reasons } from "../errors/index.ts";
import type { CommandDefinition, CommandIO, CommandResult } from "./command.ts";
import { renderFindings } from "./findings.ts";
import { configOf, configOption, isConfig } from "./run.ts";
import { exitCodes } from "./program.ts";
import { inspectManifests, readManifests } from "./validate.ts";

/** Makes the plan of some manifests (parsed objects of our kinds) against the cluster and the stores. */
export type Planner = (config: Config, objects: readonly object[], io: CommandIO) => Promise<readonly ObjectPlan[]>;

const states: ReadonlySet<string> = new Set(["Failed", "Unknown", "Conflict"]);

/** `plan -f`: what `run` would do, without values. Exit 0: nothing, 2: changes, 1: errors. */
export function planCommand(planner: Planner): CommandDefinition {
  return {
    name: "plan",
    summary: "Shows what run would do for manifests, and writes nothing.",
    description:
      "Reads the cluster and the stores with the operator's configuration and prints what `run` would write, without values. Exit codes: 0 nothing to do, 2 changes, 1 errors.",
    examples: [
      "scaivault-operator plan -f sync.yaml --config config.yaml",
      "kustomize build . | scaivault-operator plan -f -",
    ],
    arguments: [],
    options: [
      {
        name: "filename",
        flags: "-f, --filename <file...>",
        description: "files, folders or - for standard input",
        required: true,
      },
      { name: "recursive", flags: "-R, --recursive", description: "also look into folders below" },
      configOption,
    ],
    async handler(args, io) {
      const config = configOf(args, io);
      if (!isConfig(config)) return config;
      const names = args.options["filename"];
      const files = Array.isArray(names) ? (names as readonly string[]) : [String(names)];
      const { sources, findings } = await readManifests(files, args.options["recursive"] === true, io);
      const { report, manifests } = inspectManifests(sources, config);
      const all = [...findings, ...report.findings];
      if (all.some((finding) => finding.severity === "error")) {
        const merged = { ...report, findings: all };
        return { exitCode: exitCodes.failed, data: merged, text: renderFindings(merged) };
      }
      return renderPlans(await planner(config, manifests, io));
    },
  };
}

function renderPlans(plans: readonly ObjectPlan[]): CommandResult {
  const broken = plans.some((plan) => plan.errors.length > 0 || plan.outcomes.some(({ state }) => states.has(state)));
  const changes = plans.some((plan) => plan.actions.length > 0 || plan.held.length > 0);
  const lines = plans.flatMap((plan) => renderPlan(plan));
  const count = (kinds: readonly string[]) =>
    plans.reduce((sum, plan) => sum + plan.actions.filter(({ kind }) => kinds.includes(kind)).length, 0);
  const held = plans.reduce((sum, plan) => sum + plan.held.length, 0);
  const summary = `${count(["Create"])} to create, ${count(["Update", "Restore", "Mark", "Adopt", "Release"])} to change, ${count(["Delete"])} to delete, ${held} held`;
  return {
    exitCode: broken ? exitCodes.failed : changes ? exitCodes.changes : exitCodes.ok,
    data: { plans },
    text: [...lines, summary].join("\n"),
  };
}

function renderPlan(plan: ObjectPlan): string[] {
  const lines = [`SecretSync ${plan.namespace}/${plan.name}`];
  for (const action of plan.actions)
    lines.push(
      `  ${action.kind.toLowerCase()} ${action.target} ${action.ref} from ${action.path} (${action.why}, version ${action.fromVersion})`,
    );
  for (const action of plan.held)
    lines.push(`  held: ${action.kind.toLowerCase()} ${action.target} ${action.ref} (${action.why})`);
  for (const outcome of plan.outcomes) {
    const acted = [...plan.actions, ...plan.held].some(
      (action) => action.target === outcome.kind && action.ref === outcome.ref,
    );
    if (acted && outcome.state === "Pending") continue;
    const hint = outcome.state === "InSync" ? "" : ` ${reasons[outcome.reason].hint}`;
    lines.push(
      `  ${outcome.kind} ${outcome.ref}: ${outcome.reason}${outcome.message === "" ? "" : `: ${outcome.message}`}${hint}`,
    );
  }
  for (const error of plan.errors)
    lines.push(`  ${error.path === "" ? "" : `${error.path}: `}${error.reason}: ${error.message} ${error.hint}`);
  if (plan.hash !== "") lines.push(`  to approve what is held: annotate scaivault.scailabs.ai/approve=${plan.hash}`);
  return lines;
}
