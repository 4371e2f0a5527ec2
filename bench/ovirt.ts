import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { eventually } from '#base/wait.ts'
import { path } from '../tools/stage/api.ts'
import { flip, nad } from '../tools/stage/manifests.ts'
import { must } from '../tools/stage/program.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile, show } from './figures.ts'
import { settled } from './link.ts'
import { atRest, Live } from './live.ts'

/** Changes by each door; the two alternate on the same VM. */
const rounds = 40
const mirrorRounds = 20
/** Clients at a time, and how long they read, milliseconds. */
const clients = 64
const readMs = 4000

/**
 * A link change by oVirt's API, from the first byte of the PUT until a second libvirt connection sees it, against the same by a
 * JSON patch of the VM; how long the answer takes, which waits for the status; and how many lists of interfaces 64 clients get.
 */
export async function benchOvirt(stage: Stage): Promise<void> {
  const engine = await openEngine(stage)
  const { vm } = await engine.get('vms?search=name%3Dx')
  const nics = `vms/${vm[0].id}/nics`
  const { nic } = await engine.get(nics)
  const { id } = nic.find(({ name }: { name: string }) => name === 'blue')
  using live = await Live.open(stage, 'x')
  const until = (down: boolean, start: number) =>
    live.until('the link changes', start, (xml) => xml.includes("<link state='down'/>") === down)
  const [ours, theirs, answers]: [number[], number[], number[]] = [[], [], []]
  const byUs = async (state: 'up' | 'down') => {
    const start = performance.now()
    const put = engine.put(`${nics}/${id}`, { linked: String(state === 'up') }).then(() => performance.now() - start)
    ours.push(await until(state === 'down', start))
    answers.push(await put)
  }
  const byPatch = async (state: 'up' | 'down') => {
    const start = performance.now()
    const patch = stage.api.call('PATCH', path.vm('x'), flip({ 1: state }), 'application/json-patch+json')
    theirs.push(await until(state === 'down', start))
    await patch
  }
  for (let round = 0; round < rounds; round++) {
    // Each door pulls in one round and plugs in the next.
    const doors = round % 2 === 0 ? [byUs, byPatch] : [byPatch, byUs]
    for (const [i, change] of doors.entries()) {
      const state = i === 0 ? 'down' : 'up'
      await atRest()
      await change(state)
      await settled(stage, 'x', state)
    }
  }
  show({
    what: `link change by oVirt's API, against a JSON patch, p50 of ${rounds}`,
    ours: percentile(ours, 0.5),
    theirs: percentile(theirs, 0.5),
    unit: 'ms',
    promise: 1.5,
  })
  note('until the PUT is answered, p50', `${percentile(answers, 0.5).toFixed(1)} ms`)
  await mirroring(stage)
  await readers(engine, nics)
}

/** How long copies of a network's traffic take to begin and to end, from the PATCH of the annotation until the host's link is there. */
async function mirroring(stage: Stage): Promise<void> {
  await stage.apply(nad('green'))
  await must('/bin/sh', ['-c', 'ip link add br-green type bridge && ip link set br-green up'])
  const [on, off]: [number[], number[]] = [[], []]
  const isThere = async () => (await must('ip', ['-o', 'link', 'show', 'type', 'veth'])).includes(' mir')
  const change = async (value: string | null, spans: number[]) => {
    await atRest()
    const start = performance.now()
    const body = { metadata: { annotations: { 'patchbay.dev/mirror': value } } }
    await stage.api.call('PATCH', path.vm('x'), body, 'application/merge-patch+json')
    await eventually('the copies are as asked', async () => (await isThere()) === (value !== null), { everyMs: 1 })
    spans.push(performance.now() - start)
  }
  for (let round = 0; round < mirrorRounds; round++) {
    await change('{"blue":["green"]}', on)
    await change(null, off)
  }
  await must('ip', ['link', 'delete', 'br-green'])
  note(
    `copies of a network's traffic begin and end, p50 of ${mirrorRounds}`,
    `${percentile(on, 0.5).toFixed(0)} ms and ${percentile(off, 0.5).toFixed(0)} ms`,
  )
}

async function readers(engine: EngineClient, at: string): Promise<void> {
  const end = performance.now() + readMs
  const spans: number[] = []
  const reader = async () => {
    while (performance.now() < end) {
      const start = performance.now()
      await engine.get(at)
      spans.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: clients }, reader))
  const perSecond = (spans.length / readMs) * 1000
  note(
    `${clients} clients reading the interfaces of a VM by oVirt's API`,
    `${perSecond.toFixed(0)} per second, p50 ${percentile(spans, 0.5).toFixed(0)} ms, p99 ${percentile(spans, 0.99).toFixed(0)} ms`,
  )
}

// biome-ignore lint/suspicious/noExplicitAny: answers, looked into as they come
type Any = any
type EngineClient = Readonly<{ get(path: string): Promise<Any>; put(path: string, body: object): Promise<Any> }>

/** A warm client of the door that has an access token. */
async function openEngine(stage: Stage): Promise<EngineClient> {
  const password = randomBytes(12).toString('hex')
  const file = `${stage.dir}/bench-password`
  await writeFile(file, password, { mode: 0o600 })
  const { code, stderr } = await stage.patchbay(
    ...['user', 'create', 'bench', '--group', 'system:masters', '--password-file', file],
  )
  if (code !== 0) throw new Error(`patchbay user create: ${stderr}`)
  const ca = await must('curl', ['-sSk', 'https://127.0.0.1:7444/ca.crt'])
  const agent = new Agent({ keepAlive: true, maxSockets: clients, ca })
  const send = (method: string, at: string, headers: Record<string, string>, body?: string): Promise<Any> =>
    new Promise((resolve, reject) => {
      const call = request(`https://127.0.0.1:7444/ovirt-engine${at}`, { method, agent, headers }, (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString()
          if ((answer.statusCode ?? 0) < 300) resolve(JSON.parse(text))
          else reject(new Error(`${method} ${at}: ${answer.statusCode} ${text}`))
        })
      })
      call.on('error', reject)
      call.end(body)
    })
  const form = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
  const grant = `grant_type=password&scope=ovirt-app-api&username=bench%40internal&password=${password}`
  const { access_token } = await send('POST', '/sso/oauth/token', form, grant)
  const headers = { authorization: `Bearer ${access_token}`, accept: 'application/json' }
  return {
    get: (at) => send('GET', `/api/${at}`, headers),
    put: (at, body) =>
      send('PUT', `/api/${at}`, { ...headers, 'content-type': 'application/json' }, JSON.stringify(body)),
  }
}
