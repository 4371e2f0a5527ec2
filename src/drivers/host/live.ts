import { Fault } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { SandboxState } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { LibvirtHypervisor } from '../libvirt/hypervisor.ts'
import type { Libvirt } from '../libvirt/rpc/libvirt.ts'
import type { Watched } from './sandbox-watch.ts'

/** A sandbox this process has a connection to. */
export type Live = Readonly<{
  attachments: readonly Attachment[]
  state: SandboxState
  hypervisor: LibvirtHypervisor
  libvirt: Libvirt
  /** What it is to be, unless the next `ensure` makes it anew anyway. */
  watched?: Watched
}>

type Options = Readonly<{
  /** Connects to the libvirtd of a sandbox. */
  open: (uid: string) => Promise<Libvirt>
  /** Called when the libvirtd of a sandbox that is known here is gone; it is not any more then. */
  onLost: (uid: string) => void
  log: Log
}>

/** The sandboxes this process has a connection to, by UID, each for as long as its connection holds. */
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

  /** Knows a sandbox by a connection that came from here. @throws Fault Unavailable when that has ended meanwhile */
  put(uid: string, live: Live): void {
    // Nobody would hear of its end any more: it would be taken for a sandbox that does not answer, for good.
    if (this.#ended.has(live.libvirt))
      throw new Fault('Unavailable', 'The libvirtd of the sandbox ended while it was being connected to')
    this.#byUid.set(uid, live)
  }

  /** Has the next `ensure` make a picture of what is there. */
  lookAgain(uid: string): void {
    const live = this.#byUid.get(uid)
    if (!live) return
    const { watched: _, ...rest } = live
    this.#byUid.set(uid, { ...rest, attachments: [] })
  }

  /** Ends the connection to a sandbox; it goes on itself. */
  end(uid: string): void {
    this.#byUid.get(uid)?.libvirt.close()
    this.#byUid.delete(uid)
  }

  /** Ends all connections. */
  close(): void {
    for (const { libvirt } of this.#byUid.values()) libvirt.close()
    this.#byUid.clear()
  }
}
