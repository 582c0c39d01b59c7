/** Secrets Manager as AWS runs it, on top of moto: moto keeps the secrets, this adds rights, limits and the shapes of AWS. */
import type { Clock } from "../../src/time/clock.ts";
import { Catalogue, cleanEntry, filterEntries, page, type Entry } from "./catalogue.ts";
import { accessDenied, isAllowed, type AccessKey } from "./identity.ts";
import { checkRequest, markedForDeletion, maxBatch, maxPage, refusedWhenDeleted, secretNotFound } from "./limits.ts";
import { AwsError, cleanMessage, isKnownAction, isWriteAction, text, textList, type Json } from "./wire.ts";

/** Sends an operation to moto. Gives its answer. @throws AwsError with moto's code and text */
export type MotoPort = (account: string, region: string, action: string, body: Json) => Promise<Json>;

/** Who asks, and where. */
export interface Caller {
  readonly key: AccessKey;
  readonly account: string;
  readonly region: string;
  /** Says whether a fault rule denies a secret. */
  readonly denies: (name: string) => boolean;
}

/** An answer. */
export interface ServiceAnswer {
  readonly body: Json;
  readonly valueReads: number;
}

const plain = (body: Json): ServiceAnswer => ({ body, valueReads: 0 });

/** The emulated service: all accounts and regions. */
export class AsmService {
  readonly #moto: MotoPort;
  readonly #clock: Clock;
  readonly #catalogues = new Map<string, Promise<Catalogue>>();
  #writes: Promise<unknown> = Promise.resolve();
  #staleMs = 0;

  constructor(moto: MotoPort, clock: Clock) {
    this.#moto = moto;
    this.#clock = clock;
  }

