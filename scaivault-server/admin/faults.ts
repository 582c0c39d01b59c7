import { matchesGlob } from "../auth/glob.ts";
import type { RawObject } from "../json/raw-json.ts";

/** Which requests a fault hits; all given fields must match. */
export interface FaultMatch {
  readonly method?: string;
  /** Such as `PUT /v1/secrets/{path}`. */
  readonly route?: string;
  readonly category?: string;
  /** A secret path or a glob over them; requests that name no path in the URL (batches) do not match. */
  readonly path?: string;
  readonly identity?: string;
}

/** What goes wrong. */
export type FaultAction =
  /** Answers an error envelope; the request is not carried out. */
  | { readonly kind: "status"; readonly status: number; readonly code?: string; readonly retryAfterSeconds?: number }
  /** Answers any text; the request is not carried out. */
  | { readonly kind: "body"; readonly status: number; readonly text: string; readonly contentType?: string }
  /** Never answers, until the fault is removed (then the connection is cut). */
  | { readonly kind: "hang" }
  /** Cuts the connection, before the request is carried out or after. */
  | { readonly kind: "reset"; readonly when?: "before" | "after" }
  /** Waits on the server's clock first, then goes on as usual. */
  | { readonly kind: "latency"; readonly ms: number }
  /** Drops custom metadata keys of writes (all, or those named); `match` is not looked at. */
  | { readonly kind: "dropMetadata"; readonly keys?: readonly string[] };

export interface Fault {
  readonly match?: FaultMatch;
  /** How many requests it hits. Default: until removed. */
  readonly times?: number;
  readonly action: FaultAction;
}

/** A fault that is in place. */
export interface InjectedFault {
  readonly id: number;
  /** Requests hit so far. */
  hits(): number;
  remove(): void;
}

/** What is known of a request when faults are looked for. */
export interface FaultSubject {
  readonly method: string;
  readonly route: string;
  readonly category: string;
  readonly path: string | undefined;
  readonly identity: string | undefined;
}

interface Active {
  readonly id: number;
  readonly fault: Fault;
  hits: number;
  readonly gone: AbortController;
}

/** A fault that hits the request at hand; `gone` aborts when the fault is removed. */
export interface FaultHit {
  readonly action: FaultAction;
  readonly gone: AbortSignal;
}

const ownMetadataKeys = new Set(["description", "tags", "owner"]);

/** Faults that tests put in. */
export class Faults {
  readonly #active = new Map<number, Active>();
  #nextId = 1;

  inject(fault: Fault): InjectedFault {
    const active: Active = { id: this.#nextId++, fault, hits: 0, gone: new AbortController() };
    this.#active.set(active.id, active);
    return { id: active.id, hits: () => active.hits, remove: () => this.remove(active.id) };
  }

  /** Removes a fault and lets go what hangs on it. */
  remove(id: number): boolean {
    this.#active.get(id)?.gone.abort();
    return this.#active.delete(id);
  }

  clear(): void {
    for (const id of [...this.#active.keys()]) this.remove(id);
  }

  /** The faults that hit this request, in the order they were put in; each counts a hit. */
  hit(subject: FaultSubject): FaultHit[] {
    const hits: FaultHit[] = [];
    for (const active of this.#active.values()) {
      const { fault } = active;
      if (fault.action.kind === "dropMetadata" || active.hits >= (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      if (!matches(fault.match ?? {}, subject)) continue;
      active.hits++;
      hits.push({ action: fault.action, gone: active.gone.signal });
      if (fault.action.kind !== "latency") break;
    }
    return hits;
  }

  filterMetadata(members: RawObject): RawObject {
    let kept = members;
    for (const active of this.#active.values()) {
      const { action, times } = active.fault;
      if (action.kind !== "dropMetadata" || active.hits >= (times ?? Number.POSITIVE_INFINITY)) continue;
      const drop = (key: string): boolean => action.keys?.includes(key) ?? !ownMetadataKeys.has(key);
      kept = new Map([...kept].filter(([key]) => !drop(key)));
      active.hits++;
    }
    return kept;
  }
}

function matches(match: FaultMatch, subject: FaultSubject): boolean {
  return (
    (match.method === undefined || match.method === subject.method) &&
    (match.route === undefined || match.route === subject.route) &&
    (match.category === undefined || match.category === subject.category) &&
    (match.identity === undefined || match.identity === subject.identity) &&
    (match.path === undefined || (subject.path !== undefined && matchesGlob(match.path, subject.path)))
  );
}
