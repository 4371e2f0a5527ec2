import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ObservedDisk } from '../ports.ts'
import { claimOfFile, type DiskFile, fileOf, type GuestDisk } from './disk.ts'
import { type DiskStep, planDisks, type WantedDisk } from './plan.ts'

const uids = { a: '00000000-0000-4000-8000-00000000000a', b: '00000000-0000-4000-8000-00000000000b' }
type Claim = keyof typeof uids

function file(claim: Claim): DiskFile {
  return { is: 'claim', uid: uids[claim], bytes: 1, isOverlaid: false }
}

/** What one disk is in a small world: a disk with a claim, or a drive with one or none; `waits`: its claim cannot be used yet. */
type Wish = Readonly<{ device: 'disk' | 'cdrom'; claim?: Claim; waits?: true; isPermanent?: true }>

function wanted(name: string, { device, claim, waits, isPermanent }: Wish, target: string): WantedDisk {
  const disk = { name, device, bus: device === 'disk' ? 'virtio' : 'sata', target } as unknown as GuestDisk
  return {
    ...{
      disk,
      alias: `ua-${name}`,
      hasVolume: claim !== undefined,
      isHotpluggable: claim !== undefined && !isPermanent,
    },
    ...(claim && { claim: uids[claim] }),
    ...(claim && !waits && { file: file(claim) }),
  }
}

/** A guest that does what it is asked. */
function carriedOut(observed: readonly ObservedDisk[], step: DiskStep): ObservedDisk[] {
  const others = observed.filter(({ alias }) => alias !== step.alias)
  if (step.do === 'detach') {
    assert.ok(others.length < observed.length, 'it is asked to let go of what it has not')
    return others
  }
  const { disk, alias } = step
  assert.ok(!others.some(({ target }) => target === disk.target), `two disks are called ${disk.target}`)
  const made = disk.file && fileOf({ name: disk.name, file: disk.file }).file
  assert.ok(made === undefined || !others.some((one) => one.file === made), 'two disks are made of one file')
  assert.equal(step.do === 'attach', others.length === observed.length)
  return [...others, { alias, target: disk.target, ...(made !== undefined && { file: made }) }]
}

function settled(wishes: readonly WantedDisk[], before: readonly ObservedDisk[]): readonly ObservedDisk[] {
  let now = before
  for (let round = 0; round < 10; round++) {
    const [step] = planDisks(wishes, now)
    if (!step) return now
    now = carriedOut(now, step)
  }
  return assert.fail(`it does not end: ${JSON.stringify(planDisks(wishes, now))}`)
}

const choices: readonly (Wish | undefined)[] = [
  undefined,
  { device: 'disk', claim: 'a' },
  { device: 'disk', claim: 'b' },
  { device: 'disk', claim: 'a', waits: true },
]
const drives: readonly Wish[] = [
  { device: 'cdrom' },
  { device: 'cdrom', claim: 'b' },
  { device: 'cdrom', claim: 'a' },
  { device: 'cdrom', claim: 'b', waits: true },
]

function* worlds(): Generator<WantedDisk[]> {
  for (const one of choices)
    for (const cd of drives) {
      if (one?.claim !== undefined && one.claim === cd.claim) continue
      yield [...(one ? [wanted('one', one, 'vda')] : []), wanted('cd', cd, 'sda')]
    }
}

describe('disks of a running guest', () => {
  test('become what is wanted, from whatever they were', () => {
    for (const have of worlds()) {
      const start = [{ alias: 'ua-cd', target: 'sda' }]
      const before = settled(have, start)
      for (const want of worlds()) {
        const after = settled(want, before)
        const isUsable = ({ disk, file }: WantedDisk) => disk.device === 'cdrom' || file !== undefined
        // What a guest has already it keeps, although it could not get it now.
        const keeps = ({ alias, claim }: WantedDisk) =>
          before.some((one) => one.alias === alias && claimOfFile(one.file) === claim)
        const expected = want.filter((one) => isUsable(one) || keeps(one))
        assert.deepEqual(after.map(({ alias }) => alias).toSorted(), expected.map(({ alias }) => alias).toSorted())
        for (const one of expected) {
          const has = claimOfFile(after.find(({ alias }) => alias === one.alias)?.file)
          assert.equal(has, one.file || keeps(one) ? one.claim : undefined)
        }
      }
    }
  })

  test('that are not made of claims, or may not leave, are left alone', () => {
    const observed = [
      { alias: 'ua-root', target: 'vda', file: 'root.qcow2' },
      { alias: 'ua-old', target: 'vdb', file: 'old.img' },
      { alias: 'ua-fixed', target: 'vdc', file: `${uids.a}.img` },
      { alias: 'ua-seed', target: 'sda', file: 'seed.iso' },
    ]
    const fixed = wanted('fixed', { device: 'disk', claim: 'b', isPermanent: true }, 'vdc')
    const seed = wanted('seed', { device: 'cdrom', claim: 'b', isPermanent: true }, 'sda')
    assert.deepEqual(planDisks([fixed, seed], observed), [])
    assert.deepEqual(planDisks([fixed, wanted('seed', { device: 'cdrom' }, 'sda')], observed), [])
  })

  test('get a name that the guest does not use, and what leaves goes first', () => {
    const observed = [
      { alias: 'ua-old', target: 'vda', file: `${uids.b}.img` },
      { alias: 'ua-x', target: 'vdb', file: 'x.img' },
    ]
    const x = wanted('x', { device: 'disk' }, 'vda')
    const steps = planDisks([x, wanted('new', { device: 'disk', claim: 'a' }, 'vdb')], observed)
    assert.deepEqual(
      steps.map((step) => [step.do, step.name, 'disk' in step ? step.disk.target : '']),
      [
        ['detach', 'old', ''],
        ['attach', 'new', 'vdc'],
      ],
    )
  })
})
