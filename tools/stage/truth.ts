import { silent } from '../../src/base/log.ts'
import { delay } from '../../src/base/wait.ts'
import { linkOf } from '../../src/core/nic/desired.ts'
import { type Libvirt, openLibvirt } from '../../src/drivers/libvirt/rpc/libvirt.ts'
import type { Api } from './api.ts'

/** How often everybody is asked, and guests among them, milliseconds. */
const everyMs = 100
const guestEveryMs = 2000

/** How long one and the same disagreement may last, milliseconds: generous, for a guest under emulation on a busy machine. */
const deadlineMs = 60_000

/** Up or down, as each of them says; absent where one has no word. */
type Voices = Readonly<{ declared: string; api: string | undefined; libvirt: string | undefined; guest?: string }>

type Disagreement = { voices: string; beganMs: number; unchangedMs: number; isTold: boolean }

type Options = Readonly<{ dir: string; api: () => Api | undefined }>

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/**
 * Compares, all the time, what VMs declare with what the API, libvirt and the guests say about every link. A disagreement is
 * normal while a change is on its way; one that stays the same for too long is a lie somebody tells.
 */
export class TruthChecker {
  readonly #options: Options
  readonly #stop = new AbortController()
  readonly #open = new Map<string, Disagreement>()
  readonly #libvirts = new Map<string, Libvirt>()
  readonly #guests = new Map<string, { askedMs: number; carriers: ReadonlyMap<string, string> }>()
  readonly #lies: string[] = []
  readonly #lasted: number[] = []
  #looks = 0
  #loop: Promise<void> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** How long each disagreement lasted that is over, milliseconds. */
  get lasted(): readonly number[] {
    return this.#lasted
  }

  /** How often a link was looked at with all who have a word about it. */
  get looks(): number {
    return this.#looks
  }

  /** Ends the comparison. @throws Error naming every disagreement that lasted too long */
  async end(): Promise<void> {
    this.#stop.abort()
    await this.#loop
    for (const libvirt of this.#libvirts.values()) libvirt.close()
    if (this.#lies.length) throw new Error(`disagreements that lasted over ${deadlineMs} ms:\n${this.#lies.join('\n')}`)
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#look()
      } catch {
        // The server is down, or a guest went while it was looked at: what was seen before means nothing then.
        this.#open.clear()
      }
      await delay(everyMs, this.#stop.signal).catch(() => undefined)
    }
  }

  async #look(): Promise<void> {
    const api = this.#options.api()
    if (!api) return
    const root = '/apis/kubevirt.io/v1'
    const [vms, vmis] = await Promise.all(
      ['virtualmachines', 'virtualmachineinstances'].map(
        async (kind) => (await api.call('GET', `${root}/${kind}`)).body.items as Any[],
      ),
    )
    const seen = new Set<string>()
    for (const vm of vms ?? []) {
      const vmi = vmis?.find((one) => one.metadata.ownerReferences?.[0]?.uid === vm.metadata.uid)
      if (!vmi || !isSteady(vm, vmi)) continue
      for (const [nic, voices] of await this.#voices(vm, vmi)) {
        const key = `${vm.metadata.namespace}/${vm.metadata.name} ${nic} ${vmi.metadata.uid}`
        seen.add(key)
        this.#judge(key, voices)
      }
    }
    for (const key of this.#open.keys()) if (!seen.has(key)) this.#open.delete(key)
  }

  #judge(key: string, voices: Voices): void {
    this.#looks++
    const now = performance.now()
    const old = this.#open.get(key)
    if (new Set(Object.values(voices)).size === 1) {
      if (old) this.#lasted.push(now - old.beganMs)
      this.#open.delete(key)
      return
    }
    const text = JSON.stringify(voices)
    if (old?.voices !== text) {
      this.#open.set(key, { voices: text, beganMs: old?.beganMs ?? now, unchangedMs: now, isTold: false })
    } else if (now - old.unchangedMs > deadlineMs && !old.isTold) {
      old.isTold = true
      this.#lies.push(`${key}: ${text}`)
    }
  }

