import {
  accept,
  type ApplyOptions,
  type CallOptions,
  type DeleteOptions,
  type DiscoveredResource,
  type JsonPatchOperation,
  type ListOptions,
  type ListPage,
  type WatchOptions,
  type WriteOptions,
} from "./call-options.ts";
import { ApiStatusError, isNotFound } from "./errors.ts";
import type { HttpMethod, KubeRequest, KubeTransport, StreamAnswer } from "./transport.ts";
import { apiVersionOf, type KubeObject, type ObjectName, type PartialObjectMetadata, type Resource } from "./types.ts";

interface Target {
  readonly namespace?: string | undefined;
  readonly name?: string;
  readonly subresource?: string;
}

/** URL path of a type, an object, or a part of it, with every segment encoded. */
export function pathOf(resource: Resource, target: Target = {}): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const parts = [resource.plural, target.name, target.subresource].filter((part) => part !== undefined);
  const scope =
    resource.namespaced && target.namespace !== undefined ? ["namespaces", target.namespace, ...parts] : parts;
  return [root, ...scope.map((part) => encodeURIComponent(part))].join("/");
}

function nameOf(resource: Resource, name: ObjectName): Required<Pick<Target, "name">> & Target {
  if (name.name === "") throw new TypeError(`a ${resource.kind} without a name`);
  if (resource.namespaced && (name.namespace === undefined || name.namespace === "")) {
    throw new TypeError(`a ${resource.kind} without a namespace`);
  }
  return { name: name.name, ...(resource.namespaced ? { namespace: name.namespace } : {}) };
}

/** Thin, typed calls. Errors: see `KubeTransport.request`. */
export class KubeClient {
  readonly transport: KubeTransport;
  /** Name under which our server-side applies own fields. */
  readonly fieldManager: string;

  constructor(transport: KubeTransport, options: { readonly fieldManager: string }) {
    this.transport = transport;
    this.fieldManager = options.fieldManager;
  }

  /** @throws ApiStatusError 404 when it is not there */
  get<T extends KubeObject>(resource: Resource, name: ObjectName, options: CallOptions = {}): Promise<T> {
    return this.#call<T>("get", "GET", resource, nameOf(resource, name), options, { idempotent: true });
  }

  /** As `get`, `undefined` when it is not there. */
  async find<T extends KubeObject>(
    resource: Resource,
    name: ObjectName,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    return await orAbsent(this.get<T>(resource, name, options));
  }

