/** Variables that the operator deletes from its own environment: they would change where it connects and whom it trusts. */
const DELETED = [
  /^VAULT_/,
  /^AWS_ENDPOINT_URL/,
  /^AWS_CA_BUNDLE$/,
  /^AWS_EC2_METADATA_SERVICE_/,
  /^(?:https?|all|no|ftp)_proxy$/i,
];

/** Variables that stop the start when they are set to something dangerous. */
const REFUSED: readonly { readonly name: string; readonly refuse: (value: string) => boolean; readonly why: string }[] =
  [
    {
      name: "NODE_TLS_REJECT_UNAUTHORIZED",
      refuse: (value) => value === "0",
      why: "it turns the checking of TLS certificates off; unset it and name the CA in caFile or in the backend's caRef",
    },
    {
      name: "VAULT_SKIP_VERIFY",
      refuse: (value) => value !== "",
      why: "it turns the checking of Vault's TLS certificate off, whatever its text; unset it and use the backend's caRef",
    },
    {
      name: "DEBUG",
      refuse: (value) => /node-vault|\*/.test(value),
      why: "it makes node-vault print tokens and values; unset it and use log.level",
    },
    {
      name: "NODE_DEBUG",
      refuse: (value) => /http|tls|net|undici|\*/i.test(value),
      why: "it makes Node print headers with tokens; unset it and use log.level",
    },
    {
      name: "NODE_OPTIONS",
      refuse: (value) =>
        /--inspect|--heapsnapshot|--heap-prof|--report|--require|--import|--tls-keylog|--experimental-loader|-r\s/.test(
          value,
        ),
      why: "it opens the inspector, writes memory to disk or loads code; unset it",
    },
  ];

/** What is to be done about the environment at the start. */
export interface EnvironmentVerdict {
  /** Reasons not to start; names of variables, never their values. */
  readonly problems: readonly { readonly variable: string; readonly message: string }[];
  /** Variables to delete before any client is made. */
  readonly remove: readonly string[];
}

/** Looks at the environment, changes nothing. Deleting what `remove` names is the caller's part. */
export function refuseDangerousEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): EnvironmentVerdict {
  const set = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const problems = set.flatMap(([variable, value]) =>
    REFUSED.filter((row) => row.name === variable && row.refuse(value)).map((row) => ({
      variable,
      message: `${variable} is set: ${row.why}`,
    })),
  );
  const remove = set.map(([name]) => name).filter((name) => DELETED.some((pattern) => pattern.test(name)));
  return { problems, remove };
}
