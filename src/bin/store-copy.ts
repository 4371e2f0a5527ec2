import { rm } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import { sameJson } from '#base/json.ts'
import { silent } from '#base/log.ts'
import { isEmptyEtcd, openEtcdStore } from '#machinery/store/etcd/etcd.ts'
import { findServers } from '#machinery/store/etcd/presence.ts'
import { openSqliteStore } from '#machinery/store/sqlite.ts'
import { SqliteFile } from '#machinery/store/sqlite-file.ts'
import type { Row, Store } from '#machinery/store/store.ts'
import { createDataDir, type DataDir, dataDirAt } from './data-dir.ts'
import { etcdAt, type GivenAccess } from './etcd-options.ts'
import { findServer } from './server-process.ts'
import { type EtcdSettings, nameOfEtcd } from './server-store.ts'

/** Objects written at a time. */
const width = 64

/** A store that is copied from or to. */
type Place = Readonly<{ name: string; dir: DataDir }> | Readonly<{ name: string; etcd: EtcdSettings }>

/**
 * Copies all objects of a store into an empty one of the other kind, and compares both. History is not copied, nor is anything
 * else of a data directory. Resolves to a sentence for the user. @throws Fault Invalid, Unavailable
 */
export async function copyStore(from: string, to: string, given: GivenAccess): Promise<string> {
  const [source, target] = [await placeOf(from, given), await placeOf(to, given)]
  if ('dir' in source === 'dir' in target)
    throw new Fault('Invalid', `One of ${from} and ${to} has to be a data directory, the other URLs of etcd`)
  await requireUnused(source)
  await requireUnused(target)
  if ('dir' in source && !(await exists(source.dir.store)))
    throw new Fault('Invalid', `There is no store in the data directory ${source.dir.root}`)
  await requireEmpty(target)
  await using stack = new AsyncDisposableStack()
  const old = await open(source, stack)
  const { rows, revision } = await old.list('')
  if ('dir' in target) await beginAfter(target.dir, revision)
  try {
    const copy = await open(target, stack)
    await writeAll(copy, rows)
    requireSame(rows, (await copy.list('')).rows)
  } catch (cause) {
    throw new Fault('Unavailable', `Copying to ${target.name} failed; ${await undone(target)}`, { cause })
  }
  return `Copied ${rows.length} objects from ${source.name} to ${target.name}, and compared them: all are the same`
}

async function placeOf(text: string, given: GivenAccess): Promise<Place> {
  if (/^\w+:\/\//.test(text)) {
    const etcd = await etcdAt('The store', text, given)
    return { name: nameOfEtcd(etcd), etcd }
  }
  const dir = dataDirAt(text)
  return { name: `the data directory ${dir.root}`, dir }
}

async function requireUnused(place: Place): Promise<void> {
  const server = 'dir' in place ? (await findServer(place.dir))?.pid : (await findServers(place.etcd))[0]
  if (server === undefined) return
  const which = typeof server === 'number' ? `pid ${server}` : server
  throw new Fault('Invalid', `A server runs with ${place.name} (${which}); end it first: guests go on without it`)
}

async function requireEmpty(place: Place): Promise<void> {
  const isEmpty = 'dir' in place ? !(await exists(place.dir.store)) : await isEmptyEtcd(place.etcd)
  if (isEmpty) return
  const remedy = 'dir' in place ? `move ${place.dir.store} away` : 'choose another --etcd-prefix'
  throw new Fault('Invalid', `There is a store already in ${place.name}, which a copy would mix with; ${remedy}`)
}

async function open(place: Place, stack: AsyncDisposableStack): Promise<Store> {
  const store =
    'dir' in place
      ? await openSqliteStore({ path: place.dir.store })
      : await openEtcdStore({ ...place.etcd, log: silent })
  stack.defer(() => store.close())
  return store
}

/** Has a new file count revisions from where the source is, so that no client takes new objects for ones it has seen. */
async function beginAfter({ root }: DataDir, revision: number): Promise<void> {
  const dir = await createDataDir(dataDirAt(root), silent)
  const file = new SqliteFile(dir.store)
  try {
    file.skipTo(revision)
  } finally {
    file.close()
  }
}

async function writeAll(store: Store, rows: readonly Row[]): Promise<void> {
  const left = [...rows]
  const writers = Array.from({ length: width }, async () => {
    for (let row = left.pop(); row; row = left.pop()) {
      const { value } = row
      await store.update(row.key, (current) => {
        if (current) throw new Fault('Conflict', `Another process writes ${current.key}`)
        return { type: 'put', value }
      })
    }
  })
  await Promise.all(writers)
}

/** @throws Fault Bug naming the first difference */
function requireSame(rows: readonly Row[], copied: readonly Row[]): void {
  const byKey = new Map(copied.map((row) => [row.key, row.value]))
  const different = rows.find(({ key, value }) => !sameJson(value, byKey.get(key)))?.key
  if (different !== undefined) throw new Fault('Bug', `The copy of ${different} is not the same`)
  if (rows.length !== copied.length) throw new Fault('Bug', `${rows.length} objects became ${copied.length}`)
}

/** Takes a copy that failed away, or says how. */
async function undone(place: Place): Promise<string> {
  if ('etcd' in place) return `take away what was written: etcdctl del --prefix ${place.etcd.prefix}/`
  for (const suffix of ['', '-wal', '-shm']) await rm(place.dir.store + suffix, { force: true })
  return 'what was written has been taken away'
}
