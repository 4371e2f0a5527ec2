import { path } from '../tools/stage/api.ts'
import { flip } from '../tools/stage/manifests.ts'
import { program } from '../tools/stage/program.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { percentile, show } from './figures.ts'
import { atRest, Live } from './live.ts'

/** Changes on each side; the two alternate on the same VM. */
const rounds = 60

/**
 * Link change: first byte of the PATCH from a warm keep-alive client, or the start of a `virsh domif-setlink` process, until a
 * second libvirt connection sees it in the live XML.
 */
export async function benchLink(stage: Stage, vm: string): Promise<void> {
  using live = await Live.open(stage, vm)
  const until = (down: boolean, start: number) =>
    live.until('the link changes', start, (xml) => xml.includes("<link state='down'/>") === down)
  // What virsh changes is to stay, not to be put back while our own change is timed.
  await stage.k('annotate', 'vm', vm, 'patchbay.dev/link-drift=report')
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < rounds; round++) {
    // Each round starts from rest in one state, goes to the other by us and back by virsh; every other round from the other.
    const [rest, other] = round % 2 === 0 ? (['up', 'down'] as const) : (['down', 'up'] as const)
    // What virsh left is declared first: then nothing is drift any more.
    await declare(stage, vm, other)
    await declare(stage, vm, rest)
    await atRest()
    let start = performance.now()
    const patch = stage.api.call('PATCH', path.vm(vm), flip({ 1: other }), 'application/json-patch+json')
    ours.push(await until(other === 'down', start))
    await patch
    await settled(stage, vm, other)
    await atRest()
    start = performance.now()
    const virsh = program('virsh', [
      '-q',
      '-c',
      `qemu+unix:///system?socket=${live.socket}`,
      'domif-setlink',
      `default_${vm}`,
      'tap16477688c0e',
      rest,
    ])
    theirs.push(await until(rest === 'down', start))
    await virsh
  }
  show({
    what: `link change, p50 of ${rounds}`,
    ours: percentile(ours, 0.5),
    theirs: percentile(theirs, 0.5),
    unit: 'ms',
    promise: 1,
  })
  console.log(
    `${''.padEnd(58)} p99: ours ${percentile(ours, 0.99).toFixed(1)} ms, by hand ${percentile(theirs, 0.99).toFixed(1)} ms`,
  )
}

/** Declares a state and waits until it is so. */
async function declare(stage: Stage, vm: string, state: string): Promise<void> {
  await stage.api.call('PATCH', path.vm(vm), flip({ 1: state }), 'application/json-patch+json')
  await settled(stage, vm, state)
}

/** Waits until the status tells of a state. */
export async function settled(stage: Stage, vm: string, state: string): Promise<void> {
  for (const start = performance.now(); performance.now() - start < 20_000; ) {
    const { body } = await stage.api.call('GET', path.vmi(vm))
    if (body.status.interfaces.find((one: { name: string }) => one.name === 'blue')?.linkState === state) return
  }
  throw new Error('the status did not catch up within 20 s')
}
