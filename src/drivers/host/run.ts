import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Fault } from '#base/fault.ts'
import type { Spawn } from '../process/spare-shells.ts'

/** Default timeout of a command, milliseconds; most take a few. */
const defaultTimeoutMs = 20_000

/**
 * `what` describes the operation in faults, in place of the command. `doneLine` is a line by which the program says that it has done
 * all that its caller waits for: the program then ends by itself, within `timeoutMs` as always. `spawn` starts the program in
 * another way than Node's.
 */
export type RunOptions = Readonly<{
  input?: string
  signal?: AbortSignal
  timeoutMs?: number
  what?: string
  doneLine?: string
  spawn?: Spawn
}>

/**
 * Runs a program without a shell and resolves to its standard output.
 * @throws Fault Unavailable with the program's error output, Timeout, Aborted
 */
export function run(
  program: string,
  args: readonly string[],
  { input, signal, timeoutMs = defaultTimeoutMs, doneLine, ...named }: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const what = named.what ?? [program, ...args.slice(0, 6)].join(' ')
    // A signal that has aborted already calls no listener.
    if (signal?.aborted) return reject(new Fault('Aborted', `${what} was interrupted`, { cause: signal.reason }))
    const child = start(program, args, named.spawn)
    const out: Buffer[] = []
    const err: Buffer[] = []
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Fault('Timeout', `${what} took longer than ${timeoutMs} ms`))
    }, timeoutMs)
    const abort = () => {
      child.kill('SIGKILL')
      reject(new Fault('Aborted', `${what} was interrupted`, { cause: signal?.reason }))
    }
    signal?.addEventListener('abort', abort, { once: true })
    child.stdout.on('data', (chunk: Buffer) => {
      out.push(chunk)
      if (doneLine === undefined) return
      const text = Buffer.concat(out).toString()
      if (text.split('\n').slice(0, -1).includes(doneLine)) resolve(text)
    })
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => undefined) // a program that does not read its input says why by its exit code
    child.on('error', (cause) =>
      finish(() =>
        reject(
          new Fault('Unavailable', `Cannot run ${program}; is its Debian package installed (npm run setup)?`, {
            cause,
          }),
        ),
      ),
    )
    child.on('close', (code) =>
      finish(() => {
        if (code === 0) return resolve(Buffer.concat(out).toString())
        const complaint = (Buffer.concat(err).toString() || Buffer.concat(out).toString())
          .trim()
          .split('\n')
          .slice(0, 3)
          .join('; ')
        reject(new Fault('Unavailable', `${what} failed (exit code ${code}): ${complaint}`, { data: { code } }))
      }),
    )
    child.stdin.end(input)
    function finish(then: () => void) {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      then()
    }
  })
}

function start(program: string, args: readonly string[], other: Spawn | undefined): ChildProcessWithoutNullStreams {
  return other ? other(program, args, process.env) : spawn(program, args, { stdio: 'pipe' })
}
