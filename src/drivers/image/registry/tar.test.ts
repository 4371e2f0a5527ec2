import assert from 'node:assert/strict'
import { test } from 'node:test'
import { paxRecord, type TestEntry, tarOf } from '#kit/drivers/image/tar.ts'
import { readTar, type TarEntry } from './tar.ts'

/** The entries of an archive, with the content of those that `isWanted`; `step` is the size of the pieces it comes in. */
async function read(archive: Buffer, step = archive.length, isWanted = (_: TarEntry) => true) {
  async function* pieces() {
    for (let at = 0; at < archive.length; at += step) yield archive.subarray(at, at + step)
  }
  const entries: (TarEntry & { content: string })[] = []
  await readTar(pieces(), 'The archive', async (entry) => {
    const found = { ...entry, content: '' }
    entries.push(found)
    if (!isWanted(entry)) return undefined
    const write = async (chunk: Buffer) => {
      found.content += chunk.toString()
    }
    return { write }
  })
  return entries
}

const text = Buffer.from('x'.repeat(700))
const pax = (...records: [string, string][]): TestEntry => ({
  name: 'pax',
  type: 'x',
  content: Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join('')),
})

test('entries come with their content, in whatever pieces the archive comes', async () => {
  const archive = tarOf([
    { name: './', type: '5' },
    { name: 'disk/', type: '5' },
    { name: './disk//a', content: text },
    { name: '/b', content: Buffer.from('b') },
    { name: 'empty' },
  ])
  const expected = [
    { path: '', isFile: false, size: 0, content: '' },
    { path: 'disk', isFile: false, size: 0, content: '' },
    { path: 'disk/a', isFile: true, size: 700, content: text.toString() },
    { path: 'b', isFile: true, size: 1, content: 'b' },
    { path: 'empty', isFile: true, size: 0, content: '' },
  ]
  for (const step of [1, 7, 511, 512, 513, 4096]) assert.deepEqual(await read(archive, step), expected, String(step))
})

test('what is not wanted is passed over', async () => {
  const archive = tarOf([
    { name: 'a', content: text },
    { name: 'b', content: Buffer.from('b') },
  ])
  const entries = await read(archive, 100, ({ path }) => path === 'b')
  assert.deepEqual(
    entries.map(({ content }) => content),
    ['', 'b'],
  )
})

test('long names and large sizes are understood as pax and GNU write them', async () => {
  const long = `disk/${'n'.repeat(300)}`
  const gnu = { name: '././@LongLink', type: 'L', content: Buffer.from(`${long}\0`) }
  const archive = tarOf([
    pax(['mtime', '1.5'], ['path', long]),
    { name: 'short', content: Buffer.from('pax') },
    gnu,
    { name: 'short', content: Buffer.from('gnu') },
    { name: 'pax', type: 'g', content: Buffer.from(paxRecord('path', 'not this')) },
    pax(['size', '3']),
    { name: 'sized', content: Buffer.from('abc'), size: 0 },
    { name: 'base256', content: text, spoil: base256 },
    { name: 'name', content: Buffer.from('p'), spoil: (header) => header.write('prefix', 345) },
  ])
  const found = (await read(archive)).map(({ path, content }) => [path, content])
  assert.deepEqual(found, [
    [long, 'pax'],
    [long, 'gnu'],
    ['sized', 'abc'],
    ['base256', text.toString()],
    ['prefix/name', 'p'],
  ])
})

function base256(header: Buffer): void {
  header.fill(0, 124, 136)
  header[124] = 0x80
  header.writeUInt32BE(text.length, 132)
}

test('links and devices have no content, whatever they say', async () => {
  const archive = tarOf([
    ...['1', '2', '3', '4', '6'].map((type) => ({ name: `t${type}`, type, size: 1e9 })),
    { name: 'after', content: Buffer.from('z') },
  ])
  const found = await read(archive)
  assert.deepEqual(
    found.map(({ path, isFile, size }) => [path, isFile, size]),
    [...['1', '2', '3', '4', '6'].map((type) => [`t${type}`, false, 0]), ['after', true, 1]],
  )
})

test('an archive may end without the blocks of zeros, and nothing after them is read', async () => {
  assert.equal((await read(tarOf([{ name: 'a' }], false))).length, 1)
  assert.equal((await read(Buffer.concat([tarOf([{ name: 'a' }]), Buffer.from('garbage')]))).length, 1)
  assert.deepEqual(await read(Buffer.alloc(0)), [])
})

const hostile: Readonly<Record<string, Buffer>> = {
  'a name that leads out': tarOf([{ name: '../../etc/passwd', content: text }]),
  'a name that leads out in the middle': tarOf([{ name: 'disk/../../etc/passwd', content: text }]),
  'a name of pax that leads out': tarOf([pax(['path', 'disk/../..']), { name: 'a' }]),
  'a name of pax with a zero byte': tarOf([pax(['path', 'disk/a\0b']), { name: 'a' }]),
  'a name of GNU that leads out': tarOf([{ name: 'l', type: 'L', content: Buffer.from('../a\0') }, { name: 'a' }]),
  'a wrong checksum': Buffer.from(tarOf([{ name: 'a' }]).fill('b', 0, 1)),
  'no archive at all': Buffer.alloc(4096, 'no archive'),
  'content that ends too early': tarOf([{ name: 'a', content: text, size: 1e6 }]),
  'a header that ends too early': tarOf([{ name: 'a', content: text }]).subarray(0, 300),
  'a size that is no number': tarOf([{ name: 'a', spoil: (header) => header.write('12x', 124) }]),
  'a size below 0': tarOf([{ name: 'a', spoil: (header) => header.fill(0xff, 124, 136) }]),
  'a size without end': tarOf([{ name: 'a', spoil: (header) => header.fill(0x80, 124, 136) }]),
  'a size of pax that is no number': tarOf([pax(['size', '-1']), { name: 'a' }]),
  'a size of pax without end': tarOf([pax(['size', '9999999999999999']), { name: 'a' }]),
  'an extended header without end': tarOf([{ name: 'x', type: 'x', size: 2 ** 32 }]),
  'an extended header that is wrong': tarOf([{ name: 'x', type: 'x', content: Buffer.from('999 path=a\n') }]),
  'an extended header without a length': tarOf([{ name: 'x', type: 'x', content: Buffer.from('path=a\n') }]),
  'a record that goes nowhere': tarOf([{ name: 'x', type: 'x', content: Buffer.from('0 path=a\n') }]),
  'a sparse entry': tarOf([{ name: 'a', type: 'S' }]),
}

for (const [what, archive] of Object.entries(hostile))
  test(`an archive with ${what} is refused`, async () => {
    await assert.rejects(read(archive), { kind: 'Invalid', message: /^The archive is no archive that can be read: / })
  })

test('a sparse entry of pax is no plain file', async () => {
  const [entry] = await read(tarOf([pax(['GNU.sparse.major', '1']), { name: 'a', content: text }]))
  assert.equal(entry?.isFile, false)
})
