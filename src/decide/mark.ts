import { createHash } from "node:crypto";
import { SyncError } from "../errors/index.ts";
import type { Authority, Mark, MarkReading } from "../model/index.ts";
import type { RenderedContent } from "../ports/index.ts";
import type { KeyRing, Part } from "./keys.ts";

/** Names of a mark's fields, in the order in which the proof counts them. */
export const markFieldNames = [
  "owner",
  "source",
  "version",
  "target-version",
  "authority",
  "policy",
  "fingerprint",
  "proof",
] as const;
type FieldName = (typeof markFieldNames)[number];

/** Longest field: what an ASM tag value takes. */
export const MAX_FIELD = 256;
/** Everything that tags and metadata of all stores take. */
const FIELD = /^[\w .:/=+@-]{1,256}$/;
const PLAIN = /^[\w .:/+@-]$/;
/** What is a field already; `=` is none of it, because it stands for other characters. */
const PLAIN_FIELD = /^[\w .:/+@-]{1,256}$/;

/** Signs and checks marks of targets; `targetID` names store and target, so that a copied mark proves nothing. */
export interface MarkSeal {
  /** Fields of the mark with its proof. @throws SyncError NoRoomForMark */
  seal(targetID: string, mark: Mark): ReadonlyMap<string, string>;
  read(targetID: string, fields: ReadonlyMap<string, string>): MarkReading;
}

/** Marks that were sealed and not read back yet, at most. */
const SEALED = 256;

/**
 * What was just sealed is read back with the answer to its write: the very same fields for the same target need no second
 * proof.
 */
export function createMarkSeal(ring: KeyRing): MarkSeal {
  const sealed = new Map<string, string>();
  const textOf = (fields: ReadonlyMap<string, string>): string => JSON.stringify([...fields]);
  return {
    seal(targetID, mark) {
      const fields = writeMark(ring, targetID, mark);
      sealed.delete(targetID);
      sealed.set(targetID, textOf(fields));
      const [oldest] = sealed.keys();
      if (sealed.size > SEALED && oldest !== undefined) sealed.delete(oldest);
      return fields;
    },
    read(targetID, fields) {
      const known = sealed.get(targetID);
      if (known === undefined || known !== textOf(fields)) return readMark(ring, targetID, fields);
      sealed.delete(targetID);
      return readMark(ring, targetID, fields, true);
    },
  };
}

/**
 * The fields of a mark as they are stored, with their proof: at most 8, each 1 to 256 characters of
 * `[A-Za-z0-9 _.:/=+@-]`, without a space at either end.
 * @throws SyncError NoRoomForMark when a field does not fit (owner and source are made to fit by {@link fitField})
 */
export function writeMark(ring: KeyRing, targetID: string, mark: Mark): ReadonlyMap<string, string> {
  const fields = new Map<FieldName, string>([
    ["owner", mark.owner],
    ["source", mark.source],
    ["version", mark.version],
    ["target-version", mark.targetVersion],
    ["authority", mark.authority],
    ["policy", mark.policy],
    ["fingerprint", mark.fingerprint],
  ]);
  for (const [name, value] of fields) {
    if (!fits(value)) throw new SyncError("NoRoomForMark", `the mark's field ${name} has more than a store can carry`);
  }
  fields.set(
    "proof",
    ring.sign(
      "mark",
      provenParts(targetID, (name) => fields.get(name) ?? ""),
    ),
  );
  return fields;
}

/**
 * What stored fields are worth for a target. Only a mark with exactly these fields, each well formed, whose proof fits
 * this target and these contents is `Valid`; no field at all is `None`; everything else is `Unverified`.
 * @param proven these fields were sealed for this target by this process
 */
export function readMark(
  ring: KeyRing,
  targetID: string,
  fields: ReadonlyMap<string, string>,
  proven = false,
): MarkReading {
  if (fields.size === 0) return { state: "None" };
  const unverified: MarkReading = { state: "Unverified" };
  if (fields.size !== markFieldNames.length) return unverified;
  for (const name of markFieldNames) if (!fits(fields.get(name) ?? "")) return unverified;
  const get = (name: FieldName): string => fields.get(name) ?? "";
  const authority = get("authority");
  if (authority !== "Source" && authority !== "ScaiVault") return unverified;
  if (!proven && !ring.verify("mark", provenParts(targetID, get), get("proof"))) return unverified;
  return {
    state: "Valid",
    mark: {
      owner: get("owner"),
      source: get("source"),
      version: get("version"),
      targetVersion: get("target-version"),
      authority,
      policy: get("policy"),
      fingerprint: get("fingerprint"),
    },
  };
}

