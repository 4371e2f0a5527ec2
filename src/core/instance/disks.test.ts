import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import type { PlugSource } from '../disk/plug-source.ts'
import type { ObservedDisk, ObservedDomain } from '../ports.ts'
import { withFailure } from './backoff.ts'
import { diskDepends } from './depends.ts'
import { planGuestDisks, volumeStates } from './disks.ts'
import type { Observation } from './observation.ts'

const uid = '00000000-0000-4000-8000-00000000000a'
const other = '00000000-0000-4000-8000-00000000000b'
const info = { claimName: 'c' }
const here: PlugSource = { claim: uid, info, file: { is: 'claim', uid, bytes: 1, isOverlaid: false } }
const absent: PlugSource = { info, waits: { phase: 'Pending', reason: 'FailedPvcNotFound', message: 'no PVC' } }

function vmi(names: readonly string[], bus = 'virtio'): VirtualMachineInstance {
  const disks = names.map((name) => ({ name, disk: { bus } }))
  const volumes = names.map((name) => ({ name, persistentVolumeClaim: { claimName: 'c', hotpluggable: true } }))
  return { metadata: { name: 'x', namespace: 'ns' }, spec: { domain: { devices: { disks } }, volumes } } as never
}

function domain(disks: readonly ObservedDisk[], free = 1, unusedFiles: readonly string[] = []): ObservedDomain {
  return { state: 'running', uuid: '', nics: [], disks, agentConnected: true, ports: { total: 8, free }, unusedFiles }
}

function seen(plugs: Readonly<Record<string, PlugSource>>, over: Partial<Observation> = {}, of = domain([])) {
  return {
    ...{ plugs: new Map(Object.entries(plugs)), failures: new Map(), requested: { unplug: new Map() }, nowMs: 10_000 },
    guest: { is: 'there', domain: of },
    ...over,
  } as unknown as Observation
}

const data = [{ alias: 'ua-data', target: 'vda', file: `${uid}.img` }]
const asked = (firstMs: number, lastMs: number) => ({
  requested: { unplug: new Map([['disk data', { firstMs, lastMs }]]) },
})
const doings = (steps: readonly { do: string }[]) => steps.map((step) => step.do)

