/** HashiCorp Vault: KV v2 on a mount of its own, reached through one proxy for each store identity. */
import type { VaultClient } from "../local/vault-client.ts";
import type { VaultCall, VaultProxy } from "../local/vault-proxy.ts";
import { each } from "./each.ts";
import { folder, type Identity, type SourceStage, value, vaultLatencyMs } from "./source.ts";
import { nameOf } from "./world.ts";

/** `lookup-self`, `login` and renewals are not reads of the store. */
const isLogin = ({ path }: VaultCall): boolean => path.startsWith("auth/");

/** Such as `GET data`. */
function kindOf({ method, path }: VaultCall, mount: string): string {
  const below = path.startsWith(`${mount}/`) ? path.slice(mount.length + 1) : path;
  const area = ["data", "metadata"].find((name) => below.startsWith(`${name}/`) || below === name);
  return `${method} ${area ?? path}`;
}

const hosts: Readonly<Record<Identity, string>> = { store: "vault.internal:8200", other: "vault-other.internal:8200" };

/** The stage on a Vault. Proxies count what the operator asks; the team that fills the store goes past them. */
export function vaultSource(
  vault: VaultClient,
  mount: string,
  proxies: Readonly<Record<Identity, VaultProxy>>,
): SourceStage {
  const { store, other } = proxies;
  return {
    prefix: `${mount}/${folder}`,
    endpoints: { [hosts.store]: store.url, [hosts.other]: other.url },
    async seed(from, to, update) {
      await vault.enableKv(mount, 2);
      await each(to - from, 8, async (index) => {
        if (index % 100 === 0) update(String(index));
        await vault.put(mount, `${folder}/${nameOf(from + index)}`, value());
      });
    },
    change: async (index) => String(await vault.put(mount, `${folder}/${nameOf(index)}`, value())),
    async backend(identity, login) {
      const policy = `path "${mount}/data/*" { capabilities = ["read"] }\npath "${mount}/metadata/*" { capabilities = ["read", "list"] }`;
      const name = `${mount}-${identity}`;
      await vault.writePolicy(name, policy);
      const role = await vault.createAppRole({ name, policies: [name] });
      return {
        spec: {
          type: "hashicorp-vault",
          hashicorpVault: { address: `https://${hosts[identity]}`, auth: { appRole: { secretRef: { name: login } } } },
        },
        login: { role_id: role.roleId, secret_id: role.secretId },
      };
    },
    slow() {
      for (const proxy of [store, other]) proxy.slow(vaultLatencyMs);
    },
    throttle: (share) => store.throttle(share),
    fail: () => store.mode("fail"),
    hangOther: () => other.mode("hang"),
    hanging: () => other.hanging(),
    heal() {
      store.throttle(0);
      for (const proxy of [store, other]) proxy.mode("serve");
    },
    resetCounts: () => store.resetCalls(),
    seen() {
      const all = store.calls();
      const reads = all.filter((call) => !isLogin(call));
      const calls: Record<string, number> = {};
      for (const call of reads) calls[kindOf(call, mount)] = (calls[kindOf(call, mount)] ?? 0) + 1;
      const valueReads = reads.filter((call) => kindOf(call, mount) === "GET data" && call.status === 200).length;
      return { calls, logins: all.length - reads.length, valueReads, firstAt: all[0]?.at };
    },
    async stop() {
      await Promise.all([store.stop(), other.stop()]);
    },
  };
}
