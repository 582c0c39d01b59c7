/** The list that each assumption enters; see `../assumptions.ts`. */
import type { Section } from "../sections.ts";

/** One assumption as text. */
export interface Assumption {
  readonly id: string;
  readonly section: Section;
  readonly sentence: string;
  /** The file that works this way, below `scaivault-server/`; undefined when a constant decides. */
  readonly file: string | undefined;
}

const registered = new Map<string, Assumption>();

function register(entry: Assumption): void {
  if (registered.has(entry.id)) throw new Error(`assumption ${entry.id} is registered twice`);
  registered.set(entry.id, entry);
}

/** An assumption that a value decides; the code refers to the constant. */
export function assume<T>(id: string, section: Section, sentence: string, value: T): T {
  register({ id, section, sentence, file: undefined });
  return value;
}

/** An assumption that is the way `file` works, rather than a value that could be set. */
export function builtIn(id: string, section: Section, sentence: string, file: string): void {
  register({ id, section, sentence, file });
}

/** All assumptions, in the order of the files. */
export function assumptions(): readonly Assumption[] {
  return [...registered.values()];
}

/** The sentence of one assumption; throws for an unknown id, so that no check can quote what does not exist. */
export function assumption(id: string): Assumption {
  const found = registered.get(id);
  if (found === undefined) throw new Error(`no assumption is called ${id}`);
  return found;
}
