import { expect, it } from "vitest";
import { placeOf } from "./vault-store.ts";

it.each([
  ["kv/data/apps/db", { mount: "kv", path: "apps/db", kv: 2 }],
  ["team/kv/data/apps/db", { mount: "team/kv", path: "apps/db", kv: 2 }],
  ["kv/data/a/data/b", { mount: "kv", path: "a/data/b", kv: 2 }],
  ["kv/data/", { mount: "kv", path: "", kv: 2 }],
  ["kv1/apps/db", { mount: "kv1", path: "apps/db", kv: 1 }],
  ["data/apps", { mount: "data", path: "apps", kv: 1 }],
])("%s", (name, expected) => expect(placeOf(name)).toEqual(expected));
