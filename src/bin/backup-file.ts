import { mkdir, open, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { Fault } from '#base/fault.ts'
import { writeFileAtomic } from '#base/file.ts'
import { version } from '#base/version.ts'
import type { DataDir } from './data-dir.ts'

/** The backup format this version writes. */
const format = 1

/** A file of the data directory in a backup. */
type Kept = Readonly<{ path: string; content: Buffer }>

/** What a backup says about itself. */
export type Manifest = Readonly<{ format: number; version: string; made: string }>

const tables = `
  CREATE TABLE backup (format INTEGER NOT NULL, version TEXT NOT NULL, made TEXT NOT NULL);
  CREATE TABLE backup_files (path TEXT PRIMARY KEY, content BLOB NOT NULL, sum INTEGER NOT NULL);
`

/** Turns a copy of a store into a backup: adds the keys and the identity of its data directory. */
export async function completeBackup(copy: string, dir: DataDir): Promise<void> {
  const files = await keptFiles(dir)
  using db = new DatabaseSync(copy)
  db.exec('BEGIN')
  db.exec(tables)
  db.prepare('INSERT INTO backup VALUES (?, ?, ?)').run(format, version, new Date().toISOString())
  const insert = db.prepare('INSERT INTO backup_files VALUES (?, ?, ?)')
  for (const { path, content } of files) insert.run(path, content, crc32(content))
  db.exec('COMMIT')
}

/** Removes from a copy of a backup what is not part of the store. @throws Fault Invalid for an incomplete backup */
export function splitBackup(copy: string, file: string): { manifest: Manifest; files: readonly Kept[] } {
  try {
    using db = new DatabaseSync(copy)
    const problem = Object.values(db.prepare('PRAGMA integrity_check(1)').get() ?? {})[0]
    if (problem !== 'ok') throw new Error(String(problem))
    const manifest = db.prepare('SELECT format, version, made FROM backup').get() as Manifest | undefined
    if (!manifest) throw new Error('it does not say what it is')
    if (manifest.format > format)
      throw new Error(`it was written by a newer version of Patchbay (${manifest.version}); restore it with that`)
    const rows = db.prepare('SELECT path, content, sum FROM backup_files').all()
    const files = rows.map((row) => {
      const { path, content, sum } = row as { path: string; content: Uint8Array; sum: number }
      if (crc32(content) !== sum) throw new Error(`${path} in it is not as it was written`)
      if (!/^(identity\.json|pki\/[\w.-]+)$/.test(path)) throw new Error(`${path} is no file that a backup has`)
      return { path, content: Buffer.from(content) }
    })
    db.exec('DROP TABLE backup; DROP TABLE backup_files')
    return { manifest, files }
  } catch (cause) {
    throw new Fault('Invalid', `${file} is no whole backup of Patchbay; nothing was changed`, { cause })
  }
}

/** Writes the files of a backup, readable by root only. */
export async function writeKept(dir: DataDir, files: readonly Kept[]): Promise<void> {
  for (const { path, content } of files) {
    const target = join(dir.root, path)
    await mkdir(dirname(target), { recursive: true, mode: 0o700 })
    await writeFileAtomic(target, content)
  }
}

/** Keys, certificates and identity. */
export async function keptFiles(dir: DataDir): Promise<Kept[]> {
  const keys = await readdir(dir.pki).catch(noneIfMissing)
  const here = await readdir(dir.root)
  const paths = [...here.filter((name) => name === 'identity.json'), ...keys.map((name) => `pki/${name}`)]
  return Promise.all(paths.map(async (path) => ({ path, content: await readFile(join(dir.root, path)) })))
}

function noneIfMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

/** Waits until a file or folder is on disk. */
export async function syncPath(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}
