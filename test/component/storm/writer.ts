import type { Answer, Any } from '../api.ts'
import { Api } from '../api.ts'
import { pick, type Random } from '../random.ts'
import { type Address, colors, countOf, type Gate, mark, type Plural, roots } from './ground.ts'

/** One write and what became of it: unknown when the server was killed before it answered. */
export type Attempt = Readonly<{
  plural: Plural
  /** Unique to this write; of a delete it is the uid of what is to go. */
  token: string
  type: 'put' | 'delete'
  outcome: 'done' | 'refused' | 'unknown'
  /** Of what was done; a delete's answer does not tell it. */
  revision?: number
}>

type Write = Readonly<{ plural: Plural; token: string; type: 'put' | 'delete' }>

/** What a server may say to a write that came too late. */
const refusals = new Set([404, 409, 422])

/** Counters that everybody fights for. */
export const shared = (['configmaps', 'virtualmachines'] as const).flatMap((plural) =>
  ['shared-0', 'shared-1'].map((name) => ({ plural, name })),
)

/** An object as a writer sends it. */
export function objectOf(plural: Plural, metadata: Any, token: string, color: string): Any {
  const body = {
    metadata: {
      ...metadata,
      labels: { ...mark, color },
      annotations: { 'storm/token': token, 'storm/n': '0' },
    },
  }
  if (plural === 'configmaps') return { ...body, data: { text: 'x'.repeat(200) } }
  const devices = { interfaces: [{ name: 'default', masquerade: {}, state: 'up' }] }
  const domain = { memory: { guest: '64Mi' }, devices }
  const spec = { domain, networks: [{ name: 'default', pod: {} }] }
  return { ...body, spec: { runStrategy: 'Halted', template: { spec } } }
}

/** Creates, changes and deletes without pause over one connection of its own, and remembers what it was told. */
export class Writer {
  readonly attempts: Attempt[] = []
  readonly #name: string
  readonly #random: Random
  readonly #gate: Gate
  readonly #api: Api
  readonly #done: () => void
  /** What it made and has not deleted, as far as it knows. */
  #own: { plural: Plural; name: string }[] = []

  /** `done` is called after every acknowledged write. */
  constructor(name: string, random: Random, gate: Gate, { port, ca, ...pair }: Address, done: () => void) {
    this.#name = name
    this.#random = random
    this.#gate = gate
    this.#api = new Api(port, ca, pair)
    this.#done = done
  }

  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) await this.#step()
    this.#api.close()
  }

  async #step(): Promise<void> {
    const dice = this.#random()
    if (dice < 0.25 || this.#own.length === 0) return this.#create()
    if (dice < 0.4 && this.#own.length > 2) return this.#delete(this.#own.shift()!)
    return this.#change(pick(this.#random, dice < 0.7 ? shared : this.#own))
  }

  #write(plural: Plural): Write {
    return { plural, token: `${this.#name}-${this.attempts.length}`, type: 'put' }
  }

  async #create(): Promise<void> {
    const plural = pick(this.#random, ['configmaps', 'configmaps', 'virtualmachines'] as const)
    const write = this.#write(plural)
    // A name made by the server lets a create that is done twice succeed twice.
    const isNamed = this.#random() < 0.5
    const metadata = isNamed ? { name: write.token } : { generateName: `${this.#name}-g-` }
    const body = objectOf(plural, metadata, write.token, pick(this.#random, colors))
    const answer = await this.#send(write, 'POST', roots[plural], { body })
    const name = answer?.json?.metadata?.name ?? (isNamed ? write.token : undefined)
    if (name) this.#own.push({ plural, name })
  }

  /** Counts an object up, by one of the ways that notice when somebody else was faster. */
  async #change({ plural, name }: { plural: Plural; name: string }): Promise<void> {
    const path = `${roots[plural]}/${name}`
    const object = await this.#get(path)
    if (!object) {
      this.#own = this.#own.filter((one) => one.name !== name)
      return
    }
    const write = this.#write(plural)
    const { resourceVersion } = object.metadata
    const annotations = { 'storm/token': write.token, 'storm/n': String(countOf(object) + 1) }
    const labels = { ...mark, color: pick(this.#random, colors) }
    const way = pick(this.#random, ['json', 'merge', 'put'] as const)
    if (way === 'put') {
      const body = { ...object, metadata: { ...object.metadata, annotations, labels } }
      await this.#send(write, 'PUT', path, { body })
    } else if (way === 'merge') {
      const body = { metadata: { resourceVersion, annotations, labels } }
      await this.#send(write, 'PATCH', path, { body, type: 'application/merge-patch+json' })
    } else {
      const at = '/metadata/annotations/storm~1n'
      const body = [
        { op: 'test', path: at, value: String(countOf(object)) },
        { op: 'replace', path: at, value: annotations['storm/n'] },
        { op: 'replace', path: '/metadata/annotations/storm~1token', value: write.token },
        { op: 'replace', path: '/metadata/labels/color', value: labels.color },
      ]
      await this.#send(write, 'PATCH', path, { body, type: 'application/json-patch+json' })
    }
  }

  async #delete({ plural, name }: { plural: Plural; name: string }): Promise<void> {
    const path = `${roots[plural]}/${name}`
    const uid = (await this.#get(path))?.metadata.uid
    if (!uid) return
    await this.#send({ plural, token: uid, type: 'delete' }, 'DELETE', path, { body: { preconditions: { uid } } })
  }

  async #get(path: string): Promise<Any> {
    const answer = await this.#request('GET', path, {})
    if (!answer || answer.code === 404) return undefined
    if (answer.code !== 200) throw new Error(`GET ${path} was answered ${answer.code}: ${answer.text}`)
    return answer.json
  }

  async #send(write: Write, method: string, path: string, options: Parameters<Api['send']>[2]) {
    const answer = await this.#request(method, path, options)
    if (!answer) {
      this.attempts.push({ ...write, outcome: 'unknown' })
      return undefined
    }
    const isDone = answer.code === 200 || answer.code === 201
    if (!isDone && !refusals.has(answer.code))
      throw new Error(`${method} ${path} was answered ${answer.code}: ${answer.text}`)
    const revision = Number(answer.json.metadata?.resourceVersion)
    const outcome = isDone ? 'done' : 'refused'
    this.attempts.push({ ...write, outcome, ...(isDone && write.type === 'put' && { revision }) })
    if (isDone) this.#done()
    return isDone ? answer : undefined
  }

  /** Undefined when the server was killed meanwhile. @throws Error when it was not, and yet there is no answer */
  async #request(method: string, path: string, options: Parameters<Api['send']>[2]): Promise<Answer | undefined> {
    await this.#gate.wait()
    const { turns } = this.#gate
    try {
      return await this.#api.send(method, path, options)
    } catch (error) {
      if (this.#gate.turns !== turns) return undefined
      throw new Error(`${method} ${path} was not answered`, { cause: error })
    }
  }
}
