import type { Event } from '#apis/core/event.ts'
import type { FieldError } from '#apis/meta/object.ts'

/** The namespace of Events about cluster-scoped objects. */
const namespaceOfOthers = 'default'

/**
 * All errors of an Event: it must be in the namespace of the object that it is about, so that no user can emit Events about
 * objects of another namespace.
 */
export function eventErrors(event: Event, old: Event | undefined): FieldError[] {
  const about = event.involvedObject.namespace ?? ''
  if (old && (old.involvedObject.namespace ?? '') === about) return []
  if ((about || namespaceOfOthers) === event.metadata.namespace) return []
  return [
    {
      field: 'involvedObject.namespace',
      message: `Invalid value: ${JSON.stringify(about)}: does not match event.namespace`,
      reason: 'FieldValueInvalid',
    },
  ]
}
