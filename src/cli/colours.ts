/** Puts texts into colours. */
export interface Paint {
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
}

/** @param colours false: texts as they are */
export function paint(colours: boolean): Paint {
  const style =
    (code: number) =>
    (text: string): string =>
      colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { good: style(32), warn: style(33), bad: style(31) };
}
