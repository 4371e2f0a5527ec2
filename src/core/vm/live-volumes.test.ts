import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { liveUpdate } from './live.ts'

type Parts = Readonly<{ disks?: readonly object[]; volumes?: readonly object[]; disableHotplug?: boolean }>

function spec({ disks = [], volumes = [], ...devices }: Parts): VmiSpec {
  return {
    domain: { devices: { interfaces: [], disks: [root, ...disks], ...devices } },
    volumes: [image, ...volumes],
  } as never
}

const root = { name: 'root', disk: { bus: 'virtio' } }
const image = { name: 'root', containerDisk: { image: 'debian' } }
const disk = (name: string, bus = 'scsi') => ({ name, disk: { bus } })
const late = (name: string, claimName = name) => ({ name, persistentVolumeClaim: { claimName, hotpluggable: true } })
const fixed = (name: string) => ({ name, persistentVolumeClaim: { claimName: name } })
const drive = { name: 'cd', cdrom: { bus: 'sata' } }

/** The names of what an instance has after its template became another: disks, volumes with their claims, and whether it must restart. */
function live(running: Parts, template: Parts) {
  const update = liveUpdate(spec(template), { spec: spec(running) }, 'ns')
  const { domain, volumes = [] } = update.spec ?? spec(running)
  const claims = volumes.map(({ name, persistentVolumeClaim: pvc }) => `${name}${pvc ? `=${pvc.claimName}` : ''}`)
  return [domain.devices.disks?.map(({ name }) => name).join(), claims.join(), update.restartRequired]
}

describe('volumes of a template', () => {
  const one: Parts = { disks: [disk('data')], volumes: [late('data')] }

  test('that can be plugged come to a running instance and leave it, on both buses', () => {
    for (const bus of ['scsi', 'virtio']) {
      const plugged = { disks: [disk('data', bus)], volumes: [late('data')] }
      assert.deepEqual(live({}, plugged), ['root,data', 'root,data=data', false])
      assert.deepEqual(live(plugged, {}), ['root', 'root', false])
    }
  })

  test('in another order are the same', () => {
    const two = { disks: [disk('more'), disk('data')], volumes: [late('more'), late('data')] }
    assert.deepEqual(live(one, two), ['root,data,more', 'root,data=data,more=more', false])
  })

  test('that cannot be plugged need a restart: other volumes, other buses, other disks, and what is there already', () => {
    const changes: readonly (readonly [Parts, Parts])[] = [
      [{}, { disks: [disk('data')], volumes: [fixed('data')] }],
      [{ disks: [disk('data')], volumes: [fixed('data')] }, {}],
      [{}, { disks: [disk('data', 'sata')], volumes: [late('data')] }],
      [one, { disks: [disk('data', 'virtio')], volumes: [late('data')] }],
      [one, { disks: [disk('data')], volumes: [late('data', 'other')] }],
      [one, { disks: [disk('data')], volumes: [fixed('data')] }],
      [{ disks: [disk('data')], volumes: [fixed('data')] }, one],
      [{}, { disks: [drive], volumes: [late('cd')] }],
      [{ disableHotplug: true }, { ...one, disableHotplug: true }],
    ]
    for (const [running, template] of changes) {
      const { domain, volumes } = spec(running)
      assert.deepEqual(live(running, template).at(-1), true, JSON.stringify(template))
      assert.deepEqual(live(running, template)[0], domain.devices.disks?.map(({ name }) => name).join())
      assert.equal(live(running, template)[1]?.toString().split(',').length, volumes?.length)
    }
  })

  test('are inserted into drives, ejected and replaced; the drives stay', () => {
    const empty = { disks: [drive] }
    const full = { disks: [drive], volumes: [late('cd', 'a')] }
    assert.deepEqual(live(empty, full), ['root,cd', 'root,cd=a', false])
    assert.deepEqual(live(full, empty), ['root,cd', 'root', false])
    assert.deepEqual(live(full, { disks: [drive], volumes: [late('cd', 'b')] }), ['root,cd', 'root,cd=b', false])
    assert.deepEqual(live(full, {}), ['root,cd', 'root,cd=a', true])
    assert.deepEqual(live({ disks: [drive], volumes: [fixed('cd')] }, empty), ['root,cd', 'root,cd=cd', true])
  })
})
