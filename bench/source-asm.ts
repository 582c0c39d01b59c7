/** AWS Secrets Manager, by the emulator. */
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import type { AsmControl, FaultRule } from "../local/asm-proxy.ts";
import { each } from "./each.ts";
import { asmLatencyMs, folder, type Identity, type SourceStage, value } from "./source.ts";
import { nameOf } from "./world.ts";

const keys: Readonly<Record<Identity, string>> = { store: "AKIALOCALBENCH000000", other: "AKIALOCALBENCH000001" };

/** The stage on an emulator. */
export function asmSource(asm: AsmControl & { readonly url: string }): SourceStage {
  const client = new SecretsManagerClient({
    region: "us-east-1",
    endpoint: asm.url,
    credentials: { accessKeyId: "AKIALOCALSEEDER00000", secretAccessKey: "local" },
  });
  const faults = new Set<number>();
  const strike = (rule: FaultRule): void => void faults.add(asm.addFault(rule));
  return {
    prefix: folder,
    endpoints: {},
    seed: (from, to, update) =>
      each(to - from, 8, async (index) => {
        if (index % 100 === 0) update(String(index));
        const SecretString = JSON.stringify(value());
        await client.send(new CreateSecretCommand({ Name: `${folder}/${nameOf(from + index)}`, SecretString }));
      }),
    async change(index) {
      const SecretString = JSON.stringify(value());
      const SecretId = `${folder}/${nameOf(index)}`;
      return (await client.send(new PutSecretValueCommand({ SecretId, SecretString }))).VersionId ?? "";
    },
    backend: (identity, login) =>
      Promise.resolve({
        spec: {
          type: "aws-secrets-manager",
          awsSecretsManager: { region: "us-east-1", auth: { secretRef: { name: login } } },
        },
        login: { access_key_id: keys[identity], secret_access_key: "local" },
      }),
    slow: () => void asm.addFault({ kind: "latency", ms: asmLatencyMs, accessKeys: Object.values(keys) }),
    throttle: (share) => strike({ kind: "throttle", share, accessKeys: [keys.store] }),
    fail: () => strike({ kind: "error", accessKeys: [keys.store] }),
    hangOther: () => strike({ kind: "hang", accessKeys: [keys.other] }),
    hanging: () => asm.hanging(),
    heal() {
      for (const id of faults) asm.removeFault(id);
      faults.clear();
      asm.release();
    },
    resetCounts: () => asm.resetCounts(),
    seen() {
      const calls: Record<string, number> = {};
      let logins = 0;
      let valueReads = 0;
      const ours = asm.calls().filter(({ accessKeyId }) => accessKeyId === keys.store);
      for (const call of ours) {
        if (call.action.startsWith("sts:")) logins++;
        else calls[call.action] = (calls[call.action] ?? 0) + 1;
        valueReads += call.valueReads;
      }
      return { calls, logins, valueReads, firstAt: ours[0]?.at };
    },
    stop: () => Promise.resolve(client.destroy()),
  };
}
