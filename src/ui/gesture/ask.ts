import { effect, signal } from '@preact/signals'
import { explain } from '#base/fault.ts'
import { noNetwork } from '#core/nic/nic.ts'
import { machines } from '../api/cluster.ts'
import { type Gesture, inverseOf, networkNameFor } from '../model/gesture.ts'
import type { Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { current, type Outcome, type PowerAct, perform, power } from './act.ts'
import { say } from './toasts.ts'

/** What is asked before it is done. */
export type Wish = Gesture | Readonly<{ do: 'power'; act: PowerAct }>

/**
 *     asking ─▶ ready ─▶ doing ─▶ closed, with a note that can take it back
 *        ▲        │        └─▶ changed ─▶ asking, by the machine as it is then
 *        └ choice ┘        └─▶ refused, gone
 *
 * `lines` are the plan.
 */
export type Ask = Readonly<{
  wish: Wish
  machine: Machine
  phase: 'asking' | 'ready' | 'doing' | 'changed' | 'refused' | 'gone'
  text: string
  lines: readonly string[]
}>

export const ask = signal<Ask | undefined>(undefined)
let turn = 0

/** Opens the question, or asks again with another choice. */
export function wish(machine: Machine, wanted: Wish): void {
  ask.value = { wish: wanted, machine, phase: 'asking', text: '', lines: [] }
  void consult(++turn)
}

export function closeAsk(): void {
  turn++
  ask.value = undefined
}

/** Asks again by the machine as it is now. */
export function askAgain(): void {
  const open = ask.value
  const now = open && machines.value.get(open.machine.key)
  if (now) wish(now, open.wish)
}

async function consult(own: number): Promise<void> {
  const open = ask.value
  if (!open) return
  const { machine, wish: wanted } = open
  const next = await (wanted.do === 'power' ? tryPower(machine, wanted.act) : tryGesture(machine, wanted))
  if (own === turn && ask.value) ask.value = { ...ask.value, ...next }
}

type Change = Partial<Ask>

async function tryPower(machine: Machine, act: PowerAct): Promise<Change> {
  try {
    await power(machine, act, true)
    return { phase: 'ready', lines: [] }
  } catch (error) {
    return { phase: 'refused', text: explain(error) }
  }
}

async function tryGesture(machine: Machine, gesture: Gesture): Promise<Change> {
  const outcome = await perform(machine, gesture, true)
  if (outcome.is === 'changed') {
    // The cache is behind: what is known of the machine comes with the watch.
    const now = machines.value.get(machine.key)
    return now && now !== machine ? { machine: now, ...(await tryGesture(now, gesture)) } : changeOf(outcome, machine)
  }
  return changeOf(outcome, machine)
}

function changeOf(outcome: Outcome, machine: Machine): Change {
  switch (outcome.is) {
    case 'planned':
      return { phase: 'ready', lines: linesOf(outcome, machine) }
    case 'nothing':
      return { phase: 'refused', text: words.plan.nothing }
    case 'refused':
      return { phase: 'refused', text: outcome.text }
    case 'changed':
      return { phase: 'changed' }
    case 'gone':
      return { phase: 'gone' }
  }
}

function linesOf({ plan }: Extract<Outcome, { is: 'planned' }>, { ports }: Machine): readonly string[] {
  if (!plan) return [words.plan.stopped]
  const plugs = plan.plan.steps.filter((step) => step.do === 'plug').length
  const isFull = ports !== undefined && ports.free < plugs
  return [
    ...(plan.lines.length ? plan.lines : [words.plan.nothing]),
    ...(isFull ? [words.plan.noPort(ports.free, ports.total)] : []),
  ]
}

/** Does what was asked. */
export async function confirm(): Promise<void> {
  const open = ask.value
  if (open?.phase !== 'ready') return
  const own = ++turn
  ask.value = { ...open, phase: 'doing' }
  const next = await act(open)
  if (own !== turn || !ask.value) return
  if (next) ask.value = { ...ask.value, ...next }
  else closeAsk()
}

/** Undefined when it was done. */
async function act({ machine, wish: wanted }: Ask): Promise<Change | undefined> {
  const title = titleOf(wanted, machine).replace(/\?$/, '')
  if (wanted.do === 'power') {
    try {
      await power(machine, wanted.act, false)
    } catch (error) {
      return { phase: 'refused', text: explain(error) }
    }
    say(title)
    return undefined
  }
  const outcome = await perform(machine, wanted, false)
  if (outcome.is !== 'planned' && outcome.is !== 'nothing') return changeOf(outcome, machine)
  const back = inverseOf(wanted, machine.vm)
  say(title, back && { undo: () => void undo(machine, back) })
  return undefined
}

async function undo(machine: Machine, gesture: Gesture): Promise<void> {
  try {
    const outcome = await perform(current(machine), gesture, false)
    if (outcome.is === 'planned' || outcome.is === 'nothing') say(words.done.undone)
    else say(words.done.failed(outcome.is === 'refused' ? outcome.text : words.plan.conflict), { isBad: true })
  } catch (error) {
    say(words.done.failed(explain(error)), { isBad: true })
  }
}

/** A wish as a question. */
export function titleOf(wanted: Wish, { name, namespace }: Machine): string {
  switch (wanted.do) {
    case 'power':
      return words.ask.power(words.gesture[wanted.act], name)
    case 'link':
      return wanted.link === 'down' ? words.ask.pull(wanted.nic, name) : words.ask.mend(wanted.nic, name)
    case 'rewire':
      return wanted.network === noNetwork
        ? words.ask.park(wanted.nic, name)
        : words.ask.rewire(wanted.nic, name, networkNameFor(wanted.network, namespace))
    case 'unplug':
      return words.ask.unplug(wanted.nic, name)
    case 'plug':
      return words.ask.plug(name)
    case 'isolate':
      return words.ask.isolate(name)
    case 'rejoin':
      return words.ask.rejoin(name)
  }
}

/** A machine that is deleted while its question is open. */
export function watchAsk(): () => void {
  return effect(() => {
    const open = ask.value
    if (!open || open.phase === 'gone' || open.phase === 'doing') return
    const now = machines.value.get(open.machine.key)
    if (now?.vm.metadata.uid !== open.machine.vm.metadata.uid) ask.value = { ...open, phase: 'gone' }
  })
}
