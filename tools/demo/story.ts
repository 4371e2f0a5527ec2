import { eventually } from '../../src/base/wait.ts'
import { path } from '../stage/api.ts'
import { bootMs } from '../stage/distro.ts'
import { onDistro } from '../stage/distro-manifests.ts'
import { flip, nad, vm } from '../stage/manifests.ts'
import { patienceMs, type Stage } from '../stage/stage.ts'
import { agreement, gone, type Identity, identityOf, macsOf } from '../stage/views.ts'
import { moved } from './migration.ts'
import { lan, placed } from './networks.ts'
import { throughOvirt } from './ovirt.ts'
import { ms, type Teller } from './teller.ts'

/** A part of the story: what runs, and who tells of it. `isDistro`: x is a whole Debian instead of the demo guest. */
export type Scene = Readonly<{ stage: Stage; teller: Teller; isDistro?: boolean }>

/** All of it, on a stage that is not up yet. */
export async function story(scene: Scene): Promise<void> {
  const identity = await begin(scene)
  await flipped(scene, identity)
  await plugged(scene, identity)
  await moved(scene)
  await killed(scene)
  await deleted(scene)
}

async function begin({ stage, teller, isDistro }: Scene): Promise<Identity> {
  let start = performance.now()
  teller.say('patchbay up', await stage.up())
  teller.record({ step: 'up', asked: 'patchbay up', ms: { ready: performance.now() - start } })
  start = performance.now()
  const x = vm('x', { pod: 'up', secondary: { blue: 'down' } })
  await stage.apply(nad('blue'), lan('red'), lan('green'))
  await stage.apply(isDistro ? onDistro(x) : x, vm('y', { secondary: { red: 'up', green: 'up' }, graceSeconds: 0 }))
  await stage.waitFor('x', 'Ready')
  const ready = performance.now() - start
  await stage.waitFor('x', 'AgentConnected', isDistro ? bootMs : patienceMs)
  const agent = performance.now() - start
  const more = { ready, agent }
  await teller.compare(stage, 'a VM with one link up and one down', {
    asked: { default: 'up', blue: 'down' },
    start,
    more,
  })
  await stage.waitFor('y', 'AgentConnected')
  console.log('  y, a second VM on the networks red and green, is there to be talked to')
  return identityOf(stage, 'x')
}

async function flipped({ stage, teller }: Scene, identity: Identity): Promise<void> {
  const start = performance.now()
  await patch(stage, { 0: 'down', 1: 'up' })
  await teller.compare(stage, 'kubectl patch: one JSON patch flips both links', {
    asked: { default: 'down', blue: 'up' },
    start,
  })
  await teller.unchanged(stage, 'nothing else was touched', identity)
  await patch(stage, { 0: 'up', 1: 'down' })
  await agreement(stage, 'x', { default: 'up', blue: 'down' }, start)
}

/** A card comes with its cable pulled, gets it, is moved to another network and goes. */
async function plugged({ stage, teller }: Scene, identity: Identity): Promise<void> {
  let start = performance.now()
  await stage.p('plug', 'x', 'lan', '--network', 'red', '--link', 'down')
  const isThere = { default: 'up', blue: 'down', lan: 'down' }
  await teller.compare(stage, 'patchbay plug x lan --network red --link down', { asked: isThere, start })
  const withLan = await teller.unchanged(stage, 'the rest of the guest was not touched', identity)
  const macs = await macsOf(stage, 'x')

  const on = async (step: string, side: 'red' | 'green', ...command: readonly string[]) => {
    start = performance.now()
    await stage.p(...command)
    const { views, ms } = await placed(stage, 'lan', side, start)
    teller.tell(`patchbay ${command.join(' ')}: ${step}`, { lan: side }, views, ms)
    await teller.unchanged(stage, 'in place', withLan)
  }
  await on('its cable is plugged', 'red', 'link', 'up', 'x', 'lan', '--wait')
  await on('the card moves, the guest keeps it', 'green', 'rewire', 'x', 'lan', '--network', 'green', '--wait')
  await throughOvirt({ stage, teller }, withLan)

  start = performance.now()
  await stage.p('unplug', 'x', 'lan')
  const forgotten = eventually('the VM forgets lan', async () => !(await macsOf(stage, 'x')).has('lan'), {
    deadlineMs: patienceMs,
    everyMs: 10,
  }).then(() => performance.now() - start)
  const asked = { default: 'up', blue: 'down', lan: gone }
  await teller.compare(stage, 'patchbay unplug x lan', { asked, start, macs, more: { VM: await forgotten } })
  await teller.unchanged(stage, 'the rest of the guest was not touched', identity)
}

async function killed({ stage, teller }: Scene): Promise<void> {
  const before = await identityOf(stage, 'x')
  const start = performance.now()
  await patch(stage, { 0: 'down', 1: 'down' })
  await stage.kill()
  await stage.up()
  await teller.compare(stage, 'kubectl patch: both pulled, and Patchbay killed (-9) at once and started again', {
    asked: { default: 'down', blue: 'down' },
    start,
  })
  await teller.unchanged(stage, 'the guest never noticed', before)
}

async function deleted({ stage, teller }: Scene): Promise<void> {
  const start = performance.now()
  await stage.k('delete', 'vm', 'x', 'y', `--timeout=${patienceMs / 1000}s`)
  const { body } = await stage.api.call('GET', path.pods)
  if (body.items.length) throw new Error('the VMs are deleted, but a pod is still there')
  const took = performance.now() - start
  teller.record({ step: 'delete', asked: 'kubectl delete vm x y', ms: { gone: took } })
  teller.say('kubectl delete vm x y', `  the guests are shut down and their sandboxes gone after ${ms(took)}`)
}

/** Sets states of the links of x, by their index, as its owner would. */
async function patch(stage: Stage, states: Readonly<Record<number, string>>): Promise<void> {
  await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip(states)))
}
