import { generateKeyPairSync, randomBytes } from "node:crypto";

/** A key pair as OpenSSH writes it. */
export interface OpensshKeyPair {
  /** The `openssh-key-v1` file, without a passphrase. */
  readonly privateKey: string;
  /** One line for `authorized_keys`. */
  readonly publicKey: string;
}

const type = "ssh-ed25519";

/** Makes an Ed25519 key pair. */
export function opensshKeyPair(comment: string): OpensshKeyPair {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const publicBytes = Buffer.from(jwk.x ?? "", "base64url");
  const seed = Buffer.from(jwk.d ?? "", "base64url");
  const publicBlob = Buffer.concat([field(type), field(publicBytes)]);
  const check = randomBytes(4);
  let secrets = Buffer.concat([check, check, publicBlob, field(Buffer.concat([seed, publicBytes])), field(comment)]);
  // Filled up to the cipher's block size (8 for none) with 1, 2, 3 and so on.
  for (let next = 1; secrets.length % 8 !== 0; next++) secrets = Buffer.concat([secrets, Buffer.from([next])]);
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    Buffer.from([0, 0, 0, 1]),
    field(publicBlob),
    field(secrets),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicKey: `${type} ${publicBlob.toString("base64")}${comment === "" ? "" : ` ${comment}`}`,
  };
}

/** A string of the SSH protocol: its length in four bytes, then its bytes. */
function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  return Buffer.concat([size, bytes]);
}
