import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Stored } from '#apis/meta/object.ts'
import type { Log } from '#base/log.ts'
import { isRunning } from '#core/vm/nic-rows.ts'
import type { HttpClient } from '#machinery/client/http-client.ts'
import { type Informer, makeInformer } from '#machinery/client/informer.ts'
import type { Print } from './context.ts'
import type { VmKey } from './declare.ts'

/** Watches the instance of a VM, reconnecting as needed, until it is disposed of. */
export class VmiWatcher implements Disposable {
  readonly #informer: Informer<VirtualMachineInstance>
  readonly #key: VmKey
  readonly #stop = new AbortController()

  constructor(client: HttpClient, { namespace, name }: VmKey, print: Print) {
    this.#key = { namespace, name }
    const scope = { namespace, fieldSelector: `metadata.name=${name}` }
    this.#informer = makeInformer(client, VirtualMachineInstance, scope, {
      log: notesOf(print, name),
      signal: this.#stop.signal,
    })
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
  }

  /** The running instance, as last seen. */
  get running(): Stored<VirtualMachineInstance> | undefined {
    const vmi = this.#informer.get(this.#key)
    return isRunning(vmi) ? vmi : undefined
  }

  /** Waits until the running instance (undefined: there is none) meets `isDone`; false when `ms` pass or the signal aborts. */
  async until(
    isDone: (running: Stored<VirtualMachineInstance> | undefined) => boolean,
    ms: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    let isSynced = false
    const look = () => {
      if (isSynced && isDone(this.running)) resolve(true)
    }
    const giveUp = () => resolve(false)
    const timer = setTimeout(giveUp, ms)
    signal?.addEventListener('abort', giveUp, { once: true })
    const end = this.#informer.onChange(look)
    void this.#informer.synced.then(() => {
      isSynced = true
      look()
    })
    if (signal?.aborted) giveUp()
    try {
      return await promise
    } finally {
      end()
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
    }
  }
}

/** The link state in the instance's status; undefined when unknown. */
export function linkIn(running: VirtualMachineInstance | undefined, nic: string): 'up' | 'down' | undefined {
  return running?.status?.interfaces?.find(({ name }) => name === nic)?.linkState
}

/** Prints transient errors as notes, and nothing else. */
function notesOf(print: Print, name: string): Log {
  const drop = () => undefined
  const warn = ({ error }: Record<string, unknown>) => print.note(`Cannot follow VM ${name}, trying again: ${error}`)
  const log: Log = { debug: drop, info: drop, warn, error: warn, child: () => log }
  return log
}
