import { isObject, type JsonObject } from '#base/json.ts'
import type { Doc } from '../../wire/document.ts'
import { type Call, type Gateway, ok, type Reply } from '../call.ts'
import { idIn } from '../ids.ts'
import type { EngineNic } from '../nics/nic.ts'
import { hrefOf } from '../routes.ts'
import type { Machine } from '../world.ts'

/** A look at a card: a rate is what has come since the one before, if that is not long ago. */
type Look = Readonly<{ atMs: number; counters: JsonObject }>

/** How long a look is good for a rate, milliseconds, and most of them that are kept. */
const lookMs = 300_000
const maxLooks = 10_000

/** The last look at each card, by its id. Nothing but a rate is lost with it. */
const looks = new WeakMap<Gateway, Map<string, Look>>()

/** A counter of a card, as its instance's `traffic` has it. */
type Counter = 'rxBytes' | 'txBytes' | 'rxErrors' | 'txErrors'

/** The engine's statistics of a card: a counter, or the bytes or bits per second of one (facts/ovirt.md §1.1). */
const statistics: readonly Readonly<{
  name: string
  description: string
  of: Counter
  unit: 'bytes_per_second' | 'bits_per_second' | 'bytes' | 'none'
}>[] = [
  { name: 'data.current.rx', description: 'Receive data rate', of: 'rxBytes', unit: 'bytes_per_second' },
  { name: 'data.current.tx', description: 'Transmit data rate', of: 'txBytes', unit: 'bytes_per_second' },
  { name: 'data.current.rx.bps', description: 'Receive data rate', of: 'rxBytes', unit: 'bits_per_second' },
  { name: 'data.current.tx.bps', description: 'Transmit data rate', of: 'txBytes', unit: 'bits_per_second' },
  { name: 'errors.total.rx', description: 'Total received errors', of: 'rxErrors', unit: 'none' },
  { name: 'errors.total.tx', description: 'Total transmit errors', of: 'txErrors', unit: 'none' },
  { name: 'data.total.rx', description: 'Total received data', of: 'rxBytes', unit: 'bytes' },
  { name: 'data.total.tx', description: 'Total transmitted data', of: 'txBytes', unit: 'bytes' },
]

/** The statistics of a card; all are 0 while its guest does not run, or does not have it. */
export async function nicStatistics(call: Call, { vm }: Machine, nic: EngineNic): Promise<Reply> {
  const traffic = await call.gateway.traffic(call.account.user, vm.metadata, call.signal)
  const last = countersOf(traffic, nic)
  const before = last && exchanged(call.gateway, nic.id, { atMs: performance.now(), counters: last })
  const at = ['vms', vm.metadata.uid, 'nics', nic.id] as const
  const show = ({ name, description, of, unit }: (typeof statistics)[number]): Doc => {
    const id = idIn(nic.id, `statistic/${name}`)
    const isRate = unit.endsWith('_per_second')
    const count = numberIn(last, of)
    const rate = before ? Math.max(0, count - numberIn(before.counters, of)) / before.seconds : 0
    const datum = isRate ? Math.round(unit === 'bits_per_second' ? rate * 8 : rate) : count
    return {
      ...{ href: hrefOf(...at, 'statistics', id), id, name, description, unit },
      kind: isRate ? 'gauge' : 'counter',
      type: isRate ? 'decimal' : 'integer',
      values: { value: [{ datum }] },
      nic: { href: hrefOf(...at), id: nic.id },
    }
  }
  return ok('statistics', { statistic: statistics.map(show) })
}

/** Keeps a look, and returns the one before with the time since; undefined without one. */
function exchanged(
  gateway: Gateway,
  id: string,
  look: Look,
): Readonly<{ counters: JsonObject; seconds: number }> | undefined {
  const kept = looks.get(gateway) ?? new Map<string, Look>()
  looks.set(gateway, kept)
  const before = kept.get(id)
  kept.delete(id)
  kept.set(id, look)
  for (const [oldest] of kept) {
    if (kept.size <= maxLooks) break
    kept.delete(oldest)
  }
  const ms = before ? look.atMs - before.atMs : 0
  return before && ms > 0 && ms <= lookMs ? { counters: before.counters, seconds: ms / 1000 } : undefined
}

function countersOf(traffic: JsonObject | undefined, { interface: name }: EngineNic): JsonObject | undefined {
  const list = Array.isArray(traffic?.interfaces) ? traffic.interfaces.filter(isObject) : []
  return list.find((one) => one.name === name)
}

function numberIn(counters: JsonObject | undefined, counter: Counter): number {
  const value = counters?.[counter]
  return typeof value === 'number' ? value : 0
}
