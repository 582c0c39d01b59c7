/** Exit codes that every command keeps to: 0 fine, 1 failed or problems found, 2 changes found (plan) or something not fine (status, doctor), 64 wrong usage. */
export const exitCodes = { ok: 0, failed: 1, changes: 2, usage: 64 } as const;

/** Exit codes of commands that compare (`conflicts`, `verify`), as `diff` has them: 0 the same, 1 found something, 2 could not tell. */
export const compareCodes = { same: 0, found: 1, unknown: 2 } as const;
