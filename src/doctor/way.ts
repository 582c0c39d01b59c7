/** The steps between here and a server: name, connection, certificate, clock. */
import { type HttpClient, NetError, type Examination } from "../net/index.ts";
import type { Clock } from "../time/clock.ts";
import { type Checklist, type Found, skewFound, StepError } from "./checklist.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A certificate that ends sooner is worth a word; of one that is made to live shortly, the last sixth of its life. */
const SOON_MS = 14 * DAY_MS;

const egress = "Check the address, the server, and NetworkPolicy egress (chart value networkPolicy.egress).";
const hints: Readonly<Partial<Record<NetError["kind"], string>>> = {
  DNS: "The name is not known here: check the address, and NetworkPolicy egress to DNS.",
  Address:
    "Loopback, link-local, metadata and API server addresses are never connected to: check what the name resolves to.",
  Refused: `Nothing listens there. ${egress}`,
  Timeout: `No answer: something drops the packets. ${egress}`,
  Reset: `The connection was cut. ${egress}`,
  Proxy: "The proxy refuses: check proxy.url and what it lets through.",
};

function tlsHint(code: string): string {
  if (code.includes("EXPIRED")) return "The server's certificate has expired: renew it there.";
  if (code.includes("ALTNAME")) return "The certificate is for other names: use one of them as address, or mend it.";
  if (code.includes("NOT_YET")) return "The certificate is not valid yet: check the clocks.";
  if (/UNABLE_TO|SELF_SIGNED|ISSUER/.test(code))
    return "The authority is not trusted: name it in the backend's caRef, or in caFile for all stores.";
  return "The two sides do not agree on TLS: it must be 1.2 or newer on the port of the address.";
}

/** A network failure as a step's failure, with its code: who runs `doctor` may know it. */
function failed(error: unknown): never {
  if (!(error instanceof NetError)) throw error;
  const hint = error.kind === "TLS" ? tlsHint(error.code) : (hints[error.kind] ?? egress);
  throw new StepError({ message: `${error.kind} (${error.code})`, hint });
}

/** `dns` and `tls`. */
export async function checkWay(
  list: Checklist,
  needs: readonly string[],
  examine: () => Examination,
  clock: Clock,
): Promise<void> {
  const way = await list.step<Examination>("dns", needs, async () => {
    const found = examine();
    if (found.proxied) return { message: "the proxy resolves the name", value: found };
    const addresses = await found.resolve().catch(failed);
    return { message: `${found.url.hostname} is ${addresses.slice(0, 4).join(", ")}`, value: found };
  });
  await list.step("tls", [...needs, "dns"], async () => {
    if (way === undefined || way.proxied) return { message: "the proxy connects", as: "Skipped" };
    const { certificate } = await way.handshake().catch(failed);
    if (certificate === undefined) return { message: `connected to ${way.url.host} without TLS` };
    const leftMs = certificate.validToMs - clock.now();
    const left = leftMs < 2 * DAY_MS ? `${Math.floor(leftMs / HOUR_MS)} hours` : `${Math.floor(leftMs / DAY_MS)} days`;
    const message = `${certificate.protocol}, certificate valid for ${left}`;
    const lifeMs = certificate.validToMs - certificate.validFromMs;
    if (leftMs >= Math.min(SOON_MS, lifeMs / 6)) return { message };
    return { message, as: "Warning", hint: "Renew the server's certificate soon." };
  });
}

/** `clock`: the date of an answer that needs no login, whatever the answer says. */
export async function checkClock(
  list: Checklist,
  needs: readonly string[],
  parts: { readonly http: () => HttpClient; readonly path: string; readonly whose: string; readonly clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  await list.step("clock", needs, async (): Promise<Found> => {
    const { headers } = await parts.http().send({ method: "GET", path: parts.path }, signal).catch(failed);
    const atMs = Date.parse(headers["date"] ?? "");
    if (Number.isNaN(atMs)) return { message: "the answer has no date", as: "Skipped" };
    return skewFound(atMs, parts.clock.now(), parts.whose);
  });
}
