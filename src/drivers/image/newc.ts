/** One entry of an archive. Folders come before what is in them. */
export type Entry = Readonly<{ path: string }> &
  (
    | Readonly<{ type: 'folder' }>
    | Readonly<{ type: 'link'; target: string }>
    | Readonly<{ type: 'file'; data: Uint8Array; executable?: boolean }>
  )

/** The type bits of a file mode. */
const typeBits = { folder: 0o040_000, link: 0o120_000, file: 0o100_000 } as const

/** After this name the kernel stops reading. */
const trailer = 'TRAILER!!!'

/** A cpio archive in the "newc" format, which is what the kernel unpacks as its first root. Same entries, same bytes. */
export function packNewc(entries: readonly Entry[]): Buffer {
  const records = entries.map((entry, i) => record(entry.path, i + 1, modeOf(entry), contentOf(entry)))
  return Buffer.concat([...records, record(trailer, 0, 0, Buffer.alloc(0))])
}

function modeOf(entry: Entry): number {
  const permissions = entry.type === 'file' && !entry.executable ? 0o644 : 0o755
  return typeBits[entry.type] | permissions
}

function contentOf(entry: Entry): Uint8Array {
  if (entry.type === 'file') return entry.data
  return Buffer.from(entry.type === 'link' ? entry.target : '')
}

/** Header, name and content, each padded to four bytes. Everything belongs to root and dates from 1970. */
function record(path: string, inode: number, mode: number, content: Uint8Array): Buffer {
  const name = Buffer.from(`${path}\0`)
  const links = 1
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)])
}

function padded(bytes: Uint8Array): Uint8Array {
  const missing = (4 - (bytes.length % 4)) % 4
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)])
}
