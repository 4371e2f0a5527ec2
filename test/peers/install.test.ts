import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { provide } from './install/cache.ts'
import { provideGo } from './install/go.ts'
import { providePython } from './install/python.ts'

/** How peers are installed; the peers themselves are their own files' matter. */
describe('installing a peer', () => {
  let folder: string
  const { PATH, XDG_CACHE_HOME } = process.env
  beforeEach(async () => {
    folder = await mkdtemp('/tmp/pb-install-')
    process.env.XDG_CACHE_HOME = folder
  })
  afterEach(async () => {
    process.env.PATH = PATH
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME
    await rm(folder, { recursive: true, force: true })
  })

  const cached = () => readdir(join(folder, 'patchbay/peers'))
  let made = 0
  const make = async (at: string) => {
    await writeFile(join(at, 'file'), String(++made))
  }

  it('happens once for each version', async () => {
    made = 0
    const first = await provide('one', ['1.0'], make)
    assert.equal(await provide('one', ['1.0'], make), first)
    assert.equal(await readFile(join(first, 'file'), 'utf8'), '1')
    assert.notEqual(await provide('one', ['2.0'], make), first)
    assert.equal(made, 2)
  })

  it('happens twice at a time without harm', async () => {
    const both = Promise.withResolvers<void>()
    let making = 0
    const makeWithTheOther = async (at: string) => {
      await make(at)
      if (++making === 2) both.resolve()
      await both.promise
    }
    const [first, second] = await Promise.all([
      provide('one', [], makeWithTheOther),
      provide('one', [], makeWithTheOther),
    ])
    assert.equal(first, second)
    assert.deepEqual(await readdir(first), ['file'])
    assert.equal((await cached()).length, 1)
  })

  it('leaves nothing when it fails, and says which peer and why', async () => {
    const fail = async (at: string) => {
      await make(at)
      throw new Error('no such version')
    }
    await assert.rejects(provide('one', [], fail), { message: 'The peer one cannot be installed: no such version' })
    assert.deepEqual(await cached(), [])
  })

  it('says that there is no python3', async () => {
    process.env.PATH = folder
    const file = join(folder, 'requirements.txt')
    await writeFile(file, '')
    await assert.rejects(providePython('one', file), {
      message: 'The peer one cannot be installed: there is no python3; install Debian’s python3 and python3-venv',
    })
  })

  it('says that no go is new enough, the machine’s nor Debian’s', async () => {
    await writeFile(join(folder, 'go.mod'), 'module one\n\ngo 1.99.0\n')
    // What Debian's would be.
    const goroot = await provide('go-for-one', ['trixie'], async (at) => {
      await mkdir(join(at, 'root/usr/lib/go/bin'), { recursive: true })
      await writeFile(join(at, 'root/usr/lib/go/bin/go'), '#!/bin/sh\necho go1.24.4\n')
      await chmod(join(at, 'root/usr/lib/go/bin/go'), 0o755)
    })
    assert.ok(goroot)
    await assert.rejects(provideGo('one', folder), {
      message:
        'The peer one cannot be installed: its module wants go 1.99.0; this machine has no such, and Debian trixie’s is 1.24.4',
    })
    await writeFile(join(folder, 'go.mod'), 'module one\n\ngo 1.24.0\n')
    process.env.PATH = folder
    assert.equal((await provideGo('one', folder)).program, join(goroot, 'root/usr/lib/go/bin/go'))
  })
})
