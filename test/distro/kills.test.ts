import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { diskLayer } from '#kit/drivers/image/disks.ts'
import { pushImage, startRegistry, type TestRegistry } from '#kit/drivers/image/registry.ts'
import { path } from '../../tools/stage/api.ts'
import { bootMs, buildDistro, isSetUp, overSsh, sshKey } from '../../tools/stage/distro.ts'
import { cloudVm } from '../../tools/stage/distro-manifests.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

const image = 'quay.io/containerdisks/debian:12'

/** Number of guests; `npm run soak disks` has more. */
const names = Array.from({ length: Number(process.env.GUESTS ?? 3) }, (_, i) => `vm${i}`)

describe('guests with disks, while processes are killed', () => {
  let stage: Stage
  let registry: TestRegistry | undefined
  let key: Awaited<ReturnType<typeof sshKey>>
  let options: readonly string[]

  before(async () => {
    registry = await startRegistry()
    await pushImage(registry.host, 'containerdisks/debian', [diskLayer(await readFile(await buildDistro()))], '12')
    stage = await Stage.open()
    key = await sshKey(stage)
    await mkdir(`${stage.dir}/kept`)
    options = ['--registry-mirror', `http://${registry.host}`, '--host-disk-dir', `${stage.dir}/kept`]
    await stage.up(options)
    await stage.configure({ configuration: { developerConfiguration: { featureGates: ['HostDisk'] } } })
  })
  after(async () => {
    try {
      await stage?.[Symbol.asyncDispose]()
    } finally {
      await registry?.close()
    }
  })

  const ssh = (vm: string, line: string) => overSsh(stage, vm, key.file, line)
  const phaseOf = async (vm: string) => (await stage.api.call('GET', path.vmi(vm))).body.status?.phase
  const runs = (vm: string) =>
    eventually(`${vm} runs`, async () => (await phaseOf(vm)) === 'Running', { deadlineMs: bootMs, everyMs: 100 })
  const again = async () => {
    await stage.kill()
    await stage.up(options)
  }
  /** A VM with a disk of the host beside its own, on virtio, by whose serial number the guest finds it. */
  const manifest = (name: string) => {
    const users = `users:\n- name: debian\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  shell: /bin/bash\n  ssh_authorized_keys: ["${key.publicKey}"]`
    const made = cloudVm(name, { image, seed: { userData: `#cloud-config\n${users}\n` } })
    const { domain, volumes } = made.spec.template.spec
    const kept = {
      name: 'kept',
      hostDisk: { path: `${stage.dir}/kept/${name}.img`, type: 'DiskOrCreate', capacity: '64Mi' },
    }
    return {
      ...made,
      spec: {
        ...made.spec,
        template: {
          ...made.spec.template,
          spec: {
            ...made.spec.template.spec,
            volumes: [...volumes, kept],
            domain: {
              ...domain,
              devices: {
                ...domain.devices,
                interfaces: [{ name: 'default', masquerade: {} }],
                disks: [...domain.devices.disks, { name: 'kept', disk: { bus: 'virtio' }, serial: 'kept' }],
              },
            },
          },
        },
      },
    }
  }
  const disk = '/dev/disk/by-id/virtio-kept'

  test('a pull and a start that are cut short end in guests that run once', async () => {
    await stage.apply(...names.map(manifest))
    await eventually(
      'an image is being pulled',
      async () => globSync(`${stage.dir}/images/.downloads/*`).length > 0 || (await phaseOf('vm0')) === 'Running',
      { deadlineMs: patienceMs, everyMs: 5 },
    )
    await again()
    await eventually('a guest is there', async () => globSync(`${stage.dir}/pods/*/run/disks/*`).length > 0, {
      deadlineMs: patienceMs,
      everyMs: 5,
    })
    await again()
    for (const name of names) await runs(name)
    assert.equal(globSync(`${stage.dir}/images/sha256-*`).length, 1)
    assert.deepEqual(globSync(`${stage.dir}/images/.downloads/*`), [])
    assert.equal(globSync(`${stage.dir}/pods/*`).length, names.length)
  })

  test('a libvirtd and a server that are killed while guests boot are not missed', async () => {
    const pid = await stage.qemuPid('vm0')
    process.kill(await stage.libvirtdPid('vm0'), 'SIGKILL')
    await again()
    for (const name of names) await isSetUp(stage, name)
    assert.equal(await stage.qemuPid('vm0'), pid)
  })

  test('what a guest has synced outlives its QEMU, and its file system is whole', async () => {
    for (const name of names)
      await ssh(
        name,
        `sudo mkfs.ext4 -q -F ${disk} && sudo mount ${disk} /mnt && echo synced | sudo tee /mnt/a && sync`,
      )
    await ssh('vm0', 'sudo sh -c "(while :; do cat /proc/uptime >> /mnt/b; done) > /dev/null 2>&1 &"')
    process.kill(await stage.qemuPid('vm0'), 'SIGKILL')
    await eventually('it is replaced', async () => (await phaseOf('vm0')) !== 'Running', { deadlineMs: patienceMs })
    await runs('vm0')
    await isSetUp(stage, 'vm0')
    assert.match(
      await ssh(
        'vm0',
        `sudo e2fsck -fy ${disk} > /dev/null; sudo e2fsck -fn ${disk}; sudo mount ${disk} /mnt; cat /mnt/a`,
      ),
      /synced$/,
    )
  })

  test('a move whose server is killed leaves one guest, with whole disks', async () => {
    const vm = names.at(-1) ?? ''
    const writing = '(while [ -e /run/writing ]; do cat /proc/uptime >> /mnt/b; sync; done) > /dev/null 2>&1 &'
    await ssh(vm, `sudo touch /run/writing; sudo sh -c "${writing}"`)
    await stage.p('migrate', vm)
    await eventually('a second sandbox is there', async () => (await stage.pods(vm)).length > 1, {
      deadlineMs: patienceMs,
      everyMs: 5,
    })
    await again()
    await eventually(
      'the move is over',
      async () => {
        const { status } = (await stage.api.call('GET', path.vmi(vm))).body
        return (status.migrationState?.completed || !status.migrationState) && (await stage.pods(vm)).length === 1
      },
      { deadlineMs: patienceMs },
    )
    assert.equal(await ssh(vm, 'cat /mnt/a'), 'synced')
    const checks =
      'sudo rm /run/writing; sudo timeout 20 sh -c "until umount /mnt; do :; done" 2> /dev/null; sudo e2fsck -fn'
    assert.match(await ssh(vm, `${checks} ${disk} > /tmp/said 2>&1; echo $?; cat /tmp/said`), /^0\n/)
  })
})
