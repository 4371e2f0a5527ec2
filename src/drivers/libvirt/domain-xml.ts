import type { PciPorts } from '#apis/kubevirt/guest.ts'
import { Fault } from '#base/fault.ts'
import { isDevice } from '#core/nic/bindings.ts'
import { aliasOf, deviceAliasOf } from '#core/nic/names.ts'
import type { DesiredNic, Nic, ObservedNic } from '#core/nic/nic.ts'
import type { ObservedDisk } from '#core/ports.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import { type Device, diskAlias, nicAlias, type Slots } from '#core/vm/devices.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import type { Hardware } from '#core/vm/hardware.ts'
import { isFileOfImage } from '#core/vm/image.ts'
import type { Accelerator } from '../host/kvm.ts'
import { diskElement, type MadeDisk, onBus } from './disk-xml.ts'
import {
  clockElement,
  cpuElement,
  type FirmwareFiles,
  featuresElement,
  osElement,
  sysinfoElement,
} from './hardware-xml.ts'
import { childElements, element, findElement, parseXml, serializeXml, type XmlElement } from './xml.ts'

/** The QEMU program of guests. */
export const qemuProgram = '/usr/bin/qemu-system-x86_64'

/** The folder of images in every sandbox: the same path, so that a domain's XML is valid on every host. */
const imagesInSandbox = '/run/images'
/** The pipes of the guest's serial console in the sandbox, without `.in` and `.out`; see daemon/sandbox.sh. */
const consoleInSandbox = '/run/console'
/** The socket of the screen in the sandbox. */
const screenInSandbox = '/run/guest/vnc'

const agentChannel = 'org.qemu.guest_agent.0'
const aliasPrefix = aliasOf('')
const devicePrefix = deviceAliasOf('')

/** libvirt's names of models where they differ from KubeVirt's. */
const virtio = 'virtio-non-transitional'

/** The files in the sandbox that a guest is made of. */
export type DomainFiles = Readonly<{
  /** The files of disks, by the names of the disks; a CD-ROM may have none. */
  disks: ReadonlyMap<string, MadeDisk>
  firmware: FirmwareFiles | undefined
}>

/** PCI addresses of the host's devices that interfaces have, by interface. */
export type HostDevices = ReadonlyMap<string, string>

/** The domain XML of a guest. */
export function domainXml(
  spec: DomainSpec,
  accelerator: Accelerator,
  files: DomainFiles,
  hostDevices: HostDevices = new Map(),
): string {
  const { sockets, cores, threads, hardware, kernel, devices } = spec
  const file = (path: string) => `${imagesInSandbox}/${kernel?.image}/${fileOfImage(path)}`
  const root = element(
    'domain',
    { type: accelerator === 'kvm' ? 'kvm' : 'qemu' },
    element('name', {}, spec.name),
    element('uuid', {}, spec.uuid),
    element('memory', { unit: 'KiB' }, String(spec.memoryKiB)),
    element('vcpu', {}, String(sockets * cores * threads)),
    osElement(spec, {
      kernel: kernel && {
        kernel: file(kernel.kernelPath),
        initrd: kernel.initrdPath === undefined ? undefined : file(kernel.initrdPath),
        args: kernel.args,
      },
      firmware: files.firmware,
    }),
    sysinfoElement(hardware),
    featuresElement(hardware, accelerator),
    cpuElement(spec, accelerator),
    clockElement(hardware.clock),
    element('on_poweroff', {}, 'destroy'),
    element('on_reboot', {}, 'restart'),
    element('on_crash', {}, 'destroy'),
    element(
      'devices',
      {},
      element('emulator', {}, qemuProgram),
      !devices.some(({ kind }) => kind === 'usbBus') && element('controller', { type: 'usb', model: 'none' }),
      ...rootPorts(spec.slots),
      ...devices.flatMap((device) => deviceElements(device, spec, { ...files, hostDevices })),
      element('memballoon', { model: 'none' }),
    ),
  )
  return serializeXml(root)
}