  async #voices(vm: Any, vmi: Any): Promise<[string, Voices][]> {
    const uid = Object.keys(vmi.status.activePods ?? {})[0] ?? ''
    const libvirt = await this.#libvirt(uid)
    const domain = await libvirt.getDomain(`${vm.metadata.namespace}_${vm.metadata.name}`)
    const links = linksIn(await libvirt.getXml(domain))
    const hasAgent = vmi.status.conditions?.some((one: Any) => one.type === 'AgentConnected' && one.status === 'True')
    const carriers = hasAgent ? await this.#carriers(uid, libvirt, domain) : undefined
    const known = new Map<string, Any>((vmi.status.interfaces ?? []).map((one: Any) => [one.name, one]))
    return (vm.spec.template.spec.domain.devices.interfaces as Any[]).flatMap((one): [string, Voices][] => {
      if (one.state === 'absent' || !vmi.spec.domain.devices.interfaces.some((other: Any) => other.name === one.name))
        return []
      const guest = carriers?.get(one.macAddress.toLowerCase().replaceAll('-', ':'))
      const voices = { declared: linkOf(one.state), api: known.get(one.name)?.linkState, libvirt: links.get(one.name) }
      return [[one.name, { ...voices, ...(guest && { guest }) }]]
    })
  }

  async #libvirt(uid: string): Promise<Libvirt> {
    const known = this.#libvirts.get(uid)
    if (known) return known
    const socketPath = `${this.#options.dir}/pods/${uid}/run/libvirt/libvirt-sock`
    const libvirt = await openLibvirt({ socketPath, log: silent, callTimeoutMs: 10_000 })
    this.#libvirts.set(uid, libvirt)
    void libvirt.closed.then(() => this.#libvirts.delete(uid))
    return libvirt
  }

  /** What the guest's own kernel says, by MAC; the last word for a while, because asking is slow. */
  async #carriers(uid: string, libvirt: Libvirt, domain: Any): Promise<ReadonlyMap<string, string> | undefined> {
    const last = this.#guests.get(uid)
    if (last && performance.now() - last.askedMs < guestEveryMs) return undefined
    const line = 'for d in /sys/class/net/eth*; do echo $(cat $d/address) $(cat $d/carrier 2>/dev/null); done'
    const run = { execute: 'guest-exec', arguments: { path: '/bin/sh', arg: ['-c', line], 'capture-output': true } }
    const { pid } = (await libvirt.agentCommand(domain, run)) as Any
    for (;;) {
      const status = (await libvirt.agentCommand(domain, { execute: 'guest-exec-status', arguments: { pid } })) as Any
      if (!status.exited) {
        await delay(20, this.#stop.signal)
        continue
      }
      const lines = Buffer.from(status['out-data'] ?? '', 'base64')
        .toString()
        .trim()
        .split('\n')
      const pairs = lines.map((text) => text.split(' '))
      // A device that the guest itself has put down has no carrier to tell of.
      const told = pairs.filter(([, carrier]) => carrier === '0' || carrier === '1')
      const carriers = new Map(told.map(([mac = '', carrier]) => [mac, carrier === '1' ? 'up' : 'down']))
      this.#guests.set(uid, { askedMs: performance.now(), carriers })
      return carriers
    }
  }
}

/** A guest that runs, is not on its way out or to another sandbox, and whose links nobody is allowed to change behind our back. */
function isSteady(vm: Any, vmi: Any): boolean {
  const isPaused = vmi.status?.conditions?.some((one: Any) => one.type === 'Paused')
  const isLeaving = vm.metadata.deletionTimestamp || vmi.metadata.deletionTimestamp
  const { migrationState: move } = vmi.status ?? {}
  const isMoving = move && !move.completed
  return (
    vmi.status?.phase === 'Running' &&
    !isPaused &&
    !isLeaving &&
    !isMoving &&
    !vm.metadata.annotations?.['patchbay.dev/link-drift']
  )
}

/** Link states by interface, in a domain's XML. */
function linksIn(xml: string): Map<string, string> {
  const all = [...xml.matchAll(/<interface[\s\S]*?<\/interface>/g)]
  return new Map(
    all.map(([one]) => [/alias name='ua-([^']*)'/.exec(one)?.[1] ?? '', /link state='down'/.test(one) ? 'down' : 'up']),
  )
}
