import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { diskLayer } from '#kit/drivers/image/disks.ts'
import { pushImage, startRegistry, type TestRegistry } from '#kit/drivers/image/registry.ts'
import { path } from '../../tools/stage/api.ts'
import { bootMs, buildDistro, isSetUp, overSsh, sshKey } from '../../tools/stage/distro.ts'
import { volumesVm } from '../../tools/stage/distro-manifests.ts'
import { Stage } from '../../tools/stage/stage.ts'
import { claim, dataVolume, withVolumes } from '../../tools/stage/volumes.ts'

describe('a stock cloud image in a DataVolume', () => {
  let stage: Stage
  let registry: TestRegistry | undefined
  let key: Awaited<ReturnType<typeof sshKey>>

  before(
    async () => {
      registry = await startRegistry()
      await pushImage(registry.host, 'containerdisks/debian', [diskLayer(await readFile(await buildDistro()))], '12')
      stage = await Stage.open()
      key = await sshKey(stage)
      await stage.up(['--registry-mirror', `http://${registry.host}`])
      const users = `users:\n- name: debian\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  shell: /bin/bash\n  ssh_authorized_keys: ["${key.publicKey}"]`
      // The guest has no program that would grow its file system.
      const still = "growpart: {mode: 'off'}\nresize_rootfs: false"
      const userData = `#cloud-config\n${still}\n${users}\nruncmd:\n- [sh, -c, 'date >> /ran']\n`
      const manifest = withVolumes(
        volumesVm('cloud', []),
        { name: 'root', dataVolume: { name: 'root' } },
        { name: 'seed', cloudInitNoCloud: { userData } },
        { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
      )
      const source = { registry: { url: 'docker://quay.io/containerdisks/debian:12' } }
      await stage.apply(claim('data'), {
        ...manifest,
        spec: { ...manifest.spec, dataVolumeTemplates: [dataVolume('root', source, '4Gi')] },
      })
    },
    { timeout: bootMs },
  )
  after(async () => {
    await stage?.[Symbol.asyncDispose]()
    await registry?.close()
  })

  const ssh = (line: string) => overSsh(stage, 'cloud', key.file, line)

  test('boots from it, and has the disk of its claim', async () => {
    await isSetUp(stage, 'cloud')
    assert.equal(await ssh('lsblk -bdno NAME,SIZE | grep -E "vd[ac]"'), `vda  ${4 * 2 ** 30}\nvdc  ${2 ** 30}`)
    await ssh('sudo sh -c "printf kept > /dev/vdc; echo kept > /kept; sync"')
  })

  test('keeps what was written over a stop and a start, and is set up once', async () => {
    await stage.p('stop', 'cloud')
    await eventually(
      'it has stopped',
      async () => (await stage.api.call('GET', path.vm('cloud'))).body.status.printableStatus === 'Stopped',
      { deadlineMs: bootMs },
    )
    await stage.p('start', 'cloud')
    await isSetUp(stage, 'cloud')
    assert.equal(await ssh('cat /kept; sudo head -c 4 /dev/vdc; echo; wc -l < /ran'), 'kept\nkept\n1')
  })
})
