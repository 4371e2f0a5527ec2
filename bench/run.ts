import { buildDemoGuest, provideDemoGuest } from '../tools/stage/image.ts'
import { nad, vm } from '../tools/stage/manifests.ts'
import { inOwnNetns } from '../tools/stage/netns.ts'
import { Stage } from '../tools/stage/stage.ts'
import { benchApi } from './api.ts'
import { benchDoors } from './doors.ts'
import { benchLink } from './link.ts'
import { benchMemory } from './memory.ts'
import { benchScale, benchWatchers } from './scale.ts'
import { benchStart } from './start.ts'

/** A stage with one real guest, `x`, that has a link of its own to flip. */
async function withGuest(bench: (stage: Stage) => Promise<void>): Promise<void> {
  await using stage = await Stage.open()
  await provideDemoGuest(stage)
  await stage.up()
  await stage.apply(nad('blue'), vm('x', { secondary: { blue: 'up' } }))
  await stage.waitFor('x', 'AgentConnected')
  await bench(stage)
}

/** All benches by name; `npm run bench -- NAME …` runs some. */
const benches: Readonly<Record<string, () => Promise<void>>> = {
  link: () => withGuest((stage) => benchLink(stage, 'x')),
  doors: () => withGuest(benchDoors),
  start: () => withGuest(benchStart),
  memory: () => withGuest(benchMemory),
  api: benchApi,
  watchers: benchWatchers,
  scale: benchScale,
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in benches))
if (unknown.length) {
  console.error(`there is no bench ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}`)
  process.exitCode = 2
} else if (process.env.PATCHBAY_NETNS === undefined) {
  await buildDemoGuest()
  process.exitCode = await inOwnNetns([process.execPath, '--conditions=source', ...process.argv.slice(1)])
} else {
  for (const name of wanted.length ? wanted : Object.keys(benches)) {
    console.log(`--- ${name}`)
    await benches[name]!()
  }
}
