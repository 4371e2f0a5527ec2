import { buildDemoGuest, provideDemoGuest } from '../tools/stage/image.ts'
import { nad, vm } from '../tools/stage/manifests.ts'
import { inOwnNetns } from '../tools/stage/netns.ts'
import { Stage } from '../tools/stage/stage.ts'
import { benchLink } from './link.ts'
import { benchMemory } from './memory.ts'
import { benchStart } from './start.ts'

if (process.env.PATCHBAY_NETNS === undefined) {
  await buildDemoGuest()
  process.exitCode = await inOwnNetns([process.execPath, '--conditions=source', ...process.argv.slice(1)])
} else {
  await using stage = await Stage.open()
  await provideDemoGuest(stage)
  await stage.up()
  await stage.apply(nad('blue'), vm('x', { secondary: { blue: 'up' } }))
  await stage.waitFor('x', 'AgentConnected')
  await benchLink(stage, 'x')
  await benchStart(stage)
  await benchMemory(stage)
}
