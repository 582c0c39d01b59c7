import type { BoundCredential, Network } from "../../net/index.ts";
import type { PollDemand, PollResult, SecretSource, SourceRead, SourceRef } from "../../ports/index.ts";
import type { Clock } from "../../time/clock.ts";
import { aborted, defaultLimits, type PollLimits } from "../limits.ts";
import { StorePause } from "../pause.ts";
import type { AsmApi } from "./api.ts";
import { AsmFailure } from "./api.ts";
import type { AwsCredential } from "./credentials.ts";
import { secretError, isDenied } from "./errors.ts";
import { AsmPoller } from "./poller.ts";
import { AsmReader } from "./reader.ts";
import { createSdkApi } from "./sdk-api.ts";

/** Options of {@link createAwsSource}. */
export interface AwsSourceOptions {
  /** Credential and endpoint, bound by `Network.bind` with `service: "AWS"`; see {@link awsEndpoint}. */
  readonly access: BoundCredential<AwsCredential>;
  readonly region: string;
  readonly network: Network;
  readonly clock: Clock;
  /** What reads that wait for company are timed by; default: `clock`. */
  readonly gatherClock?: Clock | undefined;
  /** Put before the SDK's; default: the network's. */
  readonly userAgent?: string | undefined;
  readonly limits?: Partial<PollLimits> | undefined;
  /** Told of answers that nobody asked for (another secret's name or ARN); they were dropped. */
  readonly onUnmatched?: ((count: number) => void) | undefined;
}

/** The public endpoint of AWS Secrets Manager in a region. */
export function awsEndpoint(region: string): string {
  return `https://secretsmanager.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

/**
 * AWS Secrets Manager as a source, for one region and one identity.
 *
 * Rights used: `ListSecrets` (subtrees; cheap polls), `DescribeSecret` (what the list lacks, fresh polls, where the list
 * is denied), `GetSecretValue`, `BatchGetSecretValue` (fewer calls), `ListSecretVersionIds` (detects a version that went
 * back), `kms:Decrypt` for customer keys. Only `DescribeSecret` or `ListSecrets`, and `GetSecretValue`, are needed.
 *
 * `identity` is `<region>/<first four>...<last four of the access key id>` or `<region>/operator`: the account is not
 * known without asking STS, and an access key id names exactly one identity.
 */
export function createAwsSource(options: AwsSourceOptions): SecretSource {
  const pause = new StorePause(options.clock);
  return awsSourceOver(createSdkApi({ ...options, pause }), options);
}

/** The same over any implementation of the port. */
export function awsSourceOver(api: AsmApi, options: Omit<AwsSourceOptions, "network" | "userAgent">): SecretSource {
  const { clock, region } = options;
  const onUnmatched = options.onUnmatched ?? ((): void => undefined);
  const limits = { ...defaultLimits, ...options.limits };
  const poller = new AsmPoller({ api, clock, region, limits, onUnmatched });
  const reader = new AsmReader({ api, clock, gatherClock: options.gatherClock ?? clock, region, onUnmatched });
  return {
    identity: `${region}/${identityOf(options.access.credential)}`,
    async probe(signal: AbortSignal): Promise<void> {
      if (signal.aborted) throw aborted("probe");
      try {
        await api.list({ prefixes: undefined, limit: 1 }, signal);
      } catch (error) {
        // A denial is an answer: the store is there and knows who asks.
        if (isDenied(error)) return;
        throw error instanceof AsmFailure ? secretError(error, "probe", "secretsmanager:ListSecrets") : error;
      }
    },
    poll: (demand: PollDemand, signal: AbortSignal): Promise<PollResult> => poller.poll(demand, signal),
    read: (ref: SourceRef, signal: AbortSignal): Promise<SourceRead> => reader.read(ref, signal),
    close: () => api.close(),
  };
}

function identityOf(credential: AwsCredential): string {
  if (credential.kind === "Operator") return "operator";
  const id = credential.accessKeyID;
  return id.length <= 8 ? id : `${id.slice(0, 4)}...${id.slice(-4)}`;
}
