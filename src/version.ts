/** Version of this build; put in by the bundler. */
export const VERSION = process.env["SCAIVAULT_OPERATOR_VERSION"] ?? "0.0.0-dev";