  /** Metadata only: no data of a Secret comes over the wire. */
  getMetadata(resource: Resource, name: ObjectName, options: CallOptions = {}): Promise<PartialObjectMetadata> {
    return this.#call("get", "GET", resource, nameOf(resource, name), options, {
      idempotent: true,
      accept: accept.metadata,
    });
  }

  /** As `getMetadata`, `undefined` when it is not there. */
  async findMetadata(
    resource: Resource,
    name: ObjectName,
    options: CallOptions = {},
  ): Promise<PartialObjectMetadata | undefined> {
    return await orAbsent(this.getMetadata(resource, name, options));
  }

  /** Pages of a list. The resource version is the same on all pages. @throws ApiStatusError 410 when paging took too long */
  async *listPages<T extends KubeObject>(resource: Resource, options: ListOptions = {}): AsyncGenerator<ListPage<T>> {
    let next: string | undefined;
    do {
      const page: RawList<T> = await this.#call(
        "list",
        "GET",
        resource,
        { namespace: options.namespace },
        options,
        { idempotent: true, ...(options.metadataOnly === true ? { accept: accept.metadataList } : {}) },
        {
          labelSelector: options.labelSelector,
          fieldSelector: options.fieldSelector,
          limit: options.limit === 0 ? undefined : String(options.limit ?? 500),
          continue: next,
          // A continue token carries its own version.
          ...(next === undefined
            ? { resourceVersion: options.resourceVersion, resourceVersionMatch: options.resourceVersionMatch }
            : {}),
        },
      );
      next = page.metadata?.continue === "" ? undefined : page.metadata?.continue;
      yield { items: page.items ?? [], resourceVersion: page.metadata?.resourceVersion ?? "" };
    } while (next !== undefined);
  }

  /** All pages in one. Not for hot paths: a list that is not from the cache waits for etcd. */
  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}): Promise<ListPage<T>> {
    const items: T[] = [];
    let resourceVersion = "";
    for await (const page of this.listPages<T>(resource, options)) {
      for (const item of page.items) items.push(item);
      resourceVersion = page.resourceVersion;
    }
    return { items, resourceVersion };
  }

  /** Opens a watch with bookmarks. */
  watch(resource: Resource, options: WatchOptions): Promise<StreamAnswer> {
    return this.transport.stream({
      ...this.#request("watch", "GET", resource, { namespace: options.namespace }, options),
      ...(options.metadataOnly === true ? { accept: accept.metadata } : {}),
      query: {
        watch: "true",
        allowWatchBookmarks: "true",
        resourceVersion: options.resourceVersion,
        timeoutSeconds: String(options.timeoutSeconds),
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
      },
    });
  }

  /** POST. Never for Secrets: fields set by POST cannot be dropped by a later apply. @throws 409 `AlreadyExists` */
  create<T extends KubeObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace } = object.metadata;
    return this.#call<T>(
      "create",
      "POST",
      resource,
      { namespace },
      options,
      { body: object },
      this.#writeQuery(options),
    );
  }

  /** PUT of the whole object. It must carry its `resourceVersion`. @throws 409 when somebody was first */
  update<T extends KubeObject>(resource: Resource, object: T, options: WriteOptions = {}): Promise<T> {
    const versioned = object.metadata.resourceVersion !== undefined;
    const target = nameOf(resource, object.metadata);
    return this.#call<T>(
      "update",
      "PUT",
      resource,
      target,
      options,
      { body: object, idempotent: versioned },
      this.#writeQuery(options),
    );
  }

  /** Server-side apply, answered with metadata only. */
  apply(resource: Resource, object: KubeObject, options: ApplyOptions = {}): Promise<PartialObjectMetadata> {
    return this.#apply(resource, object, options, undefined, accept.metadata);
  }

  /** Server-side apply, answered with the whole object. Not for Secrets: the answer holds all keys, foreign ones too. */
  applyWhole<T extends KubeObject>(resource: Resource, object: KubeObject, options: ApplyOptions = {}): Promise<T> {
    return this.#apply<T>(resource, object, options, undefined, undefined);
  }

  /** Server-side apply of the status, answered with metadata only. */
  applyStatus(resource: Resource, object: KubeObject, options: ApplyOptions = {}): Promise<PartialObjectMetadata> {
    return this.#apply(resource, object, options, "status", accept.metadata);
  }

  /** Merge patch of the status, answered with metadata only. A `null` removes a field. */
  mergePatchStatus(
    resource: Resource,
    name: ObjectName,
    patch: unknown,
    options: WriteOptions = {},
  ): Promise<PartialObjectMetadata> {
    return this.#patch(resource, name, patch, options, "merge", "status");
  }

  /** Merge patch, answered with metadata only. Never for Secrets. Put `resourceVersion` in it to be refused when it is old. */
  mergePatch(
    resource: Resource,
    name: ObjectName,
    patch: unknown,
    options: WriteOptions = {},
  ): Promise<PartialObjectMetadata> {
    return this.#patch(resource, name, patch, options, "merge");
  }

  /** JSON patch, answered with metadata only. @throws ApiStatusError 422 when a `test` fails */
  jsonPatch(
    resource: Resource,
    name: ObjectName,
    operations: readonly JsonPatchOperation[],
    options: WriteOptions = {},
  ): Promise<PartialObjectMetadata> {
    return this.#patch(resource, name, operations, options, "json");
  }

  /**
   * Deletes. `absent`: it was not there.
   * @throws ApiStatusError 409 when a precondition does not hold
   */
  async delete(resource: Resource, name: ObjectName, options: DeleteOptions = {}): Promise<"deleted" | "absent"> {
    const preconditions = {
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion }),
    };
    const body = {
      kind: "DeleteOptions",
      apiVersion: "v1",
      ...(Object.keys(preconditions).length === 0 ? {} : { preconditions }),
      ...(options.propagationPolicy === undefined ? {} : { propagationPolicy: options.propagationPolicy }),
      ...(options.dryRun === true ? { dryRun: ["All"] } : {}),
    };
    const answer = await orAbsent(
      this.#call("delete", "DELETE", resource, nameOf(resource, name), options, {
        body,
        // The answer to a deletion is the object itself unless metadata is asked for.
        accept: accept.metadata,
        idempotent: options.uid !== undefined,
      }).then(() => true),
    );
    return answer === undefined ? "absent" : "deleted";
  }

  /** Types that a group version serves, `undefined` when it is not served. Needs no right. */
  async groupDiscovery(
    group: string,
    version: string,
    options: CallOptions = {},
  ): Promise<readonly DiscoveredResource[] | undefined> {
    const path = group === "" ? `/api/${version}` : `/apis/${encodeURIComponent(group)}/${encodeURIComponent(version)}`;
    const answer = await orAbsent(
      this.transport.request<{ resources?: DiscoveredResource[] }>({
        verb: "get",
        resource: "discovery",
        method: "GET",
        path,
        idempotent: true,
        ...callPart(options),
      }),
    );
    return answer?.resources?.map(({ name, kind, namespaced, verbs }) => ({ name, kind, namespaced, verbs }));
  }

  #apply<T extends KubeObject>(
    resource: Resource,
    object: KubeObject,
    options: ApplyOptions,
    subresource: string | undefined,
    answer: string | undefined,
  ): Promise<T> {
    const target = { ...nameOf(resource, object.metadata), ...(subresource === undefined ? {} : { subresource }) };
    return this.#call<T>(
      "apply",
      "PATCH",
      resource,
      target,
      options,
      {
        body: { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind },
        // JSON is YAML.
        contentType: "application/apply-patch+yaml",
        idempotent: options.idempotent ?? true,
        ...(answer === undefined ? {} : { accept: answer }),
      },
      { ...this.#writeQuery(options), force: options.force === true ? "true" : undefined },
    );
  }

  #patch(
    resource: Resource,
    name: ObjectName,
    body: unknown,
    options: WriteOptions,
    type: "merge" | "json",
    subresource?: string,
  ): Promise<PartialObjectMetadata> {
    const target = { ...nameOf(resource, name), ...(subresource === undefined ? {} : { subresource }) };
    return this.#call(
      "patch",
      "PATCH",
      resource,
      target,
      options,
      {
        body,
        contentType: type === "merge" ? "application/merge-patch+json" : "application/json-patch+json",
        accept: accept.metadata,
        idempotent: type === "merge",
      },
      this.#writeQuery(options),
    );
  }

  #writeQuery(options: WriteOptions): Record<string, string | undefined> {
    return {
      fieldManager: options.fieldManager ?? this.fieldManager,
      dryRun: options.dryRun === true ? "All" : undefined,
    };
  }

  #request(verb: string, method: HttpMethod, resource: Resource, target: Target, options: CallOptions): KubeRequest {
    const label = target.subresource === undefined ? resource.plural : `${resource.plural}/${target.subresource}`;
    return { verb, resource: label, method, path: pathOf(resource, target), ...callPart(options) };
  }

  #call<T>(
    verb: string,
    method: HttpMethod,
    resource: Resource,
    target: Target,
    options: CallOptions,
    more: Partial<KubeRequest>,
    query?: Record<string, string | undefined>,
  ): Promise<T> {
    return this.transport.request<T>({
      ...this.#request(verb, method, resource, target, options),
      ...more,
      ...(query === undefined ? {} : { query }),
    });
  }
}

interface RawList<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: T[];
}

function callPart(options: CallOptions): Pick<KubeRequest, "signal" | "timeoutMs" | "userAgent" | "urgent" | "guard"> {
  return {
    signal: options.signal,
    timeoutMs: options.timeoutMs,
    urgent: options.urgent,
    guard: options.guard,
    ...(options.userAgent === undefined ? {} : { userAgent: options.userAgent }),
  };
}

async function orAbsent<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isNotFound(error) && error instanceof ApiStatusError) return undefined;
    throw error;
  }
}
