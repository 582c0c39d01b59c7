import * as z from "zod";
import type { Caller, ScaiVaultCall } from "./caller.ts";
import { allPages } from "./pages.ts";
import { checkPath } from "./paths.ts";
import type { CallContext } from "./types.ts";
import { checked, readJSON } from "./wire.ts";

/** What a rotation policy says; durations such as `90d`, one unit of `s`, `m`, `h`, `d`. */
export interface RotationSettings {
  /** Unique in the tenant. */
  readonly name: string;
  readonly interval: string;
  readonly description?: string;
  /** How long the old version stays readable. ScaiVault's default: 48h. */
  readonly gracePeriod?: string;
  /** Moments before the rotation at which `rotation.due` is told. */
  readonly warnBefore?: readonly string[];
  /** True: ScaiVault makes the new value itself. */
  readonly autoGenerate?: boolean;
  /** How it makes it (`sp_…`). */
  readonly secretPolicyID?: string;
  readonly webhookIDs?: readonly string[];
}

/** A rotation policy as ScaiVault has it. */
export interface RotationPolicy {
  readonly id: string;
  readonly name: string;
  readonly interval: string;
  readonly gracePeriod: string | undefined;
  readonly autoGenerate: boolean;
  readonly isActive: boolean;
  readonly secretsCount: number | undefined;
}

/** One rotation that happened, or that failed. */
export interface RotationRecord {
  readonly path: string;
  readonly status: string | undefined;
  readonly newVersion: number | undefined;
  /** ISO 8601. */
  readonly at: string | undefined;
}

/** One secret whose rotation is due. */
export interface DueRotation {
  readonly path: string;
  readonly policyID: string | undefined;
  /** ISO 8601. */
  readonly dueAt: string | undefined;
  readonly overdue: boolean;
}

const text = z.string().nullish().catch(undefined);
const policy = z.object({
  id: z.string(),
  name: z.string(),
  interval: z.string(),
  grace_period: text,
  auto_generate: z.boolean().catch(false),
  is_active: z.boolean().catch(true),
  secrets_count: z.number().int().nonnegative().optional().catch(undefined),
});
// Neither item is shown in what could be read: several likely names are taken.
const record = z
  .object({
    secret_path: text,
    path: text,
    status: text,
    new_version: z.number().int().nullish().catch(undefined),
    rotated_at: text,
    completed_at: text,
    timestamp: text,
  })
  .refine((item) => (item.secret_path ?? item.path) !== undefined);
const due = z
  .object({
    secret_path: text,
    path: text,
    policy_id: text,
    rotation_policy_id: text,
    due_at: text,
    next_rotation_at: text,
    overdue: z.boolean().catch(false),
    is_overdue: z.boolean().catch(false),
  })
  .refine((item) => (item.secret_path ?? item.path) !== undefined);

const BASE = "/v1/rotation/policies";
const call = { category: "policy", scope: "admin" } as const;
const NOT_FOUND = ["rotation_policy_not_found"];

/** Rotation policies and who is under them (API facts 3.6), scope `admin` but where a call says otherwise. */
export class RotationAPI {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** All policies, page by page. */
  list(context: CallContext): AsyncGenerator<readonly RotationPolicy[]> {
    const action = "list rotation policies";
    const query = new URLSearchParams({ limit: "100" });
    return allPages(
      this.#caller,
      {
        call: { ...call, method: "GET", action, safe: true },
        path: BASE,
        query,
        keys: ["data", "policies"],
        entry: policy,
        read: policyOf,
      },
      context,
    );
  }

  async create(settings: RotationSettings, context: CallContext): Promise<RotationPolicy> {
    const action = `create the rotation policy ${settings.name}`;
    const answer = await this.#send("POST", BASE, action, context, { body: bodyOf(settings) });
    return policyOf(readJSON(policy, answer.body, action));
  }

  /** @returns undefined when there is no such policy */
  async get(id: string, context: CallContext): Promise<RotationPolicy | undefined> {
    const action = "read a rotation policy";
    const answer = await this.#send("GET", at(id), action, context, { expected: NOT_FOUND });
    return answer.errorCode === undefined ? policyOf(readJSON(policy, answer.body, action)) : undefined;
  }

  /** Sets what is given. @returns undefined when there is no such policy */
  async patch(
    id: string,
    settings: Partial<RotationSettings>,
    context: CallContext,
  ): Promise<RotationPolicy | undefined> {
    const action = "change a rotation policy";
    const answer = await this.#send("PATCH", at(id), action, context, { body: bodyOf(settings), expected: NOT_FOUND });
    return answer.errorCode === undefined ? policyOf(readJSON(policy, answer.body, action)) : undefined;
  }

