import { createHash } from 'node:crypto'

/** The id of what oVirt has for Blank, the template that is none, and for the root of tags. */
export const blankId = '00000000-0000-0000-0000-000000000000'

/**
 * A UUID of version 5 in the name space of another one: the ids of things that are no objects of their own. They need no table,
 * survive restarts, and are the same on every server (facts/ovirt-clients.md §6).
 */
export function idIn(space: string, name: string): string {
  const hash = createHash('sha1')
    .update(Buffer.from(space.replaceAll('-', ''), 'hex'))
    .update(name)
    .digest()
  const bytes = hash.subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
