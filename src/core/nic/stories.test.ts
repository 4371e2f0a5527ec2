import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { execute } from '#kit/core/nic/execute.ts'
import { CrashPoint, FakeSandbox } from '#kit/core/nic/fake-sandbox.ts'
import { liveUpdate, withoutUnplugged } from '../vm/live.ts'
import { desiredNics, wantedNics } from './desired.ts'
import { type Nic, noNetwork } from './nic.ts'
import { planNics } from './plan.ts'

/** What an owner declares about the one interface: nothing, absent, or where it is and whether its cable is plugged. */
type Wish = undefined | 'absent' | readonly [network: 'red' | 'blue' | typeof noNetwork, link: 'up' | 'down']

const wishes: readonly Wish[] = [
  'absent',
  ...(['red', 'blue', noNetwork] as const).flatMap((network) => [[network, 'up'] as const, [network, 'down'] as const]),
]
const mac = '02:00:00:00:00:0a'
const never = new AbortController().signal

function specOf(wish: Wish, before: VmiSpec): VmiSpec {
  if (wish === undefined) return { domain: { devices: { interfaces: [] } }, networks: [] }
  const state = wish === 'absent' ? 'absent' : wish[1]
  // Whoever declares it absent leaves its network as it was.
  const networkName = wish === 'absent' ? (before.networks?.[0]?.multus?.networkName ?? 'red') : wish[0]
  const interfaces: Interface[] = [{ name: 'a', bridge: {}, macAddress: mac, state }]
  const networks: Network[] = [{ name: 'a', multus: { networkName } }]
  return { domain: { devices: { interfaces } }, networks }
}

/** A VM, its instance, its guest, and all who look after them, in steps that a test chooses. */
class Stage {
  vm: VirtualMachine
  vmi: { spec: VmiSpec; status: { interfaces: { name: string }[] } }
  readonly world: FakeSandbox

  constructor(wish: Wish, isParked: boolean) {
    const spec = specOf(wish, specOf(undefined, {} as VmiSpec))
    const annotations = isParked ? { 'patchbay.dev/park-absent': 'true' } : {}
    this.vm = { metadata: { name: 'vm', annotations }, spec: { template: { spec } } } as unknown as VirtualMachine
    this.world = new FakeSandbox(desiredNics(spec, 'ns').map(plain))
    this.vmi = { spec, status: { interfaces: [...this.world.nics.keys()].map((name) => ({ name })) } }
  }

  declare(wish: Wish): void {
    const { template } = this.vm.spec
    const spec = specOf(wish, template.spec)
    this.vm = { ...this.vm, spec: { ...this.vm.spec, template: { ...template, spec } } }
  }

  /** One pass of the VM controller. Tells whether it changed anything. */
  control(): boolean {
    const { spec, restartRequired } = liveUpdate(this.vm.spec.template.spec, this.vmi, 'ns')
    assert.equal(restartRequired, false, 'nothing of this needs a restart')
    if (spec) this.vmi = { ...this.vmi, spec }
    const cleaned = withoutUnplugged(this.vm, this.vmi)
    const isChanged = spec !== undefined || cleaned !== this.vm
    this.vm = cleaned
    return isChanged
  }

  /** One pass of the agent. Tells whether it changed anything. One in which the process dies tells nobody anything. */
  async follow(): Promise<boolean> {
    const { world } = this
    world.mend()
    const plan = planNics(wantedNics(this.vmi.spec, 'ns'), [...world.nics.values()])
    const { failed } = await execute(plan, world, never)
    if (failed.some(({ cause }) => cause instanceof CrashPoint)) return true
    world.mend()
    world.giveBack(new Set(desiredNics(this.vmi.spec, 'ns').map(({ name }) => name)))
    const seen = [...new Set([...world.nics.keys(), ...world.attached.keys()])].map((name) => ({ name }))
    const isNews = JSON.stringify(seen) !== JSON.stringify(this.vmi.status.interfaces)
    this.vmi = { ...this.vmi, status: { interfaces: seen } }
    return isNews || plan.steps.length > 0
  }

  async settle(): Promise<void> {
    for (let passes = 0; passes < 12; passes++) {
      const isControlled = this.control()
      if (!(await this.follow()) && !isControlled) return
    }
    assert.fail('it never comes to rest')
  }
}