  /** How old lists may be: a change becomes visible to ListSecrets only after this time. 0 is fresh. */
  setListStaleness(ms: number): void {
    this.#staleMs = ms;
    if (ms > 0) return;
    for (const loading of this.#catalogues.values()) void loading.then((catalogue) => catalogue.forgetPast());
  }

  /** Forgets what is known, after moto was reset. */
  forget(): void {
    this.#catalogues.clear();
  }

  /** The names that a request is about, for fault rules. */
  async namesOf(account: string, region: string, action: string, body: Json): Promise<string[]> {
    if (action === "CreateSecret") return [text(body, "Name") ?? ""];
    const ids = action === "BatchGetSecretValue" ? textList(body, "SecretIdList") : [text(body, "SecretId") ?? ""];
    const catalogue = await this.#catalogue(account, region);
    return ids.filter((id) => id !== "").map((id) => catalogue.find(id)?.Name ?? id);
  }

  /** Answers one operation. @throws AwsError */
  async handle(caller: Caller, action: string, body: Json): Promise<ServiceAnswer> {
    if (!isKnownAction(action))
      throw new AwsError("UnknownOperationException", `${action} is not an operation that is known here.`);
    const catalogue = await this.#catalogue(caller.account, caller.region);
    switch (action) {
      case "ListSecrets":
        this.#authorize(caller, action, undefined);
        checkRequest(action, body);
        return plain(catalogue.list(body, this.#clock.now(), this.#staleMs));
      case "BatchGetSecretValue":
        this.#authorize(caller, action, undefined);
        if (Array.isArray(body["Filters"])) this.#authorize(caller, "ListSecrets", undefined);
        checkRequest(action, body);
        return this.#batch(caller, catalogue, body);
      case "GetRandomPassword":
        this.#authorize(caller, action, undefined);
        checkRequest(action, body);
        return plain(await this.#moto(caller.account, caller.region, action, body));
      case "CreateSecret":
        this.#authorize(caller, action, text(body, "Name") ?? "");
        checkRequest(action, body);
        return this.#write(caller, catalogue, action, body);
      default:
        return this.#onSecret(caller, catalogue, action, body);
    }
  }

  #authorize(caller: Caller, action: string, resource: Entry | string | undefined): void {
    const name = typeof resource === "object" ? resource.Name : resource;
    if (!isAllowed(caller.key, action, name)) throw accessDenied(caller.key, action, resource);
  }

  async #onSecret(caller: Caller, catalogue: Catalogue, action: string, body: Json): Promise<ServiceAnswer> {
    const id = text(body, "SecretId") ?? "";
    const entry = catalogue.find(id);
    this.#authorize(caller, action, entry ?? id);
    checkRequest(action, body);
    if (entry === undefined) throw secretNotFound();
    if (entry["DeletedDate"] !== undefined && refusedWhenDeleted.has(action)) throw markedForDeletion();
    if (isWriteAction(action)) return this.#write(caller, catalogue, action, { ...body, SecretId: entry.ARN });
    if (action === "DescribeSecret") return plain(entry);
    if (action === "GetSecretValue") return this.#value(caller, catalogue, entry, body);
    const answer = await this.#moto(caller.account, caller.region, action, { ...body, SecretId: entry.ARN });
    return plain(action === "ListSecretVersionIds" ? this.#versions(catalogue, entry, answer, body) : answer);
  }

  /** Labels and times as the catalogue has them. */
  #stampVersion(catalogue: Catalogue, entry: Entry, value: Json): Json {
    const versionId = text(value, "VersionId") ?? "";
    const made = catalogue.madeAt(versionId);
    const stages = stagesOf(entry)[versionId];
    const cleaned = Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
    return {
      ...cleaned,
      ...(stages === undefined ? {} : { VersionStages: stages }),
      ...(made === undefined ? {} : { CreatedDate: made / 1000 }),
    };
  }

  async #value(caller: Caller, catalogue: Catalogue, entry: Entry, body: Json): Promise<ServiceAnswer> {
    // moto does not follow a label that was moved back; so the version is always named.
    const stage = text(body, "VersionStage");
    const versionId = text(body, "VersionId") ?? versionWith(entry, stage ?? "AWSCURRENT");
    if (versionId === undefined) throw versionNotFound(body);
    const wanted = {
      SecretId: entry.ARN,
      VersionId: versionId,
      ...(stage === undefined ? {} : { VersionStage: stage }),
    };
    try {
      const value = await this.#moto(caller.account, caller.region, "GetSecretValue", wanted);
      return { body: this.#stampVersion(catalogue, entry, value), valueReads: 1 };
    } catch (error) {
      // The secret is there, so it is the version that is missing; moto does not always say so.
      if (error instanceof AwsError && error.code === "ResourceNotFoundException") throw versionNotFound(body);
      throw error;
    }
  }

  #versions(catalogue: Catalogue, entry: Entry, answer: Json, body: Json): Json {
    const all = (Array.isArray(answer["Versions"]) ? answer["Versions"] : []) as Json[];
    const versions = all
      .filter((version) => body["IncludeDeprecated"] === true || textList(version, "VersionStages").length > 0)
      .map((version) => {
        const { CreatedDate: _now, LastAccessedDate: _accessed, VersionStages: _stages, ...rest } = version;
        const stages = textList(version, "VersionStages");
        const made = catalogue.madeAt(text(version, "VersionId") ?? "");
        return {
          ...rest,
          ...(stages.length === 0 ? {} : { VersionStages: stages }),
          CreatedDate: made === undefined ? entry["CreatedDate"] : made / 1000,
        };
      });
    const { items, next } = page(versions, body, maxPage);
    return { ARN: entry.ARN, Name: entry.Name, Versions: items, ...(next === undefined ? {} : { NextToken: next }) };
  }

  async #batch(caller: Caller, catalogue: Catalogue, body: Json): Promise<ServiceAnswer> {
    const byFilter = Array.isArray(body["Filters"]) && body["Filters"].length > 0;
    const matching = byFilter
      ? page(
          filterEntries(
            catalogue.all().filter((entry) => entry["DeletedDate"] === undefined),
            body,
          ),
          body,
          maxBatch,
        )
      : undefined;
    const ids = matching?.items.map((entry) => entry.ARN) ?? textList(body, "SecretIdList");
    const errors: Json[] = [];
    const readable: { id: string; entry: Entry }[] = [];
    const refuse = (id: string, error: AwsError): void =>
      void errors.push({ SecretId: id, ErrorCode: error.code, Message: error.message });
    for (const id of ids) {
      const entry = catalogue.find(id);
      const name = entry?.Name ?? id;
      if (!isAllowed(caller.key, "GetSecretValue", name) || caller.denies(name))
        refuse(id, accessDenied(caller.key, "GetSecretValue", entry ?? id));
      else if (entry === undefined) refuse(id, secretNotFound());
      else if (entry["DeletedDate"] !== undefined) refuse(id, markedForDeletion());
      else readable.push({ id, entry });
    }
    const values = await this.#readMany(caller, catalogue, readable, refuse);
    return {
      body: {
        SecretValues: values,
        ...(errors.length === 0 ? {} : { Errors: errors }),
        ...(matching?.next === undefined ? {} : { NextToken: matching.next }),
      },
      valueReads: values.length,
    };
  }

