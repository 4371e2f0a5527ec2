import assert from 'node:assert/strict'
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Fault } from '#base/fault.ts'
import type { DiskFile, DomainDisk } from '#core/disk/disk.ts'
import type { DomainSpec } from '#core/vm/domain.ts'
import { hardwareOf } from '#core/vm/hardware.ts'
import { run } from '../host/run.ts'
import { DiskMaker } from './maker.ts'

const user = 1_900_000_000
const hardware = hardwareOf({ spec: { domain: { devices: {} } } })
const disk = (name: string, file: DiskFile | undefined): DomainDisk => ({
  ...{ name, device: 'disk', bus: 'virtio', target: 'vda', errorPolicy: 'stop', file },
  ...{ isReadOnly: false, isShareable: false, isTrayOpen: false },
})

/** A data directory of its own, and what makes disks in a sandbox of it. */
async function world(t: TestContext) {
  const root = await mkdtemp('/tmp/pb-disk-')
  t.after(() => rm(root, { recursive: true, force: true }))
  const dir = join(root, 'pods/uid')
  await mkdir(join(dir, 'run'), { recursive: true })
  await mkdir(join(root, 'allowed'))
  const maker = new DiskMaker({
    volumes: join(root, 'volumes'),
    hostFolders: [join(root, 'allowed')],
    provideImage: async (sandbox, digest) => {
      if (digest === 'missing') throw new Fault('NotFound', 'no such image')
      await mkdir(join(sandbox, 'run/images/x'), { recursive: true })
      return '/run/images/x/disk.qcow2'
    },
  })
  const make = async (...disks: DomainDisk[]) => {
    const spec = { disks, hardware } as unknown as DomainSpec
    return (await maker.make({ dir, user }, spec)).disks
  }
  const info = async (name: string) =>
    JSON.parse(await run('qemu-img', ['info', '-U', '--output=json', join(dir, 'run/disks', name)]).catch(() => '{}'))
  return { root, dir, make, info, files: maker.filesIn({ dir, user }) }
}

test('what a guest writes goes over an image, and each start begins with nothing written', async (t) => {
  const { dir, make } = await world(t)
  const image = { is: 'overlay', digest: 'd', format: 'qcow2', bytes: 2 ** 30 } as const
  const made = (await make(disk('root', image))).get('root')
  assert.deepEqual(
    [made?.path, made?.format, made?.backing],
    ['/run/disks/root.qcow2', 'qcow2', { path: '/run/images/x/disk.qcow2', format: 'qcow2' }],
  )
  const file = join(dir, 'run/disks/root.qcow2')
  const { uid, mode } = await stat(file)
  assert.deepEqual([uid, mode & 0o777], [user, 0o600])
  await writeFile(file, 'written')
  await make(disk('root', image))
  assert.equal((await readFile(file)).subarray(0, 3).toString(), 'QFI')
  await assert.rejects(make(disk('root', { ...image, digest: 'missing' })), { kind: 'NotFound' })
})

test('empty and generated disks are files of the guest alone', async (t) => {
  const { dir, make, info } = await world(t)
  const seed = {
    is: 'iso',
    label: 'cidata',
    files: new Map([['user-data', new TextEncoder().encode('secret')]]),
  } as const
  await make(disk('data', { is: 'empty', bytes: 2 ** 30 }), disk('seed', seed), disk('tray', undefined))
  assert.deepEqual((await readdir(join(dir, 'run/disks'))).toSorted(), ['data.qcow2', 'seed.iso'])
  assert.equal((await info('data.qcow2'))['virtual-size'], 2 ** 30)
  const { uid, mode } = await stat(join(dir, 'run/disks/seed.iso'))
  assert.deepEqual([uid, mode & 0o777], [user, 0o600])
  assert.match(await run('blkid', ['-p', join(dir, 'run/disks/seed.iso')]), /LABEL="cidata" TYPE="iso9660"/)
})

test('the disk of a claim is one file over all starts; over it, what is written is dropped', async (t) => {
  const { root, dir, make } = await world(t)
  const claim = { is: 'claim', uid: 'c1', bytes: 2 ** 24, isOverlaid: false } as const
  await make(disk('data', claim))
  await writeFile(join(dir, 'run/disks/c1.img'), 'kept', { flag: 'r+' })
  await make(disk('data', claim))
  const file = join(root, 'volumes/c1/disk.img')
  assert.equal((await readFile(file)).subarray(0, 4).toString(), 'kept')
  assert.equal((await stat(file)).size, 2 ** 24)
  assert.equal((await stat(file)).nlink, 2)
  const over = (await make(disk('data', { ...claim, isOverlaid: true }))).get('data')
  assert.deepEqual([over?.path, over?.backing], ['/run/disks/data.qcow2', { path: '/run/disks/c1.img', format: 'raw' }])
})

test('a disk that is plugged is the same file of its claim, and is out of the sandbox when it is dropped', async (t) => {
  const { root, dir, files } = await world(t)
  const claim = { is: 'claim', uid: 'c1', bytes: 2 ** 24, isOverlaid: false } as const
  for (const _ of [1, 2]) {
    const made = await files.make(disk('data', claim))
    assert.deepEqual([made.path, made.format], ['/run/disks/c1.img', 'raw'])
  }
  const at = join(dir, 'run/disks/c1.img')
  const kept = join(root, 'volumes/c1/disk.img')
  assert.deepEqual([(await stat(at)).ino, (await stat(at)).uid], [(await stat(kept)).ino, user])
  for (const _ of [1, 2]) await files.drop(['c1.img'])
  assert.deepEqual(await readdir(join(dir, 'run/disks')), [])
  assert.equal((await stat(kept)).size, 2 ** 24)
})

test('a disk of the host is in an allowed folder, wherever links lead', async (t) => {
  const { root, dir, make } = await world(t)
  const at = (path: string) => join(root, path)
  const host = (path: string, createBytes?: number): DiskFile => ({
    is: 'host',
    path: at(path),
    ...(createBytes && { createBytes }),
  })
  await mkdir(at('secret'))
  await writeFile(at('secret/shadow'), 'x')
  await chmod(at('secret/shadow'), 0o600)
  await symlink(at('secret/shadow'), at('allowed/link'))
  await symlink(at('secret'), at('allowed/folder'))
  await make(disk('a', host('allowed/a.img', 2 ** 20)))
  assert.equal((await stat(at('allowed/a.img'))).size, 2 ** 20)
  assert.equal((await stat(join(dir, 'run/disks/a.img'))).ino, (await stat(at('allowed/a.img'))).ino)
  for (const path of ['secret/shadow', 'allowed/link', 'allowed/folder/shadow', 'allowed/../secret/shadow'])
    await assert.rejects(make(disk('a', host(path))), /is not in a folder that guests may have disks of/, path)
  await assert.rejects(make(disk('a', host('allowed/none'))), /does not exist on this node, or is no file/)
  await assert.rejects(make(disk('a', host('allowed'))), { kind: 'Invalid' })
  assert.equal((await stat(at('secret/shadow'))).uid, 0, 'nothing of it was given away')
})

test('a file with another link is not replaced: what is made again is a file of its own', async (t) => {
  const { root, dir, make } = await world(t)
  const image = { is: 'overlay', digest: 'd', format: 'qcow2', bytes: 2 ** 30 } as const
  await make(disk('root', image))
  const [file, other] = [join(dir, 'run/disks/root.qcow2'), join(root, 'other')]
  await link(file, other)
  await writeFile(other, 'of a guest that moved')
  await make(disk('root', image))
  assert.equal(await readFile(other, 'utf8'), 'of a guest that moved')
})
