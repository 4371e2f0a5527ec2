import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { explain, Fault } from '#base/fault.ts'
import { readTextIfAny, writeFileAtomic } from '#base/file.ts'
import type { Log } from '#base/log.ts'
import type { TakenFunction } from '#core/pci/taken.ts'
import type { FoundSandbox, SandboxId, SandboxSpec } from '#core/ports.ts'
import type { RecordedMirror } from '#core/sandbox/mirrors.ts'
import { ownerAfter, type SandboxOwner } from '#core/sandbox/owner.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { MirrorRecords } from './mirrors.ts'
import type { DeviceRecords } from './pci/sandbox-devices.ts'
import type { Wiring } from './rewire.ts'

/**
 * The record of a sandbox, written before anything of it is made; `netns`, the inode number of its namespace, is added right
 * after that.
 */
export type SandboxRecord = SandboxId &
  Wiring &
  Readonly<{
    owner?: SandboxOwner
    user?: number
    netns?: number
    domain?: string
    /** The devices of the host that its interfaces have. */
    devices?: readonly TakenFunction[]
    /** The copies of other networks' traffic to its cards. */
    mirrors?: readonly RecordedMirror[]
  }>

const isUid = (name: string) => /^[0-9a-f-]{36}$/.test(name)

/** The content of the folder of sandboxes: sandboxes by UID, and other entries. */
export async function foldersOf(pods: string): Promise<Readonly<{ uids: string[]; others: string[] }>> {
  const entries = await readdir(pods, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const isSandbox = (one: (typeof entries)[number]) => one.isDirectory() && isUid(one.name)
  return {
    uids: entries.filter(isSandbox).map(({ name }) => name),
    others: entries.filter((one) => !isSandbox(one)).map(({ name }) => name),
  }
}

/** The `sandbox.json` of every sandbox of a folder. */
export class SandboxRecords implements MirrorRecords, DeviceRecords {
  readonly #pods: string
  readonly #log: Log
  /** Entries that are no sandboxes and were reported. */
  readonly #others = new Set<string>()

  constructor(pods: string, log: Log) {
    this.#pods = pods
    this.#log = log
  }

  /** The folder of a sandbox. */
  at(uid: string): string {
    if (!isUid(uid)) throw new Fault('Bug', `${JSON.stringify(uid)} is no UID of a sandbox`)
    return join(this.#pods, uid)
  }

  /** @throws Fault Unavailable for a record that is damaged */
  async read(uid: string): Promise<SandboxRecord | undefined> {
    const path = join(this.at(uid), 'sandbox.json')
    const text = await readTextIfAny(path)
    if (text === undefined) return undefined
    try {
      return JSON.parse(text) as SandboxRecord
    } catch (cause) {
      throw new Fault('Unavailable', `${path} is damaged; put it back, or delete the pod of this UID`, { cause })
    }
  }

  write(record: SandboxRecord): Promise<void> {
    const attachments = withoutConfig(record.attachments)
    return writeFileAtomic(join(this.at(record.uid), 'sandbox.json'), JSON.stringify({ ...record, attachments }))
  }

  /** A sandbox by its record; without names and owner if the record is missing or damaged. */
  async find(uid: string): Promise<FoundSandbox> {
    try {
      const { namespace = '', name = '', owner } = (await this.read(uid)) ?? {}
      return { uid, namespace, name, ...(owner && { owner }) }
    } catch (error) {
      this.#log.warn({ uid, cause: explain(error) }, 'Cannot read the record of a sandbox')
      return { uid, namespace: '', name: '' }
    }
  }

  /** All sandboxes. Other entries of their folder (`lost+found`, files) are kept and reported once. */
  async list(): Promise<readonly FoundSandbox[]> {
    const { uids, others } = await foldersOf(this.#pods)
    for (const name of others.filter((one) => !this.#others.has(one))) {
      this.#others.add(name)
      this.#log.warn({ path: join(this.#pods, name) }, 'Keeping an entry that is no sandbox')
    }
    return Promise.all(uids.map((uid) => this.find(uid)))
  }

  async mirrorsOf(uid: string): Promise<readonly RecordedMirror[]> {
    return (await this.read(uid))?.mirrors ?? []
  }

  async writeMirrors(uid: string, mirrors: readonly RecordedMirror[]): Promise<void> {
    const record = await this.read(uid)
    if (!record) return
    const { mirrors: _, ...rest } = record
    await this.write({ ...rest, ...(mirrors.length && { mirrors }) })
  }

  async mirrorsBeside(uid: string): Promise<readonly RecordedMirror[]> {
    const { uids } = await foldersOf(this.#pods)
    // What a damaged record had is not known.
    const others = uids.filter((one) => one !== uid).map((one) => this.mirrorsOf(one).catch(() => []))
    return (await Promise.all(others)).flat()
  }

  async devicesOf(uid: string): Promise<readonly TakenFunction[]> {
    return (await this.read(uid))?.devices ?? []
  }

  async writeDevices(uid: string, devices: readonly TakenFunction[]): Promise<void> {
    const record = await this.read(uid)
    if (!record) return
    const { devices: _, ...rest } = record
    await this.write({ ...rest, ...(devices.length && { devices }) })
  }

  async allDevices(): Promise<readonly TakenFunction[]> {
    const { uids } = await foldersOf(this.#pods)
    // What a damaged record had is not known.
    return (await Promise.all(uids.map((uid) => this.devicesOf(uid).catch(() => [])))).flat()
  }

  async disown(uid: string): Promise<void> {
    const record = await this.read(uid)
    if (!record?.owner) return
    const { owner: _, ...rest } = record
    await this.write(rest)
  }
}

/** The record of a sandbox with a new spec; `old` is the previous record. The user and the domain never change. */
export function recordAfter(
  old: SandboxRecord | undefined,
  spec: SandboxSpec,
  attachments: readonly Attachment[],
): SandboxRecord {
  const { uid, namespace, name } = spec
  const { user }: Pick<SandboxRecord, 'user'> = old ?? spec
  const { lowered, mirrors, devices }: Partial<SandboxRecord> = old ?? {}
  return {
    ...{ uid, namespace, name, owner: ownerAfter(old?.owner, spec.owner), domain: old?.domain ?? spec.domain },
    attachments: withoutConfig(attachments),
    ...(user !== undefined && { user }),
    ...(lowered && { lowered }),
    ...(mirrors && { mirrors }),
    ...(devices && { devices }),
    ...(old?.netns !== undefined && { netns: old.netns }),
  }
}

/** Attachments without configurations, which are used only to attach a network: afterwards CNI's own record of it is. */
export function withoutConfig(attachments: readonly Attachment[]): readonly Attachment[] {
  return attachments.map(({ config: _, problem: _p, pool: _pool, ...rest }) => rest)
}
