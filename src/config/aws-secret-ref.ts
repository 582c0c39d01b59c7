/** Environment variable that names the secret of the connection when the field does not. */
export const AWS_SECRET_VARIABLE = "SCAIVAULT_OPERATOR_AWS_SECRET";
/** Name of the secret when neither the field nor the variable gives one. */
export const DEFAULT_AWS_SECRET = "scaivault-operator-config";

/** A secret of AWS Secrets Manager as people name it. */
export interface AwsSecretRef {
  /** As written, and as it is sent to AWS. */
  readonly id: string;
  /** Out of an ARN; undefined for names and ids. */
  readonly region: string | undefined;
  /**
   * Set when the text may be an id as the end of an ARN shows it (`name-AbCdEf`): the name in it. AWS takes names and ARNs only,
   * so it is looked for when there is no secret of the whole text's name.
   */
  readonly nameOfID: string | undefined;
}

const ARN = /^arn:aws(?:-[a-z]+)*:secretsmanager:([a-z]{2,4}(?:-[a-z]+)+-\d{1,2}):\d{12}:secret:[\w/+=.@!-]{1,520}$/;
const NAME = /^[\w/+=.@!-]{1,512}$/;
const ID = /^(.+)-[a-z0-9]{6}$/i;
const REGION = /^[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}$/;

/** Reads a name, an id or an ARN; undefined when the text is none of them. Pure. */
export function parseAwsSecretRef(text: string): AwsSecretRef | undefined {
  if (text.startsWith("arn:")) {
    const region = ARN.exec(text)?.[1];
    return region === undefined ? undefined : { id: text, region, nameOfID: undefined };
  }
  if (!NAME.test(text)) return undefined;
  return { id: text, region: undefined, nameOfID: ID.exec(text)?.[1] };
}

/** Whether a text has the form of an AWS region, such as `eu-central-1`. */
export function isAwsRegion(text: string): boolean {
  return REGION.test(text);
}
