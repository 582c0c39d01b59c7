/** Version that `/v1/version` answers. */
export const serverVersion = "0.1.0";
