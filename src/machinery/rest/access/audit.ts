import type { User } from '../strategy.ts'
import { anonymous } from './authenticate.ts'
import type { Attributes } from './rules.ts'

/** What is found out about a request on its way, for the audit log. */
export type Trail = {
  /** Who sent it; undefined while that is not known. */
  sender?: User
  /** Who it counts as, when that is somebody else. */
  as?: User
  wanted?: Attributes
  dryRun?: boolean
  /** The name the server gave. */
  name?: string
  /** A question changes nothing. */
  isQuestion?: boolean
}

type Seen = Readonly<{ method: string; code: number; sourceIp: string; userAgent: string | undefined }>

/** The line of a write, or undefined for a request that writes nothing. What was sent is in no line: it may be a secret. */
export function auditLine(
  trail: Trail,
  { method, code, sourceIp, userAgent }: Seen,
  nowMs: number,
): string | undefined {
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || trail.isQuestion) return undefined
  const { wanted, as } = trail
  const { name, groups } = trail.sender ?? anonymous
  const resource =
    wanted && 'resource' in wanted
      ? {
          group: wanted.group,
          resource: wanted.resource,
          namespace: wanted.namespace,
          name: wanted.name ?? trail.name,
          subresource: wanted.subresource,
        }
      : { path: wanted?.path }
  return JSON.stringify({
    time: new Date(nowMs).toISOString(),
    user: name,
    groups,
    ...(as && { as: as.name, asGroups: as.groups }),
    verb: wanted?.verb ?? method.toLowerCase(),
    ...resource,
    code,
    sourceIp,
    userAgent,
    ...(trail.dryRun && { dryRun: true }),
  })
}
