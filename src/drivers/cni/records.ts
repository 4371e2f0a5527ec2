import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, readTextIfAny, writeFileAtomic } from '#base/file.ts'
import type { JsonObject } from '#base/json.ts'
import type { Conflist } from './conflist.ts'
import type { Lease, LeaseHolder } from './leases.ts'
import type { CniRuntime } from './runtime.ts'

/** One interface of one container. */
export type CniWhere = Readonly<{ containerId: string; netns: string; ifName: string }>

/** What is kept of an ADD. `pluginDirs` are where its plugins were found, for a DEL by a process that was told of others. */
export type CniRecord = Readonly<{
  conflist: Conflist
  netns: string
  /** What the last plugin answered; without it the interface is not added. */
  result?: JsonObject
  /** What the last one answered of those that were done, while there are more. */
  partial?: JsonObject
  pluginDirs?: readonly string[]
  runtime?: CniRuntime
  /** Whose addresses it has, where they are not its own. */
  lease?: Lease
}>

/** What was added to which container, in one file each. */
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

  /** Names of a container's interfaces that there are records of. */
  async interfacesOf(containerId: string): Promise<string[]> {
    const [prefix, suffix] = [`${containerId}-`, '.json']
    const files = await readdir(this.#folder).catch(() => [])
    return files
      .filter((file) => file.startsWith(prefix) && file.endsWith(suffix))
      .map((file) => file.slice(prefix.length, -suffix.length))
  }

  /** Removes what there is of a container: records, and files that a crash kept from becoming some. */
  async forget(containerId: string): Promise<void> {
    const files = await readdir(this.#folder).catch(() => [])
    for (const file of files)
      if (file.startsWith(`${containerId}-`)) await rm(join(this.#folder, file), { force: true })
  }

  #file({ containerId, ifName }: LeaseHolder): string {
    return join(this.#folder, `${containerId}-${ifName}.json`)
  }
}
