import { readFile } from 'node:fs/promises'
import { delay, eventually } from '#base/wait.ts'

/** Proportional set size of a process, MB. */
export async function pssMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024
}

/** CPU time a process has used, milliseconds (100 ticks a second). */
export async function cpuMs(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** A wait that keeps this process alive. */
export async function delayRef(ms: number): Promise<void> {
  const keep = setInterval(() => undefined, ms)
  await delay(ms)
  clearInterval(keep)
}

/** A server that uses less of a processor has nothing to catch up on, milliseconds a second. */
const restingMs = 200

/** Resolves when a process has dealt with what was asked of it. */
export async function untilRests(pid: number, usedMs = restingMs): Promise<void> {
  const rests = async () => {
    const before = await cpuMs(pid)
    await delayRef(1000)
    return (await cpuMs(pid)) - before < usedMs
  }
  await eventually('the server rests', rests, { deadlineMs: 120_000 })
}
