/** The guides' stage: one operator, the team `billing`, and what people see and do in ScaiVault. */
import { call } from "../../local/http.ts";
import type { Program } from "../integration/cli/support.ts";
import { type Harness, startOperator, sync, VAULT_HOST } from "../support/operator.ts";

/** A row of ScaiVault's audit log. */
export interface AuditRow {
  readonly action: string;
  readonly identity_id: string;
  readonly secret_path: string;
  readonly user_agent: string;
}

/** Who the operator is in ScaiVault; its reads are not those of consumers. */
const operatorIdentity = "sa:scaivault-operator";

/** One team that migrates. */
export class GuideStage {
  readonly op: Harness<"billing">;

  private constructor(op: Harness<"billing">) {
    this.op = op;
  }

  static async open(): Promise<GuideStage> {
    const op = await startOperator({
      namespaces: ["billing"],
      federation: true,
      // People look more often than ScaiVault allows; the operator keeps to its own budget all the same.
      scaivault: { limits: { federation: Infinity, policy: Infinity } },
      tenancy: (ns) => [
        {
          namespaces: [ns.billing],
          federation: true,
          endpoints: [VAULT_HOST],
          scaivault: {
            read: ["external/**", "environments/**", "shared/**"],
            write: ["external/**", "environments/**", "shared/**", "infra/aws/*", "infra/hashicorp/*"],
            credentials: ["infra/aws/*", "infra/hashicorp/*"],
          },
        },
      ],
    });
    // The brakes' window after a start is over.
    await op.advance(11 * 60_000);
    return new GuideStage(op);
  }

  get ns(): string {
    return this.op.ns.billing;
  }

  /** A call by a person with all rights, or with another token. */
  async api(method: string, path: string, body?: object, token = this.op.scaivault.server.token) {
    const answer = await call({
      method,
      url: `${this.op.scaivault.server.url}/v1${path}`,
      ca: this.op.env.authority.cert,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const json = answer.text === "" ? {} : (JSON.parse(answer.text) as Record<string, unknown>);
    return { status: answer.status, json };
  }

  /** What a consumer reads at a path; the HTTP status when that fails. */
  async read(path: string, token?: string): Promise<unknown> {
    const { status, json } = await this.api("GET", `/secrets/${path}`, undefined, token);
    return status === 200 ? json["data"] : status;
  }

  /** A consumer that may read below some paths. */
  consumer(identity: string, ...patterns: string[]): string {
    const rules = patterns.map((path_pattern) => ({ path_pattern, permissions: ["read" as const] }));
    return this.op.scaivault.server.admin.createToken({ identity, scopes: ["secrets:read"], rules });
  }

  /** Who read below a prefix since a time, the operator apart. */
  async readers(prefix: string, since: number): Promise<AuditRow[]> {
    const from = new Date(since).toISOString();
    const { json } = await this.api("GET", `/audit/logs?action=read&path_prefix=${prefix}&from=${from}`);
    return (json["logs"] as AuditRow[]).filter(({ identity_id }) => identity_id !== operatorIdentity);
  }

  /** One secret to its canonical path and into a Secret. */
  move(name: string, from: { readonly backend: string; readonly path: string }, to: string, spec: object = {}) {
    return sync(this.ns, name, {
      source: { backendRef: { name: from.backend }, path: from.path },
      targets: {
        scaivault: { path: to, tags: ["billing", "migrated"], owner: "team:billing", maxVersions: 10 },
        kubernetesSecret: {},
      },
      ...spec,
    });
  }

  /** Merge patch of an object by its owner. */
  edit(kind: "SecretSync" | "FederationBackend", name: string, patch: object): Promise<void> {
    return this.op.cluster.patch(kind, this.ns, name, { spec: patch });
  }

  secret(name: string): Promise<Record<string, string> | undefined> {
    return this.op.cluster.secretData(this.ns, name);
  }

  backendReady(name: string, reason = "True InSync") {
    return this.op.verdict("FederationBackend", this.ns, name, reason, { virtualMs: 180_000 });
  }

  /** Waits until a SecretSync works under an authority. */
  flipped(name: string): Promise<void> {
    return this.op.eventually(`${name} has moved its authority`, async () => {
      const found = await this.op.cluster.sync(this.ns, name);
      return found?.status?.effective?.authority === "ScaiVault";
    });
  }
}

/** `scaivault-operator verify` of the team's namespace. */
export async function verified({ op, ns }: GuideStage, program: Program) {
  await op.idle();
  const config = program.write("config.yaml", op.file);
  const { code, stdout, stderr } = await program.run(["verify", "-n", ns, "--config", config]);
  op.otherTexts.push(() => [["verify", stdout + stderr]]);
  return { code, stdout };
}
