import { copyFile, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'

const inSandbox = 'var/cache/libvirt/qemu/capabilities'

/**
 * libvirt's cache of QEMU's capabilities, shared between sandboxes: probing QEMU takes seconds. libvirt itself checks whether a
 * file is valid, so an outdated copy only costs time.
 */
export class CapabilityCache {
  readonly #folder: string
  #isSaved = false

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Copies the known capabilities into a new sandbox. */
  async seed(sandbox: string): Promise<void> {
    await copyAll(this.#folder, join(sandbox, inSandbox))
  }

  /** Saves the capabilities that a sandbox's libvirtd has probed, once in a process. */
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
