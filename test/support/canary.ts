/** Recognisable values, and the proof that they are nowhere but where they belong. */
import { randomBytes } from "node:crypto";

/** What a search through texts found. */
export interface Leak {
  /** Where: the name of the text. */
  readonly where: string;
  /** The canary's label and the form it was found in. */
  readonly what: string;
  /** What stands around it. */
  readonly around: string;
}

interface Form {
  readonly name: string;
  readonly text: string;
}

/** The forms in which text can hide inside other text, wherever it begins. */
export function formsOf(value: string): Form[] {
  const bytes = Buffer.from(value);
  const forms: Form[] = [
    { name: "plain", text: value },
    { name: "reversed", text: [...value].reverse().join("") },
    { name: "hex", text: bytes.toString("hex") },
    { name: "HEX", text: bytes.toString("hex").toUpperCase() },
    { name: "url", text: [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("") },
    { name: "URL", text: [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0").toUpperCase()}`).join("") },
    { name: "bytes", text: [...bytes].join(",") },
  ];
  for (let shift = 0; shift < 3; shift += 1) {
    // What stands before it moves its bits; only the characters that depend on nothing else are looked for.
    const padded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .replaceAll("=", "");
    const first = Math.ceil((shift * 8) / 6);
    const whole = Math.floor(((shift + bytes.length) * 8) / 6);
    const text = padded.slice(first, whole);
    forms.push({ name: `base64+${shift}`, text });
    const url = text.replaceAll("+", "-").replaceAll("/", "_");
    if (url !== text) forms.push({ name: `base64url+${shift}`, text: url });
  }
  // A part of it is a leak as well: every run of eight characters.
  for (let at = 0; at + 8 <= value.length; at += 4) forms.push({ name: `part@${at}`, text: value.slice(at, at + 8) });
  return forms;
}

/** The canaries of one test file. */
export class Canaries {
  readonly #values = new Map<string, string>();

  /** A new value that nothing else in the world is equal to. ASCII letters and digits only, so that no encoding splits it. */
  value(label: string): string {
    const made = `Cnry${randomBytes(12).toString("hex").replaceAll("0", "G").replaceAll("1", "K")}`;
    this.#values.set(`${label} #${this.#values.size}`, made);
    return made;
  }

  /** Where the values can be found in the given texts. */
  search(texts: Iterable<readonly [where: string, text: string]>): Leak[] {
    const forms = [...this.#values].flatMap(([label, value]) =>
      formsOf(value).map(({ name, text }) => ({ what: `${label} (${name})`, text })),
    );
    const leaks: Leak[] = [];
    for (const [where, text] of texts) {
      for (const form of forms) {
        const at = text.indexOf(form.text);
        if (at < 0) continue;
        leaks.push({ where, what: form.what, around: text.slice(Math.max(0, at - 60), at + form.text.length + 20) });
      }
    }
    return leaks;
  }
}
