/** `code` of an error that says: the target moved since it was observed, nothing was written; observe and plan again. */
export const FENCE = "fence";
/** `code` of an error that says: something stands where nothing was assumed to be, nothing was written; observe and plan again. */
export const TAKEN = "taken";
