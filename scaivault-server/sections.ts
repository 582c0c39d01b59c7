/** The sections of ScaiVault's documentation that facts and assumptions refer to, numbered for this server's own use. */
export const sections = {
  "1.2": "Secrets and versions",
  "1.6": "Ids",
  "2.1": "Base URL and content type",
  "2.2": "Authentication",
  "2.3": "Client credentials",
  "2.4": "Token exchange",
  "2.5": "Scopes",
  "2.6": "Tenant selection",
  "2.7": "Pagination",
  "2.8": "Rate limits",
  "2.9": "Idempotency and check-and-set",
  "2.10": "Error envelope",
  "2.11": "Error codes",
  "3.1": "Secrets",
  "3.2": "Batch",
  "3.4": "Audit",
  "3.5": "Policies",
  "3.6": "Rotation",
  "3.7": "Value-generation policies",
  "3.9": "Webhooks",
  "3.10": "Webhook signatures",
  "3.11": "Subscriptions",
  "3.12": "Events",
  "3.13": "Auth and system",
  "5.1": "Secret path",
  "5.2": "Names and tags",
  "5.3": "Sizes and counts",
  "5.4": "Durations",
} as const;

/** Number of a section. */
export type Section = keyof typeof sections;
