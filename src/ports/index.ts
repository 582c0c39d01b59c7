export type * from "./federation.ts";
export type * from "./source.ts";
export type * from "./target.ts";
