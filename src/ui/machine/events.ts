import { signal } from '@preact/signals'
import type { Event } from '#apis/core/event.ts'
import type { Stored } from '#apis/meta/object.ts'
import { faultKind } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import { client } from '../api/cluster.ts'
import { events as kind } from '../api/kinds.ts'

/** Pause before a broken watch of events is tried again, milliseconds. */
const againMs = 2000

/** The events of the machine that is looked at. */
export const events = signal<readonly Stored<Event>[]>([])

/** Follows the events about a machine, its instance and its pods while they are looked at; what it returns ends that. */
export function followEvents(namespace: string, name: string): () => void {
  const stop = new AbortController()
  events.value = []
  void follow(namespace, name, stop.signal)
  return () => stop.abort()
}

/** Events have names of the objects they are about; a pod's begins with its instance's. */
function isAbout({ involvedObject }: Stored<Event>, name: string): boolean {
  const { name: about = '', kind: of } = involvedObject
  return about === name || (of === 'Pod' && about.startsWith(`virt-launcher-${name}-`))
}

async function follow(namespace: string, name: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const { items, resourceVersion } = await client.list(kind, { namespace })
      const known = new Map(items.filter((one) => isAbout(one, name)).map((one) => [one.metadata.uid, one]))
      events.value = [...known.values()]
      for await (const batch of client.watch(kind, resourceVersion, { namespace }, signal)) {
        for (const event of batch) {
          if (event.type === 'BOOKMARK' || !isAbout(event.object, name)) continue
          if (event.type === 'DELETED') known.delete(event.object.metadata.uid)
          else known.set(event.object.metadata.uid, event.object)
        }
        events.value = [...known.values()]
      }
    } catch (error) {
      if (faultKind(error) === 'Forbidden') return
    }
    await delay(againMs, signal).catch(() => {})
  }
}
