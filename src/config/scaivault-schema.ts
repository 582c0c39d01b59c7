import * as z from "zod";
import { described, dnsSubdomainRule, matches } from "../api/index.ts";
import { countOf, file, has, list, number, own, text, url } from "./fields.ts";

const authSchema = described(
  z.object({
    tokenFile: file("File with a ScaiVault token; read again when it changes.").optional(),
    clientCredentials: described(
      z.object({
        tokenURL: url("OAuth2 token endpoint of ScaiKey."),
        clientIDFile: file("File with the client id."),
        clientSecretFile: file("File with the client secret."),
        scope: text("Scopes to ask for, separated by spaces. Default: those that the operator needs.", 512).optional(),
      }),
      "OAuth2 client credentials.",
    ).optional(),
    tokenExchange: described(
      z.object({
        subjectTokenFile: file("File with the projected ServiceAccount token."),
        url: url("Exchange endpoint. Default: /v1/auth/exchange of scaivault.url.").optional(),
        audience: text("Audience to ask for.", 256).optional(),
        scope: text("Scopes to ask for, separated by spaces.", 512).optional(),
        role: text("Role to ask for, such as sa:scaivault-operator.", 256).optional(),
      }),
      "Exchange of a Kubernetes token for a ScaiVault token.",
    ).optional(),
  }),
  "How to log in to ScaiVault. Exactly one of tokenFile, clientCredentials and tokenExchange.",
  [
    own<object>(
      "scaivault-auth-one",
      "set exactly one of tokenFile, clientCredentials and tokenExchange",
      [],
      (self) => countOf(self, ["tokenFile", "clientCredentials", "tokenExchange"]) === 1,
    ),
  ],
);

const perMinute = (what: string, documented: number) =>
  number(`${what} a minute. Default: ${documented}.`, 1, 1_000_000).optional();

const limitsSchema = described(
  z.object({
    read: perMinute("Values read", 1000),
    write: perMinute("Writes", 100),
    delete: perMinute("Deletions", 100),
    list: perMinute("Lists", 100),
    batchRead: perMinute("Batch reads", 100),
    batchMetadata: perMinute("Metadata batches of 100 paths", 100),
    audit: perMinute("Audit queries", 50),
    policy: perMinute("Policy operations, among them those of rotation policies", 50),
    federation: perMinute("Federation operations", 20),
    subscription: perMinute("Subscription operations but polls", 20),
    subscriptionPoll: perMinute("Subscription polls", 240),
  }),
  "Calls a minute that ScaiVault allows the operator's identity, where they are not the documented ones. Answers can lower them, never raise them.",
);

/** `scaivault` of the configuration file. */
export const scaivaultSchema = described(
  z.object({
    url: url("Base URL of ScaiVault, such as https://scaivault.scailabs.ai."),
    auth: authSchema,
    tenantID: text("Tenant to work in. Default: the tenant of the login.", 128, [
      matches("tenant-id", "^[A-Za-z0-9._-]+$", "write a tenant id of letters, digits, `.`, `_` and `-`"),
    ]).optional(),
    tenantIn: described(
      z.enum(["Header", "Path"]),
      "How tenantID is named to ScaiVault: by the header X-Tenant-ID, or by the path prefix /v1/t/TENANT/, for a proxy that drops the header. Default: Header.",
    ).optional(),
    role: described(
      z.enum(["Writer", "Reader"]),
      "Reader: never writes to ScaiVault, neither values nor marks nor metadata, and deletes nothing there; paths are in sync once the fleet's writer has written them. Kubernetes Secrets are kept as by a writer. Default: Writer.",
    ).optional(),
    rateShare: described(
      z.number().min(0.01).max(1),
      "Part of ScaiVault's limits that this operator may use, in each category: 0.2 for one of five clusters on one identity. Default: 1.",
    ).optional(),
    limits: limitsSchema.optional(),
    takeOverFrom: list(
      text("Name of a cluster.", 63, [dnsSubdomainRule]),
      "Clusters that ceased to write: this writer takes their marks over, namespace by namespace, without a write of data. Default: none.",
      100,
    ).optional(),
  }),
  "The ScaiVault connection, one per install. Absent: no object can have a ScaiVault target.",
  [
    own<{ tenantID?: unknown; tenantIn?: unknown }>(
      "tenant-in-without-tenant",
      "remove it, or name the tenant in tenantID",
      ["tenantIn"],
      (self) => !has(self, "tenantIn") || has(self, "tenantID"),
    ),
    own<{ role?: unknown; takeOverFrom?: unknown }>(
      "take-over-writes",
      "remove it: a Reader takes no marks over",
      ["takeOverFrom"],
      (self) => self.role !== "Reader" || !has(self, "takeOverFrom"),
    ),
  ],
);
