import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { hostAllowed, isLoopbackHost } from "../../src/net/index.ts";
import { ApiError } from "../errors.ts";
import { checkPath } from "../secrets/path.ts";
import type { BackendConfig, BackendType } from "./record.ts";

/** `config` of a Vault. */
export interface VaultConfig {
  readonly endpoint: string;
  readonly auth_method: "approle" | "token";
  readonly auth_config_path: string;
  readonly tls_verify: boolean;
  readonly namespace: string | undefined;
  readonly ca_cert_pem: string | undefined;
}

/** `config` of AWS Secrets Manager in one region. */
export interface AsmConfig {
  readonly region: string;
  readonly credentials_path: string;
  readonly endpoint: string | undefined;
}

function invalid(fields: Readonly<Record<string, string>>): ApiError {
  return new ApiError("invalid_config", `the config is not valid: ${Object.keys(fields).join(", ")}`, {
    details: { fields },
  });
}

/** https, or plain http on loopback; a host and a port, nothing else. */
function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\/[^/\\?#\s@]+\/?$/.test(text) || text.length > 512) return false;
  if (url.protocol !== "https:" && !isLoopbackHost(url.hostname)) return false;
  return hostAllowed(url.hostname, { allowLoopback: true });
}

function isPem(text: string): boolean {
  const blocks = text.split("-----BEGIN CERTIFICATE-----").slice(1);
  try {
    for (const block of blocks) new X509Certificate(`-----BEGIN CERTIFICATE-----${block}`);
  } catch {
    return false;
  }
  return blocks.length > 0;
}

function isSecretPath(text: string): boolean {
  try {
    checkPath(text);
    return true;
  } catch {
    return false;
  }
}

const endpoint = z.string().refine(isEndpoint, "must be https://host:port");
const secretPath = z.string().refine(isSecretPath, "must be a secret path");

const vaultSchema = z.strictObject({
  endpoint,
  auth_method: z
    .enum(["approle", "token", "kubernetes", "aws", "gcp"])
    .refine((method) => method === "approle" || method === "token", "is not supported here; use approle or token"),
  auth_config_path: secretPath,
  tls_verify: z.boolean().optional(),
  namespace: z
    .string()
    .regex(/^[^\s/*][^\s*]{0,255}$/)
    .optional(),
  ca_cert_pem: z.string().max(65_536).refine(isPem, "must be PEM certificates").optional(),
});

const asmSchema = z.strictObject({
  region: z.string().regex(/^[a-z]{2}(?:-[a-z]+)+-\d{1,2}$/),
  credentials_path: secretPath,
  endpoint: endpoint.optional(),
});

/** Checks `config` for its type. @throws ApiError `invalid_config` with the fields that are wrong; no values. */
export function checkConfig(type: BackendType, config: unknown): BackendConfig {
  const parsed = (type === "hashicorp-vault" ? vaultSchema : asmSchema).safeParse(config);
  if (parsed.success) return config as BackendConfig;
  const fields: Record<string, string> = {};
  for (const issue of parsed.error.issues) {
    if (issue.code === "unrecognized_keys")
      for (const key of issue.keys.slice(0, 20)) fields[key.slice(0, 100)] = "is not a field of this type";
    else fields[issue.path.join(".") || "config"] = issue.code === "custom" ? issue.message : issue.code;
  }
  throw invalid(fields);
}

export function vaultConfig(config: BackendConfig): VaultConfig {
  const { namespace, tls_verify, ca_cert_pem } = config;
  return {
    endpoint: String(config["endpoint"]),
    auth_method: config["auth_method"] === "token" ? "token" : "approle",
    auth_config_path: String(config["auth_config_path"]),
    tls_verify: tls_verify !== false,
    namespace: namespace === undefined ? undefined : String(namespace),
    ca_cert_pem: ca_cert_pem === undefined ? undefined : String(ca_cert_pem),
  };
}

export function asmConfig(config: BackendConfig): AsmConfig {
  return {
    region: String(config["region"]),
    credentials_path: String(config["credentials_path"]),
    endpoint: config["endpoint"] === undefined ? undefined : String(config["endpoint"]),
  };
}

/** The ScaiVault path of a backend's credentials. */
export function credentialsPath(type: BackendType, config: BackendConfig): string {
  return String(config[type === "hashicorp-vault" ? "auth_config_path" : "credentials_path"]);
}
