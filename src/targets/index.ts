export * from "./kubernetes-secret/index.ts";
export type { MarkSeal } from "./marks.ts";
export * from "./scaivault/index.ts";
