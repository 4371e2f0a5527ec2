import { copyFile, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'

const inSandbox = 'var/cache/libvirt/qemu/capabilities'

/**
 * What libvirt found out about QEMU, shared between sandboxes: asking QEMU takes seconds, reading the answer does not. libvirt
 * itself checks whether an answer is still true, so a stale copy costs time and nothing else.
 */
export class CapabilityCache {
  readonly #folder: string
  #isSaved = false

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Gives a new sandbox what is known. */
  async seed(sandbox: string): Promise<void> {
    await copyAll(this.#folder, join(sandbox, inSandbox))
  }

  /** Keeps what a sandbox's libvirtd has found out; once in a process is enough. */
  async save(sandbox: string): Promise<void> {
    if (this.#isSaved) return
    this.#isSaved = await copyAll(join(sandbox, inSandbox), this.#folder)
  }
}

async function copyAll(from: string, to: string): Promise<boolean> {
  const names = (await readdir(from).catch(() => [])).filter((name) => name.endsWith('.xml'))
  if (!names.length) return false
  await mkdir(to, { recursive: true, mode: 0o755 })
  for (const name of names) {
    await copyFile(join(from, name), join(to, `${name}.new`))
    await rename(join(to, `${name}.new`), join(to, name))
  }
  return true
}
