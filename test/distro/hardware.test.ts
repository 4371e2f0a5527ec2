import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '#base/wait.ts'
import { path } from '../../tools/stage/api.ts'
import { bootMs, provideDistro } from '../../tools/stage/distro.ts'
import { provideDemoGuest } from '../../tools/stage/image.ts'
import { patienceMs, Stage } from '../../tools/stage/stage.ts'

const kernelBoot = { kernelBoot: { container: { image: 'demo-guest' }, kernelArgs: 'console=ttyS0' } }
const empty = (name: string) => ({ name, emptyDisk: { capacity: '16Mi' } })

type Parts = Readonly<{ domain?: object; devices?: object; spec?: object }>

/** A VM of the demo guest's kernel, with parts of its domain, its devices and its spec. */
function machine(name: string, { domain = {}, devices = {}, spec = {} }: Parts) {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: {
      runStrategy: 'Always',
      template: {
        spec: {
          terminationGracePeriodSeconds: 0,
          domain: {
            memory: { guest: '128Mi' },
            firmware: kernelBoot,
            ...domain,
            devices: { autoattachPodInterface: false, ...devices },
          },
          ...spec,
        },
      },
    },
  }
}

/** By name: what is declared, and a part of the domain that shows it. */
const machines: Readonly<Record<string, readonly [parts: Parts, shows: RegExp]>> = {
  cpu: [
    {
      domain: { cpu: { model: 'Haswell-noTSX', sockets: 1, cores: 2, features: [{ name: 'vmx', policy: 'disable' }] } },
    },
    /<model fallback='forbid'>Haswell-noTSX</,
  ],
  clock: [
    {
      domain: {
        clock: {
          utc: {},
          timer: {
            hpet: { present: false },
            pit: { tickPolicy: 'delay' },
            rtc: { tickPolicy: 'catchup' },
            hyperv: { present: true },
          },
        },
        features: { acpi: {}, apic: {}, hyperv: { relaxed: {}, vapic: {}, spinlocks: { spinlocks: 8191 } } },
      },
    },
    /<timer name='rtc' present='yes' tickpolicy='catchup'/,
  ],
  timezone: [
    { domain: { clock: { timezone: 'Europe/Berlin' } } },
    /<clock offset='timezone' timezone='Europe\/Berlin'/,
  ],
  names: [
    { domain: { firmware: { ...kernelBoot, serial: 'abc-1' }, chassis: { asset: 'a 1', manufacturer: 'us' } } },
    /<entry name='asset'>a 1</,
  ],
  inputs: [
    {
      devices: {
        inputs: [
          { name: 'a', type: 'tablet', bus: 'usb' },
          { name: 'b', type: 'tablet', bus: 'virtio' },
        ],
      },
    },
    /<input type='tablet' bus='virtio'/,
  ],
  watchdog: [
    { devices: { watchdog: { name: 'w', i6300esb: { action: 'poweroff' } } } },
    /<watchdog model='i6300esb' action='poweroff'/,
  ],
  sound: [{ devices: { sound: { name: 's' } } }, /<sound model='ich9'/],
  video: [{ devices: { video: { type: 'virtio' } } }, /<model type='virtio' heads='1'/],
  bare: [{ devices: { autoattachGraphicsDevice: false, autoattachSerialConsole: false } }, /<domain/],
  disks: [
    {
      devices: {
        disks: [
          { name: 'a', disk: { bus: 'virtio' }, serial: 's1', bootOrder: 1 },
          { name: 'b', disk: { bus: 'scsi' }, cache: 'writeback' },
          { name: 'c', disk: { bus: 'sata' }, blockSize: { custom: { logical: 512, physical: 4096 } } },
          { name: 'd', disk: { bus: 'usb' }, errorPolicy: 'report' },
          { name: 'e', cdrom: { bus: 'sata' } },
          { name: 'tray', cdrom: { bus: 'sata', tray: 'open' } },
        ],
      },
      spec: { volumes: ['a', 'b', 'c', 'd', 'e'].map(empty) },
    },
    /<target dev='vda' bus='virtio'/,
  ],
  tpm: [{ devices: { tpm: {} } }, /<tpm model='tpm-tis'>/],
  uefi: [
    {
      domain: { firmware: { bootloader: { efi: { secureBoot: false } } }, memory: { guest: '512Mi' } },
      devices: { disks: [{ name: 'root', disk: { bus: 'virtio' } }] },
      spec: { volumes: [{ name: 'root', containerDisk: { image: 'debian' } }] },
    },
    /OVMF_CODE/,
  ],
  secure: [
    {
      domain: { firmware: { bootloader: { efi: {} } }, features: { smm: { enabled: true } } },
      devices: { disks: [{ name: 'root', disk: { bus: 'sata' } }] },
      spec: { volumes: [{ name: 'root', containerDisk: { image: 'debian' } }] },
    },
    /secure='yes'/,
  ],
}

describe('hardware that a manifest declares', () => {
  let stage: Stage

  before(async () => {
    stage = await Stage.open()
    await provideDemoGuest(stage)
    await provideDistro(stage)
    await stage.up()
  })
  after(() => stage[Symbol.asyncDispose]())

  for (const [name, [parts, shows]] of Object.entries(machines))
    test(`is what the guest runs with: ${name}`, async () => {
      await stage.apply(machine(name, parts))
      const state = async () => (await stage.api.call('GET', path.vmi(name))).body
      const running = await eventually(
        'its CPU runs, or there is a reason why not',
        async () => {
          const { status } = await state()
          const failed = status?.conditions?.find(({ type }: { type: string }) => type === 'Synchronized')
          return (status?.phase === 'Running' || failed) && (failed?.message ?? 'running')
        },
        { deadlineMs: patienceMs },
      )
      assert.equal(running, 'running')
      const { status } = await state()
      const uncarried = status.conditions.find(({ type }: { type: string }) => type === 'NotCarriedOut')
      assert.equal(uncarried, undefined, uncarried?.message)
      assert.match(await stage.virsh(name, 'dumpxml', `default_${name}`), shows)
      if (name !== 'uefi') await stage.k('delete', 'vm', name, `--timeout=${patienceMs / 1000}s`)
    })

  test('a guest boots by UEFI, and moves with what its firmware has stored', async () => {
    const isUp = () =>
      eventually('it asks for a login', async () => /login:/.test(await stage.readSandbox('uefi', 'run/console.log')), {
        deadlineMs: bootMs,
        everyMs: 500,
      })
    await isUp()
    await stage.p('migrate', 'uefi')
    await eventually(
      'it has moved',
      async () => (await stage.api.call('GET', path.vmi('uefi'))).body.status.migrationState?.completed === true,
      { deadlineMs: patienceMs },
    )
    const { migrationState } = (await stage.api.call('GET', path.vmi('uefi'))).body.status
    assert.notEqual(migrationState.failed, true, migrationState.failureReason)
    assert.match(await stage.virsh('uefi', 'domstate', 'default_uefi'), /running/)
  })
})
