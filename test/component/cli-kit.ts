import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Context, ExitError, type Interrupts } from '#cli/context.ts'
import { findTarget } from '#cli/kubeconfig.ts'
import { Connection } from '#machinery/client/connection.ts'
import { HttpClient } from '#machinery/client/http-client.ts'
import { HttpsTransport } from '#machinery/client-node/https.ts'
import type { Cluster } from './cluster.ts'

const launcher = fileURLToPath(new URL('../../patchbay', import.meta.url))

/** Longest time one command may take, milliseconds; it is killed then. */
const maxMs = 60_000

export type Ran = Readonly<{ code: number | null; out: string; err: string }>

/** A command under way. */
export type Running = Readonly<{
  interrupt(name: NodeJS.Signals): void
  /** Reads nothing of it any more. */
  leave(): void
  input: Writable
  /** What it has printed so far. */
  printed(): Pick<Ran, 'out' | 'err'>
  ended: Promise<Ran>
}>

/** Starts `./patchbay …` as its users do. */
export function startCli(
  cluster: Cluster,
  args: readonly string[],
  env: Record<string, string> = {},
  [file, ...before]: readonly [string, ...string[]] = [launcher],
): Running {
  const child = spawn(file, [...before, ...args], {
    env: { PATH: process.env.PATH, HOME: cluster.dir.root, KUBECONFIG: cluster.dir.kubeconfig, ...env },
    timeout: maxMs,
    killSignal: 'SIGKILL',
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, out, err }))
  })
  const leave = () => {
    child.stdout.destroy()
  }
  child.stdin.on('error', () => undefined) // it may end without reading
  const printed = () => ({ out, err })
  return { interrupt: (name) => child.kill(name), leave, input: child.stdin, printed, ended }
}

export function cli(cluster: Cluster, args: string, env?: Record<string, string>): Promise<Ran> {
  return startCli(cluster, args.split(' '), env).ended
}

/** What a command works with, in this process, and what it printed. */
export type InProcess = Context &
  Readonly<{ lines: string[]; notes: string[]; interrupts: Interrupts; interrupt(): void; close(): void }>

/** A context of the administrator in a namespace. */
export async function contextIn(cluster: Cluster, namespace: string): Promise<InProcess> {
  const { endpoint } = await findTarget({ kubeconfig: cluster.dir.kubeconfig })
  const transport = new HttpsTransport(endpoint)
  const connection = new Connection(transport, 'patchbay/test')
  const lines: string[] = []
  const notes: string[] = []
  const stop = new AbortController()
  const repeat: (() => void)[] = []
  const interrupt = () => {
    if (!stop.signal.aborted) return stop.abort(new ExitError(130, 'Ended early by test'))
    for (const listener of repeat) listener()
  }
  return {
    client: new HttpClient(connection),
    namespace,
    print: { line: (text) => lines.push(text), note: (text) => notes.push(text) },
    lines,
    notes,
    interrupts: { signal: stop.signal, onRepeat: (listener) => repeat.push(listener) },
    interrupt,
    close: () => transport[Symbol.dispose](),
  }
}
