import { annotations } from "./api/index.ts";
import type { ConflictQuery, OpenConflict } from "./cli/resolve.ts";
import type { SeenObject } from "./cli/status-report.ts";
import { ownResources } from "./controllers/index.ts";
import type { CommandIO } from "./cli/command.ts";
import type { KubeObject } from "./runtime/index.ts";
import { clusterError, userClient } from "./status.ts";

const TIMEOUT_MS = 30_000;

/** `conflicts resolve`: one object with the rights of the caller. @throws SyncError InvalidSpec */
export function openConflict(query: ConflictQuery, { signal }: CommandIO): Promise<OpenConflict> {
  const { client, config } = userClient(query);
  const namespace = query.namespace ?? config.namespace ?? "default";
  const { kind, name } = query;
  const resource = kind === "SecretSync" ? ownResources.syncs : ownResources.backends;
  const at = { namespace, name };
  const options = { signal, timeoutMs: TIMEOUT_MS };
  return Promise.resolve({
    namespace,
    async read() {
      try {
        return await client.find<KubeObject & SeenObject>(resource, at, options);
      } catch (error) {
        throw clusterError(error, `read ${kind} ${namespace}/${name}`);
      }
    },
    async approve(object, hash) {
      // The very object that the plan is about: one that was made anew has another UID, and is refused.
      const { uid } = object.metadata as { readonly uid?: string };
      const patch = { metadata: { uid, annotations: { [annotations.approve]: hash } } };
      try {
        await client.mergePatch(resource, at, patch, options);
      } catch (error) {
        throw clusterError(error, `approve for ${kind} ${namespace}/${name} (it takes the verb approve)`);
      }
    },
    close: () => client.transport.close(),
  });
}
