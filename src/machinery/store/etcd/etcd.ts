import { Fault } from '#base/fault.ts'
import { silent } from '#base/log.ts'
import { EtcdClient, type EtcdOptions } from '../../etcd/client.ts'
import { alarmsRequest, methods, rangeRequest } from '../../etcd/messages.ts'
import type { Store } from '../store.ts'
import type { Tuning } from '../watchable-store.ts'
import { readCompacted } from './compaction.ts'
import { EtcdKeys } from './keys.ts'
import { loadRows } from './load.ts'
import { EtcdStore } from './store.ts'

export type EtcdStoreOptions = Tuning &
  EtcdOptions &
  Readonly<{
    /** What all keys of this store begin with, like `/patchbay`. */
    prefix: string
  }>

/** A store in etcd. */
export type OpenEtcdStore = Store &
  Readonly<{
    /** Why reads or writes fail, as a sentence with what to do. */
    readonly problem: string | undefined
  }>

/**
 * Opens the store of a prefix in etcd, which has to be reachable. Rows are served from memory, which a watch keeps fresh.
 * @throws Fault Unavailable, Invalid for a wrong user
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<OpenEtcdStore> {
  const log = options.log ?? silent
  const client = new EtcdClient({ ...options, log })
  const keys = new EtcdKeys(options.prefix)
  const name = `store in etcd at ${options.endpoints.join(', ')}`
  try {
    const { rows, revision } = await loadRows(client, keys, keys.objects)
    const compacted = await readCompacted(client, keys)
    const alarms = await client.call(methods.alarms, alarmsRequest())
    return new EtcdStore({ name, client, keys, rows, revision, compacted, alarms, tuning: options, log })
  } catch (cause) {
    client.close()
    if (cause instanceof Fault && cause.kind === 'Invalid') throw cause
    throw new Fault('Unavailable', `Opening the ${name} failed`, { cause })
  }
}

/** Whether nothing is below a prefix in etcd. @throws Fault Unavailable */
export async function isEmptyEtcd(options: EtcdStoreOptions): Promise<boolean> {
  const client = new EtcdClient(options)
  try {
    const { objects } = new EtcdKeys(options.prefix)
    const answer = await client.call(methods.range, rangeRequest({ ...objects, limit: 1, keysOnly: true }))
    return answer.kvs.length === 0
  } finally {
    client.close()
  }
}
