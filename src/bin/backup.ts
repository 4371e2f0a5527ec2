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

/** Writes store, keys and identity of a data directory to one file: through its server when there is one. */
export async function backup({ file, dataDir }: BackupOptions): Promise<string> {
  const dir = dataDirAt(await realpath(dataDirAt(dataDir).root).catch(() => dataDir))
  if (!(await exists(dir.store)))
    throw new Fault('Invalid', `There is no store in the data directory ${dir.root}; name it with --data-dir`)
  const target = resolve(file)
  if (await findServer(dir)) {
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

/** Writes a backup with a copy that `copy` makes of the store. The file is there whole, or not at all. */
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
 * Puts the store, the keys and the identity of a backup in the place of those of a data directory, which are kept aside.
 * Nothing is changed before the backup has been checked; the store is replaced last and in one step.
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
 * Revisions that may have been given away between a backup and its restore, which nobody knows of any more: they are not
 * given away twice, or clients would take what is new for what they have seen (as etcd's `--bump-revision`).
 */
const lostRevisions = 1_000_000

/** The newest revision of the store that is replaced; 0 if it cannot be read. */
function newestOf(path: string): number {
  try {
    using db = new DatabaseSync(path)
    const sql = 'SELECT max((SELECT revision FROM compacted), (SELECT coalesce(max(revision), 0) FROM log)) AS newest'
    return Number(db.prepare(sql).get()?.newest ?? 0)
  } catch {
    // A damaged one: it is replaced because it is.
    return 0
  }
}

/**
 * Sandboxes that were made after the backup have no pod in it. That they are younger than their store cannot be seen any
 * more once revisions have been skipped; so it is written down now that they are nobody's, and their guests are left alone.
 */
async function disownYounger(dir: DataDir, revision: number): Promise<void> {
  const records = new SandboxRecords(dir.pods, silent)
  for (const { uid, owner } of await records.list())
    if (isYoungerThan(owner, String(revision))) await records.disown(uid)
}

/** Leaves no log beside the store: it would be taken for one of the store that comes. */
async function keepAside(dir: DataDir, aside: string): Promise<void> {
  await writeKept({ ...dir, root: aside }, await keptFiles(dir))
  if (!(await exists(dir.store))) return
  settleLog(dir.store)
  await link(dir.store, join(aside, 'store.db'))
  for (const suffix of ['-wal', '-shm'])
    if (await exists(`${dir.store}${suffix}`)) await rename(`${dir.store}${suffix}`, join(aside, `store.db${suffix}`))
}

/** Brings what is in the log of a store into its file, if it can be read. @throws Fault Unavailable while it is in use */
function settleLog(path: string): void {
  try {
    using db = new DatabaseSync(path)
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (/locked/.test(explain(error))) throw new Fault('Unavailable', `The store ${path} is in use by another process`)
    // A damaged one is kept as it is, with its log: it is replaced because it is damaged.
  }
}
