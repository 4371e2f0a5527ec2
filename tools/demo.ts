import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { path } from './stage/api.ts'
import { buildDemoGuest, provideDemoGuest } from './stage/image.ts'
import { flip, nad, vm } from './stage/manifests.ts'
import { inOwnNetns } from './stage/netns.ts'
import { must } from './stage/program.ts'
import { patienceMs, Stage } from './stage/stage.ts'
import { agreement, type Identity, identityOf } from './stage/views.ts'

/** One thing that was asked for, and what everybody had to say about it. */
type Step = Readonly<{
  step: string
  asked: unknown
  ms: Readonly<Record<string, number>>
  views?: unknown
  identity?: Identity
}>

const { values } = parseArgs({ options: { json: { type: 'string' } } })

if (process.env.PATCHBAY_NETNS === undefined) {
  console.log('Building the demo guest (once) ...')
  await buildDemoGuest()
  process.exitCode = await inOwnNetns([process.execPath, '--conditions=source', ...process.argv.slice(1)])
} else {
  const steps: Step[] = []
  try {
    await play((step) => steps.push(step))
    console.log('\nAll agreed at every step, and nothing is left behind.')
  } catch (error) {
    process.exitCode = 1
    console.error(`\nTHE DEMO FAILED: ${told(error)}`)
  }
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ ok: process.exitCode !== 1, steps }, null, 2)}\n`)
}

async function play(record: (step: Step) => void): Promise<void> {
  const stage = await Stage.open()
  let left: string
  {
    await using _ = stage
    await story(stage, record)
    left = await leftovers(stage)
  }
  // Disposing the stage has run `patchbay down`.
  const after = await leftovers(stage)
  say('patchbay down', `before: ${left || 'nothing'}\n  after:  ${after || 'nothing'}`)
  if (after) throw new Error(`patchbay down left something behind: ${after}`)
}

async function story(stage: Stage, record: (step: Step) => void): Promise<void> {
  await provideDemoGuest(stage)
  let start = performance.now()
  say('patchbay up', await stage.up())
  record({ step: 'up', asked: 'patchbay up', ms: { ready: performance.now() - start } })

  start = performance.now()
  await stage.apply(nad('blue'), vm('x', { pod: 'up', secondary: { blue: 'down' } }))
  await stage.waitFor('x', 'Ready')
  const ready = performance.now() - start
  await stage.waitFor('x', 'AgentConnected')
  const agent = performance.now() - start
  await compare('a VM with one link up and one down', { default: 'up', blue: 'down' }, start, { ready, agent })
  const before = await identityOf(stage, 'x')

  start = performance.now()
  await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 0: 'down', 1: 'up' })))
  await compare('one JSON patch flips both links', { default: 'down', blue: 'up' }, start)
  await unchanged('nothing else was touched', before)

  start = performance.now()
  await stage.k('patch', 'vm', 'x', '--type=json', '-p', JSON.stringify(flip({ 0: 'up', 1: 'down' })))
  await stage.kill()
  await stage.up()
  await compare(
    'flipped back, and Patchbay killed (-9) at once and started again',
    { default: 'up', blue: 'down' },
    start,
  )
  await unchanged('the guest never noticed', before)

  start = performance.now()
  await stage.k('delete', 'vm', 'x', `--timeout=${patienceMs / 1000}s`)
  const { body } = await stage.api.call('GET', path.pods)
  if (body.items.length) throw new Error('the VM is deleted, but its pod is still there')
  record({ step: 'delete', asked: 'kubectl delete vm x', ms: { gone: performance.now() - start } })
  say('kubectl delete vm x', `the guest shut down and its sandbox is gone after ${ms(performance.now() - start)}`)

  async function compare(step: string, asked: Record<string, string>, from: number, more: Record<string, number> = {}) {
    const { views, ms: times } = await agreement(stage, 'x', asked, from)
    const rows = Object.entries(asked).map(([name, state]) => {
      const { api, virsh, guest } = views.get(name)!
      return `  ${name.padEnd(9)} ${state.padEnd(6)} ${api.padEnd(6)} ${virsh.padEnd(6)} ${guest}`
    })
    const told = Object.entries({ ...more, ...times }).map(([who, value]) => `${who} ${ms(value)}`)
    say(
      step,
      [`  ${'interface'.padEnd(9)} asked  API    virsh  guest`, ...rows, `  seen after: ${told.join(', ')}`]
        .join('\n')
        .trimStart()
        .replace(/^/, '  '),
    )
    record({ step, asked, ms: { ...more, ...times }, views: Object.fromEntries(views) })
  }

  async function unchanged(step: string, was: Identity) {
    const now = await identityOf(stage, 'x')
    if (JSON.stringify(now) !== JSON.stringify(was))
      throw new Error(`${step}: it was ${JSON.stringify(was)}, now it is ${JSON.stringify(now)}`)
    const { body } = await stage.api.call('GET', path.vm('x'))
    const restart = body.status.conditions.some((one: { type: string }) => one.type === 'RestartRequired')
    if (restart) throw new Error(`${step}: the VM says RestartRequired`)
    say(
      step,
      `  QEMU pid ${now.qemuPid}, pod ${now.podUid}, PCI addresses and ifindexes are the same; no RestartRequired`,
    )
    record({ step, asked: 'no change', ms: {}, identity: now })
  }
}

/** What of a stage is on the host, in words; empty when there is nothing. */
async function leftovers(stage: Stage): Promise<string> {
  const links = JSON.parse(await must('ip', ['-j', 'link'])) as { ifname: string }[]
  const namespaces = (await must('ip', ['netns', 'list'])).split('\n').filter((line) => /^pb-[0-9a-f]{8}-/.test(line))
  const mounts = (await must('cat', ['/proc/mounts'])).split('\n').filter((line) => line.includes(stage.dir))
  return [
    ...links.filter(({ ifname }) => ifname !== 'lo').map(({ ifname }) => `link ${ifname}`),
    ...namespaces.map((line) => `namespace ${line.split(' ')[0]}`),
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

function say(step: string, text: string): void {
  console.log(`\n== ${step}\n${text}`)
}

function ms(value: number): string {
  return `${Math.round(value)} ms`
}
