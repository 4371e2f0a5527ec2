import type { Kind, ObjectMeta } from '#apis/meta/object.ts'
import type { Json } from '#base/json.ts'
import { isNamespace } from './doc.ts'
import { conflict, forbidden } from './status.ts'

/** Namespaces that are never deleted (those of Kubernetes). */
const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public', 'kube-node-lease'])

/** @throws Fault Forbidden for what is never deleted */
export function requireMortal(kind: Kind, name: string): void {
  if (isNamespace(kind) && immortal.has(name)) throw forbidden(kind, name, 'this namespace may not be deleted')
}

/** @throws Fault Conflict for an object of the same name that is not the one meant */
export function requireUid(kind: Kind, { name, uid }: ObjectMeta, meant: Json | undefined): void {
  if (meant === undefined || meant === uid) return
  throw conflict(kind, name, `Precondition failed: UID in precondition: ${meant}, UID in object meta: ${uid}`)
}

/** @throws Fault Conflict for an object that has changed since */
export function requireRevision(kind: Kind, { name, resourceVersion }: ObjectMeta, seen: string | undefined): void {
  if (seen === undefined || seen === resourceVersion) return
  throw conflict(
    kind,
    name,
    `Precondition failed: ResourceVersion in precondition: ${seen}, ResourceVersion in object meta: ${resourceVersion}`,
  )
}
