import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { explain, Fault } from '#base/fault.ts'

/** The user that programs which read foreign images run as: the one of Debian's QEMU, who owns no file. */
const uid = 64055

/** A program that runs, and what it writes. */
export type LimitedProgram = Readonly<{ process: ChildProcess; stdout: Readable; stderr: Readable }>

/** Limits of a program that reads a foreign image. */
export type ProgramLimits = Readonly<{ memoryBytes: number; cpuSeconds: number }>

const wanted: Readonly<Record<string, string>> = { 'qemu-img': 'qemu-utils', xz: 'xz-utils' }

const withoutPrivileges = [
  ...['unshare', '--net', '--ipc', '--'],
  ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all', '--'],
]

/**
 * Starts a program that reads a foreign image, which may be made to take the program over: it has no privileges and no network,
 * writes no file, and sees the image as its standard input alone.
 */
export function spawnLimited(
  command: readonly string[],
  input: number,
  { memoryBytes, cpuSeconds }: ProgramLimits,
): LimitedProgram {
  const isRoot = process.getuid?.() === 0
  const [program = 'unshare', ...args] = [
    ...(isRoot ? withoutPrivileges : []),
    ...['prlimit', `--as=${memoryBytes}`, `--cpu=${cpuSeconds}`, '--core=0', '--nofile=64', '--fsize=0', '--'],
    ...command,
  ]
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
  const child = spawn(program, args, { cwd: '/', env, stdio: [input, 'pipe', 'pipe'] })
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Fault('Bug', `${program} was started without pipes`)
  return { process: child, stdout, stderr }
}

/** The end of a program: its exit code or signal, and the last of what it said. */
export function endOf({ process, stderr }: LimitedProgram): Promise<Readonly<{ code: number | string; said: string }>> {
  let said = ''
  stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-maxSaid)
  })
  const { promise, resolve, reject } = Promise.withResolvers<Readonly<{ code: number | string; said: string }>>()
  process.on('error', reject)
  process.on('close', (code, signal) => resolve({ code: code ?? signal ?? 'unknown', said: said.trim() }))
  return promise
}

const maxSaid = 2000

/** The fault of a program that could not be run or has failed. What it says comes from a foreign file: only a line is repeated. */
export function programFault(
  program: string,
  what: string,
  { code, said }: { code: number | string; said: string },
): Fault {
  if (code === 127 || said.includes('failed to execute'))
    return new Fault(
      'Unavailable',
      `${program} cannot be run; install the Debian package ${wanted[program] ?? program}`,
    )
  const line = said
    .split('\n')
    .at(-1)
    ?.replace(/\p{Cc}/gu, '?')
    .slice(0, 200)
  return new Fault('Invalid', `${what} cannot be read by ${program} (${code})`, {
    ...(line && { cause: explain(line) }),
  })
}
