import type { TestContext } from 'node:test'
import { Namespace } from '#apis/core/namespace.ts'
import { kinds } from '#apis/kinds.ts'
import type { ApiObject, Kind } from '#apis/meta/object.ts'
import { silent } from '#base/log.ts'
import { openMemoryStore } from '#kit/machinery/store/memory.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { Registry } from '#machinery/rest/registry.ts'
import { serve } from '#machinery/rest/strategy.ts'

/** An API over a store in memory, with the namespace `ns`, which ends with its test; and the Events that were recorded. */
export async function openApi(t: TestContext) {
  const store = openMemoryStore()
  const served = kinds.map((kind) => serve(kind))
  const client = new LocalClient(new Registry(store, served), { user: { name: 'test', groups: [] }, manager: 'test' })
  const stop = new AbortController()
  const stoppers: (() => Promise<void>)[] = []
  t.after(async () => {
    stop.abort()
    await Promise.all(stoppers.map((one) => one()))
    await store.close()
  })
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns' } })
  const events: string[] = []
  const setStatus = <T extends ApiObject & { status?: unknown }>(kind: Kind<T>, name: string, status: T['status']) =>
    client.modify(kind, { name, ...(kind.namespaced && { namespace: 'ns' }) }, (one) => ({ ...one, status }), {
      subresource: 'status',
    })
  return {
    store,
    client,
    events,
    setStatus,
    options: { log: silent, signal: stop.signal },
    recorder: (about: ApiObject, _type: string, reason: string, message: string) =>
      void events.push(`${about.metadata.name} ${reason}: ${message}`),
    /** Has a controller stopped before the store is closed. */
    stopping: <C extends { stop(): Promise<void> }>(controller: C): C => {
      stoppers.push(() => controller.stop())
      return controller
    },
  }
}
