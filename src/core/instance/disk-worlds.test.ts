import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { Fault } from '#base/fault.ts'
import { claimOfFile, fileOf } from '../disk/disk.ts'
import type { PlugSource } from '../disk/plug-source.ts'
import type { ObservedDisk, ObservedDomain } from '../ports.ts'
import { type Failures, withFailure } from './backoff.ts'
import { dependenciesOf } from './depends.ts'
import { type DiskPlan, planGuestDisks, volumeStates } from './disks.ts'
import type { GuestRequests, Observation } from './observation.ts'
import { diskKey, type InstanceStep } from './steps.ts'

const uids = { a: '00000000-0000-4000-8000-00000000000a', b: '00000000-0000-4000-8000-00000000000b' }
type Claim = keyof typeof uids
/** The claims of two disks and of the medium of a drive, as far as they are wanted. */
type Wish = Readonly<{ one?: Claim | undefined; two?: Claim | undefined; cd?: Claim | undefined }>

const names = ['one', 'two', 'cd'] as const

function instance(wish: Wish): VirtualMachineInstance {
  const disks = names.flatMap((name): object[] => {
    if (name === 'cd') return [{ name, cdrom: { bus: 'sata' } }]
    return wish[name] ? [{ name, disk: { bus: name === 'one' ? 'virtio' : 'scsi' } }] : []
  })
  const volumes = names
    .filter((name) => wish[name])
    .map((name) => ({ name, persistentVolumeClaim: { claimName: wish[name], hotpluggable: true } }))
  return { metadata: { name: 'x', namespace: 'ns' }, spec: { domain: { devices: { disks } }, volumes } } as never
}

class Crash extends Error {}

/** A guest that can only do what a real one can, and an agent that may fail or die at any effect. */
class World {
  disks: ObservedDisk[] = [{ alias: 'ua-cd', target: 'sda' }]
  readonly files = new Set<string>()
  failures: Failures = new Map()
  requested: GuestRequests = { unplug: new Map() }
  nowMs = 1_000_000
  effects = 0
  failAt = 0
  dieAt = 0

  #domain(): ObservedDomain {
    const used = new Set(this.disks.map(({ file }) => file))
    const unusedFiles = [...this.files].filter((file) => !used.has(file))
    const free = this.disks.some(({ target }) => target.startsWith('vd')) ? 0 : 1
    const ports = { total: 1, free }
    return { state: 'running', uuid: '', nics: [], disks: this.disks, agentConnected: true, ports, unusedFiles }
  }

  #seen(wish: Wish): Observation {
    const plugs = new Map<string, PlugSource>()
    for (const name of names) {
      const claim = wish[name]
      if (!claim) continue
      const uid = uids[claim]
      plugs.set(name, { claim: uid, info: {}, file: { is: 'claim', uid, bytes: 1, isOverlaid: false } })
    }
    const { failures, requested, nowMs } = this
    return { plugs, failures, requested, nowMs, guest: { is: 'there', domain: this.#domain() } } as never
  }

  #effect(): void {
    this.effects++
    if (this.effects === this.dieAt) throw new Crash()
    if (this.effects === this.failAt) throw new Fault('Unavailable', 'it failed')
  }

  #act(step: InstanceStep): void {
    switch (step.do) {
      case 'attachDisk':
      case 'changeMedium': {
        const { disk, alias } = step.step
        const file = disk.file && fileOf({ name: disk.name, file: disk.file }).file
        if (file !== undefined) this.files.add(file)
        this.#effect()
        const others = this.disks.filter((one) => one.alias !== alias)
        assert.equal(others.length === this.disks.length, step.do === 'attachDisk', `${alias} is there twice, or not`)
        assert.ok(!others.some((one) => one.target === disk.target), `${disk.target} is there twice`)
        assert.ok(file === undefined || !others.some((one) => one.file === file), `${file} has two disks`)
        assert.ok(disk.bus !== 'virtio' || this.#domain().ports.free > 0, 'there is no port')
        this.disks = [...others, { alias, target: disk.target, ...(file !== undefined && { file }) }]
        return
      }
      case 'detachDisk': {
        const { alias, name } = step.step
        this.requested = { unplug: new Map([[diskKey(name), { firstMs: this.nowMs, lastMs: this.nowMs }]]) }
        this.#effect()
        this.disks = this.disks.filter((one) => one.alias !== alias)
        return
      }
      case 'dropFiles':
        this.#effect()
        for (const file of step.files) {
          assert.ok(!this.disks.some((one) => one.file === file), `${file} is taken from under its guest`)
          this.files.delete(file)
        }
        return
      default:
        assert.fail(`nobody asked to ${step.do}`)
    }
  }

  /** One stage, with failures as the agent has them. */
  #stage(steps: readonly InstanceStep[], seen: Observation): void {
    for (const step of steps)
      try {
        this.#act(step)
      } catch (cause) {
        if (!(cause instanceof Fault)) throw cause
        for (const [key, depends] of dependenciesOf(seen, step))
          this.failures = withFailure(this.failures, key, { depends, cause, nowMs: this.nowMs })
      }
  }

  settle(wish: Wish): void {
    const vmi = instance(wish)
    for (let round = 0; round < 50; round++) {
      const seen = this.#seen(wish)
      const plan: DiskPlan = planGuestDisks(seen, vmi, this.#domain())
      const steps = [plan.leaving, plan.coming, plan.unused].find((one) => one.length)
      if (!steps && !plan.waits.length && !this.failures.has('files')) {
        for (const [name, { phase }] of volumeStates(seen, vmi, this.#domain())) assert.equal(phase, 'Ready', name)
        return
      }
      try {
        if (steps) this.#stage(steps, seen)
        else this.nowMs += 10_000
      } catch (error) {
        if (!(error instanceof Crash)) throw error
        // The next process remembers nothing.
        Object.assign(this, { failures: new Map(), requested: { unplug: new Map() } })
      }
      if (this.nowMs > 1_000_000) this.failures = new Map()
    }
    assert.fail(`it does not end: ${JSON.stringify(this.disks)}`)
  }
}

function* wishes(): Generator<Wish> {
  const choices = [undefined, 'a', 'b'] as const
  for (const one of choices)
    for (const two of choices)
      for (const cd of choices) {
        const claims = [one, two, cd].filter((claim) => claim !== undefined)
        if (new Set(claims).size === claims.length) yield { one, two, cd }
      }
}

test('a running guest ends with the disks and media that are wanted and no other file, whatever fails or dies once', () => {
  for (const before of wishes())
    for (const after of wishes())
      for (let mishap = -6; mishap <= 6; mishap++) {
        const world = new World()
        world.settle(before)
        Object.assign(world, { effects: 0, ...(mishap < 0 ? { dieAt: -mishap } : { failAt: mishap }) })
        world.settle(after)
        const has = Object.fromEntries(world.disks.map(({ alias, file }) => [alias.slice(3), claimOfFile(file)]))
        const uidOf = (claim: Claim | undefined) => claim && uids[claim]
        assert.deepEqual(
          { one: has.one, two: has.two, cd: has.cd },
          { one: uidOf(after.one), two: uidOf(after.two), cd: uidOf(after.cd) },
        )
        assert.deepEqual(
          [...world.files].toSorted(),
          Object.values(has)
            .flatMap((uid) => (uid ? [`${uid}.img`] : []))
            .toSorted(),
        )
      }
})
