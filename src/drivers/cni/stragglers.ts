import { readdir, readFile } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'

/** Environment variable that says whose a plugin is; what a plugin starts, an IPAM plugin say, inherits it. */
export const ownerVariable = 'PATCHBAY_CNI_CACHE'

/** Time the kernel may take to end what was killed, milliseconds. */
const endMs = 10_000

/**
 * Ends what an earlier process of Patchbay started and did not live to see the end of. Left alone, such a plugin would go on
 * beside its own DEL, and what it makes after that nobody would ever remove.
 * @throws Fault Unavailable when one cannot be ended
 */
export async function endStragglers(owner: string): Promise<void> {
  const mark = `\0${ownerVariable}=${owner}\0`
  // A process that has ended has no environment any more, also when nobody has collected it yet.
  const isOurs = async (pid: number) =>
    `\0${await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')}`.includes(mark)
  const look = async () => {
    const pids = (await readdir('/proc')).map(Number).filter(Boolean)
    const ours = await Promise.all(pids.map(isOurs))
    return pids.filter((_, index) => ours[index])
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

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in this moment.
  }
}