describe('volumes of a running guest', () => {
  test('that are ready are attached, and those that are not are waited for', () => {
    const plan = planGuestDisks(seen({ data: here, more: absent }), vmi(['data', 'more']), domain([]))
    assert.deepEqual([doings(plan.leaving), doings(plan.coming), plan.problems], [[], ['attachDisk'], []])
    assert.deepEqual(plan.waits, [3000])
    const states = volumeStates(seen({ more: absent }), vmi(['more']), domain([]))
    assert.deepEqual(states.get('more'), { phase: 'Pending', reason: 'FailedPvcNotFound', message: 'no PVC', info })
  })

  test('that the guest has are Ready, whatever becomes of their claims', () => {
    for (const source of [here, absent]) {
      const states = volumeStates(seen({ data: source }), vmi(['data']), domain(data))
      assert.equal(states.get('data')?.phase, 'Ready')
    }
  })

  test('without a free port say so until there is one; those on SCSI need none', () => {
    const full = planGuestDisks(seen({ data: here }), vmi(['data']), domain([], 0))
    assert.deepEqual(full.coming, [])
    assert.match(full.problems.join(), /^volume "data" cannot be plugged: the guest has no free port for volume data/)
    assert.equal(volumeStates(seen({ data: here }), vmi(['data']), domain([], 0)).get('data')?.reason, 'NoFreePort')
    assert.deepEqual(doings(planGuestDisks(seen({ data: here }), vmi(['data'], 'scsi'), domain([], 0)).coming), [
      'attachDisk',
    ])
  })

  test('leave when the guest lets go: it is asked once, and again, with a sentence, after its time', () => {
    const first = planGuestDisks(seen({}), vmi([]), domain(data))
    assert.deepEqual([doings(first.leaving), first.problems], [['detachDisk'], []])
    const patient = planGuestDisks(seen({}, asked(9000, 9000)), vmi([]), domain(data))
    assert.deepEqual([patient.leaving, patient.problems, patient.waits], [[], [], [4000]])
    assert.equal(volumeStates(seen({}, asked(9000, 9000)), vmi([]), domain(data)).get('data')?.phase, 'Detaching')
    assert.deepEqual(doings(planGuestDisks(seen({}, asked(4000, 4000)), vmi([]), domain(data)).leaving), ['detachDisk'])
    const stuck = planGuestDisks(seen({}, asked(4000, 9000)), vmi([]), domain(data))
    assert.deepEqual([stuck.leaving, stuck.waits], [[], [4000]])
    assert.match(
      stuck.problems.join(),
      /volume "data" cannot be unplugged: The guest has not let go of volume data yet/,
    )
  })

  test('that name another claim leave before they come again', () => {
    const before = [{ ...data[0]!, file: `${other}.img` }]
    const plan = planGuestDisks(seen({ data: here }), vmi(['data']), domain(before))
    assert.deepEqual([doings(plan.leaving), doings(plan.coming)], [['detachDisk'], []])
  })

  test('that failed back off alone, until something changes that they depend on', () => {
    const step = { do: 'attach', name: 'data', alias: 'ua-data', disk: { file: 'file' in here && here.file } } as never
    const of = domain([])
    const depends = diskDepends(seen({}, {}, of), step)
    const cause = new Fault('Unavailable', 'no room')
    const failures = withFailure(new Map(), 'disk data', { depends, cause, nowMs: 10_000 })
    const plan = planGuestDisks(seen({ data: here }, { failures }, of), vmi(['data']), of)
    assert.deepEqual(
      [plan.coming, plan.problems, plan.waits],
      [[], ['volume "data" cannot be plugged: no room'], [250]],
    )
    assert.deepEqual(volumeStates(seen({ data: here }, { failures }, of), vmi(['data']), of).get('data'), {
      ...{ phase: 'MountedToPod', reason: 'FailedAttach', message: 'no room', info },
    })
    const freed = domain([], 2)
    assert.equal(planGuestDisks(seen({ data: here }, { failures }, freed), vmi(['data']), freed).coming.length, 1)
  })

  test('a medium that the guest keeps is asked for again at once when the guest opens the tray', () => {
    const locked = domain([{ alias: 'ua-data', target: 'sda', file: `${uid}.img` }])
    const step = { do: 'eject', name: 'data', alias: 'ua-data', disk: {} } as never
    const cause = new Fault('Unavailable', 'its tray is locked')
    const depends = diskDepends(seen({}, {}, locked), step)
    const failures = withFailure(new Map(), 'disk data', { depends, cause, nowMs: 10_000 })
    const devices = { disks: [{ name: 'data', cdrom: { bus: 'scsi' } }] }
    const empty = { metadata: { name: 'x', namespace: 'ns' }, spec: { domain: { devices }, volumes: [] } } as never
    const leaving = (of: ObservedDomain) => doings(planGuestDisks(seen({}, { failures }, of), empty, of).leaving)
    assert.deepEqual(leaving(locked), [])
    const open = domain([{ alias: 'ua-data', target: 'sda', file: `${uid}.img`, isOpen: true }])
    assert.deepEqual(leaving(open), ['changeMedium'])
  })

  test('leave no file behind; one that is still to be plugged keeps its own', () => {
    const plan = planGuestDisks(seen({ data: absent }), vmi(['data']), domain([], 1, [`${other}.img`]))
    assert.deepEqual(plan.unused, [{ do: 'dropFiles', files: [`${other}.img`] }])
    assert.deepEqual(planGuestDisks(seen({ data: here }), vmi(['data']), domain([], 1, [`${uid}.img`])).unused, [])
  })

  test('are not judged where the disks of the guest are not known', () => {
    const { disks: _, ...unknown } = domain([])
    assert.deepEqual(planGuestDisks(seen({ data: here }), vmi(['data']), unknown).coming, [])
  })
})
