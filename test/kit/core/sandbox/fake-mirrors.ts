import {
  type MirrorSteps,
  mirrorLinks,
  type ObservedMirrors,
  type RecordedMirror,
  type Shared,
} from '#core/sandbox/mirrors.ts'

/** The process died: whatever it was about to do, it does no more. */
export class CrashPoint extends Error {}

type Bridge = { clsact: boolean; promisc: boolean; ingress: Map<number, string>; egress: Map<number, string> }

/** Bridges of a host in memory, with the mirrors of any number of sandboxes: one effect at a time, and any may fail or be the last. */
export class FakeMirrorHost {
  readonly bridges = new Map<string, Bridge>()
  /** Links of the host, with their other ends and the taps that these lead to. */
  readonly links = new Map<string, { inside: string; tap: string }>()
  /** What each sandbox has recorded. */
  readonly records = new Map<string, readonly RecordedMirror[]>()
  effects = 0
  failAt = 0
  dieAt = 0

  observe(): ObservedMirrors {
    return {
      bridges: new Map([...this.bridges].map(([name, one]) => [name, structuredClone(one)])),
      host: new Set(this.links.keys()),
      inside: new Map([...this.links.values()].map(({ inside, tap }) => [inside, tap])),
    }
  }

  othersOf(uid: string): RecordedMirror[] {
    return [...this.records].flatMap(([one, mirrors]) => (one === uid ? [] : mirrors))
  }

  steps(uid: string): MirrorSteps {
    return {
      record: async (mirrors) => {
        this.#effect()
        this.records.set(uid, mirrors)
      },
      share: async (bridge, lacking) => this.#set(bridge, lacking, true),
      unshare: async (bridge, own) => this.#set(bridge, own, false),
      make: async (mirror) => {
        this.#requireRecorded(uid, mirror)
        const { host, inside } = mirrorLinks(uid, mirror)
        this.#effect()
        if (this.links.has(host)) throw new Error(`${host} is there already`)
        this.links.set(host, { inside, tap: '' })
        this.#effect()
        this.links.set(host, { inside, tap: mirror.tap })
        const bridge = this.bridges.get(mirror.bridge)!
        for (const filters of [bridge.ingress, bridge.egress]) {
          this.#effect()
          if (!bridge.clsact) throw new Error(`${mirror.bridge} has no qdisc for filters`)
          if (filters.has(mirror.pref)) throw new Error(`priority ${mirror.pref} of ${mirror.bridge} is taken`)
          filters.set(mirror.pref, host)
        }
      },
      unmake: async (mirror) => {
        const { host } = mirrorLinks(uid, mirror)
        const bridge = this.bridges.get(mirror.bridge)
        for (const filters of bridge ? [bridge.ingress, bridge.egress] : [])
          if (filters.get(mirror.pref) === host) {
            this.#effect()
            filters.delete(mirror.pref)
          }
        this.#effect()
        this.links.delete(host)
      },
    }
  }

  #set(name: string, what: Shared, isOn: boolean): void {
    const bridge = this.bridges.get(name)
    if (!bridge) return
    this.#effect()
    if (what.promisc) bridge.promisc = isOn
    this.#effect()
    if (!what.clsact) return
    bridge.clsact = isOn
    if (!isOn) for (const filters of [bridge.ingress, bridge.egress]) filters.clear()
  }

  #requireRecorded(uid: string, { nic, bridge, pref }: RecordedMirror): void {
    const isRecorded = this.records
      .get(uid)
      ?.some((one) => one.nic === nic && one.bridge === bridge && one.pref === pref)
    if (!isRecorded) throw new Error(`a mirror of ${bridge} is made that nobody has recorded`)
  }

  #effect(): void {
    this.effects++
    if (this.dieAt && this.effects >= this.dieAt) throw new CrashPoint('died')
    if (this.effects === this.failAt) throw new Error('refused')
  }
}
