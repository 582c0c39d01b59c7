import type {
  FederatedBackend,
  RegistrationConflicts,
  RegistrationHealth,
  RegistrationPatch,
  WantedRegistration,
} from "../model/index.ts";

/** On whose behalf a call is made. */
export interface FederationCall {
  readonly signal: AbortSignal;
  /** Order in the rate budget; `verification` waits without haste for what others leave. */
  readonly lane?: "user" | "new" | "verification";
  /** `namespace/name` of the object, for the User-Agent. */
  readonly object?: string;
}

/**
 * ScaiVault's federation backends. Every error is a SyncError; `RegistrationRefused` says that ScaiVault does not take what
 * a backend says. After an error with code `no_answer` or `connection_broken` a change may have happened all the same.
 */
export interface FederationPort {
  list(call: FederationCall): Promise<readonly FederatedBackend[]>;
  get(id: string, call: FederationCall): Promise<FederatedBackend | undefined>;
  create(wanted: WantedRegistration, call: FederationCall): Promise<FederatedBackend | "Exists">;
  patch(id: string, patch: RegistrationPatch, call: FederationCall): Promise<boolean>;
  delete(id: string, call: FederationCall): Promise<boolean>;
  status(id: string, call: FederationCall): Promise<RegistrationHealth | undefined>;
  sync(id: string, call: FederationCall): Promise<"Started" | "Running" | "Gone">;
  conflicts(id: string, call: FederationCall): Promise<RegistrationConflicts | undefined>;
}
