import { silent } from '#base/log.ts'
import { eventually } from '#base/wait.ts'
import { type Libvirt, openLibvirt } from '#drivers/libvirt/rpc/libvirt.ts'
import type { Domain } from '#drivers/libvirt/rpc/procedures.ts'
import { path } from '../tools/stage/api.ts'
import { flip, nad, vm } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile } from './figures.ts'
import { settled } from './link.ts'
import { atRest } from './live.ts'

const rounds = 20
/** As many guests as fit beside the rest under emulation, and links of each beside the pod network. */
const guests = 6
const links = 3

type Eye = Readonly<{ libvirt: Libvirt; domain: Domain }>

/** A link change through each door, until a second libvirt connection sees it; and every link of several guests at once. */
export async function benchDoors(stage: Stage): Promise<void> {
  const name = 'x'
  const eye = await look(stage, name)
  const doors: Readonly<Record<string, (state: string) => Promise<unknown>>> = {
    'JSON patch': (state) => stage.api.call('PATCH', path.vm(name), flip({ 1: state }), 'application/json-patch+json'),
    'server-side apply': (state) =>
      stage.api.call(
        'PATCH',
        `${path.vm(name)}?fieldManager=bench&force=true`,
        vm(name, { secondary: { blue: state } }),
        'application/apply-patch+yaml',
      ),
    'kubectl patch': (state) => stage.k('patch', 'vm', name, '--type=json', '-p', JSON.stringify(flip({ 1: state }))),
    'patchbay link': (state) => stage.p('link', state, name, 'blue'),
  }
  try {
    for (const [door, change] of Object.entries(doors)) {
      const spans: number[] = []
      for (let round = 0; round < rounds; round++) {
        const state = round % 2 ? 'up' : 'down'
        const start = performance.now()
        await Promise.all([change(state), until([eye], state)])
        spans.push(performance.now() - start)
        await settled(stage, name, state)
        await atRest()
      }
      const [p50, p99] = [0.5, 0.99].map((share) => percentile(spans, share).toFixed(1))
      note(`link change through ${door}, p50 (p99)`, `${p50} (${p99}) ms`)
    }
  } finally {
    eye.libvirt.close()
  }
  await storm(stage)
  const { lasted, looks } = stage.truth
  const told = lasted.length
    ? `p50 ${percentile(lasted, 0.5).toFixed(0)} ms, p99 ${percentile(lasted, 0.99).toFixed(0)} ms, of ${lasted.length}`
    : 'none was seen'
  note(`disagreements of VM, API, libvirt and guest (${looks} looks)`, told)
}

async function storm(stage: Stage): Promise<void> {
  const names = Array.from({ length: guests }, (_, i) => `g${i}`)
  const secondary = Object.fromEntries(Array.from({ length: links }, (_, i) => [`n${i}`, 'up']))
  await stage.apply(...Object.keys(secondary).map((one) => nad(one)))
  await stage.apply(...names.map((name) => vm(name, { secondary, graceSeconds: 0 })))
  for (const name of names) await stage.waitFor(name, 'AgentConnected')
  const eyes = await Promise.all(names.map((name) => look(stage, name)))
  const spans: number[] = []
  for (const state of ['down', 'up', 'down', 'up', 'down']) {
    const states = Object.fromEntries(Array.from({ length: links }, (_, i) => [i + 1, state]))
    const start = performance.now()
    const patches = names.map((name) =>
      stage.api.call('PATCH', path.vm(name), flip(states), 'application/json-patch+json'),
    )
    await Promise.all([...patches, until(eyes, state)])
    spans.push(performance.now() - start)
  }
  note(
    `storm: ${guests * links} links of ${guests} real guests at once, p50`,
    `${percentile(spans, 0.5).toFixed(0)} ms until the last one`,
  )
  for (const { libvirt } of eyes) libvirt.close()
}

async function look(stage: Stage, name: string): Promise<Eye> {
  const socketPath = `${await stage.sandbox(name)}/run/libvirt/libvirt-sock`
  const libvirt = await openLibvirt({ socketPath, log: silent, callTimeoutMs: 10_000 })
  return { libvirt, domain: await libvirt.getDomain(`default_${name}`) }
}

/** Until every link beside that of the pod network is as asked, in the live XML. */
async function until(eyes: readonly Eye[], state: string): Promise<void> {
  await Promise.all(
    eyes.map(({ libvirt, domain }) =>
      eventually(
        'the links are as asked',
        async () => {
          const xml = await libvirt.getXml(domain)
          const cards = xml.match(/<interface[\s\S]*?<\/interface>/g) ?? []
          const others = cards.filter((one) => !one.includes("'ua-default'"))
          return others.every((one) => one.includes("<link state='down'/>") === (state === 'down'))
        },
        { everyMs: 1, deadlineMs: 60_000 },
      ),
    ),
  )
}
