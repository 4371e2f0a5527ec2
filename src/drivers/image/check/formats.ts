import { compressionOf } from '../files/decompress.ts'

/** How files begin that are disks in formats which are not taken, or are no disks at all. */
const magics: readonly (readonly [format: string, at: number, magic: Buffer])[] = [
  ['vmdk', 0, Buffer.from('KDMV')],
  ['vmdk', 0, Buffer.from('COWD')],
  ['vmdk', 0, Buffer.from('# Disk DescriptorFile')],
  ['vdi', 0x40, Buffer.from('7f10dabe', 'hex')],
  ['vhdx', 0, Buffer.from('vhdxfile')],
  ['vhd', 0, Buffer.from('conectix')],
  ['qed', 0, Buffer.from('QED\0')],
  ['parallels', 0, Buffer.from('WithoutFreeSpace')],
  ['bzip2', 0, Buffer.from('BZh9')],
  ['zip', 0, Buffer.from('PK\x03\x04')],
]

/** The format of a file that can be no raw disk; undefined when it may be one. */
export function foreignFormatOf(head: Buffer): string | undefined {
  const found = magics.find(([, at, magic]) => head.subarray(at, at + magic.length).equals(magic))?.[0]
  if (found !== undefined) return found
  if (/^\s*<(!doctype html|html)\b/i.test(head.toString('latin1'))) return 'html (a web page)'
  return compressionOf(head)
}