  async #readMany(
    caller: Caller,
    catalogue: Catalogue,
    readable: readonly { id: string; entry: Entry }[],
    refuse: (id: string, error: AwsError) => void,
  ): Promise<Json[]> {
    if (readable.length === 0) return [];
    const fetched = await this.#motoBatch(
      caller,
      readable.map(({ entry }) => entry.ARN),
    );
    const values: Json[] = [];
    for (const { id, entry } of readable) {
      const value = fetched.get(entry.ARN);
      if (value !== undefined && text(value, "VersionId") === versionWith(entry, "AWSCURRENT")) {
        values.push(this.#stampVersion(catalogue, entry, value));
        continue;
      }
      try {
        values.push((await this.#value(caller, catalogue, entry, {})).body);
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        refuse(id, error);
      }
    }
    return values;
  }

  /** Several values at once. moto fails the whole batch for one secret without a value: then nothing is given. */
  async #motoBatch(caller: Caller, arns: readonly string[]): Promise<Map<string, Json>> {
    try {
      const answer = await this.#moto(caller.account, caller.region, "BatchGetSecretValue", { SecretIdList: arns });
      const values = (Array.isArray(answer["SecretValues"]) ? answer["SecretValues"] : []) as Json[];
      return new Map(values.map((value) => [text(value, "ARN") ?? "", value]));
    } catch (error) {
      if (error instanceof AwsError) return new Map();
      throw error;
    }
  }

  /** Writes go one after another, so that the catalogue and its past are exact. */
  #write(caller: Caller, catalogue: Catalogue, action: string, body: Json): Promise<ServiceAnswer> {
    const work = this.#writes.then(() => this.#writeNow(caller, catalogue, action, body));
    this.#writes = work.catch(() => undefined);
    return work;
  }

  async #writeNow(caller: Caller, catalogue: Catalogue, action: string, body: Json): Promise<ServiceAnswer> {
    const id = text(body, "SecretId") ?? text(body, "Name") ?? "";
    const before = catalogue.find(id);
    if (
      action === "RotateSecret" &&
      text(body, "RotationLambdaARN") === undefined &&
      before?.["RotationLambdaARN"] === undefined
    ) {
      throw new AwsError(
        "InvalidRequestException",
        "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured and you didn't include such an ARN as a parameter in this call.",
      );
    }
    const now = this.#clock.now();
    if (this.#staleMs > 0) catalogue.remember(now, this.#staleMs);
    const answer = await this.#moto(caller.account, caller.region, action, body);
    const versionId = text(answer, "VersionId");
    if (versionId !== undefined) catalogue.versionMade(versionId, now);
    const described =
      action === "CreateSecret" && body["AddReplicaRegions"] === undefined
        ? createdEntry(answer, body)
        : await this.#oneCurrent(caller, await this.#describe(caller, text(answer, "ARN") ?? id), versionId);
    catalogue.put(
      described && { ...described, CreatedDate: before?.["CreatedDate"] ?? now / 1000, LastChangedDate: now / 1000 },
      before?.ARN ?? described?.ARN ?? id,
    );
    return plain(Object.fromEntries(Object.entries(answer).filter(([, field]) => field !== null)));
  }

  /**
   * moto takes AWSCURRENT from the version that was last made current by a write, wherever the label was moved since. What AWS
   * would have done is done afterwards.
   */
  async #oneCurrent(caller: Caller, entry: Entry | undefined, made: string | undefined): Promise<Entry | undefined> {
    if (entry === undefined || made === undefined) return entry;
    const current = Object.entries(stagesOf(entry)).filter(([, stages]) => stages.includes("AWSCURRENT"));
    const old = current.length > 1 ? current.find(([id]) => id !== made) : undefined;
    if (old === undefined) return entry;
    const label = { SecretId: entry.ARN, VersionStage: "AWSCURRENT", RemoveFromVersionId: old[0] };
    await this.#moto(caller.account, caller.region, "UpdateSecretVersionStage", label);
    return this.#describe(caller, entry.ARN);
  }

  async #describe(caller: Caller, id: string): Promise<Entry | undefined> {
    try {
      return cleanEntry(await this.#moto(caller.account, caller.region, "DescribeSecret", { SecretId: id }));
    } catch (error) {
      if (error instanceof AwsError && error.code === "ResourceNotFoundException") return undefined;
      throw error;
    }
  }

  #catalogue(account: string, region: string): Promise<Catalogue> {
    const key = `${account}/${region}`;
    let loading = this.#catalogues.get(key);
    if (loading === undefined) {
      loading = this.#load(account, region);
      this.#catalogues.set(key, loading);
      loading.catch(() => this.#catalogues.delete(key));
    }
    return loading;
  }

  async #load(account: string, region: string): Promise<Catalogue> {
    const catalogue = new Catalogue();
    const answer = await this.#moto(account, region, "ListSecrets", {
      IncludePlannedDeletion: true,
      MaxResults: 1_000_000,
    });
    catalogue.load(((answer["SecretList"] ?? []) as Json[]).map(cleanEntry));
    return catalogue;
  }
}

