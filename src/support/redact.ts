/** Words that say nothing of whose they are: what they stand under is kept as it is. */
const SAFE: ReadonlySet<string> = new Set(
  [
    "kind type status reason state phase action level event method time version apiVersion outcome step standing origin",
    "creationTimestamp deletionTimestamp lastTransitionTime lastPollTime lastWriteTime since eventTime renewTime startTime startedAt",
    "finishedAt lastObservedTime generation resourceVersion syncInterval poll authority conflictResolution adopt deletionPolicy",
    "cleanupPolicy apply decode tenancyMode code severity operator node platform made exitCode image imageID reportingController",
    "finalizers grace result gitVersion major minor buildDate gitCommit gitTreeState goVersion compiler",
  ].flatMap((line) => line.split(" ")),
);
/** Free texts, which may name anything: left out. */
const FREE: ReadonlySet<string> = new Set("message note hint detail notes description policy text right".split(" "));
/** `namespace/name`, and `FederationBackend namespace/name`. */
const PAIRS: ReadonlySet<string> = new Set(["backend", "about", "owner"]);
const PATHS: ReadonlySet<string> = new Set("path subtree exclude ref target sourceVersion read write".split(" "));

const SAFE_LABELS: ReadonlySet<string> = new Set(
  "kind reason ready condition outcome verb resource code category version method target action le quantile type major minor patch event space state".split(
    " ",
  ),
);

/** Puts ids in the place of names and paths: the same id for the same word, wherever it stands. */
export class Redactor {
  readonly #ids = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  /** A copy of JSON data. What is not known to be harmless is replaced or left out. */
  json(value: unknown, key = ""): unknown {
    if (FREE.has(key)) return undefined;
    if (Array.isArray(value))
      return value.map((item: unknown) => this.json(item, key)).filter((item) => item !== undefined);
    if (typeof value === "object" && value !== null)
      return Object.fromEntries(
        Object.entries(value).flatMap(([name, inner]: [string, unknown]) => {
          const shown = this.json(inner, name);
          // Keys of maps are words of people, too.
          return shown === undefined ? [] : [[/^[a-z]\w{0,40}$/i.test(name) ? name : this.id(name, "key"), shown]];
        }),
      );
    return typeof value === "string" ? this.#text(value, key) : value;
  }

  /** Lines of metrics. What a label says is kept where it is known to name nobody. */
  metrics(text: string): string {
    return text.replace(/\b(\w+)="((?:[^"\\]|\\.)*)"/g, (whole, label: string, value: string) =>
      SAFE_LABELS.has(label)
        ? whole
        : `${label}="${value
            .split(",")
            .map((one) => this.#label(label, one))
            .join(",")}"`,
    );
  }

  #label(label: string, value: string): string {
    if (label === "backend") return this.#pair(value);
    return this.id(value, label === "namespace" || label === "store" ? label : "name");
  }

  id(word: string, kind: string): string {
    if (word === "") return "";
    const known = this.#ids.get(word);
    if (known !== undefined) return known;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const id = `${kind}-${count}`;
    this.#ids.set(word, id);
    return id;
  }

  #text(value: string, key: string): string {
    if (SAFE.has(key)) return value;
    if (PAIRS.has(key)) return this.#pair(value);
    if (key === "namespace" || key === "namespaces" || key === "watchNamespaces") return this.id(value, "namespace");
    return this.id(value, PATHS.has(key) ? "path" : "name");
  }

  #pair(value: string): string {
    const [, kind = "", rest = value] = /^(\w+ )?(.*)$/s.exec(value) ?? [];
    if (!rest.includes("/"))
      return kind === "" && /^(?:cluster|ScaiVault)$/.test(rest) ? rest : `${kind}${this.id(rest, "name")}`;
    const [namespace = "", ...name] = rest.split("/");
    return `${kind}${this.id(namespace, "namespace")}/${this.id(name.join("/"), "name")}`;
  }
}
