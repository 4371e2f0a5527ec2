/**
 * The header of a qcow2 image, read before any program sees the file: it can name other files of the host, which QEMU would open
 * (docs/interop/qcow2.txt in its sources).
 */

const magic = Buffer.from('514649fb', 'hex')
/** Length of a header of version 2, and of the shortest of version 3. */
const headerBytes = { 2: 72, 3: 104 } as const

/** Bits of `incompatible_features`. */
const dirty = 1n << 0n
const corrupt = 1n << 1n
const externalData = 1n << 2n
const compressionType = 1n << 3n
const extendedL2 = 1n << 4n
const known = dirty | compressionType | extendedL2

/** Header extensions that say where guests' data or keys are. */
const extensions: Readonly<Record<number, string>> = {
  1145132097: 'it keeps its data in another file (data file)',
  87539319: 'it is encrypted',
}

/** Largest cluster, 2 MiB: all of the header is in the first one. */
const clusterBits = { least: 9, most: 21 }
export const maxHeaderBytes = 2 ** clusterBits.most

/** Largest table of first-level entries and of reference counts that QEMU takes, bytes. */
const maxL1Bytes = 32 * 2 ** 20
const maxRefcountBytes = 8 * 2 ** 20

/** What a header says, or why it is refused. */
export type Qcow2Header = Readonly<{ virtualBytes: number } | { problem: string }>

/** Whether a file begins as one of qcow2, or of its first version. */
export function isQcow2(head: Buffer): boolean {
  return head.subarray(0, 4).equals(magic)
}

/** Parses the begin of a file (`maxHeaderBytes` or all of it) of `fileBytes`. */
export function parseQcow2(head: Buffer, fileBytes: number): Qcow2Header {
  const version = head.length >= 8 ? head.readUInt32BE(4) : 0
  if (version === 1) return { problem: 'unsupported image format: qcow' }
  if (version !== 2 && version !== 3) return { problem: `it is of version ${version} of qcow2, which is unknown` }
  if (head.length < headerBytes[version]) return { problem: 'it ends within its header' }
  const header = fieldsOf(head, version)
  const problem = problemOfReferences(header) ?? problemOfSizes(header, fileBytes) ?? problemOfExtensions(head, header)
  return problem === undefined ? { virtualBytes: Number(header.size) } : { problem }
}

type Fields = ReturnType<typeof fieldsOf>

function fieldsOf(head: Buffer, version: 2 | 3) {
  const isNew = version === 3
  const length = isNew ? head.readUInt32BE(100) : headerBytes[2]
  return {
    version,
    backingFile: head.readBigUInt64BE(8),
    clusterBits: head.readUInt32BE(20),
    size: head.readBigUInt64BE(24),
    cryptMethod: head.readUInt32BE(32),
    l1Size: head.readUInt32BE(36),
    l1Table: head.readBigUInt64BE(40),
    refcountTable: head.readBigUInt64BE(48),
    refcountClusters: head.readUInt32BE(56),
    snapshots: head.readUInt32BE(60),
    incompatible: isNew ? head.readBigUInt64BE(72) : 0n,
    refcountOrder: isNew ? head.readUInt32BE(96) : 4,
    compression: length > 104 && head.length > 104 ? head.readUInt8(104) : 0,
    length,
  }
}

/** What leads out of the file, or needs more than the file. */
function problemOfReferences(header: Fields): string | undefined {
  const { backingFile, cryptMethod, snapshots, incompatible } = header
  if (backingFile !== 0n) return 'it has a backing file; flatten it by: qemu-img convert -O qcow2'
  if ((incompatible & externalData) !== 0n) return extensions[0x44415441]
  if ((incompatible & corrupt) !== 0n) return 'it is marked as corrupt'
  if ((incompatible & ~(known | externalData | corrupt)) !== 0n)
    return `it needs features that are unknown (0x${incompatible.toString(16)})`
  if (cryptMethod !== 0) return 'it is encrypted'
  if (snapshots !== 0) return 'it has internal snapshots; leave them out by: qemu-img convert -O qcow2'
  return undefined
}

/** Sizes that no program would write, and with which one that reads takes memory without end. */
function problemOfSizes(header: Fields, fileBytes: number): string | undefined {
  const { clusterBits: bits, size, l1Size, l1Table, refcountTable, refcountClusters } = header
  if (bits < clusterBits.least || bits > clusterBits.most) return `its clusters have 2^${bits} bytes`
  if (header.version === 3 && (header.length < headerBytes[3] || header.length % 8 !== 0 || header.length > 2 ** bits))
    return `its header has ${header.length} bytes`
  if (header.refcountOrder > 6) return 'its reference counts are too wide'
  const hasType = (header.incompatible & compressionType) !== 0n
  if (header.compression > 1 || (header.compression !== 0) !== hasType) return 'its compression is unknown'
  const cluster = 1n << BigInt(bits)
  const entry = (header.incompatible & extendedL2) === 0n ? 8n : 16n
  const covered = cluster * (cluster / entry)
  const needed = (size + covered - 1n) / covered
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) return `its virtual size is ${size} bytes`
  // A disk that was made smaller keeps its table, and one that grew may have some more.
  if (BigInt(l1Size) < needed || BigInt(l1Size) > 4n * needed + 1024n || l1Size * 8 > maxL1Bytes)
    return `its table of ${l1Size} entries is out of proportion to its virtual size of ${size} bytes`
  const isInside = (offset: bigint, bytes: bigint) => offset % cluster === 0n && offset + bytes <= BigInt(fileBytes)
  if (!isInside(l1Table, BigInt(l1Size) * 8n)) return 'its table of entries is not in the file'
  const refcountBytes = BigInt(refcountClusters) * cluster
  if (refcountBytes > BigInt(maxRefcountBytes) || !isInside(refcountTable, refcountBytes))
    return 'its table of reference counts is not in the file'
  return undefined
}

function problemOfExtensions(head: Buffer, { length, clusterBits: bits }: Fields): string | undefined {
  const end = Math.min(2 ** bits, head.length)
  for (let at = length; at + 8 <= end; ) {
    const type = head.readUInt32BE(at)
    const bytes = head.readUInt32BE(at + 4)
    if (type === 0) return undefined
    const problem = extensions[type]
    if (problem !== undefined) return problem
    if (bytes > end - at - 8) return 'an extension of its header is longer than its first cluster'
    at += 8 + Math.ceil(bytes / 8) * 8
  }
  return undefined
}