/** A path within an image; admission refuses others already. @throws Fault Invalid */
export function fileOfImage(path: string): string {
  if (!isFileOfImage(path)) throw new Fault('Invalid', `${JSON.stringify(path)} is no file of an image`)
  return path.replace(/^\//, '')
}

/** All root ports of a guest: libvirt adds none to a running one. */
function rootPorts({ ports }: Slots): XmlElement[] {
  return Array.from({ length: ports }, (_, i) =>
    element('controller', { type: 'pci', index: i + 1, model: 'pcie-root-port' }),
  )
}

/** A device, behind its root port if it has one; otherwise it is on another bus, or libvirt chooses its address. */
function deviceElements(
  { kind, alias }: Device,
  spec: DomainSpec,
  files: DomainFiles & Readonly<{ hostDevices: HostDevices }>,
): XmlElement[] {
  const { nics, disks, slots, hardware } = spec
  const bus = slots.buses.get(alias)
  const address = bus !== undefined && onBus(bus)
  switch (kind) {
    case 'interface': {
      const nic = nics.find((one) => nicAlias(one) === alias)
      if (!nic) throw new Fault('Bug', `There is no interface for the device ${alias}`)
      if (!isDevice(nic.binding)) return [nicElement(nic, bus)]
      return [deviceElement(nic, files.hostDevices.get(nic.name) ?? '', bus)]
    }
    case 'disk': {
      const disk = disks.find(({ name }) => diskAlias(name, nics) === alias)
      if (!disk) throw new Fault('Bug', `There is no disk for the device ${alias}`)
      return [diskElement(disk, files.disks.get(disk.name), { alias, address })]
    }
    case 'input': {
      const input = hardware.inputs.find(({ name }) => aliasOf(`input-${name}`) === alias)
      return [
        element('input', { type: 'tablet', bus: input?.bus ?? 'usb' }, element('alias', { name: alias }), address),
      ]
    }
    case 'screen':
      return screenElements(hardware.video ?? '')
    case 'tpm':
      return [element('tpm', { model: 'tpm-tis' }, element('backend', { type: 'emulator', version: '2.0' }))]
    default:
      return [fixedElement(kind, hardware, address)]
  }
}

/** A device of which a guest has one. */
function fixedElement(
  kind: Exclude<Device['kind'], 'interface' | 'disk' | 'input' | 'screen' | 'tpm'>,
  { sound, watchdog }: Hardware,
  address: XmlElement | false,
): XmlElement {
  switch (kind) {
    case 'serialBus':
      return element('controller', { type: 'virtio-serial', index: 0 }, address)
    case 'console':
      return element(
        'serial',
        { type: 'pipe' },
        element('source', { path: consoleInSandbox }),
        element('target', { port: 0 }),
      )
    case 'agentChannel':
      return element('channel', { type: 'unix' }, element('target', { type: 'virtio', name: agentChannel }))
    case 'rng':
      return element('rng', { model: 'virtio' }, element('backend', { model: 'random' }, '/dev/urandom'), address)
    case 'scsiBus':
      return element('controller', { type: 'scsi', index: 0, model: virtio }, address)
    case 'usbBus':
      return element('controller', { type: 'usb', index: 0, model: 'qemu-xhci' }, address)
    case 'sound':
      return element('sound', { model: sound ?? 'ich9' })
    case 'watchdog':
      return element('watchdog', { model: 'i6300esb', action: watchdog?.action ?? 'reset' })
  }
}

/** A graphics device, and VNC on a socket in the folder that is QEMU's own. */
function screenElements(type: string): XmlElement[] {
  const memory = type === 'vga' || type === 'bochs' ? { vram: 16_384 } : {}
  return [
    element('graphics', { type: 'vnc' }, element('listen', { type: 'socket', socket: screenInSandbox })),
    element('video', {}, element('model', { type, ...memory, ...(type !== 'ramfb' && { heads: 1 }) })),
  ]
}

/** The XML of a card to plug; libvirt chooses the first free port. */
export function nicXml(nic: Nic, attachment: Attachment): string {
  return serializeXml(nicElement({ ...nic, links: attachment.links, queues: attachment.queues }, undefined))
}

/** The XML of a device of the host to plug as the card of an interface. */
export function deviceXml(nic: Nic, device: string): string {
  return serializeXml(deviceElement(nic, device, undefined))
}

/** A device of the host as the card of an interface, as KubeVirt has it; MAC and VLAN are its card's settings. */
function deviceElement(
  nic: Pick<DesiredNic, 'name' | 'binding' | 'bootOrder'>,
  device: string,
  bus: number | undefined,
): XmlElement {
  return element(
    'hostdev',
    { mode: 'subsystem', type: 'pci', managed: 'no' },
    element('source', {}, hostAddress(device)),
    element('alias', { name: nicAlias(nic) }),
    nic.bootOrder !== undefined && element('boot', { order: nic.bootOrder }),
    bus !== undefined && onBus(bus),
  )
}

/** @throws Fault Bug for what is no PCI address */
function hostAddress(device: string): XmlElement {
  const [, domain, bus, slot, part] = /^([\da-f]{4}):([\da-f]{2}):([\da-f]{2})\.([0-7])$/i.exec(device) ?? []
  if (!domain) throw new Fault('Bug', `${JSON.stringify(device)} is no PCI address`)
  return element('address', { domain: `0x${domain}`, bus: `0x${bus}`, slot: `0x${slot}`, function: `0x${part}` })
}

type CardOptions = Pick<DesiredNic, 'links' | 'queues' | 'acpiIndex' | 'bootOrder'>

function nicElement(nic: Nic & CardOptions, bus: number | undefined): XmlElement {
  return element(
    'interface',
    { type: 'ethernet' },
    element('mac', { address: nic.mac }),
    element('target', { dev: nic.links.tap, managed: 'no' }),
    element('model', { type: nic.model === 'virtio' ? virtio : nic.model }),
    nic.queues > 1 && element('driver', { name: 'vhost', queues: nic.queues }),
    nic.link === 'down' && element('link', { state: 'down' }),
    element('alias', { name: aliasOf(nic.name) }),
    nic.bootOrder !== undefined && element('boot', { order: nic.bootOrder }),
    nic.acpiIndex !== undefined && element('acpi', { index: nic.acpiIndex }),
    // A network boot prompt would only delay a guest that does not boot from it.
    nic.bootOrder === undefined && element('rom', { enabled: 'no' }),
    bus !== undefined && onBus(bus),
  )
}

/** The parts of a live domain that are read. */
export type ReadDomain = Readonly<{
  uuid: string
  nics: readonly ObservedNic[]
  disks: readonly ObservedDisk[]
  agentConnected: boolean
  ports: PciPorts
  /** The numbers of the root ports that no device is on. */
  freeBuses: readonly number[]
  /** Whether disks can be on a SCSI bus. */
  hasScsi: boolean
  /** The names of all files that its disks are made of. */
  files: readonly string[]
}>

/**
 * Reads a live domain. libvirt does not know the networks of interfaces: they are those of the sandbox's `attachments`, joined by
 * name.
 */
export function readDomain(xml: string, attachments: ReadonlyMap<string, Attachment>): ReadDomain {
  const root = parseXml(xml)
  const devices = findElement(root, 'devices')
  const channel = childElements(devices, 'channel').find(
    (one) => findElement(one, 'target')?.attributes.name === agentChannel,
  )
  return {
    uuid: findElement(root, 'uuid')?.children.join('') ?? '',
    nics: [
      ...interfacesOf(root).map(([name, one]) => readNic(name, one, attachments.get(name))),
      ...devicesIn(devices).map(([name, one]) => readDevice(name, one, attachments.get(name))),
    ],
    disks: childElements(devices, 'disk').map(readDisk),
    files: childElements(devices, 'disk').flatMap(filesOf),
    hasScsi: childElements(devices, 'controller').some(({ attributes }) => attributes.type === 'scsi'),
    agentConnected: findElement(channel, 'target')?.attributes.state === 'connected',
    ...portsOf(devices),
  }
}

function readDisk(one: XmlElement): ObservedDisk {
  const file = findElement(one, 'source')?.attributes.file
  const { dev = '', tray } = findElement(one, 'target')?.attributes ?? {}
  return {
    alias: findElement(one, 'alias')?.attributes.name ?? '',
    target: dev,
    ...(file !== undefined && { file: baseName(file) }),
    ...(tray === 'open' && { isOpen: true }),
  }
}

/** The files of a disk and of what it is over. */
function filesOf(one: XmlElement | undefined): string[] {
  if (!one) return []
  const file = findElement(one, 'source')?.attributes.file
  return [...(file === undefined ? [] : [baseName(file)]), ...filesOf(findElement(one, 'backingStore'))]
}

function baseName(path: string): string {
  return path.split('/').at(-1) ?? ''
}

/** The root ports, and those that are free. The number of the bus behind a port is the index of its controller. */
function portsOf(devices: XmlElement | undefined): Pick<ReadDomain, 'ports' | 'freeBuses'> {
  const all = (devices?.children ?? []).filter((child) => typeof child !== 'string')
  const ports = all.filter((one) => one.name === 'controller' && one.attributes.model === 'pcie-root-port')
  const addresses = all.map((one) => findElement(one, 'address')?.attributes)
  const taken = new Set(addresses.filter((one) => one?.type === 'pci').map((one) => Number(one?.bus)))
  const free = ports.filter((one) => !taken.has(Number(one.attributes.index)))
  return {
    ports: { total: ports.length, free: free.length },
    freeBuses: free.map(({ attributes }) => Number(attributes.index)),
  }
}

function readNic(name: string, one: XmlElement, attachment: Attachment | undefined): ObservedNic {
  const model = findElement(one, 'model')?.attributes.type ?? ''
  return {
    name,
    mac: findElement(one, 'mac')?.attributes.address?.toLowerCase() ?? '',
    model: model.startsWith('virtio') ? 'virtio' : model,
    binding: attachment?.binding ?? 'bridge',
    network: attachment?.network ?? '',
    // libvirt omits the element when a link is up.
    link: findElement(one, 'link')?.attributes.state === 'down' ? 'down' : 'up',
    queues: Number(findElement(one, 'driver')?.attributes.queues ?? 1),
  }
}

/** A device of the host: libvirt knows neither its MAC address nor a model. */
function readDevice(name: string, one: XmlElement, attachment: Attachment | undefined): ObservedNic {
  const { mac = '', binding = 'sriov' } = attachment ?? {}
  return { ...readNic(name, one, attachment), mac, binding, model: 'virtio' }
}

/** The devices of the host that are cards of interfaces, by the names of these. */
function devicesIn(devices: XmlElement | undefined): [string, XmlElement][] {
  return childElements(devices, 'hostdev').flatMap((one): [string, XmlElement][] => {
    const alias = findElement(one, 'alias')?.attributes.name ?? ''
    return alias.startsWith(devicePrefix) ? [[alias.slice(devicePrefix.length), one]] : []
  })
}

/** The XML that sets an interface's link: its live XML with nothing else changed. Undefined when there is no such interface. */
export function linkUpdateXml(domain: string, name: string, link: 'up' | 'down'): string | undefined {
  const found = interfacesOf(parseXml(domain)).find(([one]) => one === name)?.[1]
  if (!found) return undefined
  const children = found.children.filter((child) => typeof child === 'string' || child.name !== 'link')
  return serializeXml({ ...found, children: [...children, element('link', { state: link })] })
}

/** Patchbay's interfaces, by logical name. */
function interfacesOf(root: XmlElement): [string, XmlElement][] {
  return childElements(findElement(root, 'devices'), 'interface').flatMap((one): [string, XmlElement][] => {
    const alias = findElement(one, 'alias')?.attributes.name ?? ''
    return alias.startsWith(aliasPrefix) ? [[alias.slice(aliasPrefix.length), one]] : []
  })
}
