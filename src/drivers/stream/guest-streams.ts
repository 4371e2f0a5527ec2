import { join } from 'node:path'
import { Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { podNetwork } from '#core/nic/nic.ts'
import type { ByteStream, GuestStreams, SandboxState } from '#core/ports.ts'
import { SandboxRecords } from '../host/records.ts'
import { sharedQemuUid } from '../libvirt/daemon/config.ts'
import { screenshot } from '../rfb/screenshot.ts'
import { consoleInput } from './console-input.ts'
import { followConsole, type Tail } from './console-output.ts'
import { dialMs, dialPort } from './dial.ts'
import { connectGuestSocket } from './guest-socket.ts'
import { socketStream } from './socket-stream.ts'

type Options = Readonly<{
  /** Folder that holds one folder per sandbox, named by its UID. */
  pods: string
  /** What is known of a sandbox that this process is connected to. */
  stateOf: (uid: string) => Pick<SandboxState, 'ips' | 'networks'> | undefined
  log: Log
}>

/** How much of what was printed before a console shows first, bytes. */
const usualTail = 64 * 1024

/** Streams into the sandboxes of this host. */
export function hostStreams({ pods, stateOf, log }: Options): GuestStreams {
  const records = new SandboxRecords(pods, log)
  const screen = async (uid: string, signal: AbortSignal) => {
    const user = (await records.read(uid))?.user ?? sharedQemuUid
    return connectGuestSocket(join(records.at(uid), 'run/guest/vnc'), { user, what: 'screen', signal })
  }
  return {
    open: async (uid, target, signal) => {
      switch (target.to) {
        case 'console':
          return consoleStream(join(records.at(uid), 'run'), { tail: usualTail, ...target }, signal)
        case 'screen':
          return socketStream(await screen(uid, signal), signal)
        case 'port':
          return dialPort(await addressOf(stateOf, uid, signal), target, signal)
      }
    },
    screenshot: async (uid, signal) => {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(dialMs)])
      return screenshot(await screen(uid, limit), limit)
    },
  }
}

async function consoleStream(run: string, tail: Tail, signal: AbortSignal): Promise<ByteStream> {
  return { readable: await followConsole(run, tail, signal), writable: consoleInput(join(run, 'console.in'), signal) }
}

/** The guest's address on the pod network, as CNI assigned it. Nothing that a guest says about itself is dialled. */
async function addressOf(stateOf: Options['stateOf'], uid: string, signal: AbortSignal): Promise<string> {
  const find = () => {
    const { networks = new Map<string, string>(), ips } = stateOf(uid) ?? {}
    const [name = ''] = [...networks].find(([, network]) => network === podNetwork) ?? []
    return ips?.get(name)?.[0]
  }
  try {
    // Right after a start of Patchbay its sandboxes are not known yet.
    return await eventually('the sandbox is known', () => stateOf(uid) && (find() ?? ''), {
      deadlineMs: 5000,
      signal,
    }).then((address) => address || refuse())
  } catch (error) {
    if (faultKind(error) !== 'Timeout') throw error
    throw new Fault('Unavailable', 'the node has not found the sandbox of the guest yet; try again', { cause: error })
  }
}

function refuse(): never {
  throw new Fault('NotFound', 'the guest has no address on the pod network')
}
