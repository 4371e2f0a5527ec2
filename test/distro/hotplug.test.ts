import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { bootMs, isSetUp, overSsh, provideDistro, sshKey } from '../../tools/stage/distro.ts'
import { distroImage, volumesVm } from '../../tools/stage/distro-manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'
import { claim, claimPath } from '../../tools/stage/volumes.ts'

// biome-ignore lint/suspicious/noExplicitAny: objects of the API, looked into as they come
type Any = any

/** What the template has from the start: an image, a seed, and a drive without a medium, on a bus that the guest's kernel has. */
const disks = [
  { name: 'root', disk: { bus: 'virtio' } },
  { name: 'seed', disk: { bus: 'virtio' } },
  { name: 'cd', cdrom: { bus: 'scsi' } },
]
const late = (name: string, claimName = name) => ({ name, persistentVolumeClaim: { claimName, hotpluggable: true } })

describe('a stock guest whose volumes come and leave', () => {
  let stage: Stage
  let key: Awaited<ReturnType<typeof sshKey>>
  let volumes: readonly object[]

  before(
    async () => {
      stage = await Stage.open()
      await provideDistro(stage)
      key = await sshKey(stage)
      await stage.up()
      const users = `users:\n- name: debian\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  shell: /bin/bash\n  ssh_authorized_keys: ["${key.publicKey}"]`
      const userData = `#cloud-config\nmanage_etc_hosts: true\n${users}\n`
      volumes = [
        { name: 'root', containerDisk: { image: distroImage } },
        { name: 'seed', cloudInitNoCloud: { userData } },
      ]
      const manifest = volumesVm('cloud', volumes)
      const { spec } = manifest.spec.template
      const devices = { ...spec.domain.devices, disks }
      const template = { spec: { ...spec, domain: { ...spec.domain, devices } } }
      await stage.apply(...['data', 'more', 'disc'].map((name) => claim(name, '64Mi')), {
        ...manifest,
        spec: { ...manifest.spec, template },
      })
      await isSetUp(stage, 'cloud')
    },
    { timeout: 2 * bootMs },
  )
  after(() => stage?.[Symbol.asyncDispose]())

  const ssh = (line: string) => overSsh(stage, 'cloud', key.file, line)
  /** The guest's disk with a serial number; undefined without one. */
  const diskOf = async (serial: string) => {
    const found = (await ssh('lsblk -dno NAME,SERIAL')).split('\n').map((line) => line.trim().split(/\s+/))
    return found.find(([, one]) => one === serial)?.[0]
  }
  const comes = (serial: string) =>
    eventually(`the guest has ${serial}`, () => diskOf(serial), { deadlineMs: patienceMs, everyMs: 200 })
  const leaves = (serial: string) =>
    eventually(`the guest has ${serial} no more`, async () => (await diskOf(serial)) === undefined, {
      deadlineMs: patienceMs,
      everyMs: 200,
    })
  const isKept = async (serial: string, text: string) =>
    assert.equal(await ssh(`sudo head -c ${text.length} /dev/${await comes(serial)}`), text)
  const write = async (serial: string, text: string) => {
    await ssh(`sudo sh -c "printf ${text} > /dev/${await comes(serial)}; sync"`)
    await isKept(serial, text)
  }
  const declare = async (more: readonly Any[], moreDisks: readonly Any[] = []) => {
    const at = '/spec/template/spec'
    const { code, body } = await stage.api.call(
      'PATCH',
      path.vm('cloud'),
      [
        { op: 'add', path: `${at}/volumes`, value: [...volumes, ...more] },
        { op: 'add', path: `${at}/domain/devices/disks`, value: [...disks, ...moreDisks] },
      ],
      'application/json-patch+json',
    )
    assert.equal(code, 200, JSON.stringify(body))
  }

  test('has one on SCSI by addvolume, which is gone after removevolume, and comes again with what was written', async () => {
    await stage.p('addvolume', 'cloud', '--volume-name=data', '--serial=PLUGGED')
    assert.match((await comes('PLUGGED')) ?? '', /^sd/)
    await write('PLUGGED', 'scsi')
    await stage.p('removevolume', 'cloud', '--volume-name=data')
    await leaves('PLUGGED')
    await stage.p('addvolume', 'cloud', '--volume-name=data', '--serial=AGAIN', '--bus=virtio')
    assert.match((await comes('AGAIN')) ?? '', /^vd/)
    await isKept('AGAIN', 'scsi')
    await stage.p('removevolume', 'cloud', '--volume-name=data')
    await leaves('AGAIN')
  })

  test('has one on virtio by its template, although the server is killed on the way, and lets go of it likewise', async () => {
    const disk = { name: 'more', disk: { bus: 'virtio' }, serial: 'DECLARED' }
    await declare([late('more')], [disk])
    await stage.kill()
    await stage.up()
    assert.match((await comes('DECLARED')) ?? '', /^vd/)
    await write('DECLARED', 'virtio')
    await declare([])
    await stage.kill()
    await stage.up()
    await leaves('DECLARED')
    await declare([late('more')], [{ ...disk, disk: { bus: 'scsi' } }])
    assert.match((await comes('DECLARED')) ?? '', /^sd/)
    await isKept('DECLARED', 'virtio')
    await declare([])
    await leaves('DECLARED')
  })

  test('reads the medium that is inserted into its drive, keeps it while it uses it, and has none when it was ejected', async () => {
    const { body } = await stage.api.call('GET', claimPath('disc'))
    const file = join(stage.dir, 'volumes', body.metadata.uid, 'disk.img')
    await declare([late('cd', 'disc')])
    const size = 'sudo blockdev --getsize64 /dev/sr0 2> /dev/null || echo none'
    const has = (bytes: string) =>
      eventually(`the drive has ${bytes}`, async () => (await ssh(size)) === bytes, { deadlineMs: patienceMs })
    await has(String(64 * 2 ** 20))
    await declare([])
    await has('none')
    await writeFile(file, 'disc', { flag: 'r+' })
    await declare([late('cd', 'disc')])
    await has(String(64 * 2 ** 20))
    assert.equal(await ssh('sudo head -c 4 /dev/sr0'), 'disc')
    // While the guest uses it, it keeps it.
    await ssh(
      'sudo sh -c "touch /using; exec 3< /dev/sr0; (while [ -e /using ]; do sleep 0.2; done) > /dev/null 2>&1 &"',
    )
    await declare([])
    await eventually(
      'it says so',
      async () => {
        const { body } = await stage.api.call('GET', path.vmi('cloud'))
        return body.status.volumeStatus.some(({ message }: Any) =>
          /uses drive cd and has locked its tray/.test(message),
        )
      },
      { deadlineMs: patienceMs },
    )
    await ssh('sudo rm /using')
    await has('none')
    assert.equal((await stage.api.call('GET', path.vm('cloud'))).body.status.conditions.some(isRestart), false)
  })
})

function isRestart({ type }: Any): boolean {
  return type === 'RestartRequired'
}
