import { explain, Fault, faultKind } from '#base/fault.ts'
import { eventually } from '#base/wait.ts'
import { isDevice } from '#core/nic/bindings.ts'
import { aliasOf } from '#core/nic/names.ts'
import type { Field, Nic } from '#core/nic/nic.ts'
import type { Cards, NicTraffic } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { nicAlias } from '#core/vm/devices.ts'
import { deviceXml, linkUpdateXml, nicXml, type ReadDomain, readDomain } from './domain-xml.ts'
import type { DomainHandle } from './handle.ts'
import type { Domain } from './rpc/procedures.ts'

/** The devices of the host that the interfaces of one sandbox have. */
export type GuestDevices = Readonly<{
  /** Makes the device of an interface ready for the guest, who gets it next; resolves to its PCI address. */
  ready: (nic: string, signal: AbortSignal) => Promise<string>
  /** Takes back the settings of a device that the guest has released for now. */
  idle: (nic: string, signal: AbortSignal) => Promise<void>
}>

/** How long a guest may take to release its devices of the host before it migrates, and how often that is looked at; milliseconds. */
const detachMs = 30_000
const detachPollMs = 100

/** The network cards of one sandbox's guest, identified by their aliases. */
export class LibvirtCards implements Cards {
  readonly #handle: DomainHandle
  readonly #attachments: ReadonlyMap<string, Attachment>
  readonly #devices: GuestDevices

  constructor(handle: DomainHandle, attachments: ReadonlyMap<string, Attachment>, devices: GuestDevices) {
    this.#handle = handle
    this.#attachments = attachments
    this.#devices = devices
  }

  async update(nic: Nic, changed: readonly Field[], signal: AbortSignal): Promise<void> {
    if (changed.some((field) => field !== 'link'))
      throw new Fault('Bug', `Cannot change ${changed.join()} of a running interface`)
    await this.setLink(nic.name, nic.link, signal)
  }

  /** Sets the link of a card. */
  async setLink(nic: string, link: Nic['link'], signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#handle
    const domain = await this.#handle.find(signal)
    if (!domain) throw new Fault('Unavailable', `The guest of interface ${nic} is gone`)
    const xml = linkUpdateXml(await libvirt.getXml(domain, 0, { signal }), nic, link)
    if (xml === undefined) throw new Fault('Unavailable', `The guest has no interface ${nic}`)
    await libvirt.updateDevice(domain, xml, undefined, { signal })
  }

  /** Has QEMU announce a card's MAC on the network several times within a second, and the guest as well. */
  async announce(nic: string, signal: AbortSignal): Promise<void> {
    const domain = await this.#handle.find(signal)
    if (!domain) return
    const times = { initial: 50, max: 550, rounds: 5, step: 100 }
    const command = { execute: 'announce-self', arguments: { ...times, interfaces: [aliasOf(nic)] } }
    await this.#handle.libvirt.monitorCommand(domain, command, { signal })
  }

  async plug(nic: Nic, signal: AbortSignal): Promise<void> {
    const { libvirt } = this.#handle
    const { domain, nics } = await this.#guest(nic.name, signal)
    if (nics.some(({ name }) => name === nic.name)) return
    const attachment = this.#attachments.get(nic.name)
    if (!attachment) throw new Fault('Unavailable', `The sandbox has no network for interface ${nic.name}`)
    // libvirt accepts duplicates, and the guest would have two cards with one MAC.
    const twin = nics.find(({ mac }) => mac === nic.mac)
    if (twin) throw new Fault('Invalid', `Interface ${nic.name} has the MAC address of interface ${twin.name}`)
    const isOfHost = isDevice(nic.binding)
    const xml = isOfHost ? deviceXml(nic, await this.#devices.ready(nic.name, signal)) : nicXml(nic, attachment)
    try {
      await libvirt.attachDevice(domain, xml, undefined, { signal })
    } catch (cause) {
      if (!/No more available PCI/i.test(explain(cause))) throw cause
      throw new Fault(
        'Unavailable',
        `No more available PCI slots: the guest has no free port for interface ${nic.name}; unplug another one, or restart the VM, which gives it new ports`,
        { cause },
      )
    }
  }

  async unplug(nic: Nic, signal: AbortSignal): Promise<void> {
    const { domain, nics } = await this.#guest(nic.name, signal)
    if (!nics.some(({ name }) => name === nic.name)) return
    await this.#handle.libvirt.detachAlias(domain, nicAlias(nic), undefined, { signal })
  }

  /**
   * Has the guest release all devices of the host, which it cannot take along when it migrates (facts/sriov.md §A).
   * @throws Fault Timeout in KubeVirt's words
   */
  async detachDevices(signal: AbortSignal, deadlineMs = detachMs): Promise<void> {
    const devices = async () => {
      const domain = await this.#handle.find(signal)
      if (!domain) return []
      const { nics } = readDomain(await this.#handle.libvirt.getXml(domain, 0, { signal }), this.#attachments)
      return nics.filter(({ binding }) => isDevice(binding))
    }
    const all = await devices()
    if (!all.length) return
    for (const nic of all) await this.unplug(nic, signal)
    let left: readonly Nic[] = all
    const isDone = async () => {
      left = await devices()
      return !left.length
    }
    await eventually('the guest releases its devices', isDone, {
      deadlineMs,
      everyMs: detachPollMs,
      signal,
    }).catch((cause: unknown) => {
      if (faultKind(cause) === 'Aborted') throw cause
      const aliases = (nics: readonly Nic[]) => nics.map(nicAlias).join(' ')
      const done = all.filter(({ name }) => !left.some((one) => one.name === name))
      throw new Fault(
        'Timeout',
        `failed to wait for host-devices detach, timeout reached: [${aliases(done)}]/[${aliases(all)}]`,
        { cause },
      )
    })
    for (const { name } of all) await this.#devices.idle(name, signal)
  }

  async #guest(nic: string, signal: AbortSignal): Promise<{ domain: Domain; nics: ReadDomain['nics'] }> {
    const { libvirt } = this.#handle
    const domain = await this.#handle.find(signal)
    if (!domain) throw new Fault('Unavailable', `The guest of interface ${nic} is gone`)
    return { domain, nics: readDomain(await libvirt.getXml(domain, 0, { signal }), this.#attachments).nics }
  }

  async traffic(signal: AbortSignal): Promise<readonly NicTraffic[]> {
    const domain = await this.#handle.find(signal)
    if (!domain) return []
    const one = async ({ name, links }: Attachment) => ({
      name,
      ...(await this.#handle.libvirt.interfaceStats(domain, links.tap, { signal })),
    })
    // A device of the host has its counters in the guest alone.
    return Promise.all([...this.#attachments.values()].filter(({ binding }) => !isDevice(binding)).map(one))
  }
}
