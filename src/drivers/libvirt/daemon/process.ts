import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'

/** A process, distinguished from later ones with the same pid by its start time. */
export type ProcessIdentity = Readonly<{ pid: number; startTime: number }>

/** The process with this pid, or undefined when there is none or only its exit status is left. */
export async function findProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The second field is the command in parentheses, which may itself contain parentheses and spaces; the fields after the last
  // one are separated by spaces.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  if (!fields || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const startTimeField = 19
  return { pid, startTime: Number(fields[startTimeField]) }
}

/** Sends a signal to exactly this process; false when it is gone. */
export async function signalProcess({ pid, startTime }: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if ((await findProcess(pid))?.startTime !== startTime) return false
  try {
    return process.kill(pid, signal)
  } catch {
    // It ended between the check and the signal.
    return false
  }
}

/** Whether a process has the directory `dir/run` as its /run, which only the processes of that sandbox have. */
export async function isInSandbox(pid: number, dir: string): Promise<boolean> {
  try {
    const [theirs, ours] = await Promise.all([stat(`/proc/${pid}/root/run`), stat(`${dir}/run`)])
    return theirs.ino === ours.ino && theirs.dev === ours.dev
  } catch {
    return false
  }
}

/** Every process of a sandbox: libvirtd, QEMU, and their children. */
export async function listSandboxProcesses(dir: string): Promise<readonly ProcessIdentity[]> {
  const found: ProcessIdentity[] = []
  for (const name of await readdir('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || !(await isInSandbox(pid, dir))) continue
    const identity = await findProcess(pid)
    if (identity) found.push(identity)
  }
  return found
}

/**
 * Processes of a sandbox that run a program. The names are read synchronously, which is faster: a migrating guest is stopped
 * while its old process is searched.
 */
export async function findProgram(
  dir: string,
  isProgram: (name: string) => boolean,
): Promise<readonly ProcessIdentity[]> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isProgram(programOf(name)))
  const found: ProcessIdentity[] = []
  for (const pid of pids.map(Number)) {
    if (!(await isInSandbox(pid, dir))) continue
    const identity = await findProcess(pid)
    if (identity) found.push(identity)
  }
  return found
}

/** The pid a process has in the innermost PID namespace it is in; undefined when it has ended. */
export async function innerPid(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const pids = /^NSpid:\t(.*)$/m.exec(status)?.[1]
  return pids === undefined ? undefined : Number(pids.split('\t').at(-1))
}

function programOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    // It has just ended.
    return ''
  }
}
