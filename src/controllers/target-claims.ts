import { claimedBy, holdsPath, opaqueID } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import type { BoundTarget } from "./bound-target.ts";
import { indexes } from "./caches.ts";
import type { Subject } from "./subject.ts";
import { treeKeyOf } from "./tree-subject.ts";
import { viewBackend, viewDeclared } from "./views.ts";
import type { World } from "./world.ts";

/** Whether the object that a mark names exists and still declares this target. */
export function stillClaims(
  world: World,
  owner: { readonly kind: string; readonly namespace: string; readonly name: string },
  target: BoundTarget,
): boolean {
  const ofTree = owner.kind === "FederationBackend";
  const object = (ofTree ? world.caches.backends : world.caches.syncs).get(`${owner.namespace}/${owner.name}`);
  if (object === undefined || object.metadata.deletionTimestamp !== undefined) return false;
  if (ofTree) return !viewBackend(object).ok || copies(object, target);
  const view = viewDeclared(object);
  // What cannot be read is not to be taken from.
  return !view.ok || declares(object, target);
}

/** Whether the operator copies to this target for a backend's tree. */
function copies(object: KubeObject, target: BoundTarget): boolean {
  const view = viewBackend(object);
  const federation = view.ok ? view.object.spec.federation : undefined;
  return federation?.runsIn !== "ScaiVault" && holdsScaiVaultPath(object, target.ref);
}

/** Whether a federation holds a ScaiVault path, whoever runs it. */
export function holdsScaiVaultPath(object: KubeObject, ref: string): boolean {
  const view = viewBackend(object);
  const federation = view.ok ? view.object.spec.federation : undefined;
  const naming = federation?.naming ?? "Strict";
  return (federation?.pathMapping ?? []).some((mapping) =>
    holdsPath({ ...mapping, exclude: mapping.exclude ?? [] }, naming, ref),
  );
}

function declares(object: KubeObject, target: BoundTarget): boolean {
  const view = viewDeclared(object);
  if (!view.ok) return false;
  const { scaivault, kubernetesSecret } = view.object.spec.targets;
  if (target.kind === "ScaiVault") return scaivault !== undefined && declaresPath(object, target.ref);
  if (kubernetesSecret === undefined) return false;
  if (view.object.spec.source.subtree !== undefined) return true;
  return (kubernetesSecret.name ?? object.metadata.name) === target.ref;
}

/** Whether a SecretSync names a ScaiVault path, itself or by its subtree. */
export function declaresPath(object: KubeObject, ref: string): boolean {
  const view = viewDeclared(object);
  const path = view.ok ? view.object.spec.targets.scaivault?.path : undefined;
  if (path === undefined) return false;
  return path.endsWith("/**") ? ref.startsWith(path.slice(0, -"**".length)) : path === ref;
}

/** The other living object that goes before this one for the same target; undefined when this one may have it. */
export function winningClaim(
  world: World,
  subject: Subject,
  target: BoundTarget,
  incumbent: string,
): string | undefined {
  if (incumbent === "Self") return undefined;
  const others = claimsOfOthers(world, subject, target);
  if (others.length === 0) return undefined;
  const { creationTimestamp } = subject.sync.metadata;
  const winner = claimedBy({ key: subject.key, createdAt: creationTimestamp }, others);
  return winner === undefined ? undefined : shownClaim(world, subject, winner);
}

/** Any other living object that names a target, for one that this object gives up. */
export function anyClaim(world: World, subject: Subject, target: BoundTarget): string | undefined {
  const [first] = claimsOfOthers(world, subject, target);
  return first === undefined ? undefined : shownClaim(world, subject, first.key);
}

/** Why a ScaiVault path takes no writes: a federation in mode proxy holds it. */
export function readOnlyPath(world: World, subject: Subject, target: BoundTarget): SyncError | undefined {
  if (target.kind !== "ScaiVault") return undefined;
  const proxy = treesAt(world, target.ref).find((object) => {
    const view = viewBackend(object);
    return view.ok && view.object.spec.federation?.mode === "proxy";
  });
  if (proxy === undefined) return undefined;
  const shown = shownClaim(world, subject, treeKeyOf(keyOf(proxy)));
  return new SyncError("ReadOnlyPath", `${target.ref} is read through ${shown} and takes no copies`);
}

/** Other namespaces' objects show as an opaque id. */
function shownClaim(world: World, subject: Subject, key: string): string {
  const { namespace } = subject.sync.metadata;
  return key.startsWith(`${namespace}/`) ? key.slice(namespace.length + 1) : opaqueID(world.ring, key);
}

interface OtherClaim {
  readonly key: string;
  readonly createdAt: string;
}

/** Other living objects that name a target and may have it: SecretSyncs, and trees that hold its path. */
function claimsOfOthers(world: World, subject: Subject, target: BoundTarget): OtherClaim[] {
  const { namespace } = subject.sync.metadata;
  const values = target.kind === "ScaiVault" ? prefixesOf(target.ref) : [`${namespace}/${target.ref}`];
  const index = target.kind === "ScaiVault" ? indexes.scaivaultTarget : indexes.secretTarget;
  const syncs = values
    .flatMap((value) => world.caches.syncs.byIndex(index, value))
    .filter((object) => object.metadata.deletionTimestamp === undefined)
    .filter((object) => mayClaim(world, object.metadata.namespace ?? "", target))
    .map((object) => claimOf(object, keyOf(object)));
  const trees = target.kind === "ScaiVault" ? treesAt(world, target.ref) : [];
  const claims = [...syncs, ...trees.map((object) => claimOf(object, treeKeyOf(keyOf(object))))];
  return claims.filter(({ key }) => key !== subject.key);
}

const claimOf = ({ metadata }: KubeObject, key: string): OtherClaim => ({
  key,
  createdAt: metadata.creationTimestamp ?? "",
});

/** Living backends whose federation holds a ScaiVault path that their namespace has a right to. */
function treesAt(world: World, ref: string): KubeObject[] {
  return prefixesOf(ref)
    .flatMap((value) => world.caches.backends.byIndex(indexes.scaivaultTarget, value))
    .filter((object) => object.metadata.deletionTimestamp === undefined && holdsScaiVaultPath(object, ref))
    .filter((object) => world.rights.scaivault(object.metadata.namespace ?? "", ref, "write").ok);
}

/** Whoever has no right to a path cannot keep others from it by declaring it. */
function mayClaim(world: World, namespace: string, target: BoundTarget): boolean {
  return target.kind !== "ScaiVault" || world.rights.scaivault(namespace, target.ref, "write").ok;
}

/** `a/b/c` itself and the subtrees that it lies in, as the index names them. */
export function prefixesOf(path: string): string[] {
  const segments = path.split("/");
  return [path, ...segments.slice(0, -1).map((_, at) => `${segments.slice(0, at + 1).join("/")}/`)];
}
