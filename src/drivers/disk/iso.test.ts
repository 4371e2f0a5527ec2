import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sha256Hex } from '#base/sha256.ts'
import { isoImage } from './iso.ts'

const sector = 2048

/** Reads an image by its Joliet tree, as a guest does: its label, and its files by path. */
function read(image: Buffer): { label: string; files: Map<string, string> } {
  const volume = image.subarray(17 * sector, 18 * sector)
  assert.equal(volume.toString('latin1', 1, 6), 'CD001')
  assert.equal(volume.toString('latin1', 88, 91), '%/E')
  const files = new Map<string, string>()
  const folder = (at: number, bytes: number, path: string) => {
    let offset = at * sector
    const end = offset + bytes
    while (offset < end) {
      const length = image[offset] ?? 0
      if (length === 0) {
        offset = (Math.floor(offset / sector) + 1) * sector
        continue
      }
      const place = image.readUInt32LE(offset + 2)
      const size = image.readUInt32LE(offset + 10)
      assert.equal(image.readUInt32BE(offset + 14), size, 'both byte orders say the same')
      const raw = image.subarray(offset + 33, offset + 33 + (image[offset + 32] ?? 0))
      const isFolder = ((image[offset + 25] ?? 0) & 2) !== 0
      offset += length
      if (raw.length === 1) continue
      const name = Buffer.from(raw).swap16().toString('utf16le').replace(/;1$/, '')
      if (isFolder) folder(place, size, `${path}${name}/`)
      else files.set(path + name, image.toString('utf8', place * sector, place * sector + size))
    }
  }
  folder(volume.readUInt32LE(156 + 2), volume.readUInt32LE(156 + 10), '')
  const label = Buffer.from(volume.subarray(40, 72)).swap16().toString('utf16le').trim()
  return { label, files }
}

const bytes = (text: string) => new TextEncoder().encode(text)

test('what is written is read again: names, folders, empty files, and more than fits into one sector', () => {
  const wanted = new Map([
    ['meta-data', '{}'],
    ['user-data', '#cloud-config\n'.repeat(500)],
    ['openstack/latest/meta_data.json', '{"a":1}'],
    ['empty', ''],
    ['ünïcode – name.txt', 'x'],
    ...Array.from({ length: 120 }, (_, i) => [`many/file ${i}.txt`, String(i)] as const),
  ])
  const image = isoImage('cidata', new Map([...wanted].map(([path, text]) => [path, bytes(text)])))
  const { label, files } = read(image)
  assert.equal(label, 'cidata')
  assert.deepEqual([...files].toSorted(), [...wanted].toSorted())
  assert.equal(image.length % sector, 0)
  assert.equal(image.readUInt32LE(16 * sector + 80), image.length / sector, 'the size in the volume descriptor')
})

test('the same files make the same bytes, and there is always a whole image', () => {
  const files = new Map([['a', bytes('1')]])
  assert.equal(sha256Hex(isoImage('l', files).toString('latin1')), sha256Hex(isoImage('l', files).toString('latin1')))
  assert.equal(read(isoImage('none', new Map())).files.size, 0)
})

for (const [what, label, path] of [
  ['a long label', 'l'.repeat(33), 'a'],
  ['a long name', 'l', 'a'.repeat(104)],
  ['a path that leads out', 'l', '../a'],
  ['no name', 'l', '/'],
] as const)
  test(`what does not fit is refused: ${what}`, () =>
    assert.throws(() => isoImage(label, new Map([[path, bytes('')]])), { kind: 'Invalid' }))

test('a file cannot be a folder, too', () =>
  assert.throws(
    () =>
      isoImage(
        'l',
        new Map([
          ['a', bytes('')],
          ['a/b', bytes('')],
        ]),
      ),
    { kind: 'Invalid' },
  ))
