import { readdir, readFile } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import type { CniWhere } from './records.ts'

/** Environment variable that says whose a plugin is; what a plugin starts, an IPAM plugin say, inherits it. */
export const ownerVariable = 'PATCHBAY_CNI_CACHE'

/** Time the kernel may take to end what was killed, milliseconds. */
const endMs = 10_000

/**
 * Ends what an earlier process of Patchbay started and did not live to see the end of. Left alone, such a plugin would go on
 * beside its own DEL, and what it makes after that nobody would ever remove. What a plugin left behind on purpose, to serve an
 * interface that `isAdded` says was added, goes on.
 * @throws Fault Unavailable when one cannot be ended
 */
export async function endOrphanedPlugins(owner: string, isAdded: (where: CniWhere) => Promise<boolean>): Promise<void> {
  const isOrphan = async (pid: number) => {
    // Whatever others write into their environment says nothing: plugins are started by root and stay so.
    if (!(await isOfRoot(pid))) return false
    const { [ownerVariable]: whose, CNI_COMMAND, ...env } = await environmentOf(pid)
    if (whose !== owner) return false
    const where = { containerId: env.CNI_CONTAINERID ?? '', netns: env.CNI_NETNS ?? '', ifName: env.CNI_IFNAME ?? '' }
    return CNI_COMMAND !== 'ADD' || !(await isAdded(where))
  }
  const look = async () => {
    const pids = (await readdir('/proc')).map(Number).filter(Boolean)
    const found = await Promise.all(pids.map(isOrphan))
    return pids.filter((_, index) => found[index])
  }
  const isQuiet = async () => {
    const left = await look()
    for (const pid of left) kill(pid)
    return left.length === 0
  }
  await eventually('plugins of an earlier process end', isQuiet, { deadlineMs: endMs, everyMs: 5 }).catch((cause) => {
    throw new Fault('Unavailable', 'A CNI plugin of an earlier run cannot be ended; see what it waits for', { cause })
  })
}

/** Whether root runs a process, and started it: real and effective uid. */
async function isOfRoot(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return /^Uid:\t0\t0\t/m.test(text)
}

/** Empty for a process that has ended, also when nobody has collected it yet. */
async function environmentOf(pid: number): Promise<Record<string, string>> {
  const text = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
  const pairs = text.split('\0').map((one): [string, string] => {
    const [name = '', ...value] = one.split('=')
    return [name, value.join('=')]
  })
  return Object.fromEntries(pairs)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in this moment.
  }
}
