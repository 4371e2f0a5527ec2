import { parseArgs } from 'node:util'
import { provideRegistry } from '../test/kit/drivers/image/registry.ts'
import { buildDistro } from '../tools/stage/distro.ts'
import { buildDemoGuest, provideDemoGuest } from '../tools/stage/image.ts'
import { nad, vm } from '../tools/stage/manifests.ts'
import { inOwnNetns } from '../tools/stage/netns.ts'
import { Stage } from '../tools/stage/stage.ts'
import { benchApi } from './api.ts'
import { benchDisks } from './disks.ts'
import { benchDoors } from './doors.ts'
import { benchFanout } from './fanout.ts'
import { conclude } from './figures.ts'
import { benchLink } from './link.ts'
import { benchMemory } from './memory.ts'
import { benchMigrate } from './migrate.ts'
import { benchOvirt } from './ovirt.ts'
import { benchPage } from './page.ts'
import { benchPause } from './pause.ts'
import { benchPlug } from './plug.ts'
import { benchRewire } from './rewire.ts'
import { benchScale } from './scale.ts'
import { benchStart } from './start.ts'
import { benchTwenty } from './twenty.ts'

type Bench = (stage: Stage) => Promise<void>

/** Those that each have a server of their own with a real guest on it. */
const real: Readonly<Record<string, Bench>> = {
  link: (stage) => benchLink(stage, 'x'),
  doors: benchDoors,
  ovirt: benchOvirt,
  start: benchStart,
  plug: benchPlug,
  rewire: benchRewire,
  twenty: benchTwenty,
  migrate: benchMigrate,
  memory: benchMemory,
}
/** Those that start a server of their own, with options of their own. */
const own: Readonly<Record<string, Bench>> = { disks: benchDisks }
/** Those that each have a server of their own, with guests in memory only. */
const simulated: Readonly<Record<string, Bench>> = {
  api: benchApi,
  pause: benchPause,
  fanout: benchFanout,
  scale: benchScale,
  page: benchPage,
}

/** Runs the benches whose names are given, or all; `--json FILE` also writes every figure. The exit status is 1 when a promise does not hold. */
async function main(words: readonly string[]): Promise<void> {
  const { values, positionals: names } = parseArgs({
    args: [...words],
    options: { json: { type: 'string' } },
    allowPositionals: true,
  })
  const chosen = (benches: Readonly<Record<string, Bench>>) =>
    Object.entries(benches).flatMap(([name, bench]) => (!names.length || names.includes(name) ? [bench] : []))
  const all = { ...real, ...own, ...simulated }
  const unknown = names.filter((name) => !(name in all))
  if (unknown.length)
    throw new Error(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(all).join(', ')}`)
  const reals = chosen(real)
  if (process.env.PATCHBAY_NETNS === undefined) {
    if (reals.length) await buildDemoGuest()
    if (chosen(own).length) await Promise.all([buildDistro(), provideRegistry()])
    process.exitCode = await inOwnNetns([process.execPath, ...process.argv.slice(1)])
    return
  }
  for (const bench of reals) await withGuest(bench)
  for (const bench of chosen(own)) {
    await using stage = await Stage.open({ watchTruth: false })
    await bench(stage)
  }
  for (const bench of chosen(simulated)) {
    await using stage = await Stage.open({ simulate: true })
    // One namespace holds them all: 10,000 instances, their pods and Events.
    await stage.up(['--namespace-objects', '100000', '--namespace-bytes', '1Gi'])
    await bench(stage)
  }
  process.exitCode = conclude(values.json) ? 1 : 0
}

async function withGuest(bench: Bench): Promise<void> {
  // How long disagreements last is one bench's business; the others are not to pay for looking.
  await using stage = await Stage.open({ watchTruth: bench === benchDoors })
  await provideDemoGuest(stage)
  await stage.up()
  await stage.apply(nad('blue'), vm('x', { secondary: { blue: 'up' } }))
  await stage.waitFor('x', 'AgentConnected')
  await bench(stage)
}

await main(process.argv.slice(2))
