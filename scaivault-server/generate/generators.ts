import { createPublicKey, generateKeyPairSync, randomBytes, randomInt, randomUUID } from "node:crypto";
import { z } from "zod";
import { GENERATOR_DEFAULTS, GENERATORS_ABSENT, KEYPAIR_SUFFIX } from "../assumptions.ts";
import { validationError } from "../errors.ts";
import { checkBody } from "../secrets/body.ts";
import { opensshKeyPair } from "./openssh.ts";

/** Makers of values. [reference/secret-policies] */

const length = z.int().min(1).max(GENERATOR_DEFAULTS.mostLength);
const configs = {
  random: z.object({
    length: length.default(GENERATOR_DEFAULTS.randomLength),
    charset: z.string().min(1).max(256).default("alphanumeric"),
    require_upper: z.boolean().default(false),
    require_lower: z.boolean().default(false),
    require_digit: z.boolean().default(false),
    require_symbol: z.boolean().default(false),
  }),
  hex: z.object({ length: length.default(GENERATOR_DEFAULTS.hexLength) }),
  uuid: z.object({ version: z.union([z.literal(4), z.literal(7)]).default(4) }),
  template: z.object({ template: z.string().max(GENERATOR_DEFAULTS.mostLength) }),
  static: z.object({ value: z.string().max(65_536) }),
  rsa_keypair: z.object({ bits: z.int().min(2048).max(4096).default(2048) }),
  ec_keypair: z.object({ curve: z.enum(["P-256", "P-384"]).default("P-256") }),
  ssh_keypair: z.object({ comment: z.string().max(200).default("") }),
};

type Name = keyof typeof configs;

/** Fields that are known so far, by name. */
export type KnownFields = ReadonlyMap<string, string>;

/** One field of a policy. */
export interface FieldRecipe {
  readonly name: string;
  readonly generator: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** @throws ApiError `validation_error` for an unknown generator or a config that does not fit. */
export function checkRecipe(recipe: FieldRecipe, where: string): void {
  if (GENERATORS_ABSENT.includes(recipe.generator)) throw validationError({ [`${where}.generator`]: "not served" });
  if (!Object.hasOwn(configs, recipe.generator)) throw validationError({ [`${where}.generator`]: "unknown" });
  const schema: z.ZodType = configs[recipe.generator as Name];
  checkBody(z.object({ config: schema }), { config: recipe.config });
  if (recipe.generator === "random") charactersOf(configs.random.parse(recipe.config));
}

/**
 * The values of one field: one, or two for a key pair.
 * @param known what templates may refer to.
 * @throws ApiError `validation_error` when a template names a field that is not there.
 */
export function generate(recipe: FieldRecipe, known: KnownFields): ReadonlyMap<string, string> {
  const one = (value: string): ReadonlyMap<string, string> => new Map([[recipe.name, value]]);
  const pair = (privateKey: string, publicKey: string): ReadonlyMap<string, string> =>
    new Map([
      [recipe.name, privateKey],
      [recipe.name + KEYPAIR_SUFFIX, publicKey],
    ]);
  switch (recipe.generator as Name) {
    case "random":
      return one(randomText(configs.random.parse(recipe.config)));
    case "hex": {
      const { length: characters } = configs.hex.parse(recipe.config);
      return one(
        randomBytes(Math.ceil(characters / 2))
          .toString("hex")
          .slice(0, characters),
      );
    }
    case "uuid":
      return one(configs.uuid.parse(recipe.config).version === 4 ? randomUUID() : uuid7(Date.now()));
    case "template":
      return one(fill(configs.template.parse(recipe.config).template, known));
    case "static":
      return one(configs.static.parse(recipe.config).value);
    case "rsa_keypair": {
      const { bits } = configs.rsa_keypair.parse(recipe.config);
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
      return pair(...pemsOf(privateKey));
    }
    case "ec_keypair": {
      const { curve } = configs.ec_keypair.parse(recipe.config);
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: curve });
      return pair(...pemsOf(privateKey));
    }
    case "ssh_keypair": {
      const keys = opensshKeyPair(configs.ssh_keypair.parse(recipe.config).comment);
      return pair(keys.privateKey, keys.publicKey);
    }
  }
}

function pemsOf(key: ReturnType<typeof generateKeyPairSync>["privateKey"]): [string, string] {
  const privateKey = key as unknown as Parameters<typeof createPublicKey>[0] & {
    export(options: object): string | Buffer;
  };
  return [
    String(privateKey.export({ type: "pkcs8", format: "pem" })),
    String(createPublicKey(privateKey).export({ type: "spki", format: "pem" })),
  ];
}

const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const lower = "abcdefghijklmnopqrstuvwxyz";
const digits = "0123456789";
const symbols = "!#$%&()*+,-./:;<=>?@[]^_{|}~";
const charsets: Readonly<Record<string, string>> = {
  alphanumeric: upper + lower + digits,
  alphabetic: upper + lower,
  numeric: digits,
  ascii: upper + lower + digits + symbols,
};

type RandomConfig = z.infer<typeof configs.random>;

/** The characters to choose from, and those of which one must be there. @throws ApiError `validation_error` */
function charactersOf(config: RandomConfig): { readonly all: string; readonly needed: readonly string[] } {
  const all = charsets[config.charset] ?? [...new Set(config.charset)].join("");
  const classes: readonly (readonly [boolean, (character: string) => boolean])[] = [
    [config.require_upper, (character) => upper.includes(character)],
    [config.require_lower, (character) => lower.includes(character)],
    [config.require_digit, (character) => digits.includes(character)],
    [config.require_symbol, (character) => !(upper + lower + digits).includes(character)],
  ];
  const needed = classes.filter(([wanted]) => wanted).map(([, fits]) => [...all].filter(fits).join(""));
  if (needed.some((some) => some === "")) throw validationError({ charset: "lacks a required kind of character" });
  if (needed.length > config.length) throw validationError({ length: "too short for what is required" });
  return { all, needed };
}

/** Evenly random text; drawn anew until all required kinds are there, so that no place is more likely than others. */
function randomText(config: RandomConfig): string {
  const { all, needed } = charactersOf(config);
  const characters = [...all];
  for (let round = 0; round < 1000; round++) {
    const text = Array.from({ length: config.length }, () => characters[randomInt(characters.length)]).join("");
    if (needed.every((some) => [...some].some((character) => text.includes(character)))) return text;
  }
  // Short texts of many required kinds: one of each, then the rest, in a random order.
  const drawn = needed.map((some) => [...some][randomInt([...some].length)] as string);
  while (drawn.length < config.length) drawn.push(characters[randomInt(characters.length)] as string);
  for (let at = drawn.length - 1; at > 0; at--) {
    const other = randomInt(at + 1);
    [drawn[at], drawn[other]] = [drawn[other] as string, drawn[at] as string];
  }
  return drawn.join("");
}

function uuid7(ms: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(ms, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function fill(template: string, known: KnownFields): string {
  return template.replace(/\{\{\s*([\w.-]+)\s*\}\}/g, (_text, name: string) => {
    const value = known.get(name);
    if (value === undefined) throw validationError({ template: "names a field that is not there" });
    return value;
  });
}
