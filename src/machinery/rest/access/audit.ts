import type { User } from '../strategy.ts'
import { anonymous } from './authenticate.ts'
import type { Attributes } from './rules.ts'

/** What is found out about a request on its way, for the audit log. */
export type AuditRecord = {
  /** Sent to the client with the answer (`Audit-Id`), so that the line can be found. */
  readonly id: string
  /** Who sent it; undefined while that is not known. */
  sender?: User
  /** The impersonated user, if any. */
  as?: User
  /** The user it asked to impersonate, allowed or not. */
  asked?: string | undefined
  wanted?: Attributes
  dryRun?: boolean
  /** The name the server gave. */
  name?: string
  /** A review changes nothing. */
  isReview?: boolean
  /** A channel reaches into a guest, though it is opened by a GET. */
  isChannel?: boolean
}

type Seen = Readonly<{
  method: string
  path: string
  code: number
  sourceIp: string
  userAgent: string | undefined
}>

/** Longest text of a line that a client has chosen, characters. */
const maxText = 256

function cut(text: string | undefined): string | undefined {
  return text !== undefined && text.length > maxText ? `${text.slice(0, maxText)}…` : text
}

/** The line of a write or a channel, or undefined for a request that writes nothing. What was sent is in no line: it may be a secret. */
export function auditLine(
  record: AuditRecord,
  { method, path, code, sourceIp, userAgent }: Seen,
  nowMs: number,
): string | undefined {
  const isReading = method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || record.isReview
  if (isReading && !record.isChannel) return undefined
  const { wanted, as, asked } = record
  const { name, groups } = record.sender ?? anonymous
  const resource =
    wanted && 'resource' in wanted
      ? {
          group: cut(wanted.group),
          resource: cut(wanted.resource),
          namespace: cut(wanted.namespace),
          name: cut(wanted.name ?? record.name),
          subresource: cut(wanted.subresource),
          ...(wanted.labelSelector && { labelSelector: cut(wanted.labelSelector) }),
          ...(wanted.fieldSelector && { fieldSelector: cut(wanted.fieldSelector) }),
        }
      : { path: cut(wanted?.path ?? path) }
  return JSON.stringify({
    time: new Date(nowMs).toISOString(),
    id: record.id,
    user: cut(name),
    groups,
    ...(as ? { as: as.name, asGroups: as.groups } : asked && { as: cut(asked) }),
    verb: wanted?.verb ?? cut(method.toLowerCase()),
    ...resource,
    code,
    sourceIp,
    userAgent: cut(userAgent),
    ...(record.dryRun && { dryRun: true }),
  })
}
