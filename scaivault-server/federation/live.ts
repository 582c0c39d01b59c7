import type { Clock } from "../../src/time/clock.ts";
import type { Store } from "../store/store.ts";
import { AsmStore } from "./asm-store.ts";
import { readCredentials } from "./credentials.ts";
import { isAway, StoreFailure } from "./failure.ts";
import type { FailureCode } from "./failure.ts";
import { PathMapping } from "./mapping.ts";
import type { OutgoingOptions } from "./outgoing.ts";
import type { BackendRecord } from "./record.ts";
import type { CallCounts, RemoteStore } from "./remote.ts";
import { VaultStore } from "./vault-store.ts";

/** What the last call to a store showed. */
export interface Connection {
  readonly status: "connected" | "disconnected" | "error" | "unknown";
  /** Of the last call that was answered, in ms. */
  readonly latencyMs: number | null;
  readonly failure: FailureCode | null;
}

/** What a live backend is built from. */
export interface LiveParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly outgoing: () => OutgoingOptions;
}

/** A backend while the server runs: its record, its connection to the store and what is known of it. */
export class LiveBackend {
  record: BackendRecord;
  mapping: PathMapping;
  connection: Connection = { status: "unknown", latencyMs: null, failure: null };
  readonly #parts: LiveParts;
  #remote: RemoteStore | undefined;
  /** Calls of connections that are closed. */
  #past: CallCounts = { login: 0, list: 0, read: 0, metadata: 0 };

  constructor(record: BackendRecord, parts: LiveParts) {
    this.record = record;
    this.mapping = new PathMapping(record.pathMapping);
    this.#parts = parts;
  }

  /** Calls to the store since the server started. */
  get calls(): CallCounts {
    const now = this.#remote?.calls ?? { login: 0, list: 0, read: 0, metadata: 0 };
    const past = this.#past;
    return {
      login: past.login + now.login,
      list: past.list + now.list,
      read: past.read + now.read,
      metadata: past.metadata + now.metadata,
    };
  }

  /** Takes a changed record; the connection is made anew. */
  async change(record: BackendRecord): Promise<void> {
    this.record = record;
    this.mapping = new PathMapping(record.pathMapping);
    await this.disconnect();
  }

  /** Asks the store, and notes what that says about the connection. @throws StoreFailure */
  async ask<T>(work: (remote: RemoteStore) => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    let remote: RemoteStore | undefined;
    try {
      this.#remote ??= this.#open();
      remote = this.#remote;
      const answer = await work(remote);
      if (remote === this.#remote) this.#note(null, startedAt);
      return answer;
    } catch (error) {
      // A connection that was replaced meanwhile says nothing about the one of now.
      if (error instanceof StoreFailure && remote === this.#remote) this.#note(error.code, startedAt);
      throw error;
    }
  }

  /** One cheap call. Never throws. */
  async check(): Promise<void> {
    await this.ask((remote) => remote.check()).catch((error: unknown) => {
      if (!(error instanceof StoreFailure)) throw error;
    });
  }

  /** Ends the connection; the next call opens another. */
  async disconnect(): Promise<void> {
    const remote = this.#remote;
    if (remote === undefined) return;
    this.#past = this.calls;
    this.#remote = undefined;
    await remote.close();
  }

  #note(failure: FailureCode | null, startedAt: number): void {
    // What one path lacks says nothing about the connection.
    if (failure === null || failure === "access_denied" || failure === "not_found")
      this.connection = {
        status: "connected",
        latencyMs: Math.round(performance.now() - startedAt),
        failure: null,
      };
    else this.connection = { status: isAway(failure) ? "disconnected" : "error", latencyMs: null, failure };
  }

  #open(): RemoteStore {
    const { type, config, tenantId } = this.record;
    const credentials = (): ReturnType<typeof readCredentials> =>
      readCredentials(this.#parts.store, tenantId, { type, config });
    const Kind = type === "hashicorp-vault" ? VaultStore : AsmStore;
    return new Kind(config, this.#parts.outgoing(), credentials);
  }
}
