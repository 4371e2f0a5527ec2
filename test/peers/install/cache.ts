import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Longest first installation of a peer, milliseconds: for the hooks that call what is here. */
export const firstMs = 600_000

/**
 * The folder of a peer, which `make` fills the first time. It is kept under a digest of what it is made of, so that another
 * version is another folder. `make` works in a folder of another name: what it makes must not depend on where it is.
 * @throws Error that names the peer and says why it cannot be installed
 */
export async function provide(
  peer: string,
  madeOf: readonly string[],
  make: (folder: string) => Promise<unknown>,
): Promise<string> {
  // All checkouts of a user share what was once installed.
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'patchbay', 'peers')
  const digest = createHash('sha256').update(madeOf.join('\0')).digest('hex').slice(0, 16)
  const folder = join(cache, `${peer}-${digest}`)
  if (existsSync(folder)) return folder
  try {
    await mkdir(cache, { recursive: true })
    const scratch = await mkdtemp(join(cache, `.${peer}-`))
    try {
      await make(scratch)
      await rename(scratch, folder).catch((error: unknown) => {
        // Another run that was first leaves a folder that is as good as this one.
        if (!existsSync(folder)) throw error
      })
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  } catch (error) {
    throw cannotInstall(peer, error)
  }
  return folder
}

export function cannotInstall(peer: string, cause: unknown): Error {
  return new Error(`The peer ${peer} cannot be installed: ${cause instanceof Error ? cause.message : cause}`, { cause })
}
