import { readdirSync, readFileSync, statSync } from 'node:fs'

/**
 * The process of a program in a sandbox, by its pid on the host; 0 when there is none. A sandbox's processes are those that see
 * its `run` folder as their /run.
 */
export function processOf(sandbox: string, program: RegExp): number {
  const { ino, dev } = statSync(`${sandbox}/run`)
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const run = statSync(`/proc/${pid}/root/run`)
      const state = /^State:\t(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      if (
        run.ino === ino &&
        run.dev === dev &&
        state !== 'Z' &&
        program.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))
      )
        return Number(pid)
    } catch {
      // It ended while it was looked at.
    }
  }
  return 0
}
