/**
 * Calls methods of objects of another process: test processes steer the programs, faults and counters of the process that started
 * the environment. Loopback, with a random token.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { deserialize, serialize } from "node:v8";
import { loopback } from "./ports.ts";

/** Where methods can be called. Serialisable. */
export interface RemoteFacts {
  readonly url: string;
  readonly token: string;
}

/** The methods of `T` as seen from another process: each gives a promise. */
export type Remote<T> = {
  readonly [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: T[K] extends (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

/** Remote views of several objects. */
export type RemoteObjects<T> = { readonly [K in keyof T]: Remote<NonNullable<T[K]>> };

interface Reply {
  readonly value?: unknown;
  readonly error?: { readonly name: string; readonly message: string };
}

function bytes(message: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    message.on("data", (part: Buffer) => parts.push(part));
    message.on("end", () => resolve(Buffer.concat(parts)));
    message.on("error", reject);
  });
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

async function perform(objects: object, path: string, raw: Buffer): Promise<unknown> {
  const [, objectName = "", method = ""] = path.split("/");
  const target: unknown = Object.hasOwn(objects, objectName)
    ? (objects as Record<string, unknown>)[objectName]
    : undefined;
  if (typeof target !== "object" || target === null) throw new Error(`${objectName} is not part of this environment.`);
  const callee: unknown = method === "constructor" ? undefined : (target as Record<string, unknown>)[method];
  if (typeof callee !== "function" || method in Object.prototype)
    throw new Error(`${objectName} has no method ${method}.`);
  return await (callee as (...args: unknown[]) => unknown).apply(target, deserialize(raw) as unknown[]);
}

/** Offers the methods of `objects`. @returns where, and how to end it */
export async function serveRemote(objects: object): Promise<{ facts: RemoteFacts; stop(): Promise<void> }> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((message, response) => {
    const answer = async (): Promise<void> => {
      const sent = message.headers.authorization ?? "";
      // Browsers name their origin; nothing here is for them.
      if (message.headers.origin !== undefined || !timingSafeEqual(digest(sent), digest(`Bearer ${token}`))) {
        response.writeHead(403).end();
        return;
      }
      let reply: Reply;
      try {
        reply = { value: await perform(objects, message.url ?? "", await bytes(message)) };
      } catch (error) {
        const known = error instanceof Error ? error : new Error("unknown failure");
        reply = { error: { name: known.name, message: known.message } };
      }
      response.writeHead(200, { "content-type": "application/octet-stream" }).end(serialize(reply));
    };
    answer().catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, loopback, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    facts: { url: `http://${loopback}:${port}`, token },
    stop: () =>
      new Promise((resolve) => {
        // The answer to a call that asked for the end still goes out.
        const late = setTimeout(() => server.closeAllConnections(), 1_000);
        server.close(() => {
          clearTimeout(late);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

async function invoke(
  facts: RemoteFacts,
  objectName: string,
  method: string,
  args: readonly unknown[],
): Promise<unknown> {
  const answer = await new Promise<{ status: number; body: Buffer }>((resolve, reject) => {
    const outgoing = httpRequest(
      `${facts.url}/${objectName}/${method}`,
      { method: "POST", agent: false, headers: { authorization: `Bearer ${facts.token}` } },
      (message) => {
        bytes(message).then((body) => resolve({ status: message.statusCode ?? 0, body }), reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(serialize(args));
  });
  if (answer.status !== 200) throw new Error(`The environment refused ${objectName}.${method}: ${answer.status}`);
  const reply = deserialize(answer.body) as Reply;
  if (reply.error !== undefined) throw new Error(`${objectName}.${method}: ${reply.error.message}`);
  return reply.value;
}

/** Methods of the objects that another process serves; `T` is their type there. */
export function remoteObjects<T>(facts: RemoteFacts): RemoteObjects<T> {
  const objectView = (objectName: string): unknown =>
    new Proxy(
      {},
      {
        get: (_target, method) =>
          // A promise has `then`; this is none.
          typeof method !== "string" || method === "then"
            ? undefined
            : (...args: unknown[]) => invoke(facts, objectName, method, args),
      },
    );
  return new Proxy(
    {},
    { get: (_target, name) => (typeof name !== "string" || name === "then" ? undefined : objectView(name)) },
  ) as RemoteObjects<T>;
}
