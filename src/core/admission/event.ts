import type { Event } from '#apis/core/event.ts'
import type { FieldError } from '#apis/meta/object.ts'

/** The namespace of Events about objects that are in none. */
const namespaceOfOthers = 'default'

/** Everything wrong with an Event: it is where the object is that it is about, so that nobody speaks in another namespace. */
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
