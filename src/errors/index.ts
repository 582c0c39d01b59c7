export { cleanText, MAX_TEXT } from "./clean.ts";
export { type Reason, type ReasonKind, type ReasonRow, reasons } from "./reasons.ts";
export { errorCode, SyncError, type SyncErrorOptions, toSyncError, withoutAction } from "./sync-error.ts";
