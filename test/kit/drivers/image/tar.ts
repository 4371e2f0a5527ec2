/** An entry of an archive as tests make it; `type` is the letter of ustar. */
export type TestEntry = Readonly<{
  name: string
  type?: string
  content?: Buffer
  /** Size in the header, if it is not that of the content. */
  size?: number
  /** Change the finished header. */
  spoil?: (header: Buffer) => void
}>

const blockBytes = 512

/** An archive (ustar) with entries as they are in container disks: 0444, owner 107. */
export function tarOf(entries: readonly TestEntry[], isEnded = true): Buffer {
  const parts = entries.flatMap((entry) => {
    const content = entry.content ?? Buffer.alloc(0)
    return [headerOf(entry), content, Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes)]
  })
  return Buffer.concat([...parts, Buffer.alloc(isEnded ? 2 * blockBytes : 0)])
}

function headerOf({ name, type = '0', content, size = content?.length ?? 0, spoil }: TestEntry): Buffer {
  const header = Buffer.alloc(blockBytes)
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  header.write(name, 0, 100)
  octal(0o444, 100, 8)
  octal(107, 108, 8)
  octal(107, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  header.write(type, 156)
  header.write('ustar\x0000', 257, 'latin1')
  spoil?.(header)
  const sum = header.fill(0x20, 148, 156).reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

/** A record of an extended header of pax. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + Buffer.byteLength(rest) !== length)
    length = String(length).length + Buffer.byteLength(rest)
  return `${length}${rest}`
}
