/** One Secret in the namespace of the object that declares it. */
export interface KubernetesSecretRef {
  readonly namespace: string;
  readonly name: string;
  /**
   * Names of the keys that are declared or rendered. With them a read drops the values of all other keys; without, a
   * read takes every key.
   */
  readonly keys?: ReadonlySet<string> | undefined;
  /** `namespace/name` of the object, for the User-Agent. */
  readonly object?: string | undefined;
}
