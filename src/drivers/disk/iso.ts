import { Fault } from '#base/fault.ts'

/** Size of a sector, bytes. */
const sector = 2048
/** The first sector after the volume descriptors and their terminator. */
const firstSector = 19
/** Smallest image, sectors: some readers refuse smaller ones. */
const minSectors = 32
/** Longest names, characters: a record of the Joliet tree has one byte for its length. */
const maxName = 103
const maxLabel = 32

type File = { readonly is: 'file'; readonly name: string; readonly data: Uint8Array; at: number }
type Folder = {
  readonly is: 'folder'
  readonly name: string
  readonly parent: Folder | undefined
  readonly entries: Map<string, File | Folder>
  /** Where its listing is in each tree, in sectors, and how long it is, in bytes. */
  readonly listing: Readonly<Record<TreeName, { at: number; bytes: number }>>
}

/** An image has its names twice: short ones for the standard, and as they are for Joliet, which all systems of today read. */
type TreeName = 'short' | 'joliet'
type Tree = Readonly<{ name: TreeName; nameOf: (one: File | Folder) => Buffer }>

/**
 * An ISO 9660 image with Joliet names: what cloud-init and Windows' setup read. It has no dates: the same files make the same bytes.
 * @throws Fault Invalid for a name that does not fit
 */
export function isoImage(label: string, files: ReadonlyMap<string, Uint8Array>): Buffer {
  if (label.length > maxLabel)
    throw new Fault('Invalid', `The volume label "${label}" is longer than ${maxLabel} characters`)
  const root = treeOf(files)
  const folders = foldersOf(root)
  const trees = treesOf(folders)
  const tables = new Map<TreeName, { bytes: number; little: number; big: number }>()
  let next = firstSector
  const take = (bytes: number) => {
    const at = next
    next += Math.ceil(bytes / sector)
    return at
  }
  for (const tree of trees) {
    const { length: bytes } = pathTable(folders, tree, 'little')
    tables.set(tree.name, { bytes, little: take(bytes), big: take(bytes) })
  }
  for (const tree of trees)
    for (const folder of folders) {
      const place = folder.listing[tree.name]
      place.bytes = listing(folder, tree).length
      place.at = take(place.bytes)
    }
  for (const file of folders.flatMap((folder) => sorted(folder)).filter((one) => one.is === 'file'))
    file.at = take(file.data.length)

  const image = Buffer.alloc(Math.max(next, minSectors) * sector)
  for (const [i, tree] of trees.entries()) {
    const table = tables.get(tree.name)!
    descriptor({ root, label, tree, table, sectors: image.length / sector }).copy(image, (16 + i) * sector)
    pathTable(folders, tree, 'little').copy(image, table.little * sector)
    pathTable(folders, tree, 'big').copy(image, table.big * sector)
    for (const folder of folders) listing(folder, tree).copy(image, folder.listing[tree.name].at * sector)
  }
  image.set([255, ...Buffer.from('CD001'), 1], 18 * sector)
  for (const file of folders.flatMap((folder) => sorted(folder)))
    if (file.is === 'file') image.set(file.data, file.at * sector)
  return image
}

/** @throws Fault Invalid for a path that does not fit */
function treeOf(files: ReadonlyMap<string, Uint8Array>): Folder {
  const root = newFolder('', undefined)
  for (const [path, data] of files) {
    const parts = path.split('/').filter(Boolean)
    const name = parts.pop()
    const isBad =
      name === undefined || [...parts, name].some((part) => part.length > maxName || part === '.' || part === '..')
    if (isBad)
      throw new Fault(
        'Invalid',
        `"${path}" cannot be the name of a file on a disk: at most ${maxName} characters each part`,
      )
    let folder = root
    for (const part of parts) {
      const known = folder.entries.get(part)
      if (known?.is === 'file') throw new Fault('Invalid', `"${path}" is below a file of this name`)
      const below = known ?? newFolder(part, folder)
      folder.entries.set(part, below)
      folder = below
    }
    folder.entries.set(name, { is: 'file', name, data, at: 0 })
  }
  return root
}

function newFolder(name: string, parent: Folder | undefined): Folder {
  return {
    is: 'folder',
    name,
    parent,
    entries: new Map(),
    listing: { short: { at: 0, bytes: 0 }, joliet: { at: 0, bytes: 0 } },
  }
}

/** Level by level, as path tables have them. */
function foldersOf(root: Folder): Folder[] {
  const all = [root]
  for (const folder of all) all.push(...sorted(folder).filter((one) => one.is === 'folder'))
  return all
}

