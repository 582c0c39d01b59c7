import { claimedBy, opaqueID } from "../decide/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import type { BoundTarget } from "./bound-target.ts";
import { indexes } from "./caches.ts";
import type { Subject } from "./subject.ts";
import { viewDeclared } from "./views.ts";
import type { World } from "./world.ts";

/** Whether the object that a mark names exists and still declares this target. */
export function stillClaims(world: World, owner: { namespace: string; name: string }, target: BoundTarget): boolean {
  const object = world.caches.syncs.get(`${owner.namespace}/${owner.name}`);
  if (object === undefined || object.metadata.deletionTimestamp !== undefined) return false;
  const view = viewDeclared(object);
  // What cannot be read is not to be taken from.
  return !view.ok || declares(object, target);
}

function declares(object: KubeObject, target: BoundTarget): boolean {
  const view = viewDeclared(object);
  if (!view.ok) return false;
  const { scaivault, kubernetesSecret } = view.object.spec.targets;
  if (target.kind === "ScaiVault") {
    if (scaivault === undefined) return false;
    return scaivault.path.endsWith("/**")
      ? target.ref.startsWith(scaivault.path.slice(0, -"**".length))
      : scaivault.path === target.ref;
  }
  if (kubernetesSecret === undefined) return false;
  if (view.object.spec.source.subtree !== undefined) return true;
  return (kubernetesSecret.name ?? object.metadata.name) === target.ref;
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
  const claim = (meta: { namespace?: string; name: string; creationTimestamp?: string | undefined }) => ({
    key: `${meta.namespace ?? ""}/${meta.name}`,
    createdAt: meta.creationTimestamp ?? "",
  });
  const winner = claimedBy(
    claim(subject.sync.metadata),
    others.map((object) => claim(object.metadata as { name: string })),
  );
  return winner === undefined ? undefined : shownClaim(world, subject, winner);
}

/** Any other living object that names a target, for one that this object gives up. */
export function anyClaim(world: World, subject: Subject, target: BoundTarget): string | undefined {
  const [first] = claimsOfOthers(world, subject, target);
  return first === undefined ? undefined : shownClaim(world, subject, keyOf(first));
}

/** Other namespaces' objects show as an opaque id. */
function shownClaim(world: World, subject: Subject, key: string): string {
  const { namespace } = subject.sync.metadata;
  return key.startsWith(`${namespace}/`) ? key.slice(namespace.length + 1) : opaqueID(world.ring, key);
}

/** Other living objects that name a target and may have it. */
function claimsOfOthers(world: World, subject: Subject, target: BoundTarget): KubeObject[] {
  const { namespace } = subject.sync.metadata;
  const values = target.kind === "ScaiVault" ? prefixesOf(target.ref) : [`${namespace}/${target.ref}`];
  const index = target.kind === "ScaiVault" ? indexes.scaivaultTarget : indexes.secretTarget;
  return values
    .flatMap((value) => world.caches.syncs.byIndex(index, value))
    .filter((object) => keyOf(object) !== subject.key)
    .filter((object) => object.metadata.deletionTimestamp === undefined)
    .filter((object) => mayClaim(world, object.metadata.namespace ?? "", target));
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