/** The entry of a secret that was just made, without asking moto again. */
function createdEntry(answer: Json, body: Json): Entry {
  const versionId = text(answer, "VersionId");
  return cleanEntry({
    ARN: answer["ARN"],
    Name: answer["Name"],
    Description: text(body, "Description") || undefined,
    KmsKeyId: body["KmsKeyId"],
    Tags: Array.isArray(body["Tags"]) && body["Tags"].length > 0 ? body["Tags"] : undefined,
    VersionIdsToStages: versionId === undefined ? {} : { [versionId]: ["AWSCURRENT"] },
  });
}

/** Labels by version. */
function stagesOf(entry: Entry): Readonly<Record<string, readonly string[]>> {
  return (entry["VersionIdsToStages"] ?? {}) as Readonly<Record<string, readonly string[]>>;
}

/** The version that carries a label. */
function versionWith(entry: Entry, stage: string): string | undefined {
  return Object.entries(stagesOf(entry)).find(([, stages]) => stages.includes(stage))?.[0];
}

function versionNotFound(body: Json): AwsError {
  const versionId = text(body, "VersionId");
  return new AwsError(
    "ResourceNotFoundException",
    versionId === undefined
      ? `Secrets Manager can't find the specified secret value for staging label: ${text(body, "VersionStage") ?? "AWSCURRENT"}`
      : `Secrets Manager can't find the specified secret value for VersionId: ${versionId}`,
  );
}

/** Turns an error answer of moto into one of AWS. */
export function motoError(status: number, body: Json): AwsError {
  const code = (text(body, "__type") ?? "InternalServiceError").split("#").at(-1) ?? "InternalServiceError";
  const message = cleanMessage(text(body, "message") ?? text(body, "Message") ?? "The emulator failed.");
  return new AwsError(
    code === "InvalidParameterValue" ? "InvalidParameterException" : code,
    message,
    status >= 500 ? 500 : 400,
  );
}
