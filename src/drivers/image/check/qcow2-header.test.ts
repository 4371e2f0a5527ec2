import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQcow2, parseQcow2 } from './qcow2-header.ts'

type Change = (header: Buffer) => void

const fileBytes = 1024 * 1024
const size = 2 ** 30

/** The header of an image of 1 GiB as qemu-img writes it, with changes. */
function header(...changes: readonly Change[]): Buffer {
  const bytes = Buffer.alloc(65536)
  bytes.write('QFI\xfb', 0, 'latin1')
  bytes.writeUInt32BE(3, 4)
  bytes.writeUInt32BE(16, 20)
  bytes.writeBigUInt64BE(BigInt(size), 24)
  bytes.writeUInt32BE(2, 36)
  bytes.writeBigUInt64BE(0x30000n, 40)
  bytes.writeBigUInt64BE(0x10000n, 48)
  bytes.writeUInt32BE(1, 56)
  bytes.writeUInt32BE(4, 96)
  bytes.writeUInt32BE(112, 100)
  for (const change of changes) change(bytes)
  return bytes
}

const u32 =
  (at: number, value: number): Change =>
  (bytes) =>
    bytes.writeUInt32BE(value, at)
const u64 =
  (at: number, value: bigint): Change =>
  (bytes) =>
    bytes.writeBigUInt64BE(value, at)
const extension =
  (type: number, data: string, at = 112): Change =>
  (bytes) => {
    bytes.writeUInt32BE(type, at)
    bytes.writeUInt32BE(data.length, at + 4)
    bytes.write(data, at + 8)
  }
const version2 = u32(4, 2)

test('a plain image is taken, of both versions and with everything that stays in its file', () => {
  const plain: readonly (readonly Change[])[] = [
    [],
    [version2],
    [u32(100, 104)],
    [u64(72, 1n)],
    [u64(72, 8n), (bytes) => bytes.writeUInt8(1, 104)],
    [u64(72, 16n), u32(36, 4)],
    [extension(0x6803f857, 'names of features')],
    [extension(0x12345678, 'unknown')],
    [extension(0x23852875, 'x'.repeat(24))],
    [u32(36, 500)],
  ]
  for (const changes of plain) assert.deepEqual(parseQcow2(header(...changes), fileBytes), { virtualBytes: size })
  assert.ok(isQcow2(header()))
  assert.ok(!isQcow2(Buffer.from('QFI')))
})

const hostile: Readonly<Record<string, readonly [RegExp, ...Change[]]>> = {
  'a backing file': [/it has a backing file/, u64(8, 0x100n), u32(16, 11)],
  'a backing file in version 2': [/it has a backing file/, version2, u64(8, 0x100n)],
  'a data file by its feature': [/in another file/, u64(72, 4n)],
  'a data file by its name alone': [/in another file/, extension(0x44415441, '/etc/passwd')],
  'the name of a data file in version 2': [/in another file/, version2, extension(0x44415441, '/etc/passwd', 72)],
  'a data file after other extensions': [
    /in another file/,
    extension(0x6803f857, 'x'.repeat(13)),
    extension(0x44415441, '/etc/passwd', 112 + 8 + 16),
  ],
  'a mark of corruption': [/corrupt/, u64(72, 2n)],
  'an unknown feature': [/features that are unknown \(0x20\)/, u64(72, 32n)],
  'an unknown feature far up': [/features that are unknown/, u64(72, 1n << 63n)],
  'old encryption': [/encrypted/, u32(32, 1)],
  'encryption by LUKS': [/encrypted/, u32(32, 2)],
  'the header of encryption alone': [/encrypted/, extension(0x0537be77, 'x'.repeat(16))],
  snapshots: [/internal snapshots/, u32(60, 1)],
  'clusters without end': [/clusters have 2\^63/, u32(20, 63)],
  'clusters that are too small': [/clusters have 2\^8/, u32(20, 8)],
  'a table without end': [/out of proportion/, u32(36, 0xffffffff)],
  'a table that is too small': [/out of proportion/, u32(36, 1)],
  'a size of 1 EiB': [/virtual size/, u64(24, 1n << 60n)],
  'a size beyond everything': [/virtual size/, u64(24, (1n << 64n) - 1n)],
  'a table that is not in the file': [/table of entries is not in the file/, u64(40, 1n << 40n)],
  'a table between clusters': [/table of entries is not in the file/, u64(40, 0x30001n)],
  'reference counts that are not in the file': [/reference counts is not in the file/, u64(48, 1n << 62n)],
  'reference counts without end': [/reference counts is not in the file/, u32(56, 0xffffffff)],
  'reference counts that are too wide': [/too wide/, u32(96, 7)],
  'a header that is too short': [/its header has 72 bytes/, u32(100, 72)],
  'a header that is too long': [/its header has 4294967288 bytes/, u32(100, 0xfffffff8)],
  'a header of an odd length': [/its header has 105 bytes/, u32(100, 105)],
  'unknown compression': [/compression is unknown/, u64(72, 8n), (bytes) => bytes.writeUInt8(2, 104)],
  'compression that no feature tells': [/compression is unknown/, (bytes) => bytes.writeUInt8(1, 104)],
  'an extension without end': [/longer than its first cluster/, extension(1, ''), u32(116, 0xffffffff)],
  'the first version': [/^unsupported image format: qcow$/, u32(4, 1)],
  'another version': [/version 4 of qcow2/, u32(4, 4)],
}

for (const [what, [expected, ...changes]] of Object.entries(hostile))
  test(`an image with ${what} is refused`, () => {
    const parsed = parseQcow2(header(...changes), fileBytes)
    assert.match('problem' in parsed ? parsed.problem : JSON.stringify(parsed), expected)
  })

test('no begin of a header is read beyond its end', () => {
  const whole = header(extension(0x6803f857, 'x'.repeat(100)))
  for (let length = 0; length < 300; length++) {
    const parsed = parseQcow2(whole.subarray(0, length), length)
    assert.ok('problem' in parsed, String(length))
  }
})

test('whatever bytes a header has, it is parsed or refused', () => {
  let seed = 1
  const random = () => {
    seed = (seed * 48271) % 2147483647
    return seed
  }
  for (let round = 0; round < 20_000; round++) {
    const bytes = header()
    for (let i = 0; i < 4; i++) bytes.writeUInt8(random() % 256, 4 + (random() % 200))
    parseQcow2(bytes.subarray(0, 1024 + (random() % 4096)), fileBytes)
  }
})
