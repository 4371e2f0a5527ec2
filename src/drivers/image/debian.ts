import { execFile } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Fault } from '#base/fault.ts'

const execute = promisify(execFile)

/** A slow mirror, a large package. */
const downloadTimeoutMs = 600_000

/** Runs a program without a shell and returns its output. */
export async function run(command: readonly [string, ...string[]], options: RunOptions = {}): Promise<string> {
  const [program, ...args] = command
  try {
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C',
      DEBIAN_FRONTEND: 'noninteractive',
      ...options.env,
    }
    const limits = { timeout: downloadTimeoutMs, maxBuffer: 16 * 1024 * 1024 }
    const { cwd, signal } = options
    const { stdout } = await execute(program, args, { ...limits, ...(cwd && { cwd }), ...(signal && { signal }), env })
    return stdout
  } catch (cause) {
    if (options.signal?.aborted) throw options.signal.reason
    throw new Fault('Unavailable', `${command.slice(0, 3).join(' ')} failed`, { cause })
  }
}

type RunOptions = Readonly<{ cwd?: string; env?: Readonly<Record<string, string>>; signal?: AbortSignal }>

/** The names packages depend on, the first of alternatives, without virtual ones. One call, because apt takes a second each. */
export async function listDependencies(names: readonly string[]): Promise<readonly string[]> {
  const text = await run(['apt-cache', 'depends', '--no-recommends', '--no-suggests', ...names])
  return [...text.matchAll(/^ {2}(?:Pre)?Depends: ([^<\s]+)$/gm)].map((match) => match[1] ?? '')
}

/** Downloads packages and returns the paths of their files. Updates the package lists first when they are missing or old. */
export async function downloadPackages(
  names: readonly string[],
  cacheDir: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  await mkdir(cacheDir, { recursive: true })
  const options = { cwd: cacheDir, ...(signal && { signal }) }
  // As root it would warn that its own user cannot write to the cache.
  const download = () => run(['apt-get', '-qq', '-o', 'APT::Sandbox::User=root', 'download', ...names], options)
  try {
    await download()
  } catch (error) {
    if (signal?.aborted) throw error
    await updateLists(signal)
    await download()
  }
  const files = await readdir(cacheDir)
  return names.map((name) => {
    const file = files.filter((file) => file.startsWith(`${name}_`) && file.endsWith('.deb')).at(-1)
    if (!file) throw new Fault('Unavailable', `apt-get did not download ${name}`)
    return join(cacheDir, file)
  })
}

/** Fetches the package lists if apt does not know a package. */
export async function ensureKnown(name: string, signal?: AbortSignal): Promise<void> {
  const isKnown = async () => /^ {2}Candidate: \d/m.test(await run(['apt-cache', 'policy', name]))
  if (await isKnown()) return
  await updateLists(signal)
  if (!(await isKnown()))
    throw new Fault('Unavailable', `Debian's package ${name} is not in this machine's apt sources`)
}

async function updateLists(signal: AbortSignal | undefined): Promise<void> {
  await run(['apt-get', '-qq', 'update'], signal ? { signal } : {})
}

/** Unpacks a package without installing it. */
export async function unpack(file: string, root: string): Promise<void> {
  await run(['dpkg-deb', '-x', file, root])
}
