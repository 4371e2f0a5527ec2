import { readdir, readFile } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import type { CniWhere } from './records.ts'

/** Environment variable that names a plugin's owner; child processes, such as an IPAM plugin, inherit it. */
export const ownerVariable = 'PATCHBAY_CNI_CACHE'

/** Time the kernel may take to end killed processes, milliseconds. */
const endMs = 10_000

/**
 * Ends plugin processes that an earlier process of Patchbay started and did not wait for. Such a plugin would run beside its
 * own DEL, and what it makes afterwards would stay for ever. A process that a plugin left on purpose, to serve an interface
 * that `isAdded` confirms, is kept.
 * @throws Fault Unavailable when one cannot be ended
 */
export async function endOrphanedPlugins(owner: string, isAdded: (where: CniWhere) => Promise<boolean>): Promise<void> {
  const isOrphan = async (pid: number) => {
    // Other users may set the variable, too: plugins are started by root and stay root's.
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

/** Empty for a process that has ended, zombies included. */
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
    // It ended in the meantime.
  }
}
