import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault, faultKind } from '#base/fault.ts'
import { delay } from '#base/wait.ts'
import { activePodName } from '#core/migration/pod-role.ts'
import { endOf, protocol, type StreamContext } from './streams.ts'
import { pathOf } from './virtctl.ts'

export type ConsoleOptions = Readonly<{
  /** How long to wait for the instance to run, milliseconds. */
  timeoutMs: number
  /** Lines that are shown of what was printed before; all that the server sends unless given. */
  tail?: number
}>

/** Where a user sits. */
export type Terminal = Readonly<{
  input: Readable
  output: Writable
  /** Has the terminal pass on every key as it is pressed, or no longer; does nothing with a pipe. */
  setRaw(isRaw: boolean): void
  isTerminal: boolean
  /** Aborts when the user ends the command by a signal. */
  signal: AbortSignal
}>

/** Ctrl+], which ends a console when a read begins with it. */
const escapeByte = 0x1d
/** How often an instance that does not run yet is asked for, milliseconds. */
const againMs = 500
/** With a pipe as input: how long nothing has to come after its end, milliseconds. */
const quietMs = 1000

/** Connects a terminal with the serial console of an instance, until one of them ends it. @throws ExitError, Fault */
export async function openConsole(
  context: StreamContext,
  name: string,
  options: ConsoleOptions,
  terminal: Terminal,
): Promise<void> {
  const socket = await whenRunning(context, name, options, terminal.signal)
  context.print.note(`Successfully connected to ${name} console. The escape sequence is ^]`)
  const end = await converse(socket, terminal)
  if (terminal.isTerminal) context.print.note('')
  if (end === 'left') return
  const why = endOf(...end)
  if (why) throw why
  context.print.note(`The guest of ${name} has ended`)
}

/** Opens the console, as soon as the instance runs. @throws Fault Timeout */
async function whenRunning(
  { channels, client, namespace, print }: StreamContext,
  name: string,
  { timeoutMs, tail }: ConsoleOptions,
  signal: AbortSignal,
): Promise<WebSocket> {
  const query = tail === undefined ? '' : `?tailLines=${tail}`
  const path = `${pathOf(namespace, 'virtualmachineinstances', name, 'console')}${query}`
  const end = performance.now() + timeoutMs
  for (let tries = 0; ; tries++) {
    try {
      return await channels.open(path, protocol, signal)
    } catch (error) {
      const isMissing = faultKind(error) === 'NotFound'
      const isStarting = error instanceof Fault && /VMI is not running$/.test(error.message)
      if (!isMissing && !isStarting) throw error
      if (isMissing && !(await client.get(VirtualMachine, { namespace, name }))) throw error
      if (performance.now() >= end)
        throw new Fault(
          'Timeout',
          `${name} does not run after ${timeoutMs / 60_000} min; see kubectl describe vmi ${name}`,
          {
            cause: error,
          },
        )
      if (tries === 0) print.note(`Waiting for ${name} to run`)
    }
    await delay(againMs, signal)
  }
}

/** Resolves to how it ended: the user left, or the code and the reason of the socket's end. */
async function converse(socket: WebSocket, terminal: Terminal): Promise<'left' | [code: number, reason: string]> {
  const { input, output, setRaw, signal } = terminal
  const { promise: left, resolve: leave } = Promise.withResolvers<'left'>()
  const ended = once(socket, 'close').then(([code, reason]): [number, string] => [code, String(reason)])
  let heardMs = performance.now()
  socket.on('message', (data: Buffer) => {
    heardMs = performance.now()
    // A terminal that is slow slows down its own console only.
    if (!output.write(data)) {
      socket.pause()
      output.once('drain', () => socket.resume())
    }
  })
  const type = (bytes: Buffer) => {
    if (bytes[0] === escapeByte) return leave('left')
    input.pause()
    socket.send(bytes, () => input.resume())
  }
  const endInput = async () => {
    while (performance.now() - heardMs < quietMs) await delay(quietMs)
    leave('left')
  }
  const stop = () => leave('left')
  signal.addEventListener('abort', stop, { once: true })
  input.on('data', type)
  input.once('end', () => void endInput())
  setRaw(true)
  socket.resume()
  try {
    return await Promise.race([left, ended])
  } finally {
    setRaw(false)
    signal.removeEventListener('abort', stop)
    input.off('data', type)
    input.pause()
    socket.close(1000)
    socket.terminate()
  }
}

/** What is kept of the output of an instance's console. */
export async function printConsoleLog(
  { channels, client, namespace }: StreamContext,
  name: string,
  tail: number | undefined,
  output: Writable,
): Promise<void> {
  const vmi = await client.get(VirtualMachineInstance, { namespace, name })
  if (!vmi) throw new Fault('NotFound', `virtualmachineinstance.kubevirt.io "${name}" not found`)
  const pod = [namespace, activePodName(vmi)].map(encodeURIComponent)
  const query = tail === undefined ? '' : `?tailLines=${tail}`
  const text = await channels.download(`/api/v1/namespaces/${pod[0]}/pods/${pod[1]}/log${query}`)
  await new Promise<void>((resolve) => output.write(text, () => resolve()))
}
