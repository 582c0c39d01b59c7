/** `code` of an error that says: the target moved since it was observed, nothing was written; observe and plan again. */
export const FENCE = "fence";
