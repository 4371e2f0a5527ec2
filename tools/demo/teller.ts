import { writeFile } from 'node:fs/promises'
import { path } from '../stage/api.ts'
import type { Stage } from '../stage/stage.ts'
import { agreement, type Identity, identityOf } from '../stage/views.ts'

/** One thing that was asked for, and what everybody had to say about it. */
type Step = Readonly<{
  step: string
  asked: unknown
  ms: Readonly<Record<string, number>>
  views?: unknown
  identity?: Identity
}>

/** Times in milliseconds, by what came about then. */
export type Times = Readonly<Record<string, number>>

/** Tells the story to who watches, and keeps what was seen as data. */
export class Teller {
  readonly #steps: Step[] = []

  say(step: string, text: string): void {
    console.log(`\n== ${step}\n${text}`)
  }

  record(step: Step): void {
    this.#steps.push(step)
  }

  async write(file: string, isOk: boolean): Promise<void> {
    await writeFile(file, `${JSON.stringify({ ok: isOk, steps: this.#steps }, null, 2)}\n`)
  }

  /** What everybody says in words of their own, one line each. */
  tell(step: string, asked: unknown, views: Readonly<Record<string, string>>, ms: Times): void {
    const lines = Object.entries(views).map(([who, text]) => `  ${who.padEnd(9)} ${text}`)
    this.say(step, [...lines, seenAfter(ms)].join('\n'))
    this.record({ step, asked, ms, views })
  }

  /** Waits until API, virsh and guest say of the links of x what was asked, and tells what they say. */
  async compare(stage: Stage, step: string, { asked, start, more = {}, macs }: Compared): Promise<void> {
    const { views, ms } = await agreement(stage, 'x', asked, start, macs)
    const rows = Object.entries(asked).map(([name, state]) => {
      const { api, virsh, guest } = views.get(name)!
      return `  ${name.padEnd(9)} ${state.padEnd(6)} ${api.padEnd(6)} ${virsh.padEnd(6)} ${guest}`
    })
    const times = { ...more, ...ms }
    this.say(step, [`  ${'interface'.padEnd(9)} asked  API    virsh  guest`, ...rows, seenAfter(times)].join('\n'))
    this.record({ step, asked, ms: times, views: Object.fromEntries(views) })
  }

  /**
   * Makes sure that x runs where and as it did: same process, pod, addresses and numbers; devices that came since are
   * told apart by their place behind those there were.
   */
  async unchanged(stage: Stage, step: string, was: Identity): Promise<Identity> {
    const now = await identityOf(stage, 'x')
    const isSame =
      now.qemuPid === was.qemuPid &&
      now.podUid === was.podUid &&
      now.pciAddresses.startsWith(was.pciAddresses) &&
      now.ifindexes.startsWith(was.ifindexes)
    if (!isSame) throw new Error(`${step}: it was ${JSON.stringify(was)}, now it is ${JSON.stringify(now)}`)
    const { body } = await stage.api.call('GET', path.vm('x'))
    const restart = body.status.conditions.some((one: { type: string }) => one.type === 'RestartRequired')
    if (restart) throw new Error(`${step}: the VM says RestartRequired`)
    const same = `QEMU pid ${now.qemuPid}, pod ${now.podUid}, PCI addresses and ifindexes are the same`
    console.log(`  ${step}: ${same}; no RestartRequired`)
    this.record({ step, asked: 'no change', ms: {}, identity: now })
    return now
  }
}

/** What was asked of each link of x and when; `macs` of interfaces that may be out of the VM by now. */
type Compared = Readonly<{
  asked: Readonly<Record<string, string>>
  start: number
  more?: Times
  macs?: ReadonlyMap<string, string>
}>

/** A time as it is told. */
export function ms(value: number): string {
  return `${Math.round(value)} ms`
}

function seenAfter(times: Times): string {
  const told = Object.entries(times).map(([who, value]) => `${who} ${ms(value)}`)
  return `  seen after: ${told.join(', ')}`
}
