import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { SandboxState } from '#core/ports.ts'
import type { Mirror } from '#core/sandbox/mirrors.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { LibvirtHypervisor } from '../libvirt/hypervisor.ts'
import type { Libvirt } from '../libvirt/rpc/libvirt.ts'
import type { Watched } from './sandbox-watch.ts'

/** A sandbox that this process is connected to. */
export type Live = Readonly<{
  attachments: readonly Attachment[]
  mirrors: readonly Mirror[]
  state: SandboxState
  hypervisor: LibvirtHypervisor
  libvirt: Libvirt
  /** What the watch compares it with; absent if the next `ensure` observes it completely. */
  watched?: Watched
}>

/** A sandbox without noted attachments: the next `ensure` observes it completely. */
export function unobserved(hypervisor: LibvirtHypervisor, libvirt: Libvirt): Live {
  const none = { attached: new Set<string>(), failed: new Map(), networks: new Map(), ips: new Map() }
  const state = {
    ...none,
    hypervisor,
    pendingCleanup: [],
    unmirrored: new Map(),
    devices: new Map(),
    repaired: [],
    deaf: [],
  }
  return { attachments: [], mirrors: [], state, hypervisor, libvirt }
}

type Options = Readonly<{
  /** Connects to the libvirtd of a sandbox. */
  open: (uid: string) => Promise<Libvirt>
  /** Called when the connection to a sandbox's libvirtd was lost, after the sandbox was dropped here. */
  onLost: (uid: string) => void
  log: Log
}>

/** The sandboxes that this process is connected to, by UID, while the connections last. */
export class LiveSandboxes {
  readonly #options: Options
  readonly #byUid = new Map<string, Live>()
  /** Connections that have ended. */
  readonly #ended = new WeakSet<Libvirt>()

  constructor(options: Options) {
    this.#options = options
  }

  get(uid: string): Live | undefined {
    return this.#byUid.get(uid)
  }

  list(): readonly Live[] {
    return [...this.#byUid.values()]
  }

  /** A new connection to the libvirtd of a sandbox. */
  async connect(uid: string): Promise<Libvirt> {
    const libvirt = await this.#options.open(uid)
    void libvirt.closed.then((why) => {
      this.#ended.add(libvirt)
      if (this.#byUid.get(uid)?.libvirt !== libvirt) return
      this.#byUid.delete(uid)
      this.#options.log.warn({ uid, why: why.message }, 'Lost libvirtd')
      this.#options.onLost(uid)
    })
    return libvirt
  }

  /** Stores a sandbox with a connection from `connect`. @throws Fault Unavailable when that has ended meanwhile */
  put(uid: string, live: Live): void {
    // The end of this connection has been reported already: the sandbox would never be connected again.
    if (this.#ended.has(live.libvirt))
      throw new Fault('Unavailable', 'The libvirtd of the sandbox ended while it was being connected to')
    this.#byUid.set(uid, live)
  }

  /** Has the next `ensure` observe the sandbox completely. */
  lookAgain(uid: string): void {
    const live = this.#byUid.get(uid)
    if (!live) return
    const { watched: _, ...rest } = live
    this.#byUid.set(uid, { ...rest, attachments: [] })
  }

  /** Closes the connection to a sandbox, which continues to run. */
  end(uid: string): void {
    this.#byUid.get(uid)?.libvirt.close()
    this.#byUid.delete(uid)
  }

  /** Closes all connections. */
  close(): void {
    for (const { libvirt } of this.#byUid.values()) libvirt.close()
    this.#byUid.clear()
  }
}
