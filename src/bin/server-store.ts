import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { type EtcdStoreOptions, openEtcdStore } from '#machinery/store/etcd/etcd.ts'
import { announceServer } from '#machinery/store/etcd/presence.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import type { Store } from '#machinery/store/store.ts'
import { alarmKey } from '#server/store-alarm.ts'
import type { DataDir } from './data-dir.ts'

/** Which store in which etcd. */
export type EtcdSettings = Pick<EtcdStoreOptions, 'endpoints' | 'tls' | 'user' | 'prefix'>

/** The store of a server, wherever it is. */
export type ServerStore = Store &
  Readonly<{
    /** Why reads or writes fail, as a sentence with what to do. */
    readonly problem: string | undefined
    /** Writes a whole copy to a new file. @throws Fault Unsupported when the store is in no file */
    copyTo(path: string): Promise<void>
  }>

type Options = Readonly<{ dir: DataDir; historyMs: number; storeQuotaBytes: number; etcd?: EtcdSettings; log: Log }>

/** How messages call a store in etcd. */
export function nameOfEtcd({ endpoints, prefix }: EtcdSettings): string {
  return `${prefix} in etcd at ${endpoints.join(',')}`
}

/** Opens the store of a data directory, or the one in etcd that it is used with. It is closed with the stack. */
export async function openServerStore(options: Options, stack: AsyncDisposableStack): Promise<ServerStore> {
  const { dir, historyMs, storeQuotaBytes: quotaBytes, etcd, log } = options
  if (etcd === undefined) {
    const store = await openSqliteStore({ path: dir.store, historyMs, quotaBytes, alarmKey, log })
    stack.defer(() => store.close())
    return store
  }
  stack.defer(lockDataDir(dir))
  const store = await openEtcdStore({ ...etcd, historyMs, log })
  stack.defer(() => store.close())
  stack.defer(announceServer({ ...etcd, log }, `${hostname()}, pid ${process.pid}, ${dir.root}`))
  const copyTo = async () => {
    throw new Fault(
      'Unsupported',
      `The store is ${nameOfEtcd(etcd)}: back it up with etcdctl snapshot save, and the data directory ${dir.root} as a folder`,
    )
  }
  return Object.assign(store, { copyTo })
}

/**
 * Keeps a second server out of a data directory whose store is elsewhere, by a lock that ends with this process, and by which
 * `findServer` finds it. Returns what gives it up.
 */
function lockDataDir(dir: DataDir): () => void {
  const file = new DatabaseSync(dir.lock)
  try {
    // Nothing is ever written: a journal would only be one more file.
    file.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (cause) {
    file.close()
    throw new Fault('Unavailable', `The data directory ${dir.root} is in use by another server`, { cause })
  }
  return () => file.close()
}
