import type { ObjectMeta } from '#apis/meta/object.ts'
import { nodesGroup } from '../access/node.ts'
import { systemGroup } from '../admission/template.ts'
import type { NamespaceLimits } from './limits.ts'

/** What objects of a namespace take. */
type Taken = Readonly<{ objects: number; bytes: number }>

/** Where the system keeps what it cannot do without. */
const systemNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'kubevirt'])

/** An object may still grow up to this size, bytes: so that its owner can stop a VM, or mark what is to be deleted. */
const smallBytes = 16 * 1024

type Write = Readonly<{
  /** What is written, and who writes. */
  metadata: ObjectMeta
  groups: readonly string[]
  /** Bytes of it, and of what was there before; undefined for a new object. */
  bytes: number
  before: number | undefined
}>

/**
 * Why a namespace has no room for a write, and what to do; undefined when it has. What the server itself writes always has
 * room, and so has what lets no object grow.
 */
export function namespaceRefusal(
  { metadata, groups, bytes, before }: Write,
  { objects, bytes: taken }: Taken,
  limits: NamespaceLimits,
): string | undefined {
  const { namespace = '' } = metadata
  if (systemNamespaces.has(namespace) || groups.includes(systemGroup) || groups.includes(nodesGroup)) return undefined
  if (before === undefined && objects >= limits.objects)
    return full(namespace, `${objects} objects`, `${limits.objects} (--namespace-objects)`)
  if (before !== undefined && (bytes <= before || bytes <= smallBytes)) return undefined
  const sum = taken + bytes - (before ?? 0)
  if (sum <= limits.bytes) return undefined
  return full(namespace, `${taken} bytes of objects`, `${limits.bytes} (--namespace-bytes)`)
}

function full(namespace: string, has: string, most: string): string {
  return `namespace ${namespace} is full: it has ${has}, and at most ${most} may be there; delete what is not needed, or start the server with a larger limit`
}
