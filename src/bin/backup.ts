import { constants, copyFile, link, mkdir, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { explain, Fault } from '#base/fault.ts'
import { exists } from '#base/file.ts'
import { silent } from '#base/log.ts'
import { isYoungerThan } from '#core/sandbox/owner.ts'
import { SandboxRecords } from '#drivers/host/records.ts'
import { SqliteFile } from '#machinery/store/sqlite-file.ts'
import { completeBackup, keptFiles, splitBackup, syncPath, writeKept } from './backup-file.ts'
import { askServer } from './control.ts'
import { createDataDir, type DataDir, dataDirAt } from './data-dir.ts'
import { findServer } from './server-process.ts'

export type BackupOptions = Readonly<{ file: string; dataDir: string }>

/** Writes store, keys and identity of a data directory to one file, through its server when one runs. */
export async function backup({ file, dataDir }: BackupOptions): Promise<string> {
  const dir = dataDirAt(await realpath(dataDirAt(dataDir).root).catch(() => dataDir))
  const server = await findServer(dir)
  // A server whose store is elsewhere says where.
  if (!server && !(await exists(dir.store)))
    throw new Fault('Invalid', `There is no store in the data directory ${dir.root}; name it with --data-dir`)
  const target = resolve(file)
  if (server) {
    await askServer(dir.control, { backup: target })
    return target
  }
  return writeBackup(dir, target, async (to) => {
    const store = new SqliteFile(dir.store)
    try {
      store.copyTo(to)
    } finally {
      store.close()
    }
  })
}

/** Writes a backup atomically; `copy` copies the store. */
export async function writeBackup(dir: DataDir, target: string, copy: (to: string) => Promise<void>): Promise<string> {
  const draft = `${target}.writing-${process.pid}`
  try {
    await copy(draft)
    await completeBackup(draft, dir)
    await syncPath(draft)
    await rename(draft, target)
    await syncPath(dirname(target))
    return target
  } catch (cause) {
    throw new Fault('Unavailable', `Writing the backup ${target} failed`, { cause })
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * Replaces the store, the keys and the identity of a data directory by those of a backup, and keeps the old ones. Nothing
 * changes before the backup has been checked; the store is replaced last and in one step.
 */
export async function restore({ file, dataDir }: BackupOptions): Promise<string> {
  const dir = await createDataDir(dataDirAt(dataDir), silent)
  const server = await findServer(dir)
  if (server)
    throw new Fault(
      'Invalid',
      `The server of ${dir.root} runs (pid ${server.pid}); end it first: guests go on without it`,
    )
  const draft = join(dir.root, 'store.db.restoring')
  try {
    await rm(draft, { force: true })
    await copyFile(file, draft, constants.COPYFILE_EXCL)
    const { manifest, files } = splitBackup(draft, file)
    // Opening it checks every row.
    const replaced = (await exists(dir.store)) ? newestOf(dir.store) : 0
    const store = new SqliteFile(draft)
    const { revision } = store
    try {
      store.skipTo(Math.max(revision, replaced) + lostRevisions)
    } finally {
      store.close()
    }
    await syncPath(draft)
    const aside = join(dir.root, `before-restore-${new Date().toISOString().replace(/[:.]/g, '-')}`)
    await mkdir(aside, { mode: 0o700 })
    await keepAside(dir, aside)
    await writeKept(dir, files)
    await disownYounger(dir, revision)
    await rename(draft, dir.store)
    await syncPath(dir.root)
    return `Restored ${file}, made ${manifest.made} by Patchbay ${manifest.version}; what was there before is in ${aside}`
  } finally {
    for (const suffix of ['', '-wal', '-shm']) await rm(`${draft}${suffix}`, { force: true })
  }
}

/**
 * Revisions that may have been used between a backup and its restore. They are skipped, because clients would take new
 * objects for ones they have seen (as etcd's `--bump-revision`).
 */
const lostRevisions = 1_000_000

/** The newest revision of the replaced store; 0 if it cannot be read. */
function newestOf(path: string): number {
  try {
    using db = new DatabaseSync(path)
    const sql = 'SELECT max((SELECT revision FROM compacted), (SELECT coalesce(max(revision), 0) FROM log)) AS newest'
    return Number(db.prepare(sql).get()?.newest ?? 0)
  } catch {
    // A damaged store is a reason to restore.
    return 0
  }
}

/**
 * Sandboxes younger than the backup have no pod in it. After the skip, revisions no longer show that they are younger than
 * their store; so they are marked as disowned now, and their guests are left alone.
 */
async function disownYounger(dir: DataDir, revision: number): Promise<void> {
  const records = new SandboxRecords(dir.pods, silent)
  for (const { uid, owner } of await records.list())
    if (isYoungerThan(owner, String(revision))) await records.disown(uid)
}

/** Removes the WAL beside the store: SQLite would take it for the new store's. */
async function keepAside(dir: DataDir, aside: string): Promise<void> {
  await writeKept({ ...dir, root: aside }, await keptFiles(dir))
  if (!(await exists(dir.store))) return
  settleLog(dir.store)
  await link(dir.store, join(aside, 'store.db'))
  for (const suffix of ['-wal', '-shm'])
    if (await exists(`${dir.store}${suffix}`)) await rename(`${dir.store}${suffix}`, join(aside, `store.db${suffix}`))
}

/** Checkpoints the WAL of a store into its file, if it can be read. @throws Fault Unavailable while it is in use */
function settleLog(path: string): void {
  try {
    using db = new DatabaseSync(path)
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (/locked/.test(explain(error))) throw new Fault('Unavailable', `The store ${path} is in use by another process`)
    // A damaged store is kept as it is, with its WAL: it is replaced because it is damaged.
  }
}