  /** Its secrets stay and are rotated by nobody. @returns false when it was gone already */
  async delete(id: string, context: CallContext): Promise<boolean> {
    const action = "delete a rotation policy";
    return (await this.#send("DELETE", at(id), action, context, { expected: NOT_FOUND })).errorCode === undefined;
  }

  /** Puts a secret under a policy. */
  async assign(id: string, path: string, context: CallContext): Promise<void> {
    checkPath(path);
    await this.#send("POST", `${at(id)}/secrets`, `put ${path} under a rotation policy`, context, {
      body: { secret_path: path },
    });
  }

  /** @returns false when the secret was not under the policy */
  async unassign(id: string, path: string, context: CallContext): Promise<boolean> {
    checkPath(path);
    const where = `${at(id)}/secrets/${encodeURIComponent(path)}`;
    const action = `take ${path} out of its rotation policy`;
    const answer = await this.#send("DELETE", where, action, context, {
      expected: [...NOT_FOUND, "secret_not_found"],
    });
    return answer.errorCode === undefined;
  }

  /** Rotates the policy's secrets now, or some of them; scope `secrets:rotate`. Never repeated here. */
  async rotate(
    id: string,
    paths: readonly string[] | undefined,
    context: CallContext,
  ): Promise<readonly RotationRecord[]> {
    paths?.forEach(checkPath);
    const action = "rotate the secrets of a rotation policy";
    const answer = await this.#send("POST", `${at(id)}/rotate`, action, context, {
      body: paths === undefined ? {} : { secret_paths: paths },
      scope: "secrets:rotate",
    });
    const body = readJSON(z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]), answer.body, action);
    const items = Array.isArray(body) ? body : (body["data"] ?? body["history"]);
    return checked(z.array(record), items, action).map(recordOf);
  }

  /** What was rotated, page by page; scope `audit:read`. */
  history(
    id: string,
    status: "success" | "failed" | "pending" | undefined,
    context: CallContext,
  ): AsyncGenerator<readonly RotationRecord[]> {
    const action = "read the history of a rotation policy";
    const query = new URLSearchParams({ limit: "100", ...(status === undefined ? {} : { status }) });
    return allPages(
      this.#caller,
      {
        call: { ...call, method: "GET", scope: "audit:read", action, safe: true },
        path: `${at(id)}/history`,
        query,
        keys: ["data", "history"],
        entry: record,
        read: recordOf,
      },
      context,
    );
  }

  /** Secrets whose rotation is due within so many hours, the overdue ones among them; scope `secrets:rotate` or `admin`. */
  due(withinHours: number, context: CallContext): AsyncGenerator<readonly DueRotation[]> {
    const action = "list the rotations that are due";
    const query = new URLSearchParams({ within_hours: String(withinHours), include_overdue: "true" });
    return allPages(
      this.#caller,
      {
        call: { ...call, method: "GET", scope: "secrets:rotate", action, safe: true },
        path: "/v1/rotation/due",
        query,
        keys: ["data", "due"],
        entry: due,
        read: dueOf,
      },
      context,
    );
  }

  #send(
    method: ScaiVaultCall["method"],
    path: string,
    action: string,
    context: CallContext,
    more: { readonly body?: object; readonly expected?: readonly string[]; readonly scope?: string },
  ) {
    const { body, expected, scope } = more;
    return this.#caller.call(
      {
        ...call,
        method,
        path,
        action,
        safe: method === "GET",
        ...(scope === undefined ? {} : { scope }),
        ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body), "utf8") }),
        ...(expected === undefined ? {} : { expected }),
      },
      context,
    );
  }
}

function at(id: string): string {
  return `${BASE}/${encodeURIComponent(id)}`;
}

function bodyOf(settings: Partial<RotationSettings>): object {
  const { name, interval, description, gracePeriod, warnBefore, autoGenerate, secretPolicyID, webhookIDs } = settings;
  // What is undefined is left out of the JSON.
  return {
    name,
    interval,
    description,
    grace_period: gracePeriod,
    warn_before: warnBefore?.join(","),
    auto_generate: autoGenerate,
    secret_policy_id: secretPolicyID,
    webhook_ids: webhookIDs,
  };
}

function policyOf(found: z.infer<typeof policy>): RotationPolicy {
  return {
    id: found.id,
    name: found.name,
    interval: found.interval,
    gracePeriod: found.grace_period ?? undefined,
    autoGenerate: found.auto_generate,
    isActive: found.is_active,
    secretsCount: found.secrets_count,
  };
}

function recordOf(found: z.infer<typeof record>): RotationRecord {
  return {
    path: found.secret_path ?? found.path ?? "",
    status: found.status ?? undefined,
    newVersion: found.new_version ?? undefined,
    at: found.rotated_at ?? found.completed_at ?? found.timestamp ?? undefined,
  };
}

function dueOf(found: z.infer<typeof due>): DueRotation {
  return {
    path: found.secret_path ?? found.path ?? "",
    policyID: found.policy_id ?? found.rotation_policy_id ?? undefined,
    dueAt: found.due_at ?? found.next_rotation_at ?? undefined,
    overdue: found.overdue || found.is_overdue,
  };
}
