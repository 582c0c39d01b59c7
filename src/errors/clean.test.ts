import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cleanText, MAX_TEXT } from "./clean.ts";

/** Everything that a terminal or a reader's eye obeys instead of showing. */
const obeyed = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

describe("cleanText", () => {
  it.each([
    ["an escape sequence", "a\u001b[31mred", "a\\u{1b}[31mred"],
    ["a line end", "one\ntwo\r\nthree", "one\\u{a}two\\u{d}\\u{a}three"],
    ["a tab and a null", "a\tb\u0000c", "a\\u{9}b\\u{0}c"],
    ["C1 controls", "a\u009b31m\u0085", "a\\u{9b}31m\\u{85}"],
    ["delete", "a\u007f", "a\\u{7f}"],
    ["an override of the direction", "file\u202etxt.exe", "file\\u{202e}txt.exe"],
    ["isolates and marks of the direction", "\u2066a\u2069\u200e\u200f", "\\u{2066}a\\u{2069}\\u{200e}\\u{200f}"],
    ["zero width", "a\u200bb\u200dc\ufeff", "a\\u{200b}b\\u{200d}c\\u{feff}"],
    ["line and paragraph separators", "a\u2028b\u2029", "a\\u{2028}b\\u{2029}"],
    ["tags beyond the first plane", "a\u{e0041}", "a\\u{e0041}"],
    ["half a pair", "a\ud83d!", "a\\u{d83d}!"],
    ["letters of all scripts and emoji", "ключ 鍵 🔑 é", "ключ 鍵 🔑 é"],
    ["nothing", "", ""],
  ])("%s", (_, text, want) => {
    expect(cleanText(text)).toBe(want);
  });

  it("shows nothing that is obeyed and nothing that is longer, whatever comes", () => {
    const hostile = fc.string({ unit: "binary", maxLength: 2000 });
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 400 }), (text, max) => {
        const clean = cleanText(text, max);
        return !obeyed.test(clean) && clean.length <= max;
      }),
    );
    expect(cleanText("x".repeat(10_000_000))).toBe(`${"x".repeat(MAX_TEXT - 1)}…`);
  });

  it("says the same of what is clean already", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const once = cleanText(text, 10_000);
        return cleanText(once, 10_000) === once;
      }),
    );
  });
});
