import { readFile } from 'node:fs/promises'
import { type ClientHttp2Session, connect } from 'node:http2'
import { eventually } from '#base/wait.ts'
import { path } from '../tools/stage/api.ts'
import { nad } from '../tools/stage/manifests.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { note, percentile, show, showAlone } from './figures.ts'
import { pssMb } from './proc.ts'

const watchers = 1000
/** As many streams per connection as an HTTP/2 server allows unless told otherwise. */
const perConnection = 100
const changes = 50
const burst = 200

/** From a PATCH's first byte until the last of 1,000 watchers has read it, against the only one; and how many events a second. */
export async function benchFanout(stage: Stage): Promise<void> {
  await stage.api.call('POST', path.nad(), nad('fan'))
  const one = new Crowd(stage, 1)
  await one.open()
  const alone = await times(stage, one)
  one.close()
  const crowd = new Crowd(stage, watchers)
  await crowd.open()
  const all = await times(stage, crowd)
  const how = `${watchers} watchers on ${watchers / perConnection} connections (HTTP/2)`
  const unit = 'ms'
  const p50 = { ours: percentile(all, 0.5), theirs: percentile(alone, 0.5) }
  show({ what: `PATCH → last of ${how}, p50`, ...p50, unit, other: 'a single watcher' })
  const p99 = { ours: percentile(all, 0.99), theirs: percentile(alone, 0.99) }
  show({ what: `PATCH → last of ${how}, p99`, ...p99, unit, other: 'a single watcher' })
  const start = performance.now()
  const before = crowd.events
  const seen = crowd.all(burst)
  await Promise.all(Array.from({ length: burst }, (_, i) => patch(stage, `burst-${i}`)))
  await seen
  const seconds = (performance.now() - start) / 1000
  note(`${burst} PATCHes at once to ${how}`, `${((crowd.events - before) / seconds).toFixed(0)} events/s`)
  showAlone('server beside them', await pssMb(stage.pid), 'MB PSS')
  crowd.close()
}

async function times(stage: Stage, crowd: Crowd): Promise<number[]> {
  const samples: number[] = []
  for (let i = 0; i < changes; i++) {
    const seen = crowd.all(1)
    const start = performance.now()
    const answer = patch(stage, `${i}`)
    await seen
    samples.push(performance.now() - start)
    await answer
  }
  return samples
}

async function patch(stage: Stage, value: string): Promise<void> {
  const body = { metadata: { annotations: { fan: value } } }
  const { code } = await stage.api.call('PATCH', path.nad('fan'), body, 'application/merge-patch+json')
  if (code !== 200) throw new Error(`PATCH was answered ${code}`)
}

/** Watchers that count lines: an event is one line. */
class Crowd {
  readonly #stage: Stage
  readonly #size: number
  readonly #sessions: ClientHttp2Session[] = []
  events = 0
  #due = 0
  #done: () => void = () => undefined

  constructor(stage: Stage, size: number) {
    this.#stage = stage
    this.#size = size
  }

  async open(): Promise<void> {
    const [ca, cert, key] = await Promise.all(
      ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFile(`${this.#stage.dir}/pki/${name}`)),
    )
    for (let i = 0; i < this.#size; i++) {
      if (i % perConnection === 0)
        this.#sessions.push(connect('https://127.0.0.1:7443', { ca: ca!, cert: cert!, key: key! }))
      const stream = this.#sessions.at(-1)!.request({ ':path': `${path.nad()}?watch=1` })
      stream.on('data', (chunk: Buffer) => this.#take(chunk))
    }
    // Each begins with what is there.
    const { body } = await this.#stage.api.call('GET', path.nad())
    await eventually('every watcher to be there', () => this.events >= this.#size * body.items.length)
  }

  /** Resolves when everybody has `count` more events. */
  all(count: number): Promise<void> {
    this.#due = this.events + count * this.#size
    return new Promise((resolve) => {
      this.#done = resolve
    })
  }

  close(): void {
    for (const session of this.#sessions) session.destroy()
  }

  #take(chunk: Buffer): void {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) this.events++
    if (this.events >= this.#due) this.#done()
  }
}
