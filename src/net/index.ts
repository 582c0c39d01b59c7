export { addressAllowed, type AddressRules, hostAllowed, isLoopbackHost } from "./address.ts";
export { awsRequestHandler, type AwsRequestHandler, awsRequestHandlerOf } from "./aws-handler.ts";
export {
  bindCredential,
  type BindRequest,
  BoundCredential,
  type CredentialOwner,
  type Destination,
  ownerText,
} from "./bound.ts";
export { endpointListed, isAwsHost, parseEndpoint } from "./endpoint.ts";
export { NetError, type NetErrorKind, toNetError, unavailable } from "./errors.ts";
export { type Examination, type Handshake } from "./examine.ts";
export { HttpClient, type HttpRequest, type HttpResponse, MAX_BODY_BYTES, type Timeouts } from "./http-client.ts";
export type { InstanceKeys, InstanceMetadata } from "./instance-metadata.ts";
export { defaultTimeouts, Network, type NetworkOptions, type ProxyOptions, readCAFile } from "./network.ts";
export { clampRetryAfter } from "./retry-after.ts";
