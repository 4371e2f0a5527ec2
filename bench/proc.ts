import { readFile } from 'node:fs/promises'
import { delay } from '#base/wait.ts'

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
