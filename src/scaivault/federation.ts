import { SyncError } from "../errors/index.ts";
import { Caller, type CallAnswer, type ScaiVaultCall, type ScaiVaultOptions } from "./caller.ts";
import { readErrorAnswer } from "./errors.ts";
import type {
  FederatedBackend,
  RegistrationConflicts,
  RegistrationPatch,
  WantedRegistration,
  RegistrationHealth,
} from "../model/index.ts";
import {
  createBody,
  patchBackendBody,
  readBackend,
  readBackends,
  readConflicts,
  readStatus,
} from "./federation-wire.ts";
import type { CallContext } from "./types.ts";

const BASE = "/v1/federation/backends";
/** Most pages of a listing that are followed. */
const MAX_PAGES = 20;
/** Conflicts asked for at a time. */
const CONFLICTS_PAGE = 100;
/** Codes by which ScaiVault refuses what a backend says (API facts 2.11). */
const REFUSALS = [
  "invalid_config",
  "validation_error",
  "invalid_request",
  "invalid_duration",
  "invalid_path",
  "invalid_glob",
];

/**
 * ScaiVault's federation endpoints. All of them count in the category `federation`, 20 calls a minute by default. Errors
 * are SyncErrors as those of {@link ScaiVaultClient}, and `RegistrationRefused` when ScaiVault does not take what a backend
 * says. Nothing that changes something is repeated here: after `no_answer` or `connection_broken` it may have happened.
 */
export class FederationClient {
  readonly #caller: Caller;
  readonly #options: ScaiVaultOptions;

  constructor(options: ScaiVaultOptions) {
    this.#options = options;
    this.#caller = new Caller(options);
  }

  /** All backends of the tenant, page by page; one call as long as ScaiVault has few pages. */
  async list(context: CallContext): Promise<readonly FederatedBackend[]> {
    const action = "list the federation backends";
    const found: FederatedBackend[] = [];
    let cursor: string | undefined;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const query = cursor === undefined ? "" : `?${new URLSearchParams({ cursor }).toString()}`;
      const answer = await this.#call({ method: "GET", path: `${BASE}${query}`, action, safe: true }, context);
      const page = readBackends(answer.body, action);
      found.push(...page.backends);
      cursor = page.cursor;
      if (cursor === undefined) return found;
    }
    throw new SyncError("ScaiVaultUnavailable", `ScaiVault's listing does not end (${action})`, { action });
  }

  /** @returns undefined when there is none with this id */
  async get(id: string, context: CallContext): Promise<FederatedBackend | undefined> {
    const action = `read the federation backend ${id}`;
    const answer = await this.#call({ method: "GET", path: pathOf(id), action, safe: true, expected: GONE }, context);
    return answer.errorCode === undefined ? readBackend(answer.body, action) : undefined;
  }

  /** @returns `Exists` when there is a backend of this name already; else the new one, as far as the answer tells it */
  async create(registration: WantedRegistration, context: CallContext): Promise<FederatedBackend | "Exists"> {
    const action = `create the federation backend ${registration.name}`;
    const answer = await this.#call(
      {
        method: "POST",
        path: BASE,
        body: createBody(registration),
        action,
        safe: false,
        expected: ["backend_exists", ...REFUSALS],
      },
      context,
    );
    if (answer.errorCode === "backend_exists") return "Exists";
    this.#throwRefusal(answer, action);
    return readBackend(answer.body, action);
  }

  /** @returns false when there is none with this id */
  async patch(id: string, patch: RegistrationPatch, context: CallContext): Promise<boolean> {
    const action = `change the federation backend ${id}`;
    const answer = await this.#call(
      {
        method: "PATCH",
        path: pathOf(id),
        body: patchBackendBody(patch),
        action,
        safe: false,
        expected: [...GONE, ...REFUSALS],
      },
      context,
    );
    if (answer.errorCode !== undefined && GONE.includes(answer.errorCode)) return false;
    this.#throwRefusal(answer, action);
    return true;
  }

  /** Takes the registration away; what ScaiVault copied stays there. @returns false when it was gone already */
  async delete(id: string, context: CallContext): Promise<boolean> {
    const action = `delete the federation backend ${id}`;
    const answer = await this.#call(
      { method: "DELETE", path: pathOf(id), action, safe: false, expected: GONE },
      context,
    );
    return answer.errorCode === undefined;
  }

  /** Connection and last sync. @returns undefined when there is none with this id */
  async status(id: string, context: CallContext): Promise<RegistrationHealth | undefined> {
    const action = `read the status of the federation backend ${id}`;
    const call = { method: "GET", path: `${pathOf(id)}/status`, action, safe: true, expected: GONE } as const;
    const answer = await this.#call(call, context);
    return answer.errorCode === undefined ? readStatus(answer.body, action) : undefined;
  }

  /** Starts a sync. Its end is seen by the status' last sync. @returns `Gone` when there is no such backend */
  async sync(id: string, context: CallContext): Promise<"Started" | "Running" | "Gone"> {
    const action = `sync the federation backend ${id}`;
    const answer = await this.#call(
      {
        method: "POST",
        path: `${pathOf(id)}/sync`,
        action,
        safe: false,
        expected: [...GONE, "sync_in_progress", ...REFUSALS],
      },
      context,
    );
    if (answer.errorCode === undefined) return "Started";
    if (answer.errorCode === "sync_in_progress") return "Running";
    if (GONE.includes(answer.errorCode)) return "Gone";
    this.#throwRefusal(answer, action);
    return "Gone";
  }

  /** Paths with different values on both sides, the first hundred. @returns undefined when there is no such backend */
  async conflicts(id: string, context: CallContext): Promise<RegistrationConflicts | undefined> {
    const action = `read the conflicts of the federation backend ${id}`;
    const path = `${pathOf(id)}/conflicts?limit=${CONFLICTS_PAGE}`;
    const answer = await this.#call({ method: "GET", path, action, safe: true, expected: GONE }, context);
    return answer.errorCode === undefined ? readConflicts(answer.body, action) : undefined;
  }

  #call(call: Omit<ScaiVaultCall, "category" | "scope">, context: CallContext): Promise<CallAnswer> {
    const scope = call.safe ? "federation:read" : "federation:write";
    return this.#caller.call({ ...call, category: "federation", scope }, context);
  }

  /** @throws SyncError RegistrationRefused with ScaiVault's code and the fields that it names, never its text */
  #throwRefusal({ status, body, errorCode }: CallAnswer, action: string): void {
    if (errorCode === undefined) return;
    const { fields } = readErrorAnswer(status, body, undefined, this.#options.clock.now());
    const where = fields.length === 0 ? "" : ` at ${fields.join(", ")}`;
    throw new SyncError("RegistrationRefused", `ScaiVault refuses the backend: ${errorCode}${where} (${action})`, {
      action,
      code: errorCode,
    });
  }
}

const GONE: readonly string[] = ["backend_not_found"];

/** Ids come out of answers, which are checked, and out of status, which anybody with the right may write. */
function pathOf(id: string): string {
  if (!/^[A-Z0-9][\w-]{0,127}$/i.test(id))
    throw new SyncError("InvalidSpec", "the recorded id is no id of a ScaiVault backend");
  return `${BASE}/${id}`;
}
