import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { packNewc } from './newc.ts'

type Read = Readonly<{ path: string; mode: number; data: Buffer }>

/** An independent reader, written from the kernel's description of the format. */
function readNewc(archive: Buffer): readonly Read[] {
  const found: Read[] = []
  for (let at = 0; ; ) {
    assert.equal(archive.toString('latin1', at, at + 6), '070701')
    const field = (i: number) => Number.parseInt(archive.toString('latin1', at + 6 + i * 8, at + 14 + i * 8), 16)
    const nameAt = at + 110
    const dataAt = Math.ceil((nameAt + field(11)) / 4) * 4
    const path = archive.toString('utf8', nameAt, nameAt + field(11) - 1)
    if (path === 'TRAILER!!!') return found
    found.push({ path, mode: field(1), data: archive.subarray(dataAt, dataAt + field(6)) })
    at = Math.ceil((dataAt + field(6)) / 4) * 4
  }
}

describe('a newc archive', () => {
  it('holds folders, links and files of any length', () => {
    const archive = packNewc([
      { type: 'folder', path: 'bin' },
      { type: 'file', path: 'bin/sh', data: Buffer.from('abc'), executable: true },
      { type: 'link', path: 'init', target: 'bin/sh' },
      { type: 'file', path: 'etc', data: Buffer.alloc(0) },
    ])
    assert.deepEqual(
      readNewc(archive).map(({ path, mode, data }) => [path, mode.toString(8), data.toString()]),
      [
        ['bin', '40755', ''],
        ['bin/sh', '100755', 'abc'],
        ['init', '120755', 'bin/sh'],
        ['etc', '100644', ''],
      ],
    )
  })

  it('gives back what went in', () => {
    const entry = fc.record({ path: fc.stringMatching(/^[a-z/é]{1,12}$/), data: fc.uint8Array({ maxLength: 40 }) })
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const archive = packNewc(entries.map((entry) => ({ type: 'file', ...entry })))
        assert.deepEqual(
          readNewc(archive).map(({ path, data }) => [path, [...data]]),
          entries.map(({ path, data }) => [path, [...data]]),
        )
      }),
    )
  })
})
