import { parseArgs } from 'node:util'
import { story } from './demo/story.ts'
import { Teller } from './demo/teller.ts'
import { buildDistro, provideDistro } from './stage/distro.ts'
import { buildDemoGuest, provideDemoGuest } from './stage/image.ts'
import { inOwnNetns } from './stage/netns.ts'
import { must } from './stage/program.ts'
import { Stage } from './stage/stage.ts'

const { values } = parseArgs({ options: { json: { type: 'string' }, distro: { type: 'boolean', default: false } } })

if (process.env.PATCHBAY_NETNS === undefined) {
  console.log('Building the demo guest (once) ...')
  await buildDemoGuest()
  if (values.distro) await buildDistro()
  process.exitCode = await inOwnNetns([process.execPath, ...process.argv.slice(1)])
} else {
  const teller = new Teller()
  const start = performance.now()
  try {
    await play(teller)
    const seconds = Math.round((performance.now() - start) / 1000)
    console.log(`\nAll agreed at every step, and nothing is left behind. It took ${seconds} s.`)
  } catch (error) {
    process.exitCode = 1
    console.error(`\nTHE DEMO FAILED: ${told(error)}`)
  }
  if (values.json !== undefined) await teller.write(values.json, process.exitCode !== 1)
}

async function play(teller: Teller): Promise<void> {
  const stage = await Stage.open()
  let sandboxes: ReadonlySet<string>
  let left: string
  {
    await using _ = stage
    await provideDemoGuest(stage)
    if (values.distro) await provideDistro(stage)
    await story({ stage, teller, isDistro: values.distro })
    sandboxes = await sandboxesOf(stage)
    left = await leftovers(stage, sandboxes)
  }
  // Disposing the stage has run `patchbay down`.
  const after = await leftovers(stage, sandboxes)
  teller.say('patchbay down', `  before: ${left || 'nothing'}\n  after:  ${after || 'nothing'}`)
  if (after) throw new Error(`patchbay down left something behind: ${after}`)
}

/** UIDs of all sandboxes a stage ever had, by its log. Namespaces have names for the whole host, which others may use too. */
async function sandboxesOf(stage: Stage): Promise<ReadonlySet<string>> {
  return new Set([...(await stage.logs()).matchAll(/pods\/([0-9a-f-]{36})/g)].map(([, uid = '']) => uid))
}

/** What of a stage is on the host, in words; empty when there is nothing. */
async function leftovers(stage: Stage, sandboxes: ReadonlySet<string>): Promise<string> {
  const namespaces = (await must('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0] ?? '')
  const links = JSON.parse(await must('ip', ['-j', 'link'])) as { ifname: string }[]
  const mounts = (await must('cat', ['/proc/mounts'])).split('\n').filter((line) => line.includes(stage.dir))
  return [
    ...links.filter(({ ifname }) => ifname !== 'lo').map(({ ifname }) => `link ${ifname}`),
    ...namespaces.filter((name) => sandboxes.has(name.slice('pb-'.length))).map((name) => `namespace ${name}`),
    ...mounts.map((line) => `mount ${line.split(' ')[1]}`),
  ].join(', ')
}

/** An error with everything that led to it. */
function told(error: unknown): string {
  if (error instanceof SuppressedError)
    return `${told(error.suppressed)}\nand then, while cleaning up: ${told(error.error)}`
  if (!(error instanceof Error)) return String(error)
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\nbecause: ${told(error.cause)}`}`
}
