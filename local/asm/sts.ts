/** The three operations of STS that identities need, on top of moto, which makes the temporary keys. */
import type { AccessKey, Role } from "./identity.ts";
import { AwsError } from "./wire.ts";

/** Sends a form to moto's STS. @returns status and XML */
export type StsPort = (
  account: string,
  region: string,
  form: URLSearchParams,
) => Promise<{ status: number; xml: string }>;

/** What an STS call gave. */
export interface StsAnswer {
  readonly xml: string;
  /** Temporary keys that were made. */
  readonly key?: AccessKey;
}

function element(xml: string, name: string): string | undefined {
  const start = xml.indexOf(`<${name}>`);
  const end = xml.indexOf(`</${name}>`, start);
  return start < 0 || end < 0 ? undefined : xml.slice(start + name.length + 2, end).trim();
}

const escapeXml = (value: string): string =>
  value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** An error of the query protocol. */
export function stsErrorXml(error: AwsError): string {
  return (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>' +
    `<Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message></Error>` +
    "<RequestId>local</RequestId></ErrorResponse>"
  );
}

/** The principal of a session: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`. */
function sessionArn(roleArn: string, session: string): string {
  const [, , , , account = "", resource = ""] = roleArn.split(":");
  return `arn:aws:sts::${account}:assumed-role/${resource.split("/").at(-1) ?? ""}/${session}`;
}

/**
 * Answers one STS call.
 * @param caller the signing key; `undefined` for the unsigned AssumeRoleWithWebIdentity
 * @param roles `undefined`: every role may be assumed and may do everything
 * @throws AwsError
 */
export async function answerSts(
  port: StsPort,
  account: string,
  region: string,
  form: URLSearchParams,
  caller: AccessKey | undefined,
  roles: readonly Role[] | undefined,
): Promise<StsAnswer> {
  const action = form.get("Action") ?? "";
  if (action === "GetCallerIdentity") {
    if (caller === undefined)
      throw new AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403);
    const identity = `<UserId>${escapeXml(caller.accessKeyId)}</UserId><Account>${account}</Account><Arn>${escapeXml(caller.principalArn)}</Arn>`;
    return {
      xml:
        `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>${identity}` +
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
    };
  }
  if (action !== "AssumeRole" && action !== "AssumeRoleWithWebIdentity")
    throw new AwsError("InvalidAction", `Could not find operation ${action} for version 2011-06-15`);
  if (action === "AssumeRole" && caller === undefined)
    throw new AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403);
  const roleArn = form.get("RoleArn") ?? "";
  const role = roles?.find((candidate) => candidate.arn === roleArn);
  const externalIdFits = role?.externalId === undefined || form.get("ExternalId") === role.externalId;
  if (roles !== undefined && (role === undefined || !externalIdFits)) {
    const who = caller === undefined ? "" : `User: ${caller.principalArn} is `;
    throw new AwsError(
      "AccessDenied",
      `${who || "Not "}${who && "not "}authorized to perform sts:${action}${who && ` on resource: ${roleArn}`}`,
      403,
    );
  }
  const answer = await port(account, region, form);
  const accessKeyId = element(answer.xml, "AccessKeyId");
  const secretAccessKey = element(answer.xml, "SecretAccessKey");
  const sessionToken = element(answer.xml, "SessionToken");
  if (answer.status !== 200 || accessKeyId === undefined || secretAccessKey === undefined)
    throw new AwsError(
      element(answer.xml, "Code") ?? "ValidationError",
      element(answer.xml, "Message") ?? "STS refused.",
    );
  return {
    xml: answer.xml,
    key: {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      principalArn: sessionArn(roleArn, form.get("RoleSessionName") ?? "session"),
      account: roleArn.split(":")[4] ?? account,
      ...(role === undefined ? {} : { statements: role.statements }),
    },
  };
}