function plain({ name, mac, model, binding, network, link }: Nic): Nic {
  return { name, mac, model, binding, network, link }
}

/** Everything is as the last wish says, and nothing is left of the ones before. */
function holds({ vm, vmi, world }: Stage, wish: Wish, isParked: boolean): void {
  const names = (spec: VmiSpec) => spec.domain.devices.interfaces?.map(({ name }) => name).join()
  if (wish === 'absent' || wish === undefined) {
    assert.equal(world.nics.size + world.attached.size + world.joined.size, 0)
    assert.equal(names(vmi.spec), '')
    assert.equal(names(vm.spec.template.spec), isParked && wish ? 'a' : '')
    return
  }
  const [network, link] = wish
  const { network: on, link: is } = world.nics.get('a')!
  assert.deepEqual([on, is], network === noNetwork ? [noNetwork, 'down'] : [`ns/${network}`, link])
  assert.equal(vmi.spec.domain.devices.interfaces?.[0]?.state, link, 'the instance has the state as declared')
  assert.deepEqual([[...world.attached.get('a')!], [...world.joined.get('a')!]], [[on], [on]])
  assert.equal(world.linksDownForRewire.size, 0)
}

/** Most effects that any one pass of these stories has. */
const mostEffects = 9

test('small worlds of wishes that are changed again while any step fails or is the last come to what was wished last', async () => {
  let stories = 0
  let cuts = 0
  const firsts = [undefined, ['red', 'up'], ['red', 'down'], [noNetwork, 'up']] as const
  for (const first of firsts)
    for (const second of wishes)
      for (const third of wishes)
        for (const isParked of [false, true])
          for (const fate of ['failAt', 'dieAt'] as const)
            for (let at = 1; at <= mostEffects; at++) {
              const stage = new Stage(first, isParked)
              stage.declare(second)
              stage.control()
              stage.world[fate] = at
              await stage.follow()
              if (stage.world.effects >= at) cuts++
              // What failed may be tried again; what comes after is another process in any case.
              stage.world.failAt = 0
              stage.world.dieAt = 0
              stage.declare(third)
              await stage.settle()
              const story = `${first} -> ${second} -> ${third}, ${fate} ${at}, parked ${isParked}`
              try {
                holds(stage, third, isParked)
              } catch (cause) {
                throw new Error(story, { cause })
              }
              stories++
            }
  assert.equal(stories, firsts.length * wishes.length ** 2 * 2 * 2 * mostEffects)
  assert.ok(cuts >= 700, `only ${cuts} of them were cut short`)
})

test('a move that fails is taken back at once: the card is on the network it was on, with its link up', async () => {
  for (let at = 1; at <= 6; at++) {
    const { world } = new Stage(['red', 'up'], false)
    world.failAt = at
    await assert.rejects(world.rewire({ ...world.nics.get('a')!, network: 'ns/blue' }), /refused/)
    const { network, link } = world.nics.get('a')!
    assert.deepEqual([network, link, [...world.joined.get('a')!]], ['ns/red', 'up', ['ns/red']], `effect ${at}`)
    assert.equal(world.linksDownForRewire.size, 0)
  }
})

test('a guest that does not let go keeps its card until it does, or until absent is taken back', async () => {
  for (const third of wishes) {
    const stage = new Stage(['red', 'up'], false)
    stage.declare('absent')
    stage.world.failFor = 'a'
    for (let passes = 0; passes < 3; passes++) {
      stage.control()
      await stage.follow()
      assert.equal(stage.world.nics.get('a')?.network, 'ns/red')
    }
    stage.declare(third)
    stage.world.failFor = undefined
    await stage.settle()
    holds(stage, third, false)
  }
})

test('a network that never comes leaves the card where it is, however often it is tried, until networkName is set back', async () => {
  const stage = new Stage(['red', 'up'], false)
  stage.declare(['blue', 'up'])
  stage.world.failFor = 'a'
  for (let passes = 0; passes < 3; passes++) {
    stage.control()
    await stage.follow()
    stage.world.check()
    assert.deepEqual([stage.world.nics.get('a')?.network, stage.world.nics.get('a')?.link], ['ns/red', 'up'])
  }
  stage.declare(['red', 'up'])
  await stage.settle()
  holds(stage, ['red', 'up'], false)
})
