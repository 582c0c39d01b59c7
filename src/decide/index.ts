export * from "./keys.ts";
export * from "./mark.ts";
export { planPair } from "./planner.ts";