function fits(value: string): boolean {
  return FIELD.test(value) && value.trim() === value;
}

function provenParts(targetID: string, get: (name: FieldName) => string): Part[] {
  const names = markFieldNames.filter((name) => name !== "proof");
  return ["v1", targetID, ...names.flatMap((name) => [name, get(name)])];
}

/**
 * A text made to fit a mark's field: characters that stores do not take become `=XX` (the byte in hexadecimal), and a
 * text that is too long is cut and ends in `=+` and a keyed hash of the whole. Equal texts give equal fields.
 */
export function fitField(ring: KeyRing, text: string): string {
  if (PLAIN_FIELD.test(text) && text.trim() === text) return text;
  let fitted = "";
  for (const character of text) {
    if (PLAIN.test(character)) fitted += character;
    else
      for (const byte of Buffer.from(character, "utf8"))
        fitted += `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  if (fitted.startsWith(" ")) fitted = `=20${fitted.slice(1)}`;
  if (fitted.endsWith(" ")) fitted = `${fitted.slice(0, -1)}=20`;
  if (fitted.length <= MAX_FIELD) return fitted;
  return `${fitted.slice(0, MAX_FIELD - TAIL)}=+${ring.sign("mark", ["field", text])}`;
}

/** Length of `=+` and a tag. */
const TAIL = 45;
const CUT = /=\+[\w-]{43}$/;

/** Whether a field is this text; also when it was cut and its hash was made with an older key. */
export function fieldMatches(ring: KeyRing, stored: string, text: string): boolean {
  const fitted = fitField(ring, text);
  if (stored === fitted) return true;
  if (!CUT.test(stored) || stored.slice(0, -TAIL) !== fitted.slice(0, -TAIL)) return false;
  return ring.verify("mark", ["field", text], stored.slice(2 - TAIL));
}

/** An object of ours, as marks name it: never by UID, since restores change those. */
export interface OwnerRef {
  readonly cluster: string;
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
}

const ownerText = (owner: OwnerRef): string => `${owner.cluster}/${owner.namespace}/${owner.kind}/${owner.name}`;

/** `cluster/namespace/kind/name`, made to fit a mark. */
export function ownerOf(ring: KeyRing, owner: OwnerRef): string {
  return fitField(ring, ownerText(owner));
}

/** A mark's owner taken apart. `cut`: the name is not whole; compare with {@link ownerMatches}. */
export function parseOwner(text: string): (OwnerRef & { readonly cut: boolean }) | undefined {
  const [cluster, namespace, kind, name, ...rest] = text.split("/");
  if (!cluster || !namespace || !kind || !name || rest.length > 0) return undefined;
  return { cluster, namespace, kind, name, cut: CUT.test(text) };
}

/** Whether a mark's owner is this object; also when it is cut and its hash was made with an older key. */
export function ownerMatches(ring: KeyRing, stored: string, owner: OwnerRef): boolean {
  return fieldMatches(ring, stored, ownerText(owner));
}

/** Which store a source path is in. */
export interface SourceLocation {
  /** Namespace and name of the FederationBackend. */
  readonly namespace: string;
  readonly name: string;
  /** Type, endpoint or region, and Vault namespace as one text. Another location is a new base. */
  readonly location: string;
}

/** `namespace/name@digest:path` for a mark's `source`; the digest tells locations apart without naming them. */
export function sourceIDOf(ring: KeyRing, store: SourceLocation, path: string): string {
  return fitField(ring, `${store.namespace}/${store.name}@${locationDigest(store.location)}:${path}`);
}

/** Names a location in marks, and in what counts by store. Frozen with the mark format. */
export function locationDigest(location: string): string {
  return createHash("sha256").update(location, "utf8").digest("hex").slice(0, 8);
}

/** The backend (`namespace/name`) and the location that a mark's source names; undefined for one that is fed by ScaiVault. */
export function sourceStoreOf(sourceID: string): { readonly backend: string; readonly location: string } | undefined {
  const [, backend, location] = SOURCE_STORE.exec(sourceID) ?? [];
  return backend === undefined || location === undefined ? undefined : { backend, location };
}

const SOURCE_STORE = /^([^/@:]+\/[^/@:]+)@([\da-f]{8}):/;

/** The path in a mark's source; undefined when the text was cut. Compare with {@link sourceIDOf} before it counts. */
export function sourcePathOf(sourceID: string): string | undefined {
  const colon = sourceID.indexOf(":");
  if (colon < 0 || CUT.test(sourceID)) return undefined;
  const bytes: number[] = [];
  const path = sourceID.slice(colon + 1);
  for (let at = 0; at < path.length; at += 1) {
    const escaped = path[at] === "=";
    bytes.push(escaped ? Number.parseInt(path.slice(at + 1, at + 3), 16) : path.charCodeAt(at));
    if (escaped) at += 2;
  }
  return Buffer.from(bytes).toString("utf8");
}

/** `scaivault:path` for the mark of a Secret that is fed from ScaiVault. */
export function vaultSourceIDOf(ring: KeyRing, path: string): string {
  return fitField(ring, `scaivault:${path}`);
}

/**
 * Keyed fingerprint of a content, bound to its target: equal values of two targets differ (R37). It covers type, key
 * names and bytes.
 */
export function fingerprint(ring: KeyRing, targetID: string, content: RenderedContent): string {
  return ring.sign("fingerprint", fingerprinted(targetID, content));
}

/** Whether a stored fingerprint is that of this content, by any key of the ring. */
export function fingerprintMatches(ring: KeyRing, targetID: string, content: RenderedContent, stored: string): boolean {
  return ring.verify("fingerprint", fingerprinted(targetID, content), stored);
}

function fingerprinted(targetID: string, content: RenderedContent): Part[] {
  const names = [...content.keys.keys()].sort();
  return [
    "v1",
    targetID,
    content.type,
    ...names.flatMap((name): Part[] => [name, content.keys.get(name)?.bytes() ?? ""]),
  ];
}

/** Byte equality of all keys and of the type, in a time that does not depend on the bytes. */
export function sameContent(a: RenderedContent, b: RenderedContent): boolean {
  if (a.type !== b.type || a.keys.size !== b.keys.size) return false;
  let equal = true;
  for (const [key, value] of a.keys) {
    const other = b.keys.get(key);
    if (other === undefined || !value.equals(other)) equal = false;
  }
  return equal;
}

/** The policies that stood when a mark was written, and what shaped the content. */
export interface MarkedPolicies extends MarkNote {
  readonly deletionPolicy: "Retain" | "Delete";
  readonly cleanupPolicy: "Retain" | "Release" | "Delete";
  readonly shape: string;
}

/** What a mark in ScaiVault says beside the ordinary: at most one of the two. */
export interface MarkNote {
  /** People decided that ScaiVault's own content stands for this source version, though the source holds another. */
  readonly kept: boolean;
  /** How often another writer's change was undone for this source version. */
  readonly reverts: number;
}

export const noNote: MarkNote = { kept: false, reverts: 0 };

/** `<deletionPolicy>/<cleanupPolicy>/<shape>` for a mark, and `/kept` or `/reverts=<count>` where there is such a thing to say. */
export function policyField(
  deletionPolicy: MarkedPolicies["deletionPolicy"],
  cleanupPolicy: MarkedPolicies["cleanupPolicy"],
  shape: string,
  { kept, reverts }: MarkNote = noNote,
): string {
  const note = kept ? "/kept" : reverts > 0 ? `/reverts=${reverts}` : "";
  return `${deletionPolicy}/${cleanupPolicy}/${shape}${note}`;
}

const REVERTS = /^reverts=(\d{1,4})$/;

function noteOf(text: string | undefined): MarkNote | undefined {
  if (text === undefined) return noNote;
  if (text === "kept") return { kept: true, reverts: 0 };
  const [, reverts] = REVERTS.exec(text) ?? [];
  return reverts === undefined ? undefined : { kept: false, reverts: Number(reverts) };
}

/** The reverse; undefined for a text of another form, which then allows nothing. */
export function parsePolicyField(text: string): MarkedPolicies | undefined {
  const [deletionPolicy, cleanupPolicy, shape, note, ...rest] = text.split("/");
  if (deletionPolicy !== "Retain" && deletionPolicy !== "Delete") return undefined;
  if (cleanupPolicy !== "Retain" && cleanupPolicy !== "Release" && cleanupPolicy !== "Delete") return undefined;
  const said = noteOf(note);
  if (shape === undefined || said === undefined || rest.length > 0) return undefined;
  return { deletionPolicy, cleanupPolicy, shape, ...said };
}

/**
 * Digest of declared, non-secret things that shape a content (type, keys, fields): 16 characters. The order of the
 * members of objects does not matter, that of lists does.
 */
export function shapeDigest(value: unknown): string {
  return createHash("sha256").update(stable(value), "utf8").digest("base64url").slice(0, 16);
}

function stable(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(stable).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${stable(member)}`).join(",")}}`;
}

/** The authority of a mark that may be believed. */
export function authorityOf(reading: MarkReading): Authority | undefined {
  return reading.state === "Valid" ? reading.mark.authority : undefined;
}
