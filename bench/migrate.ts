import { eventually } from '#base/wait.ts'
import { path } from '../tools/stage/api.ts'
import { migration } from '../tools/stage/migration.ts'
import type { Stage } from '../tools/stage/stage.ts'
import { macsOf } from '../tools/stage/views.ts'
import { note, percentile, show } from './figures.ts'
import { HandPair, type Limits } from './hand-pair.ts'
import { Knocker } from './knocker.ts'
import { delayRef } from './proc.ts'
import { addressLine, joinBridge } from './subnets.ts'

/** Moves on each side, which alternate. */
const rounds = 8

const limits: Limits = { bandwidthMiBs: 64, maxDowntimeMs: 300 }

/** What the guest does meanwhile: it writes over a few MiB of its memory again and again, about 10 MiB/s. */
const load = 'while :; do dd if=/dev/urandom of=/tmp/load bs=64k count=16 conv=notrunc 2>/dev/null; usleep 100000; done'

const subnets = { ours: '192.168.95', theirs: '192.168.96' } as const

type Moved = { total: number[]; silence: number[] }

/**
 * Live migration against a bare `virsh migrate` between two sandboxes that were made before. The downtime is, on both sides,
 * the longest time for which the guest does not answer somebody on its network who knocks every 5 ms: with it all that is done
 * while the guest stands still, the switch to the new place and the announcement there. The total by hand also has in it that
 * libvirt waits for init to bury the source's QEMU, which Patchbay does not.
 */
export async function benchMigrate(stage: Stage): Promise<void> {
  const { bandwidthMiBs, maxDowntimeMs } = limits
  const migrations = { bandwidthPerMigration: `${bandwidthMiBs}Mi`, maxDowntimeMs }
  await stage.configure({ configuration: { migrations } })
  const mac = (await macsOf(stage, 'x')).get('blue') ?? ''
  await using pair = await HandPair.make(stage, 'x', 'br-blue')
  await eventually('the guest made by hand is up', async () => (await pair.guest('echo up')) === 'up', {
    deadlineMs: 120_000,
  })
  await joinBridge('br-blue', subnets.ours, mac)
  await joinBridge('br-blue', subnets.theirs, pair.mac)
  await stage.guest('x', addressLine(mac, [subnets.ours]))
  await pair.guest(addressLine(pair.mac, [subnets.theirs]))
  const ours: Moved = { total: [], silence: [] }
  const theirs: Moved = { total: [], silence: [] }
  const phases = new Map<string, number[]>()
  const inOurs = (line: string) => stage.guest('x', line)
  const inTheirs = (line: string) => pair.guest(line)
  for (let i = 0; i < rounds; i++) {
    await round(ours, `${subnets.ours}.1`, inOurs, () => throughApi(stage, `m${i}`, phases))
    await round(theirs, `${subnets.theirs}.1`, inTheirs, () => pair.migrate(limits))
  }
  const p50 = (of: 'total' | 'silence') => ({ ours: percentile(ours[of], 0.5), theirs: percentile(theirs[of], 0.5) })
  show({ what: `live migration, total, p50 of ${rounds}`, ...p50('total'), unit: 'ms', promise: 1.2 })
  show({ what: `live migration, downtime, p50 of ${rounds}`, ...p50('silence'), unit: 'ms', promise: 1.2 })
  const list = (values: readonly number[]) => values.map((one) => one.toFixed(0)).join(' ')
  note('each total', `ours ${list(ours.total)}, by hand ${list(theirs.total)} ms`)
  note('each downtime', `ours ${list(ours.silence)}, by hand ${list(theirs.silence)} ms`)
  const inPhases = [...phases].map(([phase, took]) => `${phase} ${percentile(took, 0.5).toFixed(0)}`)
  note('time in phases of the API, p50', `${inPhases.join(', ')} ms`)
}

/** One move of a guest that has something to do. Only the guest that moves has, for both share the machine. */
async function round(
  into: Moved,
  address: string,
  guest: (line: string) => Promise<string>,
  move: () => Promise<number>,
): Promise<void> {
  await guest(`(${load}) >/dev/null 2>&1 & echo $! > /tmp/pid`)
  using knocker = new Knocker(address, 5)
  await knocker.firstAfter(performance.now())
  const start = performance.now()
  into.total.push(await move())
  await knocker.firstAfter(performance.now())
  // What comes after the move may be silent too.
  await delayRef(500)
  into.silence.push(knocker.longestSilence(start))
  await guest('kill $(cat /tmp/pid)')
}

/** Milliseconds from the first byte of the POST until the migration has succeeded; adds the time each phase took. */
async function throughApi(stage: Stage, name: string, phases: Map<string, number[]>): Promise<number> {
  const start = performance.now()
  await stage.api.call('POST', path.vmim(), migration('x', name))
  let phase = 'Pending'
  let since = start
  await eventually(
    `migration ${name} succeeds`,
    async () => {
      const { body } = await stage.api.call('GET', path.vmim(name))
      const now = body.status?.phase ?? phase
      if (now === 'Failed') throw new Error(JSON.stringify(body.status))
      if (now !== phase) {
        phases.set(phase, [...(phases.get(phase) ?? []), performance.now() - since])
        phase = now
        since = performance.now()
      }
      return phase === 'Succeeded'
    },
    // Whoever asks more often takes the guest, which shares the machine, its processor.
    { deadlineMs: 120_000, everyMs: 25 },
  )
  return performance.now() - start
}
