import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { Fault } from '#base/fault.ts'

/** The user that programs which read foreign images run as: the one of Debian's QEMU, who owns no file. */
const qemuUser = 64055

/** What qemu-img may take of memory, bytes. */
const memoryBytes = 2 ** 30

/** What is kept of what qemu-img says, characters. */
const maxSaid = 2000

type Conversion = Readonly<{
  from: Readonly<{ file: string; format: 'qcow2' | 'raw' }>
  /** An empty file, which has its size already. */
  to: string
  what: string
  onProgress: (part: number) => void
  signal: AbortSignal
}>

/**
 * Writes the content of a disk image into an empty raw file, which stays sparse. A foreign image is read without privileges and
 * network. QEMU's locks apply: an image that a guest writes is not read. The program ends with this process.
 * @throws Fault Unavailable, Aborted
 */
export async function convert({ from, to, what, onProgress, signal }: Conversion): Promise<void> {
  signal.throwIfAborted()
  await using source = await open(from.file, 'r')
  await using target = await open(to, 'r+')
  // A raw image is copied, not read, and belongs to the user of the guest that has used it last.
  const isForeign = from.format === 'qcow2'
  if (isForeign) await target.chown(qemuUser, qemuUser)
  const privileges = isForeign
    ? [`--reuid=${qemuUser}`, `--regid=${qemuUser}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all']
    : []
  const child = spawn(
    'unshare',
    [
      ...['--net', '--ipc', '--', 'setpriv', '--pdeathsig=KILL', ...privileges, '--'],
      ...['prlimit', `--as=${memoryBytes}`, '--core=0', '--'],
      ...['qemu-img', 'convert', '-p', '-n', '--target-is-zero', '-f', from.format, '-O', 'raw'],
      ...['/dev/stdin', '/proc/self/fd/3'],
    ],
    {
      cwd: '/',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      stdio: [source.fd, 'pipe', 'pipe', target.fd],
    },
  )
  const stop = () => child.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-maxSaid)
  })
  child.stdout?.on('data', (chunk: Buffer) => {
    const part = progressIn(chunk.toString())
    if (part !== undefined) onProgress(part)
  })
  const { promise, resolve, reject } = Promise.withResolvers<number | string>()
  child.on('error', reject)
  child.on('close', (code, killed) => resolve(code ?? killed ?? 'unknown'))
  try {
    const code = await promise
    if (signal.aborted) throw new Fault('Aborted', `Copying ${what} was interrupted`, { cause: signal.reason })
    if (code !== 0) throw failure(what, code, said)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The last part in the output of qemu-img, `    (12.34/100%)\r`, from 0 to 1. */
export function progressIn(text: string): number | undefined {
  const [, percent] = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1) ?? []
  return percent === undefined ? undefined : Number(percent) / 100
}

function failure(what: string, code: number | string, said: string): Fault {
  if (said.includes('lock')) return new Fault('Unavailable', `${what} is used by a guest; stop that to copy its disk`)
  if (said.includes('No space left')) return new Fault('Unavailable', `There is no room for ${what}; free some space`)
  if (code === 127 || said.includes('failed to execute'))
    return new Fault('Unavailable', 'qemu-img cannot be run; install the Debian package qemu-utils')
  const line = said
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/\p{Cc}/gu, '?')
  return new Fault('Unavailable', `${what} cannot be copied by qemu-img (${code})${line ? `: ${line}` : ''}`)
}
