/** Forms of credentials that stores and clusters give out. None belongs into a bundle; the net behind the lists of fields. */
const forms: readonly RegExp[] = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
  /\bhv[sbr]\.[\w-]{20,}/g,
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  /\b(?:Bearer|Basic) [\w+/=.~-]{12,}/gi,
];

/** The text without anything that looks like a credential. */
export function scrub(text: string): string {
  return forms.reduce((clean, form) => clean.replace(form, "[removed]"), text);
}

/** Whether a text holds one of some secrets, plain or as base64, hex or URL text. Short ones say nothing and are not looked for. */
export function holdsSecret(text: string, secrets: readonly Buffer[]): boolean {
  return secrets.some((secret) => secret.length >= 8 && formsOf(secret).some((form) => text.includes(form)));
}

function formsOf(secret: Buffer): string[] {
  const plain = secret.toString("utf8");
  const hex = secret.toString("hex");
  const forms = [plain, JSON.stringify(plain).slice(1, -1), hex, hex.toUpperCase(), encodeURIComponent(plain)];
  for (let shift = 0; shift < 3; shift += 1) {
    // What stands before it moves its bits: only the characters that depend on nothing else are looked for.
    const encoded = Buffer.concat([Buffer.alloc(shift), secret]).toString("base64");
    const own = encoded.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + secret.length) * 8) / 6));
    forms.push(own, own.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return forms;
}
