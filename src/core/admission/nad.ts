import type { FieldError } from '#apis/meta/object.ts'
import type { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { noNetwork } from '../nic/nic.ts'

/** All errors of a NetworkAttachmentDefinition. One with the reserved name may be stored since before the name was reserved. */
export function nadErrors({ metadata }: NetworkAttachmentDefinition, old: unknown): FieldError[] {
  if (old || metadata.name !== noNetwork) return []
  const message = `the name ${JSON.stringify(noNetwork)} is reserved: an interface with this networkName is on no network; choose another name`
  return [{ field: 'metadata.name', message, reason: 'FieldValueForbidden' }]
}
