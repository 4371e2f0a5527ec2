import type { DomainDisk } from '#core/disk/disk.ts'
import { childElements, element, findElement, parseXml, serializeXml, type XmlElement } from './xml.ts'

/** A file as QEMU opens it: always with its format, which is never probed. */
type OpenedFile = Readonly<{ path: string; format: 'qcow2' | 'raw' }>

/** The file of a disk in its sandbox, what it is over, and the cache mode that both support. */
export type MadeDisk = OpenedFile & Readonly<{ backing?: OpenedFile; cache: string }>

/** Where a disk is in the guest. */
type Place = Readonly<{ alias: string; address: XmlElement | false }>

/**
 * A disk. The backing file is always said, because QEMU would open whatever the file's header names; a disk whose file is undefined
 * is an empty CD-ROM.
 */
export function diskElement(disk: DomainDisk, made: MadeDisk | undefined, { alias, address }: Place): XmlElement {
  const { device, bus, target, serial, bootOrder, blockSize, io, errorPolicy, isTrayOpen } = disk
  return element(
    'disk',
    { type: 'file', device, ...(bus === 'virtio' && { model: 'virtio-non-transitional' }) },
    element('driver', {
      name: 'qemu',
      type: made?.format ?? 'raw',
      ...(made && { cache: disk.cache ?? made.cache }),
      ...(io !== undefined && { io }),
      error_policy: errorPolicy,
      ...(device === 'disk' && { discard: 'unmap' }),
    }),
    made && element('source', { file: made.path }),
    made && backingElement(made.backing),
    element('target', { dev: target, bus, ...(device === 'cdrom' && { tray: isTrayOpen ? 'open' : 'closed' }) }),
    blockSize && element('blockio', { logical_block_size: blockSize.logical, physical_block_size: blockSize.physical }),
    serial !== undefined && element('serial', {}, serial),
    disk.isReadOnly && element('readonly'),
    disk.isShareable && element('shareable'),
    bootOrder !== undefined && element('boot', { order: bootOrder }),
    element('alias', { name: alias }),
    bus === 'scsi' ? scsiAddress(target) : address,
  )
}

/** The XML of a disk to attach, on the root port of a number if one is given. */
export function diskXml(
  disk: DomainDisk,
  made: MadeDisk,
  { alias, bus }: Readonly<{ alias: string; bus?: number | undefined }>,
): string {
  // The firmware has chosen already, and refuses a number that another disk has.
  const { bootOrder: _, ...rest } = disk
  return serializeXml(diskElement(rest, made, { alias, address: bus !== undefined && onBus(bus) }))
}

/**
 * The XML that gives the drive of a live domain another medium, or none: libvirt takes no other difference. Undefined when there is no
 * such drive.
 */
export function mediumXml(domain: string, alias: string, made: MadeDisk | undefined): string | undefined {
  const drives = childElements(findElement(parseXml(domain), 'devices'), 'disk')
  const found = drives.find((one) => findElement(one, 'alias')?.attributes.name === alias)
  if (!found) return undefined
  const children = found.children.filter(
    (child) => typeof child === 'string' || !['source', 'backingStore'].includes(child.name),
  )
  const medium = made ? [element('source', { file: made.path }), element('backingStore')] : []
  return serializeXml({ ...found, children: [...children, ...medium] })
}

/** The address behind a root port. */
export function onBus(bus: number): XmlElement {
  const text = `0x${bus.toString(16).padStart(2, '0')}`
  return element('address', { type: 'pci', domain: '0x0000', bus: text, slot: '0x00', function: '0x0' })
}

function backingElement(backing: OpenedFile | undefined): XmlElement {
  if (!backing) return element('backingStore')
  return element(
    'backingStore',
    { type: 'file' },
    element('format', { type: backing.format }),
    element('source', { file: backing.path }),
    element('backingStore'),
  )
}

/** All on one controller: libvirt would add one for every seven disks. */
function scsiAddress(target: string): XmlElement {
  const letters = [...target.replace(/^sd/, '')]
  const index = letters.reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1
  return element('address', { type: 'drive', controller: 0, bus: 0, target: 0, unit: index })
}
