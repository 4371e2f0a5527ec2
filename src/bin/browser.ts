import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The command that opens an address: what `BROWSER` names (its first entry, `%s` stands for the address), else xdg-open where
 * there is a display. Undefined when there is neither.
 */
export async function browserCommand(url: string, environment: Environment): Promise<readonly string[] | undefined> {
  const [named = ''] = (environment.BROWSER ?? '').split(':')
  const words = named.split(' ').filter(Boolean)
  if (words.length) return words.includes('%s') ? words.map((word) => (word === '%s' ? url : word)) : [...words, url]
  if (!environment.DISPLAY && !environment.WAYLAND_DISPLAY) return undefined
  for (const folder of (environment.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'xdg-open')
    if (folder && (await isProgram(path))) return [path, url]
  }
  return undefined
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Opens an address in a browser of this user, which goes on without us. Resolves to whether one was started. */
export async function openBrowser(url: string): Promise<boolean> {
  const [program, ...args] = (await browserCommand(url, process.env)) ?? []
  if (program === undefined) return false
  const child = spawn(program, args, { detached: true, stdio: 'ignore' })
  const isStarted = await new Promise<boolean>((resolve) => {
    child.once('spawn', () => resolve(true))
    child.once('error', () => resolve(false))
  })
  child.unref()
  return isStarted
}
