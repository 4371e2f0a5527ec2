import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, readTextIfAny, writeFileAtomic } from '#base/file.ts'
import type { JsonObject } from '#base/json.ts'
import type { Conflist } from './conflist.ts'
import type { Lease, LeaseHolder } from './leases.ts'
import type { CniRuntime } from './runtime.ts'

/** One interface of one container. */
export type CniWhere = Readonly<{ containerId: string; netns: string; ifName: string }>

/** The record of an ADD. `pluginDirs` are where its plugins were found, for a DEL by a process with other options. */
export type CniRecord = Readonly<{
  conflist: Conflist
  netns: string
  /** The last plugin's result; without it the interface is not added. */
  result?: JsonObject
  /** The result of the last plugin that ran, while there are more. */
  partial?: JsonObject
  pluginDirs?: readonly string[]
  runtime?: CniRuntime
  /** Whose addresses it inherited, if any. */
  lease?: Lease
}>

/** The records of all containers, one file per interface. */
export class CniRecords {
  readonly #folder: string
  readonly #pluginDirs: readonly string[]

  constructor(folder: string, pluginDirs: readonly string[]) {
    this.#folder = folder
    this.#pluginDirs = pluginDirs
  }

  async read(where: LeaseHolder): Promise<CniRecord | undefined> {
    const text = await readTextIfAny(this.#file(where))
    return text === undefined ? undefined : (JSON.parse(text) as CniRecord)
  }

  write(where: LeaseHolder, record: CniRecord): Promise<void> {
    return writeFileAtomic(this.#file(where), JSON.stringify({ ...record, pluginDirs: this.#pluginDirs }))
  }

  remove(where: LeaseHolder): Promise<void> {
    return rm(this.#file(where), { force: true })
  }

  has(where: LeaseHolder): Promise<boolean> {
    return exists(this.#file(where))
  }

  /** Names of a container's interfaces with records. */
  async interfacesOf(containerId: string): Promise<string[]> {
    const [prefix, suffix] = [`${containerId}-`, '.json']
    const files = await readdir(this.#folder).catch(() => [])
    return files
      .filter((file) => file.startsWith(prefix) && file.endsWith(suffix))
      .map((file) => file.slice(prefix.length, -suffix.length))
  }

  /** Removes all files of a container: records, and unfinished ones of a crash. */
  async forget(containerId: string): Promise<void> {
    const files = await readdir(this.#folder).catch(() => [])
    for (const file of files)
      if (file.startsWith(`${containerId}-`)) await rm(join(this.#folder, file), { force: true })
  }

  #file({ containerId, ifName }: LeaseHolder): string {
    return join(this.#folder, `${containerId}-${ifName}.json`)
  }
}
