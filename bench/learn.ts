import { cp } from 'node:fs/promises'
import type { Stage } from '../tools/stage/stage.ts'

/** Copies parts of a sandbox of ours, so that what is made by hand has the same images and warm capability cache. */
export async function copySandbox(stage: Stage, vm: string, to: string, parts: readonly string[]): Promise<void> {
  const sandbox = await stage.sandbox(vm)
  for (const part of parts)
    await cp(`${sandbox}/${part}`, `${to}/${part}`, { recursive: true, filter: (file) => !file.includes('/etc/dev') })
}

/** The domain of a VM of ours, to be made a second time. */
export async function domainXmlOf(stage: Stage, vm: string): Promise<string> {
  const xml = await stage.virsh(vm, 'dumpxml', '--migratable', `default_${vm}`)
  return xml.replace(/<uuid>[^<]*<\/uuid>/, '')
}
