import { type BoundCredential, ownerText } from "../net/index.ts";
import type { AwsCredential } from "./aws-secrets-manager/credentials.ts";
import type { VaultAuth } from "./hashicorp-vault/token.ts";

/** What tells one store identity from another. */
export type SourceIdentity =
  | { readonly type: "aws-secrets-manager"; readonly access: BoundCredential<AwsCredential>; readonly region: string }
  | {
      readonly type: "hashicorp-vault";
      readonly access: BoundCredential<VaultAuth>;
      readonly namespace?: string | undefined;
    };

/**
 * The key under which a source, with its catalogue, login and connections, is shared: the credential's owner, a keyed
 * fingerprint of the credential, endpoint, CA, and Vault namespace and role or AWS region. Two backends share exactly
 * when all of it is equal; a second backend with a bad credential therefore never profits from the first one's login.
 *
 * @param fingerprint keyed hash; the result shows nothing of what went in
 */
export function sourceIdentityKey(identity: SourceIdentity, fingerprint: (bytes: Uint8Array) => string): string {
  const { access, type } = identity;
  const place = type === "aws-secrets-manager" ? identity.region : (identity.namespace ?? "");
  const parts = [
    Buffer.from(type),
    Buffer.from(ownerText(access.owner)),
    Buffer.from(access.destination.url.origin),
    Buffer.from(access.destination.ca ?? ""),
    Buffer.from(place),
    ...credentialParts(access.credential),
  ];
  // Each part with its length, so that no two lists of parts look alike.
  const joined = Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
  const key = `${type}/${access.destination.url.host}/${fingerprint(joined)}`;
  joined.fill(0);
  return key;
}

function credentialParts(credential: AwsCredential | VaultAuth): Uint8Array[] {
  switch (credential.kind) {
    case "Static":
      return [
        Buffer.from(credential.accessKeyID),
        credential.secretAccessKey.bytes(),
        credential.sessionToken?.bytes() ?? Buffer.alloc(0),
      ];
    case "Operator":
      return [Buffer.from("operator")];
    case "AppRole":
      return [Buffer.from(credential.mount), credential.roleID.bytes(), credential.secretID.bytes()];
    case "Token":
      return [credential.token.bytes()];
  }
}