function sorted({ entries }: Folder): (File | Folder)[] {
  return [...entries.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function treesOf(folders: readonly Folder[]): readonly [Tree, Tree] {
  const all = folders.flatMap((folder) => sorted(folder))
  const short = new Map(all.map((one, i) => [one, `${one.is === 'folder' ? 'D' : 'F'}${String(i).padStart(5, '0')}`]))
  return [
    { name: 'short', nameOf: (one) => Buffer.from(one.is === 'folder' ? short.get(one)! : `${short.get(one)}.;1`) },
    { name: 'joliet', nameOf: (one) => utf16(one.is === 'folder' ? one.name : `${one.name};1`) },
  ]
}

function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

/** One entry of a folder. */
function record(id: Buffer, at: number, bytes: number, isFolder: boolean): Buffer {
  const made = Buffer.alloc(33 + id.length + ((id.length + 1) % 2))
  made[0] = made.length
  both32(made, 2, at)
  both32(made, 10, bytes)
  // 1 January 2000.
  made.set([100, 1, 1], 18)
  made[25] = isFolder ? 2 : 0
  both16(made, 28, 1)
  made[32] = id.length
  id.copy(made, 33)
  return made
}

function listing(folder: Folder, { name, nameOf }: Tree): Buffer {
  const placeOf = (one: Folder) => [one.listing[name].at, one.listing[name].bytes] as const
  const records = [
    record(Buffer.from([0]), ...placeOf(folder), true),
    record(Buffer.from([1]), ...placeOf(folder.parent ?? folder), true),
    ...sorted(folder).map((one) =>
      one.is === 'folder'
        ? record(nameOf(one), ...placeOf(one), true)
        : record(nameOf(one), one.at, one.data.length, false),
    ),
  ]
  // No record crosses the end of a sector.
  const parts: Buffer[] = []
  let room = 0
  for (const one of records) {
    if (room < one.length) {
      parts.push(Buffer.alloc(room))
      room = sector
    }
    parts.push(one)
    room -= one.length
  }
  return Buffer.concat([...parts, Buffer.alloc(room)])
}

function pathTable(folders: readonly Folder[], { name, nameOf }: Tree, order: 'little' | 'big'): Buffer {
  return Buffer.concat(
    folders.map((folder) => {
      const id = folder.parent ? nameOf(folder) : Buffer.from([0])
      const made = Buffer.alloc(8 + id.length + (id.length % 2))
      const parent = folders.indexOf(folder.parent ?? folder) + 1
      made[0] = id.length
      if (order === 'big') {
        made.writeUInt32BE(folder.listing[name].at, 2)
        made.writeUInt16BE(parent, 6)
      } else {
        made.writeUInt32LE(folder.listing[name].at, 2)
        made.writeUInt16LE(parent, 6)
      }
      id.copy(made, 8)
      return made
    }),
  )
}

type Descriptor = Readonly<{
  root: Folder
  label: string
  tree: Tree
  table: Readonly<{ bytes: number; little: number; big: number }>
  sectors: number
}>

function descriptor({ root, label, tree, table, sectors }: Descriptor): Buffer {
  const isJoliet = tree.name === 'joliet'
  const made = Buffer.alloc(sector)
  made[0] = isJoliet ? 2 : 1
  made.write('CD001', 1)
  made[6] = 1
  const put = (offset: number, length: number, text = '') => {
    const padded = isJoliet ? utf16(text.padEnd(length / 2)) : Buffer.from(text.padEnd(length))
    padded.copy(made, offset, 0, length)
  }
  put(8, 32)
  put(40, 32, label)
  both32(made, 80, sectors)
  if (isJoliet) made.write('%/E', 88)
  both16(made, 120, 1)
  both16(made, 124, 1)
  both16(made, 128, sector)
  both32(made, 132, table.bytes)
  made.writeUInt32LE(table.little, 140)
  made.writeUInt32BE(table.big, 148)
  const { at, bytes } = root.listing[tree.name]
  record(Buffer.from([0]), at, bytes, true).copy(made, 156)
  for (const offset of [190, 318, 446, 574]) put(offset, 128)
  for (const offset of [702, 739, 776]) put(offset, 37)
  for (const offset of [813, 830, 847, 864]) made.write('2000010100000000\0', offset)
  made[881] = 1
  return made
}

function both16(target: Buffer, offset: number, value: number): void {
  target.writeUInt16LE(value, offset)
  target.writeUInt16BE(value, offset + 2)
}

function both32(target: Buffer, offset: number, value: number): void {
  target.writeUInt32LE(value, offset)
  target.writeUInt32BE(value, offset + 4)
}
