export type * from "./source.ts";
export type * from "./target.ts";
