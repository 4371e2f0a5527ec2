import type { ObjectMeta } from '#apis/meta/object.ts'
import { nodesGroup } from '../access/node.ts'
import { systemGroup } from '../admission/template.ts'
import type { NamespaceLimits } from './limits.ts'

/** The number and size of a namespace's objects. */
type Taken = Readonly<{ objects: number; bytes: number }>

/** Namespaces with objects that the system needs. */
const systemNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'kubevirt'])

/**
 * In a full namespace an object may grow up to this size, bytes, so that its owner can stop a VM or delete objects with
 * finalizers.
 */
const smallBytes = 16 * 1024

type Write = Readonly<{
  /** A write and its user. */
  metadata: ObjectMeta
  groups: readonly string[]
  /** Size of the object, and its previous size (undefined for a new object), bytes. */
  bytes: number
  before: number | undefined
}>

/**
 * Why a namespace has no room for a write, with a remedy; undefined when it has. Writes of the server itself are always allowed,
 * and so are writes that make no object larger.
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
